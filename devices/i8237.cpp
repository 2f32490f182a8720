// Intel 8237A DMA controllers of a PC/AT.
// Datasheets: Intel 231466 (8237A), Intel 290550 (PIIX3).
#include "devices/i8237.h"

namespace dragoman {

namespace {

constexpr unsigned kBankBytes = 0;
constexpr unsigned kBankWords = 1;
constexpr unsigned kBankPages = 2;

constexpr u8 kCommandMemoryToMemory = 0x01;
constexpr u8 kCommandDisable = 0x04;

constexpr u8 kModeTypeMask = 0x0c;
constexpr u8 kModeTypeWrite = 0x04;
constexpr u8 kModeTypeRead = 0x08;
constexpr u8 kModeAutoInit = 0x10;
constexpr u8 kModeDecrement = 0x20;
constexpr u8 kModeCascade = 0xc0;

// Page register of each channel, as an offset from port 80h (AT technical reference).
constexpr std::array<u8, 8> kPageOf{0x7, 0x3, 0x1, 0x2, 0xf, 0xb, 0x9, 0xa};

}  // namespace

I8237Pair::I8237Pair(Log& log, PortMap& ports, MemoryMap& memory)
    : StatefulDevice("i8237"), log_(log), memory_(memory) {
  ports.add("i8237 bytes", Port(0x00), 16, *this, kBankBytes);
  ports.add("i8237 words", Port(0xc0), 32, *this, kBankWords);
  ports.add("i8237 pages", Port(0x80), 16, *this, kBankPages);
}

void I8237Pair::restored() { serving_ = false; }

void I8237Pair::attach(unsigned channel, IsaDmaClient& client) { clients_[channel & 7] = &client; }

bool I8237Pair::answered(unsigned channel) const {
  const Channel& c = state_.channel[channel];
  // Software requests pass the mask (8237A, "Request Register").
  return (state_.controller[channel >> 2].command & kCommandDisable) == 0 &&
         (!c.masked || c.software_request);
}

bool I8237Pair::ready(unsigned channel) const {
  if (channel > 7 || channel == 4) return false;
  if ((state_.channel[channel].mode & kModeCascade) == kModeCascade) return false;
  return answered(channel) && (channel >= 4 || answered(4));
}

void I8237Pair::set_request(unsigned channel, bool level) {
  if (channel > 7 || channel == 4) return;
  Channel& c = state_.channel[channel];
  const bool rising = level && !c.requested;
  c.requested = level;
  if (rising) serve();
}

void I8237Pair::serve() {
  if (serving_) return;
  serving_ = true;
  for (unsigned i = 0; i < 8; ++i) {
    const Channel& c = state_.channel[i];
    if (clients_[i] == nullptr || !(c.requested || c.software_request) || !ready(i)) continue;
    clients_[i]->dma_acknowledge(i);
  }
  serving_ = false;
}

u64 I8237Pair::memory_address(unsigned channel) const {
  const u64 page = state_.page[kPageOf[channel]];
  const u64 address = state_.channel[channel].address;
  if (channel < 4) return page << 16 | address;
  return (page & 0xfe) << 16 | address << 1;  // words: A0 is 0, page bit 0 is not used
}

bool I8237Pair::step(unsigned channel) {
  Channel& c = state_.channel[channel];
  // The address wraps inside its page; pages are not counted on.
  c.address = static_cast<u16>((c.mode & kModeDecrement) != 0 ? c.address - 1 : c.address + 1);
  if (c.count-- != 0) return false;
  state_.controller[channel >> 2].terminal_counts |= static_cast<u8>(1u << (channel & 3));
  c.software_request = false;
  if ((c.mode & kModeAutoInit) != 0) {
    c.address = c.base_address;
    c.count = c.base_count;
  } else {
    c.masked = true;
  }
  return true;
}

I8237Pair::Transfer I8237Pair::to_memory(unsigned channel, std::span<const u8> data) {
  Transfer result;
  if (!ready(channel)) return result;
  const u32 width = channel < 4 ? 1 : 2;
  const bool writes = (state_.channel[channel].mode & kModeTypeMask) == kModeTypeWrite;
  while (data.size() - result.bytes >= width && !result.terminal_count) {
    if (writes) {
      memory_.write_bytes(PhysicalAddress(memory_address(channel)),
                          data.subspan(result.bytes, width));
    }
    result.bytes += width;
    result.terminal_count = step(channel);
  }
  return result;
}

I8237Pair::Transfer I8237Pair::from_memory(unsigned channel, std::span<u8> data) {
  Transfer result;
  if (!ready(channel)) return result;
  const u32 width = channel < 4 ? 1 : 2;
  const bool reads = (state_.channel[channel].mode & kModeTypeMask) == kModeTypeRead;
  while (data.size() - result.bytes >= width && !result.terminal_count) {
    const auto piece = data.subspan(result.bytes, width);
    if (reads) {
      memory_.read_bytes(PhysicalAddress(memory_address(channel)), piece);
    } else {
      for (u8& byte : piece) byte = 0xff;  // nobody drives the bus
    }
    result.bytes += width;
    result.terminal_count = step(channel);
  }
  return result;
}

u8 I8237Pair::read_half(Controller& controller, u16 value) {
  const bool high = controller.high_byte;
  controller.high_byte = !high;
  return static_cast<u8>(high ? value >> 8 : value);
}

void I8237Pair::write_half(Controller& controller, u16& base, u16& current, u8 value) {
  const bool high = controller.high_byte;
  controller.high_byte = !high;
  base = static_cast<u16>(high ? (base & 0x00ff) | value << 8 : (base & 0xff00) | value);
  current = static_cast<u16>(high ? (current & 0x00ff) | value << 8 : (current & 0xff00) | value);
}

u8 I8237Pair::read_register(unsigned which, unsigned index) {
  Controller& controller = state_.controller[which];
  if (index < 8) {
    const Channel& c = state_.channel[which * 4 + index / 2];
    return read_half(controller, index % 2 == 0 ? c.address : c.count);
  }
  switch (index) {
    case 8: {  // status; reading clears the terminal counts
      u8 status = controller.terminal_counts;
      for (unsigned i = 0; i < 4; ++i) {
        const Channel& c = state_.channel[which * 4 + i];
        if (c.requested || c.software_request) status |= static_cast<u8>(0x10u << i);
      }
      controller.terminal_counts = 0;
      return status;
    }
    case 13:  // temporary register: only memory-to-memory transfers set it
      return 0;
    case 15: {  // all masks, an addition of later chips
      u8 masks = 0xf0;
      for (unsigned i = 0; i < 4; ++i) {
        if (state_.channel[which * 4 + i].masked) masks |= static_cast<u8>(1u << i);
      }
      return masks;
    }
    default:
      return 0xff;  // write-only registers
  }
}

void I8237Pair::write_register(unsigned which, unsigned index, u8 value) {
  Controller& controller = state_.controller[which];
  Channel* channels = &state_.channel[which * 4];
  if (index < 8) {
    Channel& c = channels[index / 2];
    if (index % 2 == 0) {
      write_half(controller, c.base_address, c.address, value);
    } else {
      write_half(controller, c.base_count, c.count, value);
    }
    return;
  }
  switch (index) {
    case 8:
      controller.command = value;
      if ((value & kCommandMemoryToMemory) != 0) {
        log_.once("i8237 memory-to-memory",
                  "i8237: memory-to-memory transfers are not implemented (as on a PIIX3)");
      }
      break;
    case 9:
      channels[value & 3].software_request = (value & 4) != 0;
      break;
    case 10:
      channels[value & 3].masked = (value & 4) != 0;
      break;
    case 11:
      channels[value & 3].mode = value & 0xfc;
      break;
    case 12:
      controller.high_byte = false;
      break;
    case 13:  // master clear
      controller = Controller{};
      for (unsigned i = 0; i < 4; ++i) {
        channels[i].masked = true;
        channels[i].software_request = false;
      }
      break;
    case 14:
      for (unsigned i = 0; i < 4; ++i) channels[i].masked = false;
      break;
    default:  // 15
      for (unsigned i = 0; i < 4; ++i) channels[i].masked = ((value >> i) & 1) != 0;
      break;
  }
  serve();
}

u32 I8237Pair::port_read(unsigned bank, u16 offset, unsigned) {
  if (bank == kBankPages) return state_.page[offset & 15];
  return bank == kBankBytes ? read_register(0, offset & 15) : read_register(1, (offset >> 1) & 15);
}

void I8237Pair::port_write(unsigned bank, u16 offset, unsigned, u32 value) {
  const u8 byte = static_cast<u8>(value);
  if (bank == kBankPages) {
    state_.page[offset & 15] = byte;
  } else if (bank == kBankBytes) {
    write_register(0, offset & 15, byte);
  } else {
    write_register(1, (offset >> 1) & 15, byte);
  }
}

}  // namespace dragoman
