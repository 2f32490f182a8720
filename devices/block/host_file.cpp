#include "devices/block/host_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace dragoman {

HostFile::~HostFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

HostFile::HostFile(HostFile&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

HostFile& HostFile::operator=(HostFile&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

i64 HostFile::read_at(u64 offset, std::span<u8> out) const {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t n = ::pread(descriptor_, out.data() + done, out.size() - done,
                              static_cast<off_t>(offset + done));
    if (n < 0) {
      if (errno == EINTR) continue;
      return -errno;
    }
    if (n == 0) break;  // end of file
    done += static_cast<std::size_t>(n);
  }
  return static_cast<i64>(done);
}

int HostFile::write_at(u64 offset, std::span<const u8> in) const {
  std::size_t done = 0;
  while (done < in.size()) {
    const ssize_t n = ::pwrite(descriptor_, in.data() + done, in.size() - done,
                               static_cast<off_t>(offset + done));
    if (n < 0) {
      if (errno == EINTR) continue;
      return -errno;
    }
    if (n == 0) return -EIO;
    done += static_cast<std::size_t>(n);
  }
  return 0;
}

int HostFile::sync() const {
  while (::fdatasync(descriptor_) != 0) {
    if (errno != EINTR) return -errno;
  }
  return 0;
}

std::string errno_text(int number) { return std::generic_category().message(number); }

}  // namespace dragoman
