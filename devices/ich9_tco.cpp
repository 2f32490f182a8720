#include "devices/ich9_tco.h"

#include <algorithm>
#include <utility>

namespace dragoman {
namespace {

constexpr u64 kTick = 600'000'000;  // ns
constexpr unsigned kReload = 0x00, kDataIn = 0x02, kDataOut = 0x03, kStatus1 = 0x04,
                   kStatus2 = 0x06, kControl1 = 0x08, kControl2 = 0x0a, kMessage1 = 0x0c,
                   kMessage2 = 0x0d, kProgress = 0x0e, kLegacyIrqs = 0x10, kTimer = 0x12;
constexpr u16 kTimeout = 1 << 3;        // of status 1
constexpr u16 kSecondTimeout = 1 << 1;  // of status 2
constexpr u16 kHalt = 1 << 11;          // of control 1
constexpr u16 kLock = 1 << 12;
constexpr u16 kTimerBits = 0x3ff;
constexpr u16 kLeastTimer = 4;  // smaller initial values are ignored (13.9, TCO_TMR)
constexpr u16 kStatus1Bits = 0x1f8d, kStatus2Bits = 0x001f;

u8 byte_of(u16 value, unsigned n) { return static_cast<u8>(value >> (8 * n)); }
void set_byte(u16& value, unsigned n, u8 byte) {
  value = static_cast<u16>((value & ~(0xff << (8 * n))) | byte << (8 * n));
}
void clear_byte(u16& value, unsigned n, u8 byte, u16 clearable) {
  value = static_cast<u16>(value & ~((byte << (8 * n)) & clearable));
}

}  // namespace

Ich9Tco::Ich9Tco(Ich9TcoState& state, Scheduler& scheduler, std::function<void()> first_timeout,
                 std::function<void()> second_timeout)
    : state_(state),
      scheduler_(scheduler),
      first_timeout_(std::move(first_timeout)),
      second_timeout_(std::move(second_timeout)),
      timer_(scheduler, "ich9 tco", [this] { expired(); }) {}

bool Ich9Tco::halted() const { return (state_.control1 & kHalt) != 0; }

u16 Ich9Tco::count() const {
  if (halted()) return state_.left;
  const u64 now = scheduler_.now();
  const u64 ticks = state_.expires > now ? (state_.expires - now + kTick - 1) / kTick : 0;
  return static_cast<u16>(std::min<u64>(ticks, kTimerBits));
}

void Ich9Tco::reload() {
  // Here, because a value may be written in two halves.
  if (state_.timer >= kLeastTimer) state_.initial = state_.timer;
  state_.left = state_.initial;
  state_.expires = scheduler_.now() + state_.left * kTick;
  arm();
}

void Ich9Tco::arm() { halted() ? timer_.cancel() : timer_.arm_at(state_.expires); }

void Ich9Tco::expired() {
  if (halted()) return;
  reload();
  if ((state_.status1 & kTimeout) == 0) {
    state_.status1 |= kTimeout;
    return first_timeout_();
  }
  state_.status2 |= kSecondTimeout;
  second_timeout_();
}

void Ich9Tco::reset(const Ich9TcoState& before) {
  state_.status2 = before.status2 & kSecondTimeout;
  arm();
}

void Ich9Tco::restored() {
  state_.timer &= kTimerBits;
  state_.initial = std::max<u16>(state_.initial & kTimerBits, kLeastTimer);
  state_.left &= kTimerBits;
  const u64 latest = scheduler_.now() + kTimerBits * kTick;
  state_.expires = std::min(state_.expires, latest);
  arm();
}

u8 Ich9Tco::read(unsigned offset) const {
  switch (offset) {
    case kReload:
    case kReload + 1:
      return byte_of(count(), offset - kReload);
    case kDataIn:
      return state_.data_in;
    case kDataOut:
      return state_.data_out;
    case kStatus1:
    case kStatus1 + 1:
      return byte_of(state_.status1, offset - kStatus1);
    case kStatus2:
    case kStatus2 + 1:
      return byte_of(state_.status2, offset - kStatus2);
    case kControl1:
    case kControl1 + 1:
      return byte_of(state_.control1, offset - kControl1);
    case kControl2:
    case kControl2 + 1:
      return byte_of(state_.control2, offset - kControl2);
    case kMessage1:
    case kMessage2:
      return state_.messages[offset - kMessage1];
    case kProgress:
      return state_.progress;
    case kLegacyIrqs:
      return state_.legacy_irqs;
    case kTimer:
    case kTimer + 1:
      return byte_of(state_.timer, offset - kTimer);
    default:
      return 0;
  }
}

void Ich9Tco::write(unsigned offset, u8 value) {
  switch (offset) {
    case kReload:
      return reload();  // whatever is written
    case kDataIn:
      state_.data_in = value;
      break;
    case kDataOut:
      state_.data_out = value;
      break;
    case kStatus1:
    case kStatus1 + 1:
      clear_byte(state_.status1, offset - kStatus1, value, kStatus1Bits);
      break;
    case kStatus2:
    case kStatus2 + 1:
      clear_byte(state_.status2, offset - kStatus2, value, kStatus2Bits);
      break;
    case kControl1:
    case kControl1 + 1: {
      const u16 now = count();
      const bool was_halted = halted();
      const u16 locked = state_.control1 & kLock;  // until the next reset
      set_byte(state_.control1, offset - kControl1, value);
      state_.control1 = static_cast<u16>((state_.control1 & 0x1b00) | locked);
      if (halted() == was_halted) break;
      state_.left = now;
      state_.expires = scheduler_.now() + now * kTick;
      arm();
      break;
    }
    case kControl2:
    case kControl2 + 1:
      set_byte(state_.control2, offset - kControl2, value);
      state_.control2 &= 0x003e;
      break;
    case kMessage1:
    case kMessage2:
      state_.messages[offset - kMessage1] = value;
      break;
    case kProgress:
      state_.progress = value;
      break;
    case kLegacyIrqs:
      state_.legacy_irqs = value & 3;
      break;
    case kTimer:
    case kTimer + 1: {
      u16 next = state_.timer;
      set_byte(next, offset - kTimer, value);
      next &= kTimerBits;
      state_.timer = next;  // takes effect with the next reload
      break;
    }
    default:
      break;
  }
}

}  // namespace dragoman
