// A disk or CD image whose bytes are the bytes of a host file or host block device.
#pragma once

#include <memory>
#include <string>

#include "devices/block/host_file.h"
#include "devices/block_image.h"

namespace dragoman {

/// A raw image. The file is locked while open (open file description locks: shared for reading,
/// exclusive for writing), so that two machines cannot write to one image.
class RawImage final : public BlockImage {
 public:
  enum class Access { kReadOnly, kReadWrite };

  /// Opens `path`. The error sentence says what is wrong with the file and what to do.
  static Result<std::unique_ptr<RawImage>> open(const std::string& path, Access access);

  /// The length of the file rounded up to 512 bytes. What the file lacks of its last sector
  /// reads as zeros; writing to that sector extends the file.
  u64 size() const override { return size_; }
  bool read_only() const override { return access_ == Access::kReadOnly; }
  Result<void> read(u64 offset, std::span<u8> out) override;
  Result<void> write(u64 offset, std::span<const u8> in) override;
  Result<void> flush() override;
  const std::string& description() const override { return path_; }

 private:
  RawImage(std::string path, Access access, HostFile file, u64 size)
      : path_(std::move(path)), access_(access), file_(std::move(file)), size_(size) {}

  std::string path_;
  Access access_;
  HostFile file_;
  u64 size_;
};

}  // namespace dragoman
