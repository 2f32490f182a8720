#include "devices/sound/wav_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace dragoman {
namespace {

constexpr u32 kHeaderBytes = 44;
constexpr u16 kFormatPcm = 1;
constexpr u32 kFrameBytes = sizeof(StereoSample);
constexpr u64 kMostBytes = 0xffff'f000;  // chunk sizes have 32 bits

static_assert(sizeof(StereoSample) == 4);

}  // namespace

Result<std::unique_ptr<WavFile>> WavFile::create(const std::string& path, u32 rate) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) {
    return error("cannot create the sound file '{}': {}; give a path that can be written", path,
                 std::strerror(errno));
  }
  std::unique_ptr<WavFile> file(new WavFile(path, fd, rate));
  if (!file->write_header()) {
    return error("cannot write the sound file '{}': {}; give a path that can be written", path,
                 std::strerror(errno));
  }
  return file;
}

WavFile::WavFile(std::string path, int fd, u32 rate)
    : path_(std::move(path)), fd_(fd), rate_(rate) {}

WavFile::~WavFile() {
  if (header_bytes_ != bytes_) (void)write_header();
  close(fd_);
}

bool WavFile::write_header() {
  std::array<u8, kHeaderBytes> header{};
  const auto text = [&](std::size_t at, const char* four) { std::memcpy(&header[at], four, 4); };
  const auto number = [&](std::size_t at, u32 value, unsigned size) {
    for (unsigned i = 0; i < size; ++i) header[at + i] = static_cast<u8>(value >> (8 * i));
  };
  text(0, "RIFF");
  number(4, static_cast<u32>(bytes_) + kHeaderBytes - 8, 4);
  text(8, "WAVE");
  text(12, "fmt ");
  number(16, 16, 4);
  number(20, kFormatPcm, 2);
  number(22, 2, 2);  // channels
  number(24, rate_, 4);
  number(28, rate_ * kFrameBytes, 4);
  number(32, kFrameBytes, 2);
  number(34, 16, 2);  // bits of a sample
  text(36, "data");
  number(40, static_cast<u32>(bytes_), 4);
  header_bytes_ = bytes_;
  return pwrite(fd_, header.data(), header.size(), 0) == static_cast<ssize_t>(header.size());
}

void WavFile::fail(const char* reason) {
  problem_ = fmt::format("the recording '{}' ends after {:.1f} s: {}", path_,
                         static_cast<double>(bytes_) / kFrameBytes / rate_, reason);
}

void WavFile::play(std::span<const StereoSample> samples) {
  if (!problem_.empty()) return;
  const u64 size = samples.size_bytes();
  if (bytes_ + size > kMostBytes) return fail("a WAV file holds at most 4 GiB");
  const char* from = reinterpret_cast<const char*>(samples.data());
  for (u64 written = 0; written < size;) {
    const ssize_t n = pwrite(fd_, from + written, size - written,
                             static_cast<off_t>(kHeaderBytes + bytes_ + written));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return fail(n < 0 ? std::strerror(errno) : "the file system is full");
    written += static_cast<u64>(n);
  }
  bytes_ += size;
  // Once a second of sound, so that the file of a killed program can still be played.
  if (bytes_ - header_bytes_ >= u64{rate_} * kFrameBytes) (void)write_header();
}

}  // namespace dragoman
