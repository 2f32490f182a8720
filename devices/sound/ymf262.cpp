#include "devices/sound/ymf262.h"

#include <algorithm>

namespace dragoman {
namespace {

constexpr u8 kStatusIrq = 0x80;
constexpr u8 kStatusTimer1 = 0x40;
constexpr u8 kStatusTimer2 = 0x20;
constexpr unsigned kTimer1Samples = 4;  // 80.5 us
constexpr unsigned kTimer2Samples = 16;

// Programs wait for the timers by counting accesses: each takes an 8-bit ISA bus about a
// microsecond (six clocks of 8.33 MHz and what the processor needs around them).
constexpr u64 kAccessNs = 1'000;
constexpr u64 kMostLeadNs = 100'000;

constexpr u16 kTremoloLength = 210;     // positions of 64 samples: 3.7 Hz
constexpr unsigned kVibratoShift = 10;  // positions of 1024 samples: 6.1 Hz
constexpr unsigned kOperatorsOfArray = 18;
constexpr unsigned kChannelsOfArray = 9;

// Rhythm: operators of the first array, and the channels whose panning they have.
constexpr unsigned kBassModulator = 12, kBassCarrier = 15, kHiHat = 13, kSnare = 16, kTom = 14,
                   kCymbal = 17;

/// First operator of a channel; the second follows three later.
unsigned modulator_of(unsigned channel) {
  const unsigned array = channel / kChannelsOfArray;
  const unsigned c = channel % kChannelsOfArray;
  return array * kOperatorsOfArray + c / 3 * 6 + c % 3;
}

unsigned channel_of(unsigned index) {
  const unsigned array = index / kOperatorsOfArray;
  const unsigned i = index % kOperatorsOfArray;
  return array * kChannelsOfArray + i / 6 * 3 + i % 3;
}

/// Register offset of an operator inside a group such as 20h-35h, with the array in bit 8.
unsigned register_of(unsigned index) {
  const unsigned i = index % kOperatorsOfArray;
  return index / kOperatorsOfArray * 0x100 + i / 6 * 8 + i % 6;
}

}  // namespace

Ymf262::Ymf262(std::string name, Scheduler& scheduler, AudioMixer* mixer)
    : StatefulDevice(std::move(name)),
      scheduler_(scheduler),
      stream_(mixer, [this] { produce(); }) {
  set_up_all();
}

void Ymf262::restored() {
  const u64 now = scheduler_.now();
  state_.clock.repair(now);
  if (!(state_.clock.rate == Ymf262State{}.clock.rate))
    state_.clock.start(now, Ymf262State{}.clock.rate);
  state_.address &= 0x1ff;
  state_.status &= kStatusTimer1 | kStatusTimer2;
  state_.tremolo %= kTremoloLength;
  state_.noise &= 0x7fffff;
  if (state_.noise == 0) state_.noise = 1;
  for (Operator& op : state_.operators) {
    op.phase &= 0x7ffff;
    op.attenuation = std::min(op.attenuation, Ymf262State::kSilent);
    op.output = std::clamp<i16>(op.output, -4096, 4096);
    op.before = std::clamp<i16>(op.before, -4096, 4096);
    if (op.stage > Ymf262State::Stage::kSustain) op.stage = Ymf262State::Stage::kRelease;
  }
  state_.bus_time = std::clamp(state_.bus_time, now, now + kMostLeadNs);
  for (Ymf262State::Timer& timer : state_.timers) {
    timer.count = std::min<u16>(timer.count, 256);
    timer.origin = std::min(timer.origin, now);
  }
  set_up_all();
  if (state_.sounding) stream_.begin(state_.clock.rate);
}

void Ymf262::set_volume(u32 left, u32 right) {
  produce();
  volume_left_ = left;
  volume_right_ = right;
}

u8 Ymf262::channel_register(unsigned base, unsigned channel) const {
  return state_.registers[channel / kChannelsOfArray * 0x100 + base + channel % kChannelsOfArray];
}

bool Ymf262::joined(unsigned channel) const {
  const unsigned c = channel % kChannelsOfArray;
  if (!new_mode() || c >= 6) return false;
  const unsigned bit = channel / kChannelsOfArray * 3 + c % 3;
  return ((state_.registers[0x104] >> bit) & 1) != 0;
}

void Ymf262::set_up(unsigned index) {
  unsigned channel = channel_of(index);
  if (joined(channel) && channel % kChannelsOfArray >= 3) channel -= 3;  // the first one's pitch
  const unsigned at = register_of(index);
  const u8 high = channel_register(0xb0, channel);
  const u16 f_number = static_cast<u16>((high & 3) << 8 | channel_register(0xa0, channel));
  const auto& r = state_.registers;
  const u8 wave = r[at + 0xe0] & (new_mode() ? 7 : 3);
  setups_[index] = operator_setup(r[at + 0x20], r[at + 0x40], r[at + 0x60], r[at + 0x80], wave,
                                  f_number, high >> 2 & 7, (r[0x08] & 0x40) != 0);
}

void Ymf262::set_up_all() {
  for (unsigned i = 0; i < kOperators; ++i) set_up(i);
}

void Ymf262::update_keys() {
  const u8 drums = rhythm() ? state_.registers[0xbd] : 0;
  for (unsigned i = 0; i < kOperators; ++i) {
    unsigned channel = channel_of(i);
    if (joined(channel) && channel % kChannelsOfArray >= 3) channel -= 3;
    bool key = (channel_register(0xb0, channel) & 0x20) != 0;
    switch (i) {
      case kBassModulator:
      case kBassCarrier:
        key = key || (drums & 0x10) != 0;
        break;
      case kSnare:
        key = key || (drums & 0x08) != 0;
        break;
      case kTom:
        key = key || (drums & 0x04) != 0;
        break;
      case kCymbal:
        key = key || (drums & 0x02) != 0;
        break;
      case kHiHat:
        key = key || (drums & 0x01) != 0;
        break;
      default:
        break;
    }
    Operator& op = state_.operators[i];
    if (key && !op.key) key_on(op, setups_[i]);
    if (!key && op.key) key_off(op);
    op.key = key;
  }
}

bool Ymf262::audible() const {
  for (unsigned i = 0; i < kOperators; ++i) {
    const Operator& op = state_.operators[i];
    if (op.attenuation < Ymf262State::kSilent) return true;
    if (op.stage == Ymf262State::Stage::kAttack && setups_[i].attack_rate != 0) return true;
  }
  return false;
}

/// Virtual time, or a little later when the processor makes accesses faster than the bus could. The
/// lead counts from the start of a timer and is bounded, so that timers keep their pace for those
/// who poll all the time.
u64 Ymf262::access_time() {
  const u64 now = scheduler_.now();
  state_.bus_time = std::clamp(state_.bus_time + kAccessNs, now, now + kMostLeadNs);
  return state_.bus_time;
}

u32 Ymf262::port_read(unsigned, u16 offset, unsigned) {
  const u64 now = access_time();
  if ((offset & 1) != 0) return 0xff;
  settle_timers(now);
  return state_.status | (state_.status != 0 ? kStatusIrq : 0);
}

void Ymf262::port_write(unsigned, u16 offset, unsigned, u32 value) {
  const u8 byte = static_cast<u8>(value);
  (void)access_time();
  if ((offset & 1) == 0) {
    state_.address = static_cast<u16>((offset & 2) != 0 ? 0x100 | byte : byte);
    return;
  }
  write_register(state_.address, byte);
}

void Ymf262::write_register(u16 index, u8 value) {
  // The second array is closed until NEW is set, but for NEW itself.
  if (index >= 0x100 && index != 0x105 && !new_mode()) return;
  produce();
  if (index == 0x04) return write_timer_control(value);
  state_.registers[index] = value;
  const unsigned offset = index & 0xff;
  if (index == 0x08 || index == 0x104 || index == 0x105) {
    set_up_all();
  } else if (offset >= 0xa0 && offset < 0xc9) {
    set_up_all();
  } else if (offset >= 0x20 && offset < 0xf6) {
    for (unsigned i = 0; i < kOperators; ++i) {
      if (register_of(i) == (index & 0x11fu)) set_up(i);
    }
  }
  update_keys();
  if (!state_.sounding && stream_.connected() && audible()) {
    state_.sounding = true;
    state_.clock.start(scheduler_.now(), state_.clock.rate);
    stream_.begin(state_.clock.rate);
  }
}

void Ymf262::write_timer_control(u8 value) {
  settle_timers(state_.bus_time);
  if ((value & 0x80) != 0) {  // RST: clears the flags, the other bits are ignored
    state_.status = 0;
    return;
  }
  for (unsigned i = 0; i < 2; ++i) {
    Ymf262State::Timer& timer = state_.timers[i];
    const bool start = ((value >> i) & 1) != 0;
    if (start && timer.count == 0) {
      timer.count = static_cast<u16>(256 - state_.registers[2 + i]);
      timer.origin = state_.bus_time = scheduler_.now();
    } else if (!start) {
      timer.count = 0;
    }
  }
  state_.registers[0x04] = value;
  state_.status &= static_cast<u8>(~(value & (kStatusTimer1 | kStatusTimer2)));  // masked flags
}

void Ymf262::settle_timers(u64 now) {
  for (unsigned i = 0; i < 2; ++i) {
    Ymf262State::Timer& timer = state_.timers[i];
    if (timer.count == 0) continue;
    const unsigned unit = i == 0 ? kTimer1Samples : kTimer2Samples;
    const auto period = [&] { return state_.clock.rate.ns_of(u64{timer.count} * unit); };
    if (now < timer.origin + period()) continue;
    const u8 flag = i == 0 ? kStatusTimer1 : kStatusTimer2;
    if ((state_.registers[0x04] & flag) == 0) state_.status |= flag;
    timer.origin += period();
    timer.count = static_cast<u16>(256 - state_.registers[2 + i]);  // as it was loaded again
    timer.origin += (now - timer.origin) / period() * period();
  }
}

void Ymf262::produce() {
  if (!state_.sounding) return;
  frames_.clear();
  u64 due = state_.clock.due(scheduler_.now());
  state_.clock.done += due;
  for (; due != 0; --due) {
    AudioFrame frame = sample();
    frame.left = static_cast<i32>(i64{frame.left} * volume_left_ / 65536);
    frame.right = static_cast<i32>(i64{frame.right} * volume_right_ / 65536);
    frames_.push_back(frame);
  }
  stream_.write(frames_);
  if (!audible()) state_.sounding = false;
}

i32 Ymf262::play(unsigned index, u32 phase, u16 tremolo) {
  Operator& op = state_.operators[index];
  const i32 value = operator_wave(roms_, op, setups_[index], tremolo, phase);
  op.before = op.output;
  op.output = static_cast<i16>(value);
  return value;
}

i32 Ymf262::feedback(unsigned index, unsigned channel) const {
  const unsigned amount = channel_register(0xc0, channel) >> 1 & 7;
  if (amount == 0) return 0;
  // 7 is 4 pi: half of the mean of the last two outputs, in 1/1024 of a turn.
  const Operator& op = state_.operators[index];
  return (op.output + op.before) >> (9 - amount);
}

i32 Ymf262::channel_pair(unsigned channel, const std::array<u16, kOperators>& phases, u16 tremolo) {
  const unsigned first = modulator_of(channel);
  const unsigned second = first + 3;
  const i32 a = play(first, static_cast<u32>(phases[first] + feedback(first, channel)), tremolo);
  const bool parallel = (channel_register(0xc0, channel) & 1) != 0;
  const i32 b = play(second, static_cast<u32>(phases[second] + (parallel ? 0 : a)), tremolo);
  return parallel ? a + b : b;
}

i32 Ymf262::channel_four(unsigned channel, const std::array<u16, kOperators>& phases, u16 tremolo) {
  const unsigned one = modulator_of(channel);
  const unsigned two = one + 3;
  const unsigned three = modulator_of(channel + 3);
  const unsigned four = three + 3;
  const bool first = (channel_register(0xc0, channel) & 1) != 0;
  const bool second = (channel_register(0xc0, channel + 3) & 1) != 0;
  // The four algorithms: 1-2-3-4; 1 + 2-3-4; 1-2 + 3-4; 1 + 2-3 + 4.
  const auto modulated = [&](unsigned index, i32 by) {
    return play(index, static_cast<u32>(phases[index] + by), tremolo);
  };
  const i32 a = modulated(one, feedback(one, channel));
  const i32 b = modulated(two, first ? 0 : a);
  const i32 c = modulated(three, second && !first ? 0 : b);
  const i32 d = modulated(four, first && second ? 0 : c);
  if (first) return second ? a + c + d : a + d;
  return second ? b + d : d;
}

void Ymf262::add_rhythm(const std::array<u16, kOperators>& phases, u16 tremolo,
                        std::array<i32, kChannels>& out) {
  // Bass drum: channel 6, but with both operators in parallel only the second is heard.
  const bool parallel = (channel_register(0xc0, 6) & 1) != 0;
  const i32 a =
      play(kBassModulator, static_cast<u32>(phases[kBassModulator] + feedback(kBassModulator, 6)),
           tremolo);
  out[6] =
      2 * play(kBassCarrier, static_cast<u32>(phases[kBassCarrier] + (parallel ? 0 : a)), tremolo);
  // Hi-hat, snare and cymbal mix bits of two phases with noise.
  const auto bit_of = [](u16 phase, unsigned n) { return (u32{phase} >> n) & 1; };
  const u16 hat = phases[kHiHat];
  const u16 cymbal = phases[kCymbal];
  const u32 metal = (bit_of(hat, 2) ^ bit_of(hat, 7)) | (bit_of(hat, 3) ^ bit_of(cymbal, 5)) |
                    (bit_of(cymbal, 3) ^ bit_of(cymbal, 5));
  const u32 noise = state_.noise & 1;
  const u32 hat_phase = metal << 9 | ((metal ^ noise) != 0 ? 0xd0 : 0x34);
  const u32 snare_phase = bit_of(hat, 8) << 9 | (bit_of(hat, 8) ^ noise) << 8;
  const u32 cymbal_phase = metal << 9 | 0x80;
  out[7] = 2 * (play(kHiHat, hat_phase, tremolo) + play(kSnare, snare_phase, tremolo));
  out[8] = 2 * (play(kTom, phases[kTom], tremolo) + play(kCymbal, cymbal_phase, tremolo));
}

AudioFrame Ymf262::sample() {
  OperatorClock clock;
  clock.samples = ++state_.samples;
  if ((state_.samples & 63) == 0)
    state_.tremolo = static_cast<u16>((state_.tremolo + 1) % kTremoloLength);
  clock.vibrato = static_cast<u8>(state_.samples >> kVibratoShift & 7);
  const u8 depth = state_.registers[0xbd];
  clock.deep_vibrato = (depth & 0x40) != 0;
  // A triangle of 26 steps (4.8 dB) or of 6 (1 dB).
  const u16 slope =
      std::min<u16>(state_.tremolo, static_cast<u16>(kTremoloLength - state_.tremolo));
  clock.tremolo = static_cast<u16>(slope >> ((depth & 0x80) != 0 ? 2 : 4));
  state_.noise = state_.noise >> 1 | ((state_.noise ^ state_.noise >> 14) & 1) << 22;

  std::array<u16, kOperators> phases;
  for (unsigned i = 0; i < kOperators; ++i) {
    phases[i] = advance_operator(state_.operators[i], setups_[i], clock);
  }
  std::array<i32, kChannels> out{};
  const bool drums = rhythm();
  for (unsigned channel = 0; channel < kChannels; ++channel) {
    if (drums && channel >= 6 && channel < 9) continue;
    if (!joined(channel)) {
      out[channel] = channel_pair(channel, phases, clock.tremolo);
    } else if (channel % kChannelsOfArray < 3) {
      out[channel] = channel_four(channel, phases, clock.tremolo);
    }
  }
  if (drums) add_rhythm(phases, clock.tremolo, out);

  AudioFrame sum;
  const bool panned = new_mode();
  for (unsigned channel = 0; channel < kChannels; ++channel) {
    const u8 outputs = panned ? channel_register(0xc0, channel) : 0x30;
    if ((outputs & 0x10) != 0) sum.left += out[channel];
    if ((outputs & 0x20) != 0) sum.right += out[channel];
  }
  sum.left = std::clamp(sum.left, -32768, 32767);  // the serial word of the converter has 16 bits
  sum.right = std::clamp(sum.right, -32768, 32767);
  return sum;
}

}  // namespace dragoman
