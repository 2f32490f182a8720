// Sound into a file: RIFF/WAVE, 16-bit PCM, two channels.
// Microsoft "Multimedia Programming Interface and Data Specifications 1.0" (1991), chapter 3.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "devices/sound/audio.h"

namespace dragoman {

class WavFile final : public AudioBackend {
 public:
  /// Creates or empties `path`. `rate` in frames per second.
  static Result<std::unique_ptr<WavFile>> create(const std::string& path, u32 rate);
  /// Writes the final sizes into the header.
  ~WavFile() override;
  WavFile(const WavFile&) = delete;
  WavFile& operator=(const WavFile&) = delete;

  u32 rate() const override { return rate_; }
  void play(std::span<const StereoSample> samples) override;
  /// Why the recording is incomplete, or "".
  const std::string& problem() const { return problem_; }

 private:
  WavFile(std::string path, int fd, u32 rate);
  bool write_header();
  void fail(const char* reason);

  std::string path_;
  int fd_;
  u32 rate_;
  u64 bytes_ = 0;         ///< of samples
  u64 header_bytes_ = 0;  ///< as the header on disk has it
  std::string problem_;
};

}  // namespace dragoman
