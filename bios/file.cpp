#include "bios/file.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

namespace dragoman {

Result<Bytes> read_whole_file(const std::string& path, const std::string& purpose, u64 max_bytes) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                             std::fclose);
  if (file == nullptr) {
    return error("cannot open the {} '{}': {}; check the path", purpose, path,
                 std::strerror(errno));
  }
  struct stat info {};
  if (fstat(fileno(file.get()), &info) != 0 || S_ISDIR(info.st_mode)) {
    return error("the {} '{}' is not a readable file; give the path of a file", purpose, path);
  }
  Bytes bytes;
  if (S_ISREG(info.st_mode))
    bytes.reserve(std::min<u64>(static_cast<u64>(info.st_size), max_bytes));
  Bytes chunk(256 * kKiB);
  while (true) {
    const std::size_t got = std::fread(chunk.data(), 1, chunk.size(), file.get());
    if (got == 0) break;
    if (got > max_bytes - bytes.size()) {
      return error("the {} '{}' is larger than {} KiB, the most that can be used", purpose, path,
                   max_bytes / kKiB);
    }
    bytes.insert(bytes.end(), chunk.begin(), chunk.begin() + static_cast<std::ptrdiff_t>(got));
  }
  if (std::ferror(file.get()) != 0) {
    return error("the {} '{}' cannot be read: {}", purpose, path, std::strerror(errno));
  }
  if (bytes.empty()) {
    return error("the {} '{}' is empty; give a file with contents", purpose, path);
  }
  return bytes;
}

}  // namespace dragoman
