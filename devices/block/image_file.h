// The file an image format lives in: bytes that can grow, with errors as sentences.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "devices/block/host_file.h"

namespace dragoman {

/// Whether the machine may change an image.
enum class ImageAccess { kReadOnly, kReadWrite };

/// Offsets and sizes are in bytes. Tests put files of their own in the place of the host's.
class ImageFile {
 public:
  virtual ~ImageFile() = default;
  /// What lies past the end reads as zeros.
  virtual Result<void> read(u64 offset, std::span<u8> out) = 0;
  /// Writing past the end extends the file.
  virtual Result<void> write(u64 offset, std::span<const u8> in) = 0;
  /// Returns when everything written before has reached the disk.
  virtual Result<void> sync() = 0;
  virtual u64 size() const = 0;
  virtual ImageAccess access() const = 0;
  /// The path, for messages.
  virtual const std::string& path() const = 0;

  bool read_only() const { return access() == ImageAccess::kReadOnly; }
};

/// A regular file or block device of the host. It is locked while open (open file description
/// locks: shared for reading, exclusive for writing), so that two machines cannot write to one
/// image.
class HostImageFile final : public ImageFile {
 public:
  /// The error sentence says what is wrong with the file and what to do.
  static Result<std::unique_ptr<ImageFile>> open(const std::string& path, ImageAccess access);

  Result<void> read(u64 offset, std::span<u8> out) override;
  Result<void> write(u64 offset, std::span<const u8> in) override;
  Result<void> sync() override;
  u64 size() const override { return size_; }
  ImageAccess access() const override { return access_; }
  const std::string& path() const override { return path_; }

 private:
  HostImageFile(std::string path, ImageAccess access, HostFile file, u64 size)
      : path_(std::move(path)), access_(access), file_(std::move(file)), size_(size) {}

  std::string path_;
  ImageAccess access_;
  HostFile file_;
  u64 size_;
};

}  // namespace dragoman
