// Ports, interrupts and mixer of the Sound Blaster 16.
#include "devices/sound/sb16.h"

#include <algorithm>

namespace dragoman {
namespace {

// Ports, counted from the card's fifth.
enum Offset : u16 {
  kMixerIndex = 0,      // 2x4h
  kMixerData = 1,       // 2x5h
  kReset = 2,           // 2x6h
  kReadData = 6,        // 2xAh
  kWrite = 8,           // 2xCh
  kReadStatus = 10,     // 2xEh, also the acknowledge for bytes
  kAcknowledge16 = 11,  // 2xFh
};

// Sources of register 82h.
constexpr u8 kInterruptBytes = 1;
constexpr u8 kInterruptWords = 2;
constexpr u8 kInterruptMidi = 4;

constexpr u64 kResetNs = 100'000;                // "usually, the DSP takes about 100 microseconds"
constexpr std::array<u8, 4> kIrqs{9, 5, 7, 10};  // bits 0 to 3 of register 80h
constexpr std::array<unsigned, 6> kDmaChannels{0, 1, 3, 5, 6, 7};  // bits of register 81h

}  // namespace

Sb16::Sb16(std::string name, Scheduler& scheduler, Log& log, I8237Pair& dma,
           std::array<IrqLine, 4> lines, const Sb16Jumpers& jumpers, Ymf262& opl, AudioMixer* mixer,
           MidiOutput* midi)
    : StatefulDevice(std::move(name)),
      scheduler_(scheduler),
      log_(log),
      dma_(dma),
      lines_(lines),
      jumpers_(jumpers),
      opl_(opl),
      midi_(midi),
      timer_(scheduler, "sb16",
             [this] {
               advance(kBytes);
               advance(kWords);
               arm();
             }),
      streams_{AudioStream(mixer, [this] { advance(kBytes); }),
               AudioStream(mixer, [this] { advance(kWords); })},
      direct_stream_(mixer, [this] { produce_direct(); }),
      direct_rate_(mixer != nullptr ? mixer->rate() : SampleRate{}) {
  for (const unsigned channel : kDmaChannels) dma_.attach(channel, *this);
  reset();
}

void Sb16::reset() {
  for (const unsigned channel : kDmaChannels) dma_.set_request(channel, false);
  state_ = Sb16State{};
  mixer_.reset();
  u8 irq = 0;
  for (unsigned i = 0; i < kIrqs.size(); ++i) {
    if (kIrqs[i] == jumpers_.irq || (i == 0 && jumpers_.irq == 2)) irq = static_cast<u8>(1u << i);
  }
  state_.mixer.registers[Ct1745::kInterruptSetup] = irq;
  state_.mixer.registers[Ct1745::kDmaSetup] =
      static_cast<u8>(1u << (jumpers_.dma8 & 7) | 1u << (jumpers_.dma16 & 7));
  restored();
}

void Sb16::restored() {
  const u64 now = scheduler_.now();
  for (Transfer& t : state_.transfers) {
    t.clock.repair(now);
    t.block = std::clamp<u32>(t.block, 1, 65536);
    t.left = std::min(t.left, t.block);
    if (t.kind > Kind::kSilence) t.kind = Kind::kNone;
    if (t.packing > AdpcmKind::kTwoBits) t.packing = AdpcmKind::kFourBits;
    t.adpcm.scale = std::min<u8>(t.adpcm.scale, 5);
    t.adpcm.left = std::min(t.adpcm.left, CreativeAdpcm::codes_of(t.packing));
  }
  for (SampleRate* rate : {&state_.output_rate, &state_.input_rate}) {
    const bool sane = rate->denominator != 0 && rate->numerator / rate->denominator <= 1'000'000 &&
                      rate->numerator >= rate->denominator;
    if (!sane) *rate = Sb16State{}.output_rate;
  }
  state_.queue_position = std::min<u8>(state_.queue_position, static_cast<u8>(state_.queue.size()));
  state_.queue_size = std::clamp<u8>(state_.queue_size, state_.queue_position,
                                     static_cast<u8>(state_.queue.size()));
  state_.arguments_seen = std::min<u8>(state_.arguments_seen, 3);
  state_.arguments_left = std::min<u8>(
      state_.arguments_left, static_cast<u8>(state_.arguments.size() - state_.arguments_seen));
  state_.ready_at = std::min(state_.ready_at, now + kResetNs);
  direct_sounding_ = false;
  for (const unsigned which : {kBytes, kWords}) join(which);
  update_volumes();
  drive_lines();
  arm();
}

void Sb16::update_volumes() {
  advance(kBytes);
  advance(kWords);
  produce_direct();
  volume_ = mixer_.voice();
  const Ct1745::Volume midi = mixer_.midi();
  opl_.set_volume(midi.left, midi.right);
}

unsigned Sb16::dma_channel(unsigned which) const {
  const u8 setup = state_.mixer.registers[Ct1745::kDmaSetup];
  const unsigned first = which == kWords && (setup & 0xe0) != 0 ? 5 : 0;
  for (const unsigned channel : kDmaChannels) {
    if (channel >= first && ((setup >> channel) & 1) != 0 && (first != 0 || channel < 4)) {
      return channel;
    }
  }
  return 4;  // none: the controller never answers on its cascade
}

void Sb16::drive_lines() {
  const u8 setup = state_.mixer.registers[Ct1745::kInterruptSetup];
  const bool level = state_.interrupts != 0;
  for (unsigned i = 0; i < lines_.size(); ++i) lines_[i].set(level && ((setup >> i) & 1) != 0);
}

void Sb16::set_interrupt(u8 mask, bool level) {
  state_.interrupts = static_cast<u8>(level ? state_.interrupts | mask : state_.interrupts & ~mask);
  drive_lines();
}

void Sb16::set_irq(unsigned, bool level) { set_interrupt(kInterruptMidi, level); }

u8 Sb16::read_mixer() {
  const u8 index = state_.mixer.index;
  if (index == Ct1745::kInterruptStatus) return state_.interrupts;
  if (index == Ct1745::kInterruptSetup) return mixer_.read(index) | 0xf0;
  return mixer_.read(index);
}

void Sb16::write_mixer(u8 value) {
  const u8 index = state_.mixer.index;
  switch (index) {
    case Ct1745::kInterruptStatus:
      return;
    case Ct1745::kInterruptSetup:
      state_.mixer.registers[index] = value & 0x0f;
      drive_lines();
      return;
    case Ct1745::kDmaSetup:
      for (unsigned which : {kBytes, kWords}) dma_.set_request(dma_channel(which), false);
      state_.mixer.registers[index] = value & 0xeb;
      for (unsigned which : {kBytes, kWords}) join(which);
      return;
    default:
      // What was before sounds as it did.
      advance(kBytes);
      advance(kWords);
      produce_direct();
      mixer_.write(index, value);
      update_volumes();
      return;
  }
}

void Sb16::reset_dsp() {
  stop(kBytes);
  stop(kWords);
  const Sb16State power_on;
  state_.command = 0;
  state_.arguments_left = state_.arguments_seen = 0;
  state_.queue_size = state_.queue_position = 0;
  state_.block_length = 0;
  state_.output_rate = power_on.output_rate;
  state_.input_rate = power_on.input_rate;
  state_.identification = power_on.identification;
  state_.identification_key = power_on.identification_key;
  state_.speaker = false;
  state_.midi_uart = false;
  set_interrupt(kInterruptBytes | kInterruptWords, false);
  arm();
}

void Sb16::write_reset(u8 value) {
  if ((value & 1) != 0) {
    state_.in_reset = true;
    return;
  }
  if (!state_.in_reset) return;
  state_.in_reset = false;
  reset_dsp();
  state_.ready_at = scheduler_.now() + kResetNs;
  reply(0xaa);
}

u32 Sb16::port_read(unsigned, u16 offset, unsigned) {
  const bool ready = scheduler_.now() >= state_.ready_at && !state_.in_reset;
  switch (offset) {
    case kMixerIndex:
      return state_.mixer.index;
    case kMixerData:
      return read_mixer();
    case kReadData:
      return ready ? read_queue() : state_.last_read;
    case kWrite:  // bit 7: not now
      return ready ? 0x7f : 0xff;
    case kReadStatus:  // bit 7: there is something to read
      set_interrupt(kInterruptBytes, false);
      return ready && state_.queue_position < state_.queue_size ? 0xff : 0x7f;
    case kAcknowledge16:
      set_interrupt(kInterruptWords, false);
      return 0xff;
    default:
      return 0xff;
  }
}

void Sb16::port_write(unsigned, u16 offset, unsigned, u32 value) {
  const u8 byte = static_cast<u8>(value);
  switch (offset) {
    case kMixerIndex:
      state_.mixer.index = byte;
      break;
    case kMixerData:
      write_mixer(byte);
      break;
    case kReset:
      write_reset(byte);
      break;
    case kWrite:
      if (!state_.in_reset) write_dsp(byte);
      break;
    default:
      break;
  }
}

}  // namespace dragoman
