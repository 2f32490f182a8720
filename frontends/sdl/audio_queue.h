// Sound on its way from the machine's thread to the sound card's.
#pragma once

#include <atomic>
#include <span>
#include <vector>

#include "devices/sound/audio.h"

namespace dragoman {

/// A bounded queue for one writer and one reader; neither ever waits. The two clocks differ a
/// little, and counted time runs as fast as it likes: the reader keeps some kTargetMs in the queue
/// by playing up to one percent faster or slower, fades when there is nothing left and then waits
/// for that much to gather again, and leaves out what is far too much.
class AudioQueue {
 public:
  static constexpr u32 kTargetMs = 60;
  static constexpr u32 kMostMs = 200;

  explicit AudioQueue(u32 rate);

  /// Machine's thread. What does not fit is dropped.
  void push(std::span<const StereoSample> samples);
  /// Sound card's thread: always fills `out`.
  void pull(std::span<StereoSample> out);

 private:
  StereoSample at(u64 index) const { return ring_[index & (ring_.size() - 1)]; }
  void next(StereoSample& out, u64 written);

  std::vector<StereoSample> ring_;
  u64 target_;
  u64 most_;
  std::atomic<u64> written_ = 0;
  std::atomic<u64> read_ = 0;
  // Of the reader only.
  bool gathering_ = true;
  double fraction_ = 0;  ///< between sample `read_` and the next
  double mean_ = 0;      ///< samples queued, smoothed
  double step_ = 1;
  double gain_ = 0;  ///< rises to 1 after a gap
  StereoSample last_;
};

}  // namespace dragoman
