// MIDI into a file: a Standard MIDI File of format 0, which players, editors and converters read.
// MIDI Manufacturers Association "Standard MIDI Files 1.0" (RP-001) and "MIDI 1.0 Detailed
// Specification" (1995), for running status and system messages.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "devices/sound/midi.h"

namespace dragoman {

class MidiFile final : public MidiOutput {
 public:
  /// Creates or empties `path`.
  static Result<std::unique_ptr<MidiFile>> create(const std::string& path);
  ~MidiFile() override;
  MidiFile(const MidiFile&) = delete;
  MidiFile& operator=(const MidiFile&) = delete;

  /// The recording begins with the first message; a tick is a millisecond.
  void send(u8 byte, u64 now_ns) override;
  /// Why the recording is incomplete, or "".
  const std::string& problem() const { return problem_; }

 private:
  MidiFile(std::string path, int fd);
  void system_byte(u8 byte, u64 now_ns);
  /// Appends an event: its status or marker and length, and its data.
  void event(std::vector<u8> bytes, u64 now_ns);
  void exclusive_ended(u64 now_ns);
  bool write_header();
  bool write(std::size_t at, const std::vector<u8>& bytes);

  std::string path_;
  int fd_;
  u64 bytes_ = 0;  ///< of events in the file
  u64 started_at_ = 0;
  u64 last_ms_ = 0;
  bool started_ = false;
  u8 status_ = 0;  ///< the running status, F0h inside a system exclusive message, 0 for none
  std::vector<u8> data_;
  std::string problem_;
};

}  // namespace dragoman
