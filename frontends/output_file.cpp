#include "frontends/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace dragoman {
namespace {

Error cause() { return Error{std::strerror(errno)}; }

/// Where symbolic links lead, also when nothing is there yet.
std::string followed(const std::string& path) {
  std::array<char, PATH_MAX> buffer;
  if (::realpath(path.c_str(), buffer.data()) != nullptr) return buffer.data();
  const ssize_t length = ::readlink(path.c_str(), buffer.data(), buffer.size());
  if (length <= 0 || static_cast<std::size_t>(length) == buffer.size()) return path;
  const std::string to(buffer.data(), static_cast<std::size_t>(length));
  const std::size_t slash = path.rfind('/');
  return to.front() == '/' || slash == std::string::npos ? to : path.substr(0, slash + 1) + to;
}

}  // namespace

Result<OutputFile> OutputFile::open(const std::string& path) {
  OutputFile out;
  // Nothing is created or cut here: whether an existing file may be written at all.
  out.file_ = ::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  const bool exists = out.file_ >= 0;
  mode_t mode = 0;
  if (exists) {
    struct stat status {};
    if (::fstat(out.file_, &status) != 0) return cause();
    if (!S_ISREG(status.st_mode)) {
      (void)::fcntl(out.file_, F_SETFL, 0);  // pipes are waited for
      return out;
    }
    mode = status.st_mode & 07777;
    out.in_place_ = true;  // unless another one can be made beside it
  } else if (errno != ENOENT) {
    return cause();
  }
  out.target_ = followed(path);
  for (unsigned number = 0; number < 100; ++number) {
    std::string name = fmt::format("{}.{}-{}.new", out.target_, ::getpid(), number);
    const int file = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file >= 0) {
      if (exists) {
        (void)::fchmod(file, mode);
        ::close(out.file_);
      }
      out.file_ = file;
      out.beside_ = std::move(name);
      out.in_place_ = false;
      return out;
    }
    if (errno != EEXIST) break;
  }
  if (!exists) return cause();
  return out;
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : file_(std::exchange(other.file_, -1)),
      target_(std::move(other.target_)),
      beside_(std::exchange(other.beside_, {})),
      in_place_(other.in_place_),
      written_(other.written_) {}

OutputFile::~OutputFile() {
  if (file_ >= 0) ::close(file_);
  if (!beside_.empty()) ::unlink(beside_.c_str());
}

Result<void> OutputFile::write(std::span<const u8> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return cause();
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    written_ += written;
  }
  return {};
}

Result<void> OutputFile::commit() {
  if (in_place_ && ::ftruncate(file_, written_) != 0) return cause();
  // Some file systems tell only now that there was no room.
  if (::close(std::exchange(file_, -1)) != 0) return cause();
  if (beside_.empty()) return {};
  if (::rename(beside_.c_str(), target_.c_str()) != 0) return cause();
  beside_.clear();
  return {};
}

}  // namespace dragoman
