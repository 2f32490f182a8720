#include "devices/block/snapshot_image.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace dragoman {
namespace {

constexpr u64 kClusterBytes = 4096;

}  // namespace

SnapshotImage::SnapshotImage(std::unique_ptr<BlockImage> below, HostFile file)
    : below_(std::move(below)),
      file_(std::move(file)),
      written_((below_->size() / kClusterBytes) / 64 + 1),
      description_(below_->description() + " (snapshot)") {}

Result<std::unique_ptr<SnapshotImage>> SnapshotImage::create(std::unique_ptr<BlockImage> below,
                                                             std::string directory) {
  if (directory.empty()) {
    const char* from_environment = std::getenv("TMPDIR");
    directory =
        from_environment != nullptr && *from_environment != '\0' ? from_environment : "/var/tmp";
  }
  int descriptor = ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
  if (descriptor < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
    // A file system without nameless files: make one and take its name away.
    std::string name = directory + "/dragoman-snapshot-XXXXXX";
    descriptor = ::mkostemp(name.data(), O_CLOEXEC);
    if (descriptor >= 0) ::unlink(name.c_str());
  }
  if (descriptor < 0) {
    return error(
        "cannot create the temporary file for -snapshot in '{}': {}; set TMPDIR to a writable "
        "directory",
        directory, errno_text(errno));
  }
  return std::unique_ptr<SnapshotImage>(new SnapshotImage(std::move(below), HostFile(descriptor)));
}

Result<void> SnapshotImage::check_range(u64 offset, u64 length) const {
  if (offset <= size() && length <= size() - offset) return {};
  return error("access to {} bytes at {} is past the end of disk image '{}' ({} bytes)", length,
               offset, description_, size());
}

Result<void> SnapshotImage::read(u64 offset, std::span<u8> out) {
  if (auto result = check_range(offset, out.size()); !result) return result;
  while (!out.empty()) {
    // The longest run that lives on one side.
    const bool above = written(offset / kClusterBytes);
    u64 run = std::min<u64>(out.size(), kClusterBytes - offset % kClusterBytes);
    while (run < out.size() && written((offset + run) / kClusterBytes) == above) {
      run = std::min<u64>(out.size(), run + kClusterBytes);
    }
    const std::span<u8> piece = out.first(run);
    if (above) {
      const i64 n = file_.read_at(offset, piece);
      if (n < 0) {
        return error("cannot read the temporary file of disk image '{}': {}; check the host's disk",
                     description_, errno_text(static_cast<int>(-n)));
      }
      std::fill(piece.begin() + n, piece.end(), u8{0});
    } else if (auto result = below_->read(offset, piece); !result) {
      return result;
    }
    out = out.subspan(run);
    offset += run;
  }
  return {};
}

Result<void> SnapshotImage::write(u64 offset, std::span<const u8> in) {
  if (auto result = check_range(offset, in.size()); !result) return result;
  while (!in.empty()) {
    const u64 cluster = offset / kClusterBytes;
    const u64 start = cluster * kClusterBytes;
    const u64 within = offset - start;
    const u64 length = std::min(kClusterBytes, size() - start);  // the last one may be short
    const u64 run = std::min<u64>(in.size(), length - within);
    int result = 0;
    if (written(cluster) || run == length) {
      result = file_.write_at(offset, in.first(run));
    } else {
      std::array<u8, kClusterBytes> whole;
      if (auto read = below_->read(start, std::span(whole).first(length)); !read) return read;
      std::memcpy(whole.data() + within, in.data(), run);
      result = file_.write_at(start, std::span<const u8>(whole).first(length));
    }
    if (result < 0) {
      return error(
          "cannot write the temporary file of disk image '{}': {}; free space or set TMPDIR to "
          "another directory",
          description_, errno_text(-result));
    }
    written_[cluster / 64] |= u64{1} << (cluster % 64);
    in = in.subspan(run);
    offset += run;
  }
  return {};
}

}  // namespace dragoman
