#include "devices/block/image_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace dragoman {
namespace {

Error open_error(const std::string& path, ImageAccess access, int number) {
  switch (number) {
    case ENOENT:
      return error("disk image '{}' does not exist; check the path or create the file first", path);
    case EISDIR:
      return error("disk image '{}' is a directory; give the path of an image file", path);
    case EACCES:
    case EPERM:
    case EROFS:
      if (access == ImageAccess::kReadWrite) {
        return error(
            "no permission to write disk image '{}' ({}); change its permissions, or attach it "
            "read-only or with -snapshot",
            path, errno_text(number));
      }
      return error("no permission to read disk image '{}'; change its permissions", path);
    default:
      return error("cannot open disk image '{}': {}", path, errno_text(number));
  }
}

}  // namespace

Result<std::unique_ptr<ImageFile>> HostImageFile::open(const std::string& path,
                                                       ImageAccess access) {
  const bool writable = access == ImageAccess::kReadWrite;
  // O_NONBLOCK keeps a FIFO from blocking here; regular files and disks ignore it.
  const int descriptor =
      ::open(path.c_str(), (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return open_error(path, access, errno);
  HostFile file(descriptor);

  struct stat info {};
  if (::fstat(descriptor, &info) != 0) return open_error(path, access, errno);
  if (S_ISDIR(info.st_mode)) return open_error(path, access, EISDIR);
  if (!S_ISREG(info.st_mode) && !S_ISBLK(info.st_mode)) {
    return error(
        "disk image '{}' is neither a regular file nor a block device; copy its contents to a file",
        path);
  }

  struct flock lock {};
  lock.l_type = static_cast<short>(writable ? F_WRLCK : F_RDLCK);
  lock.l_whence = SEEK_SET;  // l_start = l_len = 0: the whole file
  if (::fcntl(descriptor, F_OFD_SETLK, &lock) != 0 && (errno == EAGAIN || errno == EACCES)) {
    return error(
        "disk image '{}' is in use by another machine{}; stop that machine, use a copy{}", path,
        writable ? "" : " that writes to it",
        writable ? ", or attach it read-only or with -snapshot if the other one only reads" : "");
  }
  // Other failures mean a file system without locks: then the image is simply not protected.

  u64 length = static_cast<u64>(info.st_size);
  if (S_ISBLK(info.st_mode)) {
    const off_t end = ::lseek(descriptor, 0, SEEK_END);
    if (end < 0) {
      return error("cannot find out the size of disk '{}': {}", path, errno_text(errno));
    }
    length = static_cast<u64>(end);
  }
  if (length == 0) {
    return error("disk image '{}' is empty; give it a size first, for example with truncate -s 1G",
                 path);
  }
  return std::unique_ptr<ImageFile>(new HostImageFile(path, access, std::move(file), length));
}

Result<void> HostImageFile::read(u64 offset, std::span<u8> out) {
  const i64 n = file_.read_at(offset, out);
  if (n < 0) {
    return error("cannot read {} bytes at {} of disk image '{}': {}; check the host's disk",
                 out.size(), offset, path_, errno_text(static_cast<int>(-n)));
  }
  std::fill(out.begin() + n, out.end(), u8{0});
  return {};
}

Result<void> HostImageFile::write(u64 offset, std::span<const u8> in) {
  if (read_only()) {
    return error("disk image '{}' is attached read-only; attach it writable to change it", path_);
  }
  if (const int result = file_.write_at(offset, in); result < 0) {
    return error("cannot write {} bytes at {} of disk image '{}': {}; check the space on the host",
                 in.size(), offset, path_, errno_text(-result));
  }
  size_ = std::max(size_, offset + in.size());
  return {};
}

Result<void> HostImageFile::sync() {
  if (read_only()) return {};
  if (const int result = file_.sync(); result < 0) {
    return error("cannot flush disk image '{}': {}; check the host's disk", path_,
                 errno_text(-result));
  }
  return {};
}

}  // namespace dragoman
