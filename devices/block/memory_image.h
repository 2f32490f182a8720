// A disk image in host memory, for embedded images and tests.
#pragma once

#include <string>
#include <vector>

#include "devices/block_image.h"

namespace dragoman {

/// Holds its bytes itself; the size is rounded up to 512 with zeros.
class MemoryImage final : public BlockImage {
 public:
  explicit MemoryImage(std::vector<u8> bytes, bool read_only = false,
                       std::string description = "memory");

  u64 size() const override { return bytes_.size(); }
  bool read_only() const override { return read_only_; }
  Result<void> read(u64 offset, std::span<u8> out) override;
  Result<void> write(u64 offset, std::span<const u8> in) override;
  Result<void> flush() override { return {}; }
  const std::string& description() const override { return description_; }
  std::span<const u8> bytes() const { return bytes_; }

 private:
  Result<void> check_range(u64 offset, u64 length) const;

  std::vector<u8> bytes_;
  bool read_only_;
  std::string description_;
};

}  // namespace dragoman
