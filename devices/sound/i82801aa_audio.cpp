#include "devices/sound/i82801aa_audio.h"

#include <algorithm>

namespace dragoman {
namespace {

constexpr PciIdentity kIdentity{.vendor = 0x8086,
                                .device = 0x2415,
                                .class_code = 0x040100,  // multimedia, audio
                                .revision = 0x02,
                                .interrupt_pin = 1};

enum Bank : unsigned { kCodecBank, kMasterBank };

// Registers of a bus master, and those all share.
constexpr unsigned kList = 0x0, kCurrent = 0x4, kLast = 0x5, kStatus = 0x6, kLeft = 0x8,
                   kPrefetched = 0xa, kControl = 0xb;
constexpr u16 kGlobalControl = 0x2c, kGlobalStatus = 0x30, kSemaphore = 0x34;

constexpr u8 kStatusHalted = 0x01;      // DCH
constexpr u8 kStatusAtLast = 0x02;      // CELV
constexpr u8 kStatusLastDone = 0x04;    // LVBCI
constexpr u8 kStatusBufferDone = 0x08;  // BCIS
constexpr u8 kStatusFifoError = 0x10;   // FIFOE

constexpr u8 kControlRun = 0x01;
constexpr u8 kControlReset = 0x02;
constexpr u8 kControlLastInterrupt = 0x04;
constexpr u8 kControlFifoInterrupt = 0x08;
constexpr u8 kControlBufferInterrupt = 0x10;
constexpr u8 kControlInterrupts = 0x1c;

constexpr u16 kInterruptOnCompletion = 0x8000;  // of a descriptor's upper half

constexpr u32 kGlobalColdReset = 0x02;  // AC_RESET#, low active
constexpr u32 kGlobalWarmReset = 0x04;
constexpr u32 kGlobalControlBits = 0x3f;
constexpr std::array<u32, 3> kGlobalInterrupts{0x20, 0x40, 0x80};
constexpr u32 kPrimaryReady = 0x100;

constexpr unsigned kDescriptors = 32;
constexpr unsigned kDescriptorBytes = 8;
constexpr u64 kStepsPerSecond = 1000;
constexpr std::size_t kChunkBytes = 2048;

unsigned channels_of(unsigned which) { return which == 2 ? 1 : 2; }

}  // namespace

I82801aaAudio::I82801aaAudio(std::string name, const PciSpaces& spaces, Scheduler& scheduler,
                             AudioMixer* mixer)
    : StatefulPciFunction(std::move(name), spaces, kIdentity),
      scheduler_(scheduler),
      timer_(scheduler, "i82801aa audio",
             [this] {
               advance_all();
               arm();
             }),
      stream_(mixer, [this] { advance(kPcmOut); }) {
  define_register(PciRegister::kCommand, 2, 0, 0x0405);  // I/O, bus master, INTx disable
  define_register(PciRegister::kStatus, 2, 0x0280, 0);
  add_io_bar(0, 256, *this, kCodecBank, 2);
  add_io_bar(1, 64, *this, kMasterBank, 4);
}

void I82801aaAudio::reset() {
  StatefulPciFunction::reset();
  codec_.reset();
  restored();
}

void I82801aaAudio::restored() {
  const u64 now = scheduler_.now();
  codec_.repair();
  volume_ = codec_.output_volume();
  for (unsigned which = 0; which < state_.masters.size(); ++which) {
    Master& m = state_.masters[which];
    m.clock.repair(now);
    m.current %= kDescriptors;
    m.last %= kDescriptors;
    m.prefetched %= kDescriptors;
    if (which == kPcmOut && running(m)) stream_.begin(m.clock.rate);
  }
  update_interrupt();
  arm();
}

bool I82801aaAudio::running(const Master& m) const {
  return (m.control & kControlRun) != 0 && (m.status & kStatusHalted) == 0;
}

bool I82801aaAudio::codec_ready() const { return (state_.global_control & kGlobalColdReset) != 0; }

SampleRate I82801aaAudio::rate_of(unsigned which) const {
  if (which == kPcmOut) return {codec_.output_rate(), 1};
  return {which == kPcmIn ? codec_.input_rate() : 48'000, 1};
}

u64 I82801aaAudio::frames_left(unsigned which) const {
  const unsigned channels = channels_of(which);
  return (state_.masters[which].left + channels - 1) / channels;
}

u32 I82801aaAudio::global_status() const {
  u32 status = codec_ready() ? kPrimaryReady : 0;
  for (unsigned which = 0; which < state_.masters.size(); ++which) {
    const Master& m = state_.masters[which];
    const bool asks =
        ((m.status & kStatusLastDone) != 0 && (m.control & kControlLastInterrupt) != 0) ||
        ((m.status & kStatusBufferDone) != 0 && (m.control & kControlBufferInterrupt) != 0) ||
        ((m.status & kStatusFifoError) != 0 && (m.control & kControlFifoInterrupt) != 0);
    if (asks) status |= kGlobalInterrupts[which];
  }
  return status;
}

void I82801aaAudio::update_interrupt() { set_intx((global_status() & 0xe0) != 0); }

void I82801aaAudio::fetch(Master& m) {
  std::array<u8, kDescriptorBytes> bytes{};
  if (bus_master()) {
    spaces().memory.read_bytes(PhysicalAddress(u64{m.list} + m.current * kDescriptorBytes), bytes);
  }
  const auto half = [&](unsigned at) { return static_cast<u16>(bytes[at] | bytes[at + 1] << 8); };
  m.address = static_cast<u32>(half(0) | u32{half(2)} << 16) & ~u32{1};
  m.left = half(4);
  m.flags = half(6);
}

void I82801aaAudio::next_buffer(Master& m) {
  m.current = m.prefetched;
  m.prefetched = (m.prefetched + 1) % kDescriptors;
  fetch(m);
}

void I82801aaAudio::buffer_done(Master& m) {
  if ((m.flags & kInterruptOnCompletion) != 0) m.status |= kStatusBufferDone;
  if (m.current == m.last) {
    m.status |= kStatusLastDone | kStatusAtLast | kStatusHalted;
    return;
  }
  next_buffer(m);
}

/// The run bit or the last valid index changed.
void I82801aaAudio::go_on(unsigned which) {
  Master& m = state_.masters[which];
  if ((m.control & kControlRun) == 0 || (m.status & kStatusHalted) == 0) return;
  if ((m.status & kStatusAtLast) != 0) {
    if (m.current == m.last) return;  // nothing new
    next_buffer(m);
  } else if (m.left == 0) {
    m.prefetched = (m.current + 1) % kDescriptors;  // the first buffer after a reset
    fetch(m);
  }
  m.status &= static_cast<u8>(~(kStatusHalted | kStatusAtLast));
  m.clock.start(scheduler_.now(), rate_of(which));
  if (which == kPcmOut) stream_.begin(m.clock.rate);
}

void I82801aaAudio::advance_all() {
  for (unsigned which = 0; which < state_.masters.size(); ++which) advance(which);
}

void I82801aaAudio::advance(unsigned which) {
  Master& m = state_.masters[which];
  if (!running(m)) return;
  if (!bus_master()) {
    m.clock.start(scheduler_.now(), m.clock.rate);
    return;
  }
  frames_.clear();
  u64 due = m.clock.due(scheduler_.now());
  while (due != 0 && running(m)) {
    // Buffers without samples end at once; at the latest the last valid one stops this.
    for (unsigned i = 0; i < kDescriptors && m.left == 0 && running(m); ++i) buffer_done(m);
    if (m.left == 0) break;
    const u64 frames = std::min(due, frames_left(which));
    move(which, frames);
    m.clock.done += frames;
    due -= frames;
    if (m.left == 0) buffer_done(m);
  }
  if (which == kPcmOut) stream_.write(frames_);
  update_interrupt();
}

void I82801aaAudio::move(unsigned which, u64 frames) {
  Master& m = state_.masters[which];
  std::array<u8, kChunkBytes> buffer;
  u64 samples = std::min<u64>(frames * channels_of(which), m.left);
  m.left = static_cast<u16>(m.left - samples);
  while (samples != 0) {
    const std::size_t count = std::min<u64>(samples, kChunkBytes / 2);
    const std::span<u8> bytes(buffer.data(), count * 2);
    if (which == kPcmOut) {
      spaces().memory.read_bytes(PhysicalAddress(m.address), bytes);
      const auto sample = [&](std::size_t i) -> i64 {
        if (i >= count) i = count - 1;  // half a frame
        return static_cast<i16>(bytes[i * 2] | bytes[i * 2 + 1] << 8);
      };
      for (std::size_t i = 0; i < count; i += 2) {
        frames_.push_back({static_cast<i32>(sample(i) * volume_.left / 65536),
                           static_cast<i32>(sample(i + 1) * volume_.right / 65536)});
      }
    } else {
      std::fill(bytes.begin(), bytes.end(), u8{0});
      spaces().memory.write_bytes(PhysicalAddress(m.address), bytes);
    }
    m.address += static_cast<u32>(count * 2);
    samples -= count;
  }
}

void I82801aaAudio::arm() {
  u64 next = Scheduler::kNever;
  for (unsigned which = 0; which < state_.masters.size(); ++which) {
    const Master& m = state_.masters[which];
    if (!running(m)) continue;
    const u64 step = m.clock.rate.frames_in(1'000'000'000 / kStepsPerSecond);
    next = std::min(
        next, m.clock.time_of(std::clamp<u64>(frames_left(which), 1, std::max<u64>(step, 1))));
  }
  if (next == Scheduler::kNever) {
    timer_.cancel();
  } else {
    timer_.arm_at(next);
  }
}

u8 I82801aaAudio::read_byte(u16 offset) {
  if (offset >= kGlobalStatus && offset < kGlobalStatus + 4) {
    return static_cast<u8>(global_status() >> (8 * (offset - kGlobalStatus)));
  }
  if (offset >= kGlobalControl && offset < kGlobalControl + 4) {
    return static_cast<u8>(state_.global_control >> (8 * (offset - kGlobalControl)));
  }
  if (offset == kSemaphore) {  // reading takes it, the next codec access gives it back
    const bool busy = state_.codec_busy;
    state_.codec_busy = true;
    return busy ? 1 : 0;
  }
  if (offset >= 0x30 || (offset & 15) > kControl) return 0;
  const Master& m = state_.masters[offset >> 4];
  const unsigned at = offset & 15;
  switch (at) {
    case kCurrent:
      return m.current;
    case kLast:
      return m.last;
    case kStatus:
      return m.status;
    case kLeft:
    case kLeft + 1:
      return static_cast<u8>(m.left >> (8 * (at - kLeft)));
    case kPrefetched:
      return m.prefetched;
    case kControl:
      return m.control;
    default:
      return at < kList + 4 ? static_cast<u8>(m.list >> (8 * at)) : 0;
  }
}

u32 I82801aaAudio::port_read(unsigned bank, u16 offset, unsigned size) {
  if (bank == kCodecBank) {
    state_.codec_busy = false;
    // The codec has words; a byte is half of one.
    const u16 word = codec_ready() ? codec_.read(static_cast<u8>(offset & 0xfe)) : 0xffff;
    return size == 1 ? (word >> (8 * (offset & 1))) & 0xff : word;
  }
  advance_all();
  u32 value = 0;
  for (unsigned i = 0; i < size; ++i) {
    value |= u32{read_byte(static_cast<u16>(offset + i))} << (8 * i);
  }
  arm();
  return value;
}

void I82801aaAudio::port_write(unsigned bank, u16 offset, unsigned size, u32 value) {
  advance_all();
  if (bank == kCodecBank) {
    state_.codec_busy = false;
    if (size == 2 && codec_ready())
      write_codec(static_cast<u8>(offset & 0xfe), static_cast<u16>(value));
  } else if (offset == kGlobalControl && size == 4) {
    write_global_control(value);
  } else if (offset < kGlobalControl) {
    write_master(offset >> 4, offset & 15, size, value);
  }
  update_interrupt();
  arm();
}

void I82801aaAudio::write_codec(u8 offset, u16 value) {
  codec_.write(offset, value);
  volume_ = codec_.output_volume();
  for (unsigned which = 0; which < state_.masters.size(); ++which) {
    Master& m = state_.masters[which];
    if (!running(m) || rate_of(which) == m.clock.rate) continue;
    m.clock.start(scheduler_.now(), rate_of(which));
    if (which == kPcmOut) stream_.begin(m.clock.rate);
  }
}

void I82801aaAudio::write_global_control(u32 value) {
  if ((value & kGlobalColdReset) == 0) {
    codec_.reset();
    volume_ = codec_.output_volume();
  }
  // A warm reset wakes the link and is over at once.
  state_.global_control = value & kGlobalControlBits & ~kGlobalWarmReset;
}

void I82801aaAudio::write_master(unsigned which, unsigned offset, unsigned size, u32 value) {
  Master& m = state_.masters[which];
  for (unsigned i = 0; i < size; ++i) {
    const u8 byte = static_cast<u8>(value >> (8 * i));
    const unsigned at = offset + i;
    switch (at) {
      case kLast:
        m.last = byte % kDescriptors;
        go_on(which);
        break;
      case kStatus:
        m.status &=
            static_cast<u8>(~(byte & (kStatusLastDone | kStatusBufferDone | kStatusFifoError)));
        break;
      case kControl:
        write_control(which, byte);
        break;
      default:
        if (at < kList + 4) {
          const u32 shift = 8 * at;
          m.list = ((m.list & ~(u32{0xff} << shift)) | u32{byte} << shift) & ~u32{7};
        }
        break;
    }
  }
}

void I82801aaAudio::write_control(unsigned which, u8 value) {
  Master& m = state_.masters[which];
  if ((value & kControlReset) != 0 && (m.control & kControlRun) == 0) {
    m = Master{};  // all but the interrupt enables
    m.control = value & kControlInterrupts;
    return;
  }
  const bool runs = (value & kControlRun) != 0;
  m.control = value & (kControlRun | kControlInterrupts);
  if (runs) {
    go_on(which);
  } else {
    m.status |= kStatusHalted;  // holds its place
  }
}

}  // namespace dragoman
