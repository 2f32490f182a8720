#include "frontends/drive_lights.h"

#include <utility>

namespace dragoman {
namespace {

class WatchedImage final : public BlockImage {
 public:
  WatchedImage(std::shared_ptr<BlockImage> image, u64& accesses)
      : image_(std::move(image)), accesses_(accesses) {}
  u64 size() const override { return image_->size(); }
  bool read_only() const override { return image_->read_only(); }
  Result<void> read(u64 offset, std::span<u8> out) override {
    ++accesses_;
    return image_->read(offset, out);
  }
  Result<void> write(u64 offset, std::span<const u8> in) override {
    ++accesses_;
    return image_->write(offset, in);
  }
  Result<void> flush() override { return image_->flush(); }
  const std::string& description() const override { return image_->description(); }

 private:
  std::shared_ptr<BlockImage> image_;
  u64& accesses_;
};

}  // namespace

std::shared_ptr<BlockImage> DriveLights::watch(std::shared_ptr<BlockImage> image,
                                               const DriveConfig& drive) {
  const Kind kind = drive.cdrom                                  ? kCdRom
                    : drive.interface == DriveInterface::kFloppy ? kFloppy
                                                                 : kDisk;
  return std::make_shared<WatchedImage>(std::move(image), accesses_[kind]);
}

}  // namespace dragoman
