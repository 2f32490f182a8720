// Intel 8259A pair.
// Datasheets: Intel 231468 (8259A), Intel 290550 (PIIX3).
#include "devices/i8259.h"

#include "base/bits.h"

namespace dragoman {

namespace {

constexpr unsigned kBankElcr = 2;
// Inputs 0, 1, 2, 8 and 13 are always edge-triggered (PIIX3 2.5.2).
constexpr std::array<u8, 2> kElcrMask{0xf8, 0xde};

constexpr u8 input_bit(unsigned input) { return static_cast<u8>(1u << input); }

}  // namespace

I8259Pair::I8259Pair(Log& log, PortMap& ports, IrqLine intr)
    : StatefulDevice("i8259"), log_(log), intr_(intr) {
  ports.add("i8259 master", Port(0x20), 2, *this, kMaster);
  ports.add("i8259 slave", Port(0xa0), 2, *this, kSlave);
  ports.add("i8259 elcr", Port(0x4d0), 2, *this, kBankElcr);
}

void I8259Pair::reset() {
  // The wires keep their levels; only the chips forget.
  const std::array<u8, 2> lines{state_.chip[0].lines, state_.chip[1].lines};
  state_ = I8259State{};
  for (unsigned i = 0; i < 2; ++i) state_.chip[i].lines = lines[i];
  restored();
}

void I8259Pair::restored() {
  for (unsigned i = 0; i < 2; ++i) {
    Chip& chip = state_.chip[i];
    chip.lowest &= 7;
    chip.elcr &= kElcrMask[i];
    if (chip.init_step > 4) chip.init_step = 0;
  }
  update();
  intr_.set(intr_level_);  // drive it anew even when it did not change
}

void I8259Pair::set_line(Chip& chip, unsigned input, bool level) {
  const u8 mask = input_bit(input);
  const bool rising = level && (chip.lines & mask) == 0;
  chip.lines = static_cast<u8>(level ? chip.lines | mask : chip.lines & ~mask);
  if (!level) {
    chip.irr &= static_cast<u8>(~mask);  // both the level and the edge latch follow a low input
  } else if (rising || (chip.elcr & mask) != 0) {
    chip.irr |= mask;
  }
}

void I8259Pair::set_irq(unsigned pin, bool level) {
  if (pin >= 16 || pin == kCascade) return;
  Chip& chip = state_.chip[pin >> 3];
  if (((chip.lines >> (pin & 7)) & 1) == static_cast<u8>(level)) return;
  set_line(chip, pin & 7, level);
  update();
}

int I8259Pair::highest(const Chip& chip, u8 set) {
  for (unsigned i = 1; i <= 8; ++i) {
    const unsigned input = (chip.lowest + i) & 7;
    if ((set & input_bit(input)) != 0) return static_cast<int>(input);
  }
  return kNone;
}

int I8259Pair::next_request(unsigned which) const {
  const Chip& chip = state_.chip[which];
  if (chip.init_step != 0) return kNone;
  // In special mask mode a masked level in service blocks nothing ("Special Mask Mode").
  u8 blocking = chip.isr;
  if (chip.special_mask) blocking &= static_cast<u8>(~chip.imr);
  for (unsigned i = 1; i <= 8; ++i) {
    const unsigned input = (chip.lowest + i) & 7;
    const u8 mask = input_bit(input);
    const bool in_service = (blocking & mask) != 0;
    // Special fully nested mode: a slave in service may interrupt itself.
    const bool may_nest =
        which == kMaster && chip.special_nested && !chip.single && input == kCascade;
    if (in_service && !may_nest) return kNone;
    if ((chip.irr & ~chip.imr & mask) != 0) return static_cast<int>(input);
    if (in_service) return kNone;
  }
  return kNone;
}

void I8259Pair::update() {
  Chip& master = state_.chip[kMaster];
  set_line(master, kCascade, next_request(kSlave) != kNone);
  const bool level = next_request(kMaster) != kNone;
  if (level == intr_level_) return;
  intr_level_ = level;
  intr_.set(level);
}

void I8259Pair::into_service(Chip& chip, unsigned input) {
  const u8 mask = input_bit(input);
  if ((chip.elcr & mask) == 0) chip.irr &= static_cast<u8>(~mask);
  if (!chip.auto_eoi) {
    chip.isr |= mask;
  } else if (chip.rotate_on_auto_eoi) {
    chip.lowest = static_cast<u8>(input);
  }
}

u8 I8259Pair::acknowledge() {
  Chip& master = state_.chip[kMaster];
  const int request = next_request(kMaster);
  if (request == kNone) {
    log_.write(LogCategory::kInterrupt, "i8259: spurious interrupt, IRQ7");
    return static_cast<u8>(master.vector_base | 7);
  }
  const auto input = static_cast<unsigned>(request);
  into_service(master, input);
  u8 vector = static_cast<u8>(master.vector_base | input);
  if (input == kCascade && !master.single) {
    Chip& slave = state_.chip[kSlave];
    const int slave_request = next_request(kSlave);
    const unsigned slave_input = slave_request == kNone ? 7 : static_cast<unsigned>(slave_request);
    if (slave_request != kNone) into_service(slave, slave_input);
    vector = static_cast<u8>(slave.vector_base | slave_input);
    // The slave's INT falls after the acknowledge, so its next request is a new edge.
    set_line(master, kCascade, false);
  }
  update();
  return vector;
}

u8 I8259Pair::take_poll(unsigned which) {
  Chip& chip = state_.chip[which];
  chip.poll = false;
  const int request = next_request(which);
  if (request == kNone) return 7;
  into_service(chip, static_cast<unsigned>(request));
  if (which == kSlave) set_line(state_.chip[kMaster], kCascade, false);
  update();
  return static_cast<u8>(0x80 | request);
}

u32 I8259Pair::port_read(unsigned bank, u16 offset, unsigned) {
  if (bank == kBankElcr) return state_.chip[offset & 1].elcr;
  const unsigned which = bank & 1;
  const Chip& chip = state_.chip[which];
  if (chip.poll) return take_poll(which);
  if (offset == 1) return chip.imr;
  return chip.read_isr ? chip.isr : chip.irr;
}

void I8259Pair::port_write(unsigned bank, u16 offset, unsigned, u32 value) {
  const u8 byte = static_cast<u8>(value);
  if (bank == kBankElcr) {
    Chip& chip = state_.chip[offset & 1];
    chip.elcr = byte & kElcrMask[offset & 1];
    chip.irr |= chip.lines & chip.elcr;  // a level-triggered input is its wire
  } else if (offset == 0) {
    write_command(state_.chip[bank & 1], byte);
  } else {
    write_data(state_.chip[bank & 1], byte);
  }
  update();
}

void I8259Pair::start_initialisation(Chip& chip, u8 icw1) {
  // "The following occur automatically" in "Initialization Command Words 1 and 2". LTIM does
  // nothing on a PIIX3; ELCR took its place.
  chip.irr = chip.lines & chip.elcr;
  chip.isr = 0;
  chip.imr = 0;
  chip.lowest = 7;
  chip.special_mask = false;
  chip.read_isr = false;
  chip.poll = false;
  chip.rotate_on_auto_eoi = false;
  chip.auto_eoi = false;
  chip.special_nested = false;
  chip.needs_icw4 = (icw1 & 0x01) != 0;
  chip.single = (icw1 & 0x02) != 0;
  chip.init_step = 2;
}

void I8259Pair::write_ocw2(Chip& chip, u8 value) {
  const unsigned level = value & 7;
  // A non-specific EOI passes over masked levels in special mask mode.
  const int in_service =
      highest(chip, static_cast<u8>(chip.special_mask ? chip.isr & ~chip.imr : chip.isr));
  switch (value >> 5) {
    case 0:  // rotate in automatic EOI mode (clear)
      chip.rotate_on_auto_eoi = false;
      break;
    case 4:  // rotate in automatic EOI mode (set)
      chip.rotate_on_auto_eoi = true;
      break;
    case 1:  // non-specific EOI
    case 5:  // rotate on non-specific EOI
      if (in_service == kNone) break;
      chip.isr &= static_cast<u8>(~(1u << in_service));
      if ((value >> 5) == 5) chip.lowest = static_cast<u8>(in_service);
      break;
    case 3:  // specific EOI
      chip.isr &= static_cast<u8>(~input_bit(level));
      break;
    case 6:  // set priority
      chip.lowest = static_cast<u8>(level);
      break;
    case 7:  // rotate on specific EOI
      chip.isr &= static_cast<u8>(~input_bit(level));
      chip.lowest = static_cast<u8>(level);
      break;
    default:  // 2: no operation
      break;
  }
}

void I8259Pair::write_command(Chip& chip, u8 value) {
  if ((value & 0x10) != 0) {
    start_initialisation(chip, value);
  } else if ((value & 0x08) == 0) {
    write_ocw2(chip, value);
  } else {  // OCW3
    if ((value & 0x40) != 0) chip.special_mask = (value & 0x20) != 0;
    if ((value & 0x04) != 0) {
      chip.poll = true;
    } else if ((value & 0x02) != 0) {
      chip.read_isr = (value & 0x01) != 0;
    }
  }
}

void I8259Pair::write_data(Chip& chip, u8 value) {
  switch (chip.init_step) {
    case 2:
      chip.vector_base = value & 0xf8;
      chip.init_step = chip.single ? (chip.needs_icw4 ? 4 : 0) : 3;
      break;
    case 3:
      chip.icw3 = value;
      chip.init_step = chip.needs_icw4 ? 4 : 0;
      break;
    case 4:
      chip.special_nested = (value & 0x10) != 0;
      chip.auto_eoi = (value & 0x02) != 0;
      chip.init_step = 0;
      break;
    default:
      chip.imr = value;
      break;
  }
}

}  // namespace dragoman
