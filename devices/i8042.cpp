// Intel 8042 keyboard controller.
// Document: IBM PS/2 Hardware Interface Technical Reference.
#include "devices/i8042.h"

namespace dragoman {

namespace {

constexpr u8 kOutputFull = 0x01;
constexpr u8 kSystemFlag = 0x04;
constexpr u8 kLastWasCommand = 0x08;
constexpr u8 kNotInhibited = 0x10;
constexpr u8 kAuxOutputFull = 0x20;

constexpr u8 kIrq1Enable = 0x01;
constexpr u8 kIrq12Enable = 0x02;
constexpr u8 kDisableKeyboard = 0x10;
constexpr u8 kDisableMouse = 0x20;
constexpr u8 kTranslate = 0x40;

// Eleven bits at 10 to 16.7 kHz take 0.66 to 1.1 ms. The pause also matters: a keyboard handler
// that chains to another one reads port 60h twice and must get the same byte.
constexpr u64 kByteTimeNs = 700'000;

// Scan code set 2 to set 1 (PC/AT Technical Reference, keyboard section); 80h and up pass
// unchanged but for two codes.
constexpr std::array<u8, 128> kToSet1{
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,
    0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,
    0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
    0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,
    0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,
    0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
    0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,
    0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54};

constexpr u8 to_set1(u8 code) {
  if (code < 0x80) return kToSet1[code];
  if (code == 0x83) return 0x41;
  if (code == 0x84) return 0x54;
  return code;
}

}  // namespace

I8042::I8042(Scheduler& scheduler, Log& log, PortMap& ports, Ps2Device& keyboard, Ps2Device& mouse,
             IrqLine irq1, IrqLine irq12, IrqLine a20, IrqLine reset)
    : StatefulDevice("i8042"),
      scheduler_(scheduler),
      log_(log),
      keyboard_(keyboard),
      mouse_(mouse),
      irq1_(irq1),
      irq12_(irq12),
      a20_(a20),
      reset_(reset),
      transfer_(scheduler, "i8042 transfer", [this] { transfer_done(); }) {
  ports.add("i8042 data", Port(0x60), 1, *this, 0);
  ports.add("i8042 command", Port(0x64), 1, *this, 1);
  keyboard_.set_listener([this] { pump(); });
  mouse_.set_listener([this] { pump(); });
  state_.ram[0] = kDisableKeyboard | kDisableMouse;
}

I8042::~I8042() {
  keyboard_.set_listener({});
  mouse_.set_listener({});
}

void I8042::reset() {
  state_ = I8042State{};
  state_.ram[0] = kDisableKeyboard | kDisableMouse;
  restored();
}

void I8042::restored() {
  state_.responses.repair();
  if (state_.transfer_at != Scheduler::kNever) {
    transfer_.arm_at(state_.transfer_at);
  } else {
    transfer_.cancel();
  }
  a20_.set((state_.output_port & 2) != 0);
  update_irqs();
}

void I8042::update_irqs() {
  const bool full = (state_.status & kOutputFull) != 0;
  const bool from_mouse = (state_.status & kAuxOutputFull) != 0;
  irq1_.set(full && !from_mouse && (command_byte() & kIrq1Enable) != 0);
  irq12_.set(full && from_mouse && (command_byte() & kIrq12Enable) != 0);
}

void I8042::fill(u8 value, bool from_mouse) {
  state_.output_buffer = value;
  state_.status = static_cast<u8>((state_.status & ~kAuxOutputFull) | kOutputFull |
                                  (from_mouse ? kAuxOutputFull : 0));
  update_irqs();
}

bool I8042::keyboard_ready() const {
  return (command_byte() & kDisableKeyboard) == 0 && keyboard_.has_byte();
}

bool I8042::mouse_ready() const {
  return (command_byte() & kDisableMouse) == 0 && mouse_.has_byte();
}

void I8042::pump() {
  if ((state_.status & kOutputFull) != 0) return;
  if (state_.responses.count != 0) {
    fill(state_.responses.pop(), false);
    return;
  }
  if (transfer_.armed() || (!keyboard_ready() && !mouse_ready())) return;
  state_.transfer_at = scheduler_.now() + kByteTimeNs;
  transfer_.arm_at(state_.transfer_at);
}

void I8042::transfer_done() {
  state_.transfer_at = Scheduler::kNever;
  if ((state_.status & kOutputFull) != 0) return;  // an answer came first; the read pumps again
  if (keyboard_ready()) {
    const u8 code = keyboard_.take_byte();
    if ((command_byte() & kTranslate) == 0) {
      fill(code, false);
    } else if (code == 0xf0) {
      state_.break_prefix = true;
      pump();
    } else {
      const u8 translated = to_set1(code);
      fill(state_.break_prefix ? translated | 0x80 : translated, false);
      state_.break_prefix = false;
    }
  } else if (mouse_ready()) {
    fill(mouse_.take_byte(), true);
  }
}

void I8042::set_command_byte(u8 value) {
  state_.ram[0] = value;
  state_.status = static_cast<u8>((state_.status & ~kSystemFlag) | (value & kSystemFlag));
  if ((value & kTranslate) == 0) state_.break_prefix = false;
  update_irqs();
}

void I8042::set_output_port(u8 value) {
  state_.output_port = value | 1;  // the reset line goes back by itself: the pulse resets us too
  a20_.set((value & 2) != 0);
  if ((value & 1) == 0) reset_.pulse();
}

void I8042::command(u8 value) {
  state_.status |= kLastWasCommand;
  state_.pending_command = 0;
  state_.password_loading = false;
  if (value >= 0x20 && value <= 0x3f) {
    respond(state_.ram[value & 0x1f]);
  } else if (value >= 0xf0) {  // pulse the output port lines whose bit is 0
    if ((value & 1) == 0) reset_.pulse();
  } else {
    switch (value) {
      case 0xa4:  // is a password installed?
        respond(0xf1);
        break;
      case 0xa5:
        state_.password_loading = true;
        break;
      case 0xa6:  // enable password: none is installed
        break;
      case 0xa7:
        set_command_byte(command_byte() | kDisableMouse);
        break;
      case 0xa8:
        set_command_byte(command_byte() & static_cast<u8>(~kDisableMouse));
        break;
      case 0xa9:  // mouse port test
      case 0xab:  // keyboard port test
        respond(0x00);
        break;
      case 0xaa:  // self test
        set_command_byte(command_byte() | kSystemFlag | kDisableKeyboard | kDisableMouse);
        respond(0x55);
        break;
      case 0xad:
        set_command_byte(command_byte() | kDisableKeyboard);
        break;
      case 0xae:
        set_command_byte(command_byte() & static_cast<u8>(~kDisableKeyboard));
        break;
      case 0xc0:  // input port: keyboard unlocked, colour display, no manufacturing jumper, 512K
        respond(0xb0);
        break;
      case 0xd0: {
        const bool full = (state_.status & kOutputFull) != 0;
        const bool from_mouse = (state_.status & kAuxOutputFull) != 0;
        respond(static_cast<u8>((state_.output_port & 0xcf) | (full && !from_mouse ? 0x10 : 0) |
                                (full && from_mouse ? 0x20 : 0)));
        break;
      }
      case 0xdd:  // A20 off and on without a data byte
      case 0xdf:
        set_output_port(static_cast<u8>((state_.output_port & ~2u) | (value & 2)));
        break;
      case 0xe0:  // test inputs: the two clock lines, low while a port is disabled
        respond(static_cast<u8>(((command_byte() & kDisableKeyboard) == 0 ? 1 : 0) |
                                ((command_byte() & kDisableMouse) == 0 ? 2 : 0)));
        break;
      default:
        if ((value >= 0x60 && value <= 0x7f) || (value >= 0xd1 && value <= 0xd4)) {
          state_.pending_command = value;  // a data byte follows
        } else {
          log_.once("i8042 command", "i8042: command {:#04x} is not implemented", value);
        }
        break;
    }
  }
  pump();
}

void I8042::data(u8 value) {
  state_.status &= static_cast<u8>(~kLastWasCommand);
  const u8 pending = state_.pending_command;
  state_.pending_command = 0;
  if (state_.password_loading) {
    state_.password_loading = value != 0;  // a zero ends the password
    return;
  }
  if (pending == 0x60) {
    set_command_byte(value);
  } else if (pending > 0x60 && pending <= 0x7f) {
    state_.ram[pending & 0x1f] = value;
  } else if (pending == 0xd1) {
    set_output_port(value);
  } else if (pending == 0xd2) {
    fill(value, false);
  } else if (pending == 0xd3) {
    fill(value, true);
  } else if (pending == 0xd4) {
    set_command_byte(command_byte() & static_cast<u8>(~kDisableMouse));
    mouse_.write_byte(value);
  } else {  // sending to the keyboard enables its port
    set_command_byte(command_byte() & static_cast<u8>(~kDisableKeyboard));
    keyboard_.write_byte(value);
  }
  pump();
}

u32 I8042::port_read(unsigned bank, u16, unsigned) {
  if (bank == 1) return state_.status | kNotInhibited;
  const u8 value = state_.output_buffer;
  if ((state_.status & kOutputFull) != 0) {
    state_.status &= static_cast<u8>(~(kOutputFull | kAuxOutputFull));
    update_irqs();
    pump();
  }
  return value;
}

void I8042::port_write(unsigned bank, u16, unsigned, u32 value) {
  if (bank == 1) {
    command(static_cast<u8>(value));
  } else {
    data(static_cast<u8>(value));
  }
}

}  // namespace dragoman
