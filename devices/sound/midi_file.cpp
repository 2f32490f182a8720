#include "devices/sound/midi_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace dragoman {
namespace {

constexpr std::size_t kHeaderBytes = 22;  // of the file and of its track
constexpr u16 kTicksPerQuarter = 500;     // at the tempo a file without one has: 500 ms
constexpr std::size_t kMostExclusive = 65536;
constexpr u64 kMostBytes = 0x0fff'ffff;
constexpr u64 kNsPerMs = 1'000'000;
constexpr u8 kExclusive = 0xf0;
constexpr u8 kExclusiveEnd = 0xf7;
constexpr u8 kFirstRealTime = 0xf8;
constexpr std::array<u8, 4> kEndOfTrack = {0x00, 0xff, 0x2f, 0x00};

/// Data bytes after a status byte.
std::size_t data_bytes(u8 status) {
  if (status < 0xf0) return (status & 0xe0) == 0xc0 ? 1 : 2;  // Cxh and Dxh have one
  if (status == 0xf1 || status == 0xf3) return 1;
  return status == 0xf2 ? 2 : 0;
}

/// Seven bits a byte, the highest first; bit 7 says that more come.
void append_variable(std::vector<u8>& out, u64 value) {
  int shift = 21;
  while (shift > 0 && value >> shift == 0) shift -= 7;
  for (; shift > 0; shift -= 7) out.push_back(static_cast<u8>(0x80 | (value >> shift & 0x7f)));
  out.push_back(static_cast<u8>(value & 0x7f));
}

}  // namespace

Result<std::unique_ptr<MidiFile>> MidiFile::create(const std::string& path) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) {
    return error("cannot create the MIDI file '{}': {}; give a path that can be written", path,
                 std::strerror(errno));
  }
  std::unique_ptr<MidiFile> file(new MidiFile(path, fd));
  if (!file->write_header() ||
      !file->write(kHeaderBytes, {kEndOfTrack.begin(), kEndOfTrack.end()})) {
    return error("cannot write the MIDI file '{}': {}; give a path that can be written", path,
                 std::strerror(errno));
  }
  return file;
}

MidiFile::MidiFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}

MidiFile::~MidiFile() { close(fd_); }

bool MidiFile::write(std::size_t at, const std::vector<u8>& bytes) {
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t n = pwrite(fd_, &bytes[done], bytes.size() - done, static_cast<off_t>(at + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    done += static_cast<std::size_t>(n);
  }
  return true;
}

bool MidiFile::write_header() {
  std::vector<u8> header;
  const auto text = [&](const char* four) { header.insert(header.end(), four, four + 4); };
  const auto number = [&](u64 value, int size) {
    for (int i = size - 1; i >= 0; --i) header.push_back(static_cast<u8>(value >> (8 * i)));
  };
  text("MThd");
  number(6, 4);
  number(0, 2);  // format
  number(1, 2);  // tracks
  number(kTicksPerQuarter, 2);
  text("MTrk");
  number(bytes_ + kEndOfTrack.size(), 4);
  return write(0, header);
}

void MidiFile::event(std::vector<u8> bytes, u64 now_ns) {
  if (!problem_.empty()) return;
  if (!started_) started_at_ = now_ns;
  started_ = true;
  const u64 ms = now_ns > started_at_ ? (now_ns - started_at_) / kNsPerMs : 0;
  std::vector<u8> out;
  append_variable(out, std::min<u64>(ms - std::min(last_ms_, ms), 0x0fff'ffff));
  last_ms_ = ms;
  out.insert(out.end(), bytes.begin(), bytes.end());
  const std::size_t length = out.size();
  out.insert(out.end(), kEndOfTrack.begin(), kEndOfTrack.end());
  // After each event the file is whole, so that the one of a killed program can be played.
  if (bytes_ + length > kMostBytes || !write(kHeaderBytes + bytes_, out)) {
    problem_ = fmt::format(
        "the recording '{}' ends after {:.1f} s: {}", path_, static_cast<double>(ms) / 1000,
        bytes_ + length > kMostBytes ? "a track holds at most 256 MiB" : std::strerror(errno));
    return;
  }
  bytes_ += length;
  (void)write_header();
}

void MidiFile::exclusive_ended(u64 now_ns) {
  std::vector<u8> bytes{kExclusive};
  data_.push_back(kExclusiveEnd);
  append_variable(bytes, data_.size());
  bytes.insert(bytes.end(), data_.begin(), data_.end());
  data_.clear();
  status_ = 0;
  event(std::move(bytes), now_ns);
}

void MidiFile::system_byte(u8 byte, u64 now_ns) {
  if (byte >= kFirstRealTime) {
    // One byte anywhere, even inside other messages. A file escapes it: FFh means something else
    // there.
    event({kExclusiveEnd, 1, byte}, now_ns);
    return;
  }
  if (status_ == kExclusive) exclusive_ended(now_ns);  // any status byte ends it
  data_.clear();
  status_ = byte == kExclusiveEnd ? u8{0} : byte;
  if (status_ > kExclusive && data_bytes(status_) == 0) {
    event({kExclusiveEnd, 1, byte}, now_ns);
    status_ = 0;
  }
}

void MidiFile::send(u8 byte, u64 now_ns) {
  if (byte >= kExclusive) return system_byte(byte, now_ns);
  if (byte >= 0x80) {
    if (status_ == kExclusive) exclusive_ended(now_ns);
    status_ = byte;
    data_.clear();
    return;
  }
  if (status_ == 0 || data_.size() >= kMostExclusive) return;  // data of no message
  data_.push_back(byte);
  if (status_ == kExclusive || data_.size() < data_bytes(status_)) return;
  std::vector<u8> bytes{status_};
  if (status_ > kExclusive) {
    bytes = {kExclusiveEnd, static_cast<u8>(1 + data_.size()), status_};
    status_ = 0;  // system messages have no running status
  }
  bytes.insert(bytes.end(), data_.begin(), data_.end());
  data_.clear();
  event(std::move(bytes), now_ns);
}

}  // namespace dragoman
