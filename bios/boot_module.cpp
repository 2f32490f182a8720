#include "bios/boot_module.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "bios/file.h"

namespace dragoman {
namespace {

class BytesInMemory final : public ModuleContents {
 public:
  explicit BytesInMemory(Bytes bytes) : bytes_(std::move(bytes)) {}
  u64 size() const override { return bytes_.size(); }
  Result<void> read(std::span<u8> to) const override {
    std::copy(bytes_.begin(), bytes_.end(), to.begin());
    return {};
  }

 private:
  Bytes bytes_;
};

class BytesInFile final : public ModuleContents {
 public:
  BytesInFile(int file, u64 size, std::string name)
      : file_(file), size_(size), name_(std::move(name)) {}
  ~BytesInFile() override { close(file_); }
  BytesInFile(const BytesInFile&) = delete;
  BytesInFile& operator=(const BytesInFile&) = delete;

  u64 size() const override { return size_; }
  Result<void> read(std::span<u8> to) const override {
    std::size_t done = 0;
    while (done < to.size()) {
      const ssize_t got =
          pread(file_, to.data() + done, to.size() - done, static_cast<off_t>(done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return error("the {} cannot be read: {}", name_, std::strerror(errno));
      if (got == 0) {
        return error("the {} has become shorter than the {} bytes it had at the start; start again",
                     name_, size_);
      }
      done += static_cast<std::size_t>(got);
    }
    return {};
  }

 private:
  int file_;
  u64 size_;
  std::string name_;
};

}  // namespace

Result<Bytes> ModuleContents::read_all() const {
  Bytes bytes(size());
  if (auto done = read(bytes); !done) return done.error();
  return bytes;
}

BootModule::BootModule(Bytes bytes, std::string arguments)
    : contents(std::make_shared<BytesInMemory>(std::move(bytes))),
      command_line(std::move(arguments)) {}

Result<std::shared_ptr<const ModuleContents>> module_of_file(const std::string& path,
                                                             const std::string& purpose,
                                                             u64 max_bytes) {
  // A pipe may be opened once only: its writer would see the first reader go.
  struct stat info {};
  const bool regular = stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
  const int file = regular ? open(path.c_str(), O_RDONLY | O_CLOEXEC) : -1;
  if (file >= 0) {
    const u64 size = fstat(file, &info) == 0 ? static_cast<u64>(info.st_size) : 0;
    if (size != 0 && size <= max_bytes) {
      return std::shared_ptr<const ModuleContents>(
          std::make_shared<BytesInFile>(file, size, purpose + " '" + path + "'"));
    }
    close(file);
  }
  auto bytes = read_whole_file(path, purpose, max_bytes);  // which knows what is wrong with it
  if (!bytes) return bytes.error();
  return std::shared_ptr<const ModuleContents>(std::make_shared<BytesInMemory>(bytes.take()));
}

}  // namespace dragoman
