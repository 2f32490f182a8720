// A disk medium on the host, as storage devices see it.
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "base/types.h"

namespace dragoman {

/// A randomly accessible image. Offsets and sizes are in bytes; devices use 512-byte multiples.
class BlockImage {
 public:
  virtual ~BlockImage() = default;
  virtual u64 size() const = 0;
  virtual bool read_only() const = 0;
  /// Reads past the end give an Error. Callers check bounds first.
  virtual Result<void> read(u64 offset, std::span<u8> out) = 0;
  virtual Result<void> write(u64 offset, std::span<const u8> in) = 0;
  /// Returns when everything written before has reached the host's disk.
  virtual Result<void> flush() = 0;
  virtual const std::string& description() const = 0;
};

}  // namespace dragoman
