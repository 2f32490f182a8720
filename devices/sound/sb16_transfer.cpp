// Transfers of the Sound Blaster 16: samples by DMA at the set rate, and single ones by command.
#include <algorithm>

#include "devices/sound/sb16.h"

namespace dragoman {
namespace {

constexpr u64 kStepsPerSecond = 1000;  // how often the DSP asks for data
constexpr std::size_t kChunkFrames = 512;
constexpr u64 kDirectQuietNs = 100'000'000;

i32 sample_of(const u8* bytes, bool words, bool is_signed) {
  if (!words) return is_signed ? static_cast<i8>(bytes[0]) * 256 : (bytes[0] - 128) * 256;
  const u16 word = static_cast<u16>(bytes[0] | bytes[1] << 8);
  return is_signed ? static_cast<i16>(word) : static_cast<i32>(word) - 32768;
}

}  // namespace

void Sb16::start(unsigned which, const Transfer& transfer, u32 length) {
  advance(which);
  Transfer& t = state_.transfers[which];
  t = transfer;
  t.block = t.left = std::clamp<u32>(length, 1, 65536);
  t.clock.start(scheduler_.now(), t.capture ? state_.input_rate : state_.output_rate);
  join(which);
  arm();
}

/// A transfer begins or goes on: the host's end and DREQ.
void Sb16::join(unsigned which) {
  const Transfer& t = state_.transfers[which];
  if (t.kind == Kind::kNone || t.kind == Kind::kSilence || t.paused) return;
  if (!t.capture) streams_[which].begin(t.clock.rate);
  dma_.set_request(dma_channel(which), true);
}

void Sb16::stop(unsigned which) {
  advance(which);
  state_.transfers[which].kind = Kind::kNone;
  dma_.set_request(dma_channel(which), false);
}

void Sb16::pause(unsigned which) {
  advance(which);
  Transfer& t = state_.transfers[which];
  if (t.kind == Kind::kNone) return;
  t.paused = true;
  dma_.set_request(dma_channel(which), false);
  arm();
}

void Sb16::resume(unsigned which) {
  advance(which);
  Transfer& t = state_.transfers[which];
  if (t.kind == Kind::kNone) return;
  t.paused = false;
  t.waiting = false;
  t.clock.start(scheduler_.now(), t.clock.rate);
  join(which);
  arm();
}

void Sb16::dma_acknowledge(unsigned channel) {
  // The controller became ready: what it kept us waiting for counts from now.
  for (unsigned which : {kBytes, kWords}) {
    Transfer& t = state_.transfers[which];
    if (t.kind == Kind::kNone || !t.waiting || dma_channel(which) != channel) continue;
    t.waiting = false;
    t.clock.start(scheduler_.now(), t.clock.rate);
    if (!t.capture) streams_[which].begin(t.clock.rate);
  }
  arm();
}

void Sb16::advance(unsigned which) {
  Transfer& t = state_.transfers[which];
  if (t.kind == Kind::kNone || t.paused || t.waiting) return;
  frames_.clear();
  u64 due = t.clock.due(scheduler_.now());
  while (due != 0 && t.kind != Kind::kNone) {
    const u64 moved = move(which, due);
    t.clock.done += moved;
    due -= moved;
    if (t.left == 0 && t.adpcm.left == 0) {
      end_of_block(which);
    } else if (due != 0) {
      t.waiting = true;
      break;
    }
  }
  write_sound(which);
}

u64 Sb16::move(unsigned which, u64 frames) {
  Transfer& t = state_.transfers[which];
  switch (t.kind) {
    case Kind::kPcm:
      return move_pcm(which, frames);
    case Kind::kAdpcm:
      return move_packed(which, frames);
    default: {
      const u64 moved = std::min<u64>(frames, t.left);
      t.left -= static_cast<u32>(moved);
      return moved;
    }
  }
}

u64 Sb16::move_pcm(unsigned which, u64 frames) {
  Transfer& t = state_.transfers[which];
  const bool words = which == kWords;
  const u32 size = words ? 2 : 1;
  const u32 channels = t.stereo ? 2 : 1;
  const unsigned channel = dma_channel(which);
  std::array<u8, kChunkFrames * 4> buffer;
  u64 moved = 0;
  while (moved < frames && t.left != 0) {
    // A block may end between the two samples of a frame.
    const u64 wanted = std::min<u64>(frames - moved, kChunkFrames) * channels;
    const u32 samples = static_cast<u32>(std::min<u64>(wanted, t.left));
    const std::span<u8> bytes(buffer.data(), samples * size);
    I8237Pair::Transfer done;
    if (t.capture) {
      for (std::size_t i = 0; i < bytes.size(); ++i) {
        bytes[i] = !t.is_signed && (!words || i % 2 == 1) ? 0x80 : 0;
      }
      done = dma_.to_memory(channel, bytes);
    } else {
      done = dma_.from_memory(channel, bytes);
    }
    // A channel that counts out in the middle may go on at once, when it initializes itself.
    const u32 got = done.bytes / size;
    t.left -= got;
    const u64 complete = t.left == 0 ? (got + channels - 1) / channels : got / channels;
    if (!t.capture) {
      for (u32 i = 0; i < complete; ++i) {
        const u8* at = &buffer[std::size_t{i} * channels * size];
        AudioFrame frame;
        frame.left = sample_of(at, words, t.is_signed);
        const bool has_right = channels == 2 && i * 2 + 1 < got;
        frame.right = has_right ? sample_of(at + size, words, t.is_signed) : frame.left;
        frames_.push_back(frame);
      }
    }
    moved += complete;
    if (got == 0 || (got < samples && !done.terminal_count)) break;
  }
  return moved;
}

u64 Sb16::move_packed(unsigned which, u64 frames) {
  Transfer& t = state_.transfers[which];
  const unsigned channel = dma_channel(which);
  u64 moved = 0;
  while (moved < frames) {
    if (t.adpcm.left == 0) {
      std::array<u8, 1> byte;
      if (t.left == 0 || dma_.from_memory(channel, byte).bytes == 0) break;
      --t.left;
      if (t.wants_reference) {
        t.wants_reference = false;
        t.adpcm = CreativeAdpcm{.reference = byte[0]};
      } else {
        t.adpcm.give(byte[0], t.packing);
        continue;
      }
    } else {
      (void)t.adpcm.take(t.packing);
    }
    const i32 value = (t.adpcm.reference - 128) * 256;
    frames_.push_back({value, value});
    ++moved;
  }
  return moved;
}

void Sb16::end_of_block(unsigned which) {
  Transfer& t = state_.transfers[which];
  t.left = t.block;
  if (!t.auto_init) {
    t.kind = Kind::kNone;
    dma_.set_request(dma_channel(which), false);
  }
  set_interrupt(which == kBytes ? 1 : 2, true);
}

void Sb16::write_sound(unsigned which) {
  for (AudioFrame& frame : frames_) {
    frame.left = static_cast<i32>(i64{frame.left} * volume_.left / 65536);
    frame.right = static_cast<i32>(i64{frame.right} * volume_.right / 65536);
  }
  streams_[which].write(frames_);
}

void Sb16::arm() {
  u64 next = Scheduler::kNever;
  for (const Transfer& t : state_.transfers) {
    if (t.kind == Kind::kNone || t.paused || t.waiting) continue;
    const u64 step = std::max<u64>(1, t.clock.rate.frames_in(1'000'000'000 / kStepsPerSecond));
    u64 frames = std::min<u64>(step, t.stereo ? (t.left + 1) / 2 : t.left);
    if (t.kind == Kind::kAdpcm) frames = std::min<u64>(step, t.adpcm.left + t.left);
    next = std::min(next, t.clock.time_of(std::max<u64>(frames, 1)));
  }
  if (next == Scheduler::kNever) {
    timer_.cancel();
  } else {
    timer_.arm_at(next);
  }
}

void Sb16::direct_output(u8 level) {
  produce_direct();
  const u64 now = scheduler_.now();
  if (!direct_sounding_ && direct_stream_.connected()) {
    direct_sounding_ = true;
    direct_.restart(now, direct_rate_, direct_level_);
    direct_stream_.begin(direct_rate_);
  }
  direct_level_ = (level - 128) * 256;
  direct_changed_at_ = now;
}

void Sb16::produce_direct() {
  if (!direct_sounding_) return;
  const u64 now = scheduler_.now();
  if (now - direct_changed_at_ > 2 * kDirectQuietNs) {
    direct_sounding_ = false;
    return;
  }
  frames_.clear();
  direct_.advance(now, direct_level_, frames_);
  for (AudioFrame& frame : frames_) {
    frame.left = static_cast<i32>(i64{frame.left} * volume_.left / 65536);
    frame.right = static_cast<i32>(i64{frame.right} * volume_.right / 65536);
  }
  direct_stream_.write(frames_);
  if (now - direct_changed_at_ > kDirectQuietNs) direct_sounding_ = false;
}

}  // namespace dragoman
