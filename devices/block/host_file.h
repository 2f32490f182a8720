// A host file descriptor with complete reads and writes: shared by the image formats.
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "base/types.h"

namespace dragoman {

/// Owns a file descriptor. Movable; closes (and thereby unlocks) on destruction.
class HostFile {
 public:
  HostFile() = default;
  explicit HostFile(int descriptor) : descriptor_(descriptor) {}
  ~HostFile();
  HostFile(HostFile&& other) noexcept;
  HostFile& operator=(HostFile&& other) noexcept;

  int descriptor() const { return descriptor_; }
  /// Reads up to out.size() bytes at `offset`, fewer only at the end of the file; the count.
  /// A negative errno value on failure.
  i64 read_at(u64 offset, std::span<u8> out) const;
  /// Writes all of `in` at `offset`; 0 or a negative errno value.
  int write_at(u64 offset, std::span<const u8> in) const;
  /// fdatasync; 0 or a negative errno value.
  int sync() const;

 private:
  int descriptor_ = -1;
};

/// The system's words for an errno value.
std::string errno_text(int number);

}  // namespace dragoman
