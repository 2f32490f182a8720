// Intel 8254 programmable interval timer.
// Datasheet: Intel 231164 (8254).
#include "devices/i8254.h"

#include <algorithm>

namespace dragoman {

namespace {

constexpr bool periodic(unsigned mode) { return mode == 2 || mode == 3; }
constexpr bool triggered(unsigned mode) { return mode == 1 || mode == 5; }

constexpr u16 to_bcd(u32 value) {
  return static_cast<u16>((value / 1000 % 10) << 12 | (value / 100 % 10) << 8 |
                          (value / 10 % 10) << 4 | value % 10);
}

constexpr u32 from_bcd(u16 value) {
  return (value >> 12) * 1000u + ((value >> 8) & 15) * 100u + ((value >> 4) & 15) * 10u +
         (value & 15);
}

// Mode 3: OUT is high for (N+1)/2 and low for N/2 clocks.
constexpr u32 half_length(u32 period, bool high) { return high ? (period + 1) / 2 : period / 2; }

}  // namespace

I8254::I8254(Scheduler& scheduler, PortMap& ports, IrqLine out0)
    : StatefulDevice("i8254"),
      scheduler_(scheduler),
      out0_(out0),
      edge_(scheduler, "i8254 out0", [this] { follow_out0(false); }) {
  ports.add("i8254", Port(0x40), 4, *this);
  state_.counter[2].gate = false;  // until port 61h says otherwise
}

void I8254::reset() {
  state_ = I8254State{};
  state_.counter[2].gate = false;
  restored();
}

void I8254::restored() {
  for (Counter& c : state_.counter) {
    c.count = std::clamp<u32>(c.count, 0, 65536);
    c.period = std::clamp<u32>(c.period, 0, 65536);
    c.latched_bytes = std::min<u8>(c.latched_bytes, 2);
    if (c.loaded && periodic(c.mode()) && c.period == 0) c.period = c.modulus();
    // A count that began in the future would never be reached: it begins now.
    c.origin = std::min(c.origin, now());
  }
  const u64 t = now();
  settle(state_.counter[0], t);
  out0_.set(periodic(state_.counter[0].mode()) || state_.counter[0].mode() >= 4 ||
            level(state_.counter[0], t));
  if (state_.next_rise != kNever) {
    edge_.arm_at(ns_of(state_.next_rise));
  } else {
    edge_.cancel();
  }
  if (counter2_changed_) counter2_changed_();
}

u32 I8254::programmed_count(const Counter& c) {
  const u32 count = c.bcd() ? from_bcd(c.count_register) : c.count_register;
  return count == 0 ? c.modulus() : count;
}

void I8254::load_count(Counter& c, u64 tick) {
  c.count = programmed_count(c);
  c.period = c.count;
  c.origin = tick;
  c.expired_at = kNever;
  c.load_at = kNever;
  c.null_count = false;
  c.loaded = true;
  c.high_half = true;
  // The gate of the modes 1 and 5 only triggers; in the others it enables counting.
  c.counting = c.gate || triggered(c.mode());
}

void I8254::settle(Counter& c, u64 now) {
  if (c.load_at <= now) load_count(c, c.load_at);
  if (!c.loaded || !c.counting) return;
  const u64 elapsed = now - c.origin;
  switch (c.mode()) {
    case 2: {
      if (elapsed < c.period) break;
      c.origin += c.period;
      if (c.null_count && c.load_at == kNever && !c.write_high) {
        c.period = programmed_count(c);
        c.null_count = false;
      }
      c.origin += (now - c.origin) / c.period * c.period;
      c.count = c.period;
      break;
    }
    case 3: {
      // At most two half cycles one by one, until a new count is in force; the rest in one step.
      for (int i = 0; i < 2; ++i) {
        const u32 half = half_length(c.period, c.high_half);
        if (now - c.origin < half) return;
        c.origin += half;
        c.high_half = !c.high_half;
        if (c.null_count && c.load_at == kNever && !c.write_high) {
          c.period = programmed_count(c);
          c.null_count = false;
        }
        c.count = c.period;
      }
      c.origin += (now - c.origin) / c.period * c.period;
      const u32 half = half_length(c.period, c.high_half);
      if (now - c.origin >= half) {
        c.origin += half;
        c.high_half = !c.high_half;
      }
      break;
    }
    default:
      if (c.expired_at == kNever && elapsed >= c.count) c.expired_at = c.origin + c.count;
      break;
  }
}

void I8254::stop(Counter& c, u64 now) {
  if (!c.counting) return;
  if (periodic(c.mode())) {
    c.count = c.bcd() ? from_bcd(visible_count(c, now)) : visible_count(c, now);
  } else {
    const u64 elapsed = now - c.origin;
    c.count =
        elapsed < c.count
            ? static_cast<u32>(c.count - elapsed)
            : static_cast<u32>((c.modulus() - (elapsed - c.count) % c.modulus()) % c.modulus());
  }
  c.counting = false;
}

u16 I8254::visible_count(const Counter& c, u64 now) {
  u64 value = c.count;
  if (c.counting) {
    const u64 elapsed = now - c.origin;
    if (c.mode() == 3) {
      value = (c.count & ~1u) - 2 * elapsed;  // even, by two ("Mode 3: Square Wave Mode")
    } else if (elapsed <= value) {
      value -= elapsed;
    } else {
      value = c.modulus() - (elapsed - value) % c.modulus();
    }
  }
  value %= c.modulus();
  return c.bcd() ? to_bcd(static_cast<u32>(value)) : static_cast<u16>(value);
}

bool I8254::level(const Counter& c, u64 now) {
  switch (c.mode()) {
    case 0:
      return c.loaded && c.expired_at != kNever;
    case 1:
      return !c.loaded || c.expired_at != kNever;
    case 2:
      if (!c.loaded || !c.counting || c.period < 2) return true;
      return now - c.origin != c.period - 1;
    case 3:
      if (!c.loaded || !c.counting || c.period < 2) return true;
      return c.high_half;
    default:  // 4 and 5: low for the one clock in which the count is zero
      return !c.loaded || c.expired_at != now;
  }
}

u64 I8254::next_rising_edge(const Counter& c, u64 now) {
  const unsigned mode = c.mode();
  u64 from = c.origin;
  u32 count = c.count;
  if (c.load_at != kNever) {
    if (!c.gate && !triggered(mode)) return kNever;
    from = c.load_at;
    count = programmed_count(c);
  } else if (!c.loaded || !c.counting) {
    return mode >= 4 && c.loaded && c.expired_at == now ? now + 1 : kNever;
  } else if (periodic(mode)) {
    count = c.period;
    // A pending count takes over at the end of this period or half.
    if (mode == 3 && c.period >= 2) {
      if (!c.high_half) return from + half_length(c.period, false);
      const u32 next = c.null_count && !c.write_high ? programmed_count(c) : c.period;
      return from + half_length(c.period, true) + half_length(next, false);
    }
  }
  if (periodic(mode)) return count < 2 ? kNever : from + count;  // a count of 1 is illegal
  if (c.load_at == kNever && c.expired_at != kNever) {
    return mode >= 4 && c.expired_at == now ? now + 1 : kNever;
  }
  return from + count + (mode >= 4 ? 1 : 0);
}

u64 I8254::next_change(const Counter& c, u64 now) {
  u64 next = c.load_at > now ? c.load_at : kNever;
  if (!c.loaded || !c.counting) return next;
  u64 change = kNever;
  switch (c.mode()) {
    case 2:  // low for the last clock of the period
      if (c.period < 2) break;
      change = now - c.origin < c.period - 1 ? c.origin + c.period - 1 : c.origin + c.period;
      break;
    case 3:
      if (c.period < 2) break;
      change = c.origin + half_length(c.period, c.high_half);
      break;
    default:
      if (c.expired_at == kNever) {
        change = c.origin + c.count;
      } else if (c.expired_at == now) {
        change = now + 1;
      }
      break;
  }
  if (change <= now) change = now + 1;
  return std::min(next, change);
}

I8254::Counter I8254::counter(unsigned index) {
  Counter& c = state_.counter[index % state_.counter.size()];
  settle(c, now());
  return c;
}

void I8254::follow_out0(bool reprogrammed) {
  const u64 t = now();
  Counter& c = state_.counter[0];
  settle(c, t);
  const unsigned mode = c.mode();
  const bool due = state_.next_rise <= t;
  if (!due && !reprogrammed) {
    edge_.arm_at(ns_of(state_.next_rise));
    return;
  }
  state_.next_rise = next_rising_edge(c, t);
  if (state_.next_rise != kNever) {
    edge_.arm_at(ns_of(state_.next_rise));
  } else {
    edge_.cancel();
  }
  if (mode < 2) {
    out0_.set(level(c, t));
  } else {
    if (due) out0_.set(false);
    out0_.set(true);
  }
}

void I8254::set_gate(unsigned counter, bool new_level) {
  if (counter > 2) return;
  Counter& c = state_.counter[counter];
  if (c.gate == new_level) return;
  const u64 t = now();
  settle(c, t);
  c.gate = new_level;
  switch (c.mode()) {
    case 0:
    case 4:
      if (!new_level) {
        stop(c, t);
      } else if (c.loaded && !c.write_high) {
        c.origin = t;
        c.counting = true;
      }
      break;
    case 2:
    case 3:
      if (!new_level) {
        stop(c, t);
      } else if (c.loaded) {
        c.load_at = t + 1;
      }
      break;
    default:
      if (new_level) c.load_at = t + 1;  // a trigger loads the count written last
      break;
  }
  if (counter == 0) follow_out0(true);
  if (counter == 2 && counter2_changed_) counter2_changed_();
}

bool I8254::output(unsigned counter) {
  if (counter > 2) return false;
  const u64 t = now();
  settle(state_.counter[counter], t);
  return level(state_.counter[counter], t);
}

void I8254::write_control(Counter& c, u8 value, u64 now) {
  stop(c, now);
  c.control = value & 0x3f;
  c.load_at = kNever;
  c.expired_at = kNever;
  c.loaded = false;
  c.null_count = true;
  c.write_high = false;
  c.read_high = false;
  c.latched_bytes = 0;
  c.status_latched = false;
  c.high_half = true;
}

void I8254::write_count(Counter& c, u8 value, u64 now) {
  const unsigned access = c.control >> 4;
  if (access == 3 && !c.write_high) {
    c.count_register = static_cast<u16>((c.count_register & 0xff00) | value);
    c.write_high = true;
    if (c.mode() == 0) {  // "Writing the first byte disables counting. OUT is set low immediately."
      stop(c, now);
      c.load_at = kNever;
      c.expired_at = kNever;
      c.loaded = false;
    }
    return;
  }
  if (access == 3) {
    c.count_register = static_cast<u16>((c.count_register & 0x00ff) | value << 8);
    c.write_high = false;
  } else {
    c.count_register = access == 2 ? static_cast<u16>(value << 8) : value;
  }
  c.null_count = true;
  switch (c.mode()) {
    case 0:
      stop(c, now);
      c.expired_at = kNever;
      c.loaded = false;
      c.load_at = now + 1;
      break;
    case 4:
      c.load_at = now + 1;
      break;
    case 2:
    case 3:
      if (!c.loaded) c.load_at = now + 1;
      break;
    default:  // 1 and 5 wait for their trigger
      break;
  }
}

void I8254::latch_count(Counter& c, u64 now) {
  if (c.latched_bytes != 0) return;
  c.latch = visible_count(c, now);
  c.latched_bytes = (c.control >> 4) == 3 ? 2 : 1;
}

void I8254::latch_status(Counter& c, u64 now) {
  if (c.status_latched) return;
  c.status_latch =
      static_cast<u8>((level(c, now) ? 0x80 : 0) | (c.null_count ? 0x40 : 0) | c.control);
  c.status_latched = true;
}

u8 I8254::read_count(Counter& c, u64 now) {
  if (c.status_latched) {
    c.status_latched = false;
    return c.status_latch;
  }
  const u16 value = c.latched_bytes != 0 ? c.latch : visible_count(c, now);
  const unsigned access = c.control >> 4;
  bool high = access == 2;
  if (access == 3) {
    high = c.read_high;
    c.read_high = !c.read_high;
  }
  if (c.latched_bytes != 0) --c.latched_bytes;
  return static_cast<u8>(high ? value >> 8 : value);
}

u32 I8254::port_read(unsigned, u16 offset, unsigned) {
  if (offset > 2) return 0xff;  // the control register cannot be read; the bus floats
  Counter& c = state_.counter[offset];
  const u64 t = now();
  settle(c, t);
  return read_count(c, t);
}

void I8254::port_write(unsigned, u16 offset, unsigned, u32 value) {
  const u8 byte = static_cast<u8>(value);
  const u64 t = now();
  for (Counter& c : state_.counter) settle(c, t);
  if (offset < 3) {
    write_count(state_.counter[offset], byte, t);
    if (offset == 0) follow_out0(true);
    if (offset == 2 && counter2_changed_) counter2_changed_();
    return;
  }
  const unsigned select = byte >> 6;
  if (select == 3) {  // read-back command
    for (unsigned i = 0; i < 3; ++i) {
      if (((byte >> (i + 1)) & 1) == 0) continue;
      if ((byte & 0x20) == 0) latch_count(state_.counter[i], t);
      if ((byte & 0x10) == 0) latch_status(state_.counter[i], t);
    }
  } else if ((byte & 0x30) == 0) {
    latch_count(state_.counter[select], t);
  } else {
    write_control(state_.counter[select], byte, t);
    if (select == 0) follow_out0(true);
    if (select == 2 && counter2_changed_) counter2_changed_();
  }
}

}  // namespace dragoman
