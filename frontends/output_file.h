// A file that commands of a monitor write: it is there whole, or nothing has changed.
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "base/types.h"

namespace dragoman {

/// What is written goes into a new file beside `path`, which takes its place in commit(). Without a
/// commit() the new file goes and `path` stays as it was. Devices, pipes, and files in folders that
/// take no others are written as they are.
class OutputFile {
 public:
  /// Fails with the words of the host ("Permission denied"); nothing was created then.
  static Result<OutputFile> open(const std::string& path);
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile();

  Result<void> write(std::span<const u8> bytes);
  Result<void> commit();

 private:
  OutputFile() = default;

  int file_ = -1;
  std::string target_;     ///< links followed
  std::string beside_;     ///< the new file; empty: what was there is written
  bool in_place_ = false;  ///< a file in a folder that takes no others
  long written_ = 0;
};

}  // namespace dragoman
