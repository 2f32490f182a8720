#include "devices/hpet.h"

#include <algorithm>

#include "base/bits.h"

namespace dragoman {
namespace {
constexpr u64 kNsPerTick = Hpet::kPeriodFs / 1000000;
// Revision 1, three timers, 64 bit counter, legacy replacement, vendor 8086h.
constexpr u64 kCapabilities = Hpet::kPeriodFs << 32 | 0x8086a201;
// Periodic, 64 bit wide, routable to IOAPIC pins 20..23.
constexpr u64 kTimerCapabilities = u64{0x00f00000} << 32 | 0x30;
constexpr u64 kLevel = 1 << 1, kEnable = 1 << 2, kPeriodic = 1 << 3, kSetAccumulator = 1 << 6,
              k32Bit = 1 << 8;
constexpr u64 kTimerWritable = 0x3e00 | k32Bit | kSetAccumulator | kPeriodic | kEnable | kLevel;
// Ticks a periodic timer lets pass between two interrupts at least: the guest could ask for one
// interrupt per 10 ns, which no machine could serve.
constexpr u64 kMinimumGap = 100;
constexpr u64 kFarthest = u64{1} << 58;  // ticks; later matches are out of any machine's lifetime
}  // namespace

Hpet::Hpet(std::string name, Scheduler& scheduler, MemoryMap& memory, IrqLine irq0, IrqLine irq8,
           IrqSink& ioapic)
    : StatefulDevice(std::move(name)),
      scheduler_(scheduler),
      legacy_lines_{irq0, irq8},
      ioapic_(ioapic) {
  for (unsigned n = 0; n < HpetState::kTimers; ++n) {
    timers_[n] =
        std::make_unique<Timer>(scheduler, fmt::format("hpet {}", n), [this, n] { fire(n); });
  }
  memory.add_mmio("hpet", PhysicalAddress(kBase), 1024, *this, 0);
}

u64 Hpet::counter() {
  if (!running()) return state_.counter;
  return state_.counter + (scheduler_.now() - state_.counter_ns) / kNsPerTick;
}

u64 Hpet::width_mask(unsigned n) const {
  return state_.timers[n].config & k32Bit ? 0xffffffff : ~u64{0};
}

void Hpet::arm(unsigned n, bool after_match) {
  HpetTimerState& timer = state_.timers[n];
  state_.deadline_ns[n] = 0;
  timers_[n]->cancel();
  if (!running()) return;
  const u64 mask = width_mask(n);
  u64 delta = (timer.comparator - counter()) & mask;
  if (delta == 0 && after_match) delta = mask == ~u64{0} ? kFarthest : mask + 1;
  if (delta >= kFarthest) return;
  // The match happens at a tick of the counter, not `delta` periods after an arbitrary instant.
  const u64 into_tick = (scheduler_.now() - state_.counter_ns) % kNsPerTick;
  const u64 ns = delta == 0 ? 0 : delta * kNsPerTick - into_tick;
  state_.deadline_ns[n] = scheduler_.now() + ns;
  timers_[n]->arm_at(state_.deadline_ns[n]);
}

void Hpet::fire(unsigned n) {
  HpetTimerState& timer = state_.timers[n];
  state_.deadline_ns[n] = 0;
  if (!running()) return;
  if ((timer.config & kPeriodic) && timer.period != 0) {
    // The comparator moves to the first multiple ahead; matches missed meanwhile are lost.
    const u64 mask = width_mask(n);
    const u64 late = (counter() - timer.comparator) & mask;
    const u64 periods = std::max(late / timer.period + 1, (late + kMinimumGap) / timer.period);
    timer.comparator = (timer.comparator + periods * timer.period) & mask;
  }
  if (timer.config & kLevel) {
    if (timer.config & kEnable) state_.status |= bit(n);
    drive_levels();
  } else if (timer.config & kEnable) {
    send_edge(n);
  }
  arm(n, true);
}

void Hpet::send_edge(unsigned n) {
  if (legacy() && n < 2) {
    // The 8259 forgets an edge when its input falls, so the output stays high until the next match.
    legacy_lines_[n].lower();
    legacy_lines_[n].raise();
    state_.legacy_edges |= static_cast<u8>(1u << n);
  } else {
    const unsigned pin = static_cast<unsigned>(bits(state_.timers[n].config, 13, 9));
    if ((kTimerCapabilities >> 32 >> pin & 1) == 0) return;
    ioapic_.set_irq(pin, true);
    drive_levels();
  }
}

void Hpet::drive_levels() {
  // Timers may share a pin, so pins are computed as a whole.
  for (unsigned pin = 20; pin < 24; ++pin) {
    bool level = false;
    for (unsigned n = 0; n < HpetState::kTimers; ++n) {
      const u64 config = state_.timers[n].config;
      if ((legacy() && n < 2) || bits(config, 13, 9) != pin) continue;
      level |= (config & kLevel) && (config & kEnable) && (state_.status & bit(n));
    }
    ioapic_.set_irq(pin, level);
  }
  if (!legacy()) return;
  for (unsigned n = 0; n < 2; ++n) {
    const u64 config = state_.timers[n].config;
    const u64 source = config & kLevel ? state_.status : state_.legacy_edges;
    legacy_lines_[n].set((config & kEnable) && (source & bit(n)));
  }
}

void Hpet::drive_legacy_inputs() {
  if (legacy()) return;
  for (unsigned n = 0; n < 2; ++n) legacy_lines_[n].set((state_.legacy_inputs >> n & 1) != 0);
}

void Hpet::set_irq(unsigned pin, bool level) {
  if (pin > kRtc) return;
  state_.legacy_inputs = static_cast<u8>(level ? state_.legacy_inputs | 1u << pin
                                               : state_.legacy_inputs & ~(1u << pin));
  if (!legacy()) legacy_lines_[pin].set(level);
}

u64 Hpet::read_register(u64 offset) {
  switch (offset) {
    case 0x000:
      return kCapabilities;
    case 0x010:
      return state_.config;
    case 0x020:
      return state_.status;
    case 0x0f0:
      return counter();
    default:
      break;
  }
  const u64 n = (offset - 0x100) / 0x20;
  if (offset < 0x100 || n >= HpetState::kTimers) return 0;
  switch (offset & 0x1f) {
    case 0x00:
      return state_.timers[n].config | kTimerCapabilities;
    case 0x08:
      return state_.timers[n].comparator;
    default:
      return 0;  // no FSB delivery
  }
}

void Hpet::write_comparator(unsigned n, u64 value, u64 mask) {
  HpetTimerState& timer = state_.timers[n];
  const u64 keep = ~mask;
  const u64 width = width_mask(n);
  // 2.3.9.2.2: in periodic mode the comparator itself is only written after TN_VAL_SET_CNF; what
  // was last written is added at every match.
  if (!(timer.config & kPeriodic) || (timer.config & kSetAccumulator)) {
    timer.comparator = ((timer.comparator & keep) | (value & mask)) & width;
  }
  if (timer.config & kPeriodic) {
    timer.period = ((timer.period & keep) | (value & mask)) & width;
  }
  timer.config &= ~kSetAccumulator;
  arm(n, false);
}

void Hpet::write_register(u64 offset, u64 value, u64 mask) {
  const auto merged = [&](u64 old) { return (old & ~mask) | (value & mask); };
  switch (offset) {
    case 0x010: {
      const u64 old = state_.config;
      const u64 now = merged(old) & 3;
      if ((old ^ now) & 1) {
        state_.counter = counter();
        state_.counter_ns = scheduler_.now();
      }
      if ((old ^ now) & 2) {
        for (const IrqLine& line : legacy_lines_) line.lower();
        state_.legacy_edges = 0;
      }
      state_.config = now;
      drive_legacy_inputs();
      drive_levels();
      for (unsigned n = 0; n < HpetState::kTimers; ++n) arm(n, false);
      return;
    }
    case 0x020:
      state_.status &= ~(value & mask);
      drive_levels();
      return;
    case 0x0f0:
      if (!running()) state_.counter = merged(state_.counter);
      return;
    default:
      break;
  }
  const u64 n = (offset - 0x100) / 0x20;
  if (offset < 0x100 || n >= HpetState::kTimers) return;
  HpetTimerState& timer = state_.timers[n];
  if ((offset & 0x1f) == 0x00) {
    u64 config = merged(timer.config) & kTimerWritable;
    const u64 pin = bits(config, 13, 9);
    if (!(kTimerCapabilities >> 32 >> pin & 1)) config &= ~u64{0x3e00};  // reads back as not taken
    timer.config = config;
    timer.comparator &= width_mask(static_cast<unsigned>(n));
    timer.period &= width_mask(static_cast<unsigned>(n));
    if (!(config & kLevel)) state_.status &= ~bit(static_cast<unsigned>(n));
    if (!(config & kEnable)) state_.legacy_edges &= static_cast<u8>(~(1u << n));
    drive_levels();
    arm(static_cast<unsigned>(n), false);
  } else if ((offset & 0x1f) == 0x08) {
    write_comparator(static_cast<unsigned>(n), value, mask);
  }
}

u64 Hpet::mmio_read(unsigned /*bank*/, u64 offset, unsigned size) {
  // Accesses that cross a register are outside the specification.
  return (read_register(offset & ~u64{7}) >> (8 * (offset & 7))) & size_mask(size);
}

void Hpet::mmio_write(unsigned /*bank*/, u64 offset, unsigned size, u64 value) {
  const unsigned shift = static_cast<unsigned>(8 * (offset & 7));
  write_register(offset & ~u64{7}, value << shift, size_mask(size) << shift);
}

void Hpet::reset() {
  HpetState fresh;
  fresh.legacy_inputs = state_.legacy_inputs;
  state_ = fresh;
  restored();
}

void Hpet::restored() {
  state_.config &= 3;
  state_.status &= 7;
  state_.legacy_edges &= 3;
  const u64 now = scheduler_.now();
  if (state_.counter_ns > now) state_.counter_ns = now;
  for (unsigned n = 0; n < HpetState::kTimers; ++n) {
    state_.timers[n].config &= kTimerWritable;
    if (state_.deadline_ns[n] != 0 && running()) {
      timers_[n]->arm_at(state_.deadline_ns[n]);
    } else {
      state_.deadline_ns[n] = 0;
      timers_[n]->cancel();
    }
  }
  drive_legacy_inputs();
  drive_levels();
}

}  // namespace dragoman
