#include "devices/acpi_pm1.h"

#include <utility>

namespace dragoman {
namespace {
constexpr u16 kTimerStatus = 1 << 0;
constexpr u16 kPowerButton = 1 << 8;
constexpr u16 kWake = 1 << 15;
constexpr u16 kStatusBits = 0x8d21;
constexpr u16 kEnableBits = 0x0521;
constexpr u16 kControlBits = 0x1c03;  // SLP_TYP, BM_RLD, SCI_EN
constexpr u64 kHalfTurn = 0x7fffff;
}  // namespace

AcpiPm1::AcpiPm1(AcpiPm1State& state, Scheduler& scheduler, std::string name,
                 std::function<void()> changed)
    : state_(state),
      scheduler_(scheduler),
      changed_(std::move(changed)),
      overflow_(scheduler, std::move(name), [this] {
        update();
        changed_();
      }) {}

u64 AcpiPm1::ticks() const {
  return static_cast<u64>(u128{scheduler_.now()} * kTimerHz / 1000000000);
}

u8 AcpiPm1::read(unsigned offset, u64 now_ticks) const {
  const unsigned shift = 8 * (offset & 1);
  switch (offset) {
    case 0:
    case 1:
      return static_cast<u8>(state_.status >> shift);
    case 2:
    case 3:
      return static_cast<u8>(state_.enable >> shift);
    case 4:
    case 5:
      return static_cast<u8>(state_.control >> shift);
    case 8:
    case 9:
    case 10:
      return static_cast<u8>(now_ticks >> (8 * (offset - kTimerOffset)));
    default:
      return 0;
  }
}

void AcpiPm1::write(unsigned offset, u8 value) {
  const unsigned shift = 8 * (offset & 1);
  const auto set = [&](u16& target, u16 writable) {
    const u16 mask = static_cast<u16>((0xff << shift) & writable);
    target = static_cast<u16>((target & ~mask) | ((value << shift) & mask));
  };
  switch (offset) {
    case 0:
      if (value & kTimerStatus) state_.overflow_tick = (ticks() | kHalfTurn) + 1;
      [[fallthrough]];
    case 1:
      state_.status = static_cast<u16>(state_.status & ~((value << shift) & kStatusBits));
      break;
    case 2:
    case 3:
      set(state_.enable, kEnableBits);
      break;
    case 4:
    case 5:
      set(state_.control, kControlBits);
      break;
    default:
      break;  // the timer is read-only
  }
  update();
}

bool AcpiPm1::active() const { return (state_.status & state_.enable & kEnableBits) != 0; }

void AcpiPm1::set_sci_enabled(bool enabled) {
  state_.control = static_cast<u16>((state_.control & ~1) | (enabled ? 1 : 0));
}

void AcpiPm1::press_power_button() { state_.status |= kPowerButton; }
void AcpiPm1::wake() { state_.status |= kWake; }

void AcpiPm1::update() {
  // 4.8.3.3: the status is set whenever the timer's top bit changes.
  if (ticks() >= state_.overflow_tick) state_.status |= kTimerStatus;
  arm();
}

void AcpiPm1::arm() {
  if ((state_.enable & kTimerStatus) && !(state_.status & kTimerStatus)) {
    const u128 ns = u128{state_.overflow_tick} * 1000000000;
    overflow_.arm_at(static_cast<u64>((ns + kTimerHz - 1) / kTimerHz));
  } else {
    overflow_.cancel();
  }
}

void AcpiPm1::reset() {
  state_.overflow_tick = (ticks() | kHalfTurn) + 1;
  state_.status = static_cast<u16>(state_.status & ~kTimerStatus);
  update();
}

void AcpiPm1::restored() {
  const u64 next = (ticks() | kHalfTurn) + 1;
  if (state_.overflow_tick > next) state_.overflow_tick = next;
  update();
}

}  // namespace dragoman
