// A disk with a bad sector.
#pragma once

#include <string>

#include "devices/block_image.h"

namespace dragoman {

/// An image whose sector 10 cannot be read or written.
class BadImage : public BlockImage {
 public:
  u64 size() const override { return 64 * 512; }
  bool read_only() const override { return false; }
  Result<void> read(u64 offset, std::span<u8> out) override {
    return touches(offset, out.size()) ? Result<void>(error("bad sector")) : Result<void>();
  }
  Result<void> write(u64 offset, std::span<const u8> in) override {
    return touches(offset, in.size()) ? Result<void>(error("bad sector")) : Result<void>();
  }
  Result<void> flush() override { return error("no space"); }
  const std::string& description() const override { return name_; }

 private:
  static bool touches(u64 offset, u64 length) {
    return offset < 11 * 512 && offset + length > 10 * 512;
  }
  std::string name_ = "bad";
};

}  // namespace dragoman
