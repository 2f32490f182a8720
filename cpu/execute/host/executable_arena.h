// Memory for generated code that is never writable and executable at once: two views of the same
// pages, one to write through and one to run.
#pragma once

#include <cstddef>
#include <span>

#include "base/types.h"

namespace dragoman {

/// Append-only code memory. Address space for the whole bound is reserved by the first allocation;
/// the pages behind it appear as they are written, so that an unused arena costs nothing.
class ExecutableArena {
 public:
  explicit ExecutableArena(std::size_t bound) : bound_(bound) {}
  ~ExecutableArena();
  ExecutableArena(const ExecutableArena&) = delete;
  ExecutableArena& operator=(const ExecutableArena&) = delete;

  /// Copies finished position-independent code in and returns where it can be called, or null when
  /// the bound is reached or the host gives no executable memory (see usable()).
  const void* add(std::span<const u8> code);
  /// Where add() would put `bytes` of code now, or null when they do not fit.
  const void* next(std::size_t bytes);
  /// Overwrites code at an address that add() returned (or inside of it).
  void patch(const void* run_address, std::span<const u8> code);
  /// Forgets all code. Nothing returned by add() may be called afterwards.
  void clear() { used_ = 0; }
  /// False when the host refused to map memory executable.
  bool usable() const { return !refused_; }

 private:
  bool map();

  std::size_t bound_;
  std::size_t used_ = 0;
  u8* write_view_ = nullptr;
  u8* run_view_ = nullptr;
  bool refused_ = false;
};

}  // namespace dragoman
