#include "devices/usb/uhci.h"

#include <algorithm>

namespace dragoman {
namespace {

constexpr u64 kFrame = 1'000'000;  // ns
constexpr u64 kFramesAtRest = 8;
constexpr u16 kRestAfter = 16;
constexpr u64 kMostBehind = 64;  // frames that are caught up with; the rest was never there
constexpr u32 kBytes = 1500;     // of a frame at 12 Mbit/s

// Registers (2.1).
constexpr unsigned kCommand = 0, kStatus = 2, kInterrupts = 4, kFrameNumber = 6, kFrameList = 8,
                   kSofModify = 0xc, kPort1 = 0x10, kPort2 = 0x12;
constexpr u16 kRun = 1 << 0, kHostReset = 1 << 1, kGlobalReset = 1 << 2, kGlobalSuspend = 1 << 3,
              kForceResume = 1 << 4;
constexpr u16 kStatusInterrupt = 1 << 0, kStatusError = 1 << 1, kStatusResume = 1 << 2,
              kStatusProcessError = 1 << 4, kStatusHalted = 1 << 5;
constexpr u16 kEnableError = 1 << 0, kEnableResume = 1 << 1, kEnableCompletion = 1 << 2,
              kEnableShort = 1 << 3;
constexpr u8 kCauseCompletion = 1, kCauseShort = 2;
constexpr u16 kConnected = 1 << 0, kConnectChanged = 1 << 1, kEnabled = 1 << 2,
              kEnableChanged = 1 << 3, kLineDPlus = 1 << 4, kPortResume = 1 << 6,
              kAlwaysOne = 1 << 7, kPortReset = 1 << 9, kPortSuspend = 1 << 12;

// Link pointers (3.1).
constexpr u32 kTerminate = 1, kQueue = 2, kDepthFirst = 4;
// Control and status of a transfer descriptor (3.2.2).
constexpr u32 kTimeout = 1u << 18, kNakReceived = 1u << 19, kStalled = 1u << 22, kActive = 1u << 23,
              kOnComplete = 1u << 24, kIsochronous = 1u << 25, kErrorCount = 3u << 27,
              kShortDetect = 1u << 29;
constexpr u32 kStatusBits = 0x7e0000, kLength = 0x7ff;
constexpr u8 kPidIn = 0x69, kPidOut = 0xe1, kPidSetup = 0x2d;
// Token, CRCs, handshake and the gaps between, in byte times; fetching a link.
constexpr int kPacketCost = 13, kLinkCost = 4;

}  // namespace

Uhci::Uhci(std::string name, const PciSpaces& spaces, Scheduler& scheduler, Log& log, u16 device,
           u8 interrupt_pin)
    : StatefulPciFunction(std::move(name), spaces,
                          {.vendor = 0x8086,
                           .device = device,
                           .class_code = 0x0c0300,  // serial bus, USB, UHCI
                           .revision = 1,
                           .interrupt_pin = interrupt_pin}),
      scheduler_(scheduler),
      log_(log),
      timer_(scheduler, "uhci frame", [this] {
        catch_up();
        arm();
      }) {
  define_register(PciRegister::kCommand, 2, 0, 0x0405);  // I/O, bus master, INTx disable
  define_register(PciRegister::kStatus, 2, 0x0280, 0);
  define_register(0x60, 1, 0x10, 0);         // SBRN: USB 1.0
  define_register(0xc0, 2, 0x2000, 0x20bf);  // LEGSUP; no traps, so nothing to clear in 8..15
  add_io_bar(4, 32, *this, 0, 4);
}

bool Uhci::attach(UsbDevice& device) {
  for (unsigned port = 0; port < kPorts; ++port) {
    if (devices_[port] != nullptr) continue;
    devices_[port] = &device;
    device.set_wake([this, port] { wake(port); });
    return true;
  }
  return false;
}

void Uhci::reset() {
  StatefulPciFunction::reset();
  reset_ports();
}

void Uhci::reset_ports() {
  for (unsigned port = 0; port < kPorts; ++port) {
    state_.ports[port] = devices_[port] != nullptr ? kConnected | kConnectChanged : 0;
    if (devices_[port] != nullptr) devices_[port]->bus_reset();
  }
}

void Uhci::reset_controller() {
  timer_.cancel();
  state_ = UhciState{};
  reset_ports();
  update_interrupt();
}

void Uhci::restored() {
  state_.frame &= 0x7ff;
  state_.frame_list &= ~u32{0xfff};
  state_.frame_start = std::min(state_.frame_start, scheduler_.now());
  update_interrupt();
  arm();
}

void Uhci::config_written(u8 offset, unsigned) {
  if (offset <= PciRegister::kCommand + 1) arm();
}

void Uhci::arm() {
  if (!running()) return timer_.cancel();
  const u64 frames = state_.quiet >= kRestAfter ? kFramesAtRest : 1;
  timer_.arm_at(state_.frame_start + frames * kFrame);
}

void Uhci::update_interrupt() {
  const bool finished =
      ((state_.causes & kCauseCompletion) != 0 && (state_.interrupts & kEnableCompletion) != 0) ||
      ((state_.causes & kCauseShort) != 0 && (state_.interrupts & kEnableShort) != 0);
  const u16 status = state_.status;
  set_intx(((status & kStatusInterrupt) != 0 && finished) ||
           ((status & kStatusError) != 0 && (state_.interrupts & kEnableError) != 0) ||
           ((status & kStatusResume) != 0 && (state_.interrupts & kEnableResume) != 0) ||
           (status & kStatusProcessError) != 0);
}

/// A device asks for the bus to be resumed (11.5.1.4 of the USB specification).
void Uhci::wake(unsigned port) {
  const bool suspended =
      (state_.command & kGlobalSuspend) != 0 ||
      ((state_.ports[port] & kPortSuspend) != 0 && (state_.ports[port] & kEnabled) != 0);
  if (!suspended) return;
  state_.ports[port] |= kPortResume;
  state_.status |= kStatusResume;
  update_interrupt();
}

u32 Uhci::read_register(unsigned offset) {
  switch (offset) {
    case kCommand:
      return state_.command;
    case kStatus:
      return state_.status;
    case kInterrupts:
      return state_.interrupts;
    case kFrameNumber:
      return state_.frame;
    case kFrameList:
      return state_.frame_list & 0xffff;
    case kFrameList + 2:
      return state_.frame_list >> 16;
    case kSofModify:
      return state_.sof_modify;
    case kPort1:
    case kPort2: {
      const unsigned port = (offset - kPort1) / 2;
      const bool idle = devices_[port] != nullptr && (state_.ports[port] & kPortReset) == 0;
      return state_.ports[port] | kAlwaysOne | (idle ? kLineDPlus : 0);
    }
    default:
      // Where a third port would be, software that counts ports finds none: bit 7 is clear.
      return 0;
  }
}

u32 Uhci::port_read(unsigned, u16 offset, unsigned size) {
  if (running()) {  // what a driver sees is never older than a frame
    catch_up();
    arm();
  }
  u32 value = read_register(offset & ~1u);
  if (size == 4) value |= read_register((offset & ~1u) + 2) << 16;
  if ((offset & 1) != 0) value >>= 8;
  return size == 1 ? value & 0xff : value;
}

void Uhci::port_write(unsigned, u16 offset, unsigned size, u32 value) {
  if (running()) catch_up();
  if (offset == kFrameList && size == 4) {
    state_.frame_list = value & ~u32{0xfff};
  } else if (size == 4) {
    port_write(0, offset, 2, value & 0xffff);
    return port_write(0, static_cast<u16>(offset + 2), 2, value >> 16);
  } else if (offset == kSofModify) {
    state_.sof_modify = value & 0x7f;
  } else {
    if (size == 1) {  // the other half stays as it is, and nothing in it is written as 1 to clear
      const bool high = (offset & 1) != 0;
      offset &= 0xfffe;
      const bool clears = offset == kStatus || offset == kPort1 || offset == kPort2;
      u32 other = clears && offset == kStatus ? 0 : read_register(offset);
      if (offset >= kPort1) other &= ~u32{kConnectChanged | kEnableChanged};
      value = high ? (other & 0xff) | (value & 0xff) << 8 : (other & 0xff00) | (value & 0xff);
    }
    const u16 word = static_cast<u16>(value);
    switch (offset) {
      case kCommand:
        write_command(word);
        break;
      case kStatus:
        write_status(word);
        break;
      case kInterrupts:
        state_.interrupts = word & 0xf;
        update_interrupt();
        break;
      case kFrameNumber:
        if (!running()) state_.frame = word & 0x7ff;
        break;
      case kFrameList:
        state_.frame_list = (state_.frame_list & 0xffff0000) | (word & 0xf000);
        break;
      case kFrameList + 2:
        state_.frame_list = (state_.frame_list & 0xffff) | u32{word} << 16;
        break;
      case kPort1:
      case kPort2:
        write_port((offset - kPort1) / 2, word);
        break;
      default:
        break;
    }
  }
  state_.quiet = 0;  // a driver is at work
  arm();
}

void Uhci::write_command(u16 value) {
  if ((value & kHostReset) != 0) return reset_controller();
  const u16 before = state_.command;
  if ((value & kGlobalReset) != 0 && (before & kGlobalReset) == 0) {
    reset_controller();
    state_.command = kGlobalReset;
    return;
  }
  state_.command = value & 0xff;
  if ((before & kForceResume) != 0 && (value & kForceResume) == 0) {
    for (u16& port : state_.ports) port = static_cast<u16>(port & ~kPortResume);
  }
  if ((value & kRun) != 0 && (before & kRun) == 0) {
    state_.status &= static_cast<u16>(~kStatusHalted);
    state_.frame_start = scheduler_.now();
  } else if ((value & kRun) == 0) {
    state_.status |= kStatusHalted;
  }
}

void Uhci::write_status(u16 value) {
  state_.status &= static_cast<u16>(~(value & 0x1f));
  if ((value & kStatusInterrupt) != 0) state_.causes = 0;
  update_interrupt();
}

void Uhci::write_port(unsigned port, u16 value) {
  constexpr u16 kClearable = kConnectChanged | kEnableChanged;
  constexpr u16 kWritable = kEnabled | kPortResume | kPortReset | kPortSuspend;
  u16& now = state_.ports[port];
  const u16 before = now;
  now = static_cast<u16>((now & ~(value & kClearable) & ~kWritable) | (value & kWritable));
  if ((now & kConnected) == 0) now &= static_cast<u16>(~kEnabled);
  if ((now & kPortReset) != 0) {
    now &= static_cast<u16>(~(kEnabled | kPortSuspend | kPortResume));
    if ((before & kPortReset) == 0 && devices_[port] != nullptr) devices_[port]->bus_reset();
  }
  // Taking resume back ends the suspension (2.1.7, bit 6).
  if ((before & kPortResume) != 0 && (now & kPortResume) == 0) {
    now &= static_cast<u16>(~kPortSuspend);
  }
}

UsbDevice* Uhci::find(u8 address) {
  for (unsigned port = 0; port < kPorts; ++port) {
    const u16 status = state_.ports[port];
    if (devices_[port] == nullptr || (status & kEnabled) == 0 || (status & kPortSuspend) != 0) {
      continue;
    }
    if (devices_[port]->address() == address) return devices_[port];
  }
  return nullptr;
}

void Uhci::catch_up() {
  const u64 now = scheduler_.now();
  if (!running() || now < state_.frame_start + kFrame) return;
  const u64 behind = (now - state_.frame_start) / kFrame;
  if (behind > kMostBehind) {
    state_.frame = static_cast<u16>((state_.frame + behind - kMostBehind) & 0x7ff);
    state_.frame_start += (behind - kMostBehind) * kFrame;
  }
  while (running() && state_.frame_start + kFrame <= now) {
    state_.quiet = static_cast<u16>(std::min<unsigned>(state_.quiet + 1u, kRestAfter));
    if (bus_master() && (state_.command & kGlobalSuspend) == 0) run_frame();
    state_.frame = static_cast<u16>((state_.frame + 1) & 0x7ff);
    state_.frame_start += kFrame;
  }
  update_interrupt();
}

void Uhci::fail_process(const char* why) {
  log_.once("uhci.process", "UHCI: {}; the controller halts", why);
  state_.status |= kStatusProcessError | kStatusHalted;
  state_.command &= static_cast<u16>(~kRun);
}

/// Walks the schedule of this frame (3.4.2). It may lead round in a circle: drivers let the last
/// queue point back so that bulk transfers use the whole frame. It ends with the frame's bytes, or
/// when a whole round moved nothing.
void Uhci::run_frame() {
  MemoryMap& memory = spaces().memory;
  const auto load = [&memory](u32 at) { return memory.load<u32>(PhysicalAddress(at)); };
  int budget = kBytes;
  u32 link = load(state_.frame_list + 4 * (state_.frame & 0x3ffu));
  u32 quiet_queue = kTerminate;  // the first one met since something was moved
  while ((link & kTerminate) == 0 && budget > 0 && running()) {
    budget -= kLinkCost;
    const u32 at = link & ~u32{0xf};
    Descriptor td{};
    if ((link & kQueue) == 0) {
      if (transfer(at, td, false, budget) == Outcome::kDone) quiet_queue = kTerminate;
      link = td.link;
      continue;
    }
    if (at == quiet_queue) break;
    const u32 next = load(at);
    const u32 element = load(at + 4);
    if ((element & kTerminate) != 0) {
      link = next;
    } else if ((element & kQueue) != 0) {
      link = element;
    } else {
      const Outcome outcome = transfer(element & ~u32{0xf}, td, true, budget);
      if (outcome == Outcome::kDone) {
        memory.store<u32>(PhysicalAddress(at + 4), td.link);
        quiet_queue = kTerminate;
        if ((td.link & (kDepthFirst | kTerminate)) != kDepthFirst) link = next;
        continue;
      }
      link = next;
    }
    if (quiet_queue == kTerminate) quiet_queue = at;
  }
}

/// One transaction with a device (3.2, 3.4.1).
Uhci::Outcome Uhci::transfer(u32 address, Descriptor& td, bool queued, int& budget) {
  MemoryMap& memory = spaces().memory;
  td = memory.load<Descriptor>(PhysicalAddress(address));
  if ((td.control & kActive) == 0) return Outcome::kIdle;
  const u8 pid = static_cast<u8>(td.token);
  const u32 asked = ((td.token >> 21) + 1) & kLength;
  if (asked > 1280 || (pid != kPidIn && pid != kPidOut && pid != kPidSetup)) {
    fail_process(asked > 1280 ? "a transfer descriptor is longer than a frame allows"
                              : "a transfer descriptor has a packet ID that is none");
    return Outcome::kRetry;
  }
  budget -= kPacketCost + static_cast<int>(asked);
  const unsigned endpoint = td.token >> 15 & 0xf;
  UsbDevice* const device = find(td.token >> 8 & 0x7f);
  const u32 before = td.control;
  std::array<u8, 1280> bytes;
  unsigned moved = asked;
  UsbHandshake answer = UsbHandshake::kNak;
  if (device != nullptr && pid == kPidIn) {
    answer = device->in(endpoint, std::span(bytes).first(asked), moved);
    if (answer == UsbHandshake::kAck) {
      memory.write_bytes(PhysicalAddress(td.buffer), std::span(bytes).first(moved));
    }
  } else if (device != nullptr) {
    memory.read_bytes(PhysicalAddress(td.buffer), std::span(bytes).first(asked));
    const std::span<const u8> data = std::span(bytes).first(asked);
    answer = pid == kPidSetup ? device->setup(data) : device->out(endpoint, data);
  }
  if (device != nullptr && answer == UsbHandshake::kAck) {
    return finish(address, td, queued, asked, moved);
  }
  Outcome outcome = Outcome::kRetry;
  if (device != nullptr && answer == UsbHandshake::kNak) {
    td.control |= kNakReceived;
  } else if (device != nullptr) {
    td.control = (td.control & ~(kActive | kStatusBits)) | kStalled;
  } else {
    // Nobody answers. A count of zero means to try for ever (3.2.2, bits 28:27).
    const u32 left = td.control >> 27 & 3;
    td.control |= kTimeout;
    if (left != 0) td.control = (td.control & ~kErrorCount) | (left - 1) << 27;
    if (left == 1) td.control = (td.control & ~kActive) | kStalled;
  }
  if ((td.control & kIsochronous) != 0) td.control &= ~kActive;
  if ((td.control & kActive) == 0) {
    if ((td.control & kIsochronous) == 0) state_.status |= kStatusError;
    if ((td.control & kOnComplete) != 0) {
      state_.status |= kStatusInterrupt;
      state_.causes |= kCauseCompletion;
    }
    state_.quiet = 0;
    outcome = Outcome::kStay;
  }
  if (td.control != before) memory.store<u32>(PhysicalAddress(address + 4), td.control);
  return outcome;
}

Uhci::Outcome Uhci::finish(u32 address, Descriptor& td, bool queued, u32 asked, u32 moved) {
  const bool stay = queued && moved < asked && (td.control & kShortDetect) != 0;
  td.control = (td.control & ~(kActive | kStatusBits | kLength)) | ((moved - 1) & kLength);
  spaces().memory.store<u32>(PhysicalAddress(address + 4), td.control);
  if (stay) {
    state_.status |= kStatusInterrupt;
    state_.causes |= kCauseShort;
  }
  if ((td.control & kOnComplete) != 0) {
    state_.status |= kStatusInterrupt;
    state_.causes |= kCauseCompletion;
  }
  state_.quiet = 0;
  return stay ? Outcome::kStay : Outcome::kDone;
}

}  // namespace dragoman
