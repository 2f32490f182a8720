// When a chip takes or makes its next sample: a count of frames in virtual time.
#pragma once

#include <algorithm>
#include <tuple>

#include "base/fields.h"
#include "devices/sound/audio.h"

namespace dragoman {

/// Part of a device's State. Frame n is due at origin + n / rate, without drift.
struct SampleClock {
  /// Longest stretch made up for when virtual time jumps; what lies before it is skipped.
  static constexpr u64 kLongestGapNs = 250'000'000;

  u64 origin = 0;  ///< virtual ns
  u64 done = 0;    ///< frames since the origin
  SampleRate rate;
  static constexpr auto fields() {
    using C = SampleClock;
    return std::tuple{Field{"origin", &C::origin}, Field{"done", &C::done},
                      Field{"rate", &C::rate}};
  }

  void start(u64 now, SampleRate new_rate) {
    origin = now;
    done = 0;
    rate = new_rate;
  }
  /// Frames that are due and not done; after a jump of time at most those of kLongestGapNs.
  u64 due(u64 now) {
    if (now <= origin) return 0;
    const u64 target = rate.frames_in(now - origin);
    if (target <= done) return 0;
    const u64 most = rate.frames_in(kLongestGapNs) + 1;
    if (target - done > most) {
      origin += rate.ns_of(target - most - done);
      return due_without_gap(now);
    }
    return target - done;
  }
  /// Virtual time at which `frames` more will be due.
  u64 time_of(u64 frames) const { return origin + rate.ns_of(done + frames); }
  /// After loading: no rate that divides by zero, no origin in the future, no absurd count.
  void repair(u64 now) {
    if (rate.numerator == 0 || rate.denominator == 0 ||
        rate.numerator / rate.denominator > 1'000'000) {
      *this = SampleClock{};
    }
    if (origin > now || done > rate.frames_in(now - std::min(origin, now)) + 1) {
      origin = now;
      done = 0;
    }
  }

 private:
  u64 due_without_gap(u64 now) const {
    const u64 target = now > origin ? rate.frames_in(now - origin) : 0;
    return target > done ? target - done : 0;
  }
};

}  // namespace dragoman
