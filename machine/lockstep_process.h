// Copies of the running process, for lockstep: one sleeps as a checkpoint of both machines, others
// try out what happens when something is changed.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"

namespace dragoman {

/// After fork(): memory that is shared with the parent (both views of code arenas, see
/// cpu/execute/host/executable_arena.h) becomes this process's own, with the same contents at the
/// same addresses. False when the host refuses.
bool own_shared_memory();

/// A sleeping copy of this process, as it was when the object was made.
class Checkpoint {
 public:
  /// Copies the process. In the copy the call does not return before the original calls wake():
  /// then it is `work` that runs there, on what wake() was given, and its result is sent back.
  static Result<std::unique_ptr<Checkpoint>> make(
      const std::function<std::string(const std::string&)>& work);
  /// Ends the copy.
  ~Checkpoint();
  Checkpoint(const Checkpoint&) = delete;
  Checkpoint& operator=(const Checkpoint&) = delete;

  /// Runs the copy's work with `message` and waits for what it says; empty when it died. Once only.
  std::string wake(const std::string& message);

 private:
  Checkpoint(pid_t child, int socket) : child_(child), socket_(socket) {}

  pid_t child_;
  int socket_;
};

/// Runs `question` in a copy of this process and gives its answer; nothing when the copy died.
std::optional<bool> ask_copy(const std::function<bool()>& question);

}  // namespace dragoman
