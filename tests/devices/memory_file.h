// An image file in memory, for tests.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "devices/block/image_file.h"

namespace dragoman {

/// A file in memory that can remember what was done to it.
class MemoryFile final : public ImageFile {
 public:
  struct Operation {
    u64 offset = 0;
    std::vector<u8> bytes;  // none: a sync
  };

  explicit MemoryFile(std::vector<u8> bytes, ImageAccess access = ImageAccess::kReadWrite,
                      std::vector<Operation>* operations = nullptr)
      : bytes_(std::move(bytes)), access_(access), operations_(operations) {}
  Result<void> read(u64 offset, std::span<u8> out) override {
    std::fill(out.begin(), out.end(), u8{0});
    if (!out.empty() && offset < bytes_.size()) {
      std::memcpy(out.data(), bytes_.data() + offset,
                  std::min<u64>(out.size(), bytes_.size() - offset));
    }
    return {};
  }
  Result<void> write(u64 offset, std::span<const u8> in) override {
    if (offset > kMost || in.size() > kMost) return error("the file cannot have {} bytes", offset);
    if (read_only()) return error("written although read-only");
    apply({offset, {in.begin(), in.end()}}, bytes_);
    if (operations_ != nullptr) operations_->push_back({offset, {in.begin(), in.end()}});
    return {};
  }
  Result<void> sync() override {
    if (operations_ != nullptr) operations_->push_back({});
    return {};
  }
  u64 size() const override { return bytes_.size(); }
  ImageAccess access() const override { return access_; }
  const std::string& path() const override { return path_; }

  static void apply(const Operation& operation, std::vector<u8>& bytes) {
    bytes.resize(std::max<u64>(bytes.size(), operation.offset + operation.bytes.size()));
    std::copy(operation.bytes.begin(), operation.bytes.end(),
              bytes.begin() + static_cast<long>(operation.offset));
  }

 private:
  static constexpr u64 kMost = u64{1} << 30;
  std::vector<u8> bytes_;
  ImageAccess access_;
  std::vector<Operation>* operations_;
  std::string path_ = "memory";
};

}  // namespace dragoman
