// Counts what a machine does with an image, for `info blockstats`.
#pragma once

#include <memory>

#include "devices/block_image.h"

namespace dragoman {

class CountedImage final : public BlockImage {
 public:
  struct Counts {
    u64 reads = 0, bytes_read = 0;
    u64 writes = 0, bytes_written = 0;
    u64 flushes = 0;
  };

  explicit CountedImage(std::shared_ptr<BlockImage> image) : image_(std::move(image)) {}

  u64 size() const override { return image_->size(); }
  bool read_only() const override { return image_->read_only(); }
  Result<void> read(u64 offset, std::span<u8> out) override {
    ++counts_.reads;
    counts_.bytes_read += out.size();
    return image_->read(offset, out);
  }
  Result<void> write(u64 offset, std::span<const u8> in) override {
    ++counts_.writes;
    counts_.bytes_written += in.size();
    return image_->write(offset, in);
  }
  Result<void> flush() override {
    ++counts_.flushes;
    return image_->flush();
  }
  const std::string& description() const override { return image_->description(); }
  const Counts& counts() const { return counts_; }

 private:
  std::shared_ptr<BlockImage> image_;
  Counts counts_;
};

}  // namespace dragoman
