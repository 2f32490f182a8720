// VMDK images of several files: the text that names the extents, and the disk they make.
#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstring>
#include <sstream>

#include "devices/block/raw_image.h"
#include "devices/block/vmdk_image.h"

namespace dragoman {
namespace {

constexpr u64 kMaxDescriptorBytes = 64 * kKiB;
constexpr std::size_t kMaxExtents = 2048;

/// Part of a disk: `length` bytes that are those of `image` from `offset` on, or zeros.
struct Extent {
  u64 length = 0;
  u64 offset = 0;
  std::unique_ptr<BlockImage> image;
};

/// One disk out of several pieces.
class JoinedImage final : public BlockImage {
 public:
  JoinedImage(std::vector<Extent> extents, bool read_only, std::string description)
      : extents_(std::move(extents)), read_only_(read_only), description_(std::move(description)) {
    for (const Extent& extent : extents_) size_ += extent.length;
  }
  u64 size() const override { return size_; }
  bool read_only() const override { return read_only_; }
  const std::string& description() const override { return description_; }

  Result<void> read(u64 offset, std::span<u8> out) override {
    return walk(offset, out, [](Extent& extent, u64 at, std::span<u8> piece) -> Result<void> {
      if (extent.image != nullptr) return extent.image->read(extent.offset + at, piece);
      std::fill(piece.begin(), piece.end(), u8{0});
      return {};
    });
  }
  Result<void> write(u64 offset, std::span<const u8> in) override {
    return walk(offset, in, [&](Extent& extent, u64 at, std::span<const u8> piece) -> Result<void> {
      if (extent.image != nullptr && !read_only_) {
        return extent.image->write(extent.offset + at, piece);
      }
      return error("disk image '{}' is read-only there; attach it with -snapshot", description_);
    });
  }
  Result<void> flush() override {
    for (Extent& extent : extents_) {
      if (extent.image == nullptr) continue;
      if (auto ok = extent.image->flush(); !ok) return ok;
    }
    return {};
  }

 private:
  template <class Bytes, class Visit>
  Result<void> walk(u64 offset, Bytes bytes, Visit visit) {
    if (offset > size_ || bytes.size() > size_ - offset) {
      return error("access to {} bytes at {} is past the end of disk image '{}' ({} bytes)",
                   bytes.size(), offset, description_, size_);
    }
    u64 start = 0;
    for (Extent& extent : extents_) {
      if (bytes.empty()) break;
      if (offset < start + extent.length) {
        const u64 run = std::min<u64>(bytes.size(), start + extent.length - offset);
        if (auto ok = visit(extent, offset - start, bytes.first(run)); !ok) return ok;
        bytes = bytes.subspan(run);
        offset += run;
      }
      start += extent.length;
    }
    return {};
  }

  std::vector<Extent> extents_;
  bool read_only_;
  std::string description_;
  u64 size_ = 0;
};

/// "RW 4192256 SPARSE "disk-s001.vmdk" 0"
struct ExtentLine {
  std::string access, type, file;
  u64 sectors = 0;
  u64 offset = 0;  // in sectors
};

std::optional<ExtentLine> parse_extent(const std::string& line) {
  ExtentLine extent;
  std::istringstream words(line);
  if (!(words >> extent.access >> extent.sectors >> extent.type)) return std::nullopt;
  if (extent.access != "RW" && extent.access != "RDONLY" && extent.access != "NOACCESS") {
    return std::nullopt;
  }
  std::string rest;
  std::getline(words, rest);
  const auto begin = rest.find('"');
  const auto end = rest.rfind('"');
  if (begin != std::string::npos && end > begin) {
    extent.file = rest.substr(begin + 1, end - begin - 1);
    std::istringstream(rest.substr(end + 1)) >> extent.offset;
  }
  return extent;
}

}  // namespace

bool is_vmdk_descriptor(std::span<const u8> head) {
  constexpr std::string_view kFirst = "# disk descriptorfile";
  if (head.size() < kFirst.size()) return false;
  return std::equal(kFirst.begin(), kFirst.end(), head.begin(), [](char wanted, u8 given) {
    return wanted == static_cast<char>(std::tolower(given));
  });
}

Result<std::unique_ptr<BlockImage>> open_vmdk_descriptor(std::unique_ptr<ImageFile> file) {
  const std::string& path = file->path();
  if (file->size() > kMaxDescriptorBytes) {
    return error(
        "VMDK descriptor '{}' has {} bytes, more than a descriptor can have; give the "
        "right file or -drive format=raw",
        path, file->size());
  }
  std::vector<u8> raw(file->size());
  if (auto ok = file->read(0, raw); !ok) return ok.error();
  std::istringstream text(std::string(raw.begin(), raw.end()));
  std::vector<Extent> extents;
  bool read_only = file->read_only();
  u64 total = 0;
  for (std::string line; std::getline(text, line);) {
    if (line.starts_with("parentCID=") && line.compare(10, 8, "ffffffff") != 0) {
      return error(
          "VMDK image '{}' is the difference to another image, which is not supported; "
          "merge them with 'qemu-img convert'",
          path);
    }
    const auto parsed = parse_extent(line);
    if (!parsed) continue;
    total += parsed->sectors;
    if (parsed->sectors == 0 || parsed->sectors > u64{1} << 45 || total > u64{1} << 45 ||
        extents.size() >= kMaxExtents) {
      return error("VMDK descriptor '{}' is damaged: extent of {} sectors; give the right file",
                   path, parsed->sectors);
    }
    Extent extent{parsed->sectors * 512, 0, nullptr};
    if (parsed->type == "ZERO") {
      extents.push_back(std::move(extent));
      continue;
    }
    if (parsed->type != "FLAT" && parsed->type != "SPARSE" && parsed->type != "VMFS") {
      return error(
          "VMDK image '{}' has an extent of type {}, known are FLAT, SPARSE and ZERO; "
          "convert it with 'qemu-img convert'",
          path, parsed->type);
    }
    // A descriptor from elsewhere must not choose which files of this host a guest sees.
    if (parsed->file.empty() || parsed->file == "." || parsed->file == ".." ||
        parsed->file.find('/') != std::string::npos) {
      return error(
          "VMDK descriptor '{}' names the file '{}', which is not a file in its own folder; "
          "put both into one folder and correct the name",
          path, parsed->file);
    }
    const auto slash = path.rfind('/');
    const std::string folder = slash == std::string::npos ? "" : path.substr(0, slash + 1);
    const bool writable = !file->read_only() && parsed->access == "RW";
    auto part = HostImageFile::open(folder + parsed->file,
                                    writable ? ImageAccess::kReadWrite : ImageAccess::kReadOnly);
    if (!part) return part.error();
    if (parsed->type == "SPARSE") {
      auto sparse = VmdkSparse::open(part.take());
      if (!sparse) return sparse;
      extent.image = sparse.take();
    } else {
      extent.image = std::make_unique<RawImage>(part.take());
      extent.offset = parsed->offset * 512;
    }
    if (parsed->offset > u64{1} << 45 || extent.image->size() < extent.offset ||
        extent.image->size() - extent.offset < extent.length) {
      return error(
          "VMDK extent '{}' is too short: {} bytes where the descriptor says {}; use a whole "
          "copy",
          parsed->file, extent.image->size(), extent.length);
    }
    read_only |= extent.image->read_only();
    extents.push_back(std::move(extent));
  }
  if (extents.empty()) {
    return error("VMDK descriptor '{}' names no extents; give the right file", path);
  }
  return std::unique_ptr<BlockImage>(
      std::make_unique<JoinedImage>(std::move(extents), read_only, path));
}

}  // namespace dragoman
