#include "devices/piix4_pm.h"

#include "base/bits.h"

namespace dragoman {
namespace {
// Configuration registers.
constexpr u8 kPmBase = 0x40;
constexpr u8 kDevActB = 0x58;
constexpr u8 kPmRegMisc = 0x80;
constexpr u8 kSmbBase = 0x90;
constexpr u8 kSmbHostConfig = 0xd2;
constexpr u32 kApmcEnable = 1 << 25;  // in DEVACTB

// Power management ports.
constexpr unsigned kControl = 0x04, kGpSts = 0x0c, kGpEn = 0x0e, kPCntrl = 0x10, kGlbSts = 0x18,
                   kDevSts = 0x1c, kGlbEn = 0x20, kGlbCtl = 0x28, kDevCtl = 0x2c, kGpiReg = 0x30,
                   kGpoReg = 0x34;
constexpr u32 kSmiEnable = 1 << 0;  // in GLBCTL
constexpr u16 kApmStatus = 1 << 5;  // in GLBSTS

// SMBus host registers.
constexpr unsigned kHostStatus = 0, kSlaveStatus = 1, kHostControl = 2, kHostCommand = 3,
                   kHostAddress = 4, kHostData0 = 5, kHostData1 = 6;
constexpr u8 kDone = 1 << 1;  // INTER
constexpr u8 kDeviceError = 1 << 2;
constexpr u8 kInterruptEnable = 1 << 0;
constexpr u8 kStart = 1 << 6;

template <class T>
u8 byte_of(T value, unsigned n) {
  return static_cast<u8>(static_cast<u64>(value) >> (8 * n));
}
template <class T>
void set_byte(T& value, unsigned n, u8 byte, u64 writable = ~u64{0}) {
  const u64 mask = (u64{0xff} << (8 * n)) & writable;
  value = static_cast<T>((value & ~mask) | ((u64{byte} << (8 * n)) & mask));
}
template <class T>
void clear_byte(T& value, unsigned n, u8 byte, u64 clearable) {
  value = static_cast<T>(value & ~((u64{byte} << (8 * n)) & clearable));
}
}  // namespace

Piix4Pm::Piix4Pm(std::string name, const PciSpaces& spaces, Scheduler& scheduler,
                 Piix4PmOutputs outputs)
    : StatefulPciFunction(std::move(name), spaces,
                          {.vendor = 0x8086,
                           .device = 0x7113,
                           .class_code = 0x068000,
                           .revision = 3,
                           .interrupt_pin = 1}),
      outputs_(std::move(outputs)),
      pm1_(state_.pm1, scheduler, "piix4 pm timer", [this] { update(); }) {
  define_register(PciRegister::kCommand, 2, 0, 0x0001);
  define_register(PciRegister::kStatus, 2, 0x0280, 0);
  define_register(kPmBase, 4, 1, 0xffc0);
  for (u8 reg = 0x44; reg < 0x80; reg += 4) define_register(reg, 4, 0, 0xffffffff);
  define_register(kPmRegMisc, 1, 0, 1);
  define_register(kSmbBase, 4, 1, 0xfff0);
  define_register(kSmbHostConfig, 4, 0, 0x00ffff0f);
  define_register(0xd6, 1, 0, 0);  // SMBREV
  power_range_ = spaces.ports.add("piix4 pm", Port(0), 64, *this, kPower, 4, false);
  smbus_range_ = spaces.ports.add("piix4 smbus", Port(0), 16, *this, kSmbus, 1, false);
  spaces.ports.add("piix4 apm", Port(0xb2), 2, *this, kApm, 1);
  spaces.ports.add("piix4 gpe0", Port(kGpePort), 4, *this, kGpe, 4);
}

void Piix4Pm::config_written(u8 offset, unsigned size) {
  if (offset + size > kPmBase) update_mappings();
}

void Piix4Pm::update_mappings() {
  const u32 power = peek_config(kPmBase, 2) & 0xffc0;
  const bool power_on = (peek_config(kPmRegMisc, 1) & 1) && power != 0;
  const u32 smbus = peek_config(kSmbBase, 2) & 0xfff0;
  const bool smbus_on = (peek_config(kSmbHostConfig, 1) & 1) && smbus != 0;
  PortMap& ports = spaces().ports;
  if (power_on) ports.move(power_range_, Port(static_cast<u16>(power)));
  ports.set_enabled(power_range_, power_on);
  if (smbus_on) ports.move(smbus_range_, Port(static_cast<u16>(smbus)));
  ports.set_enabled(smbus_range_, smbus_on);
}

void Piix4Pm::update() {
  pm1_.update();
  const bool general = (state_.gpe_status & state_.gpe_enable) != 0;
  outputs_.sci.set(pm1_.sci_enabled() && (pm1_.active() || general));
}

void Piix4Pm::restored() {
  update_mappings();
  pm1_.restored();
  update();
}

void Piix4Pm::reset() {
  StatefulPciFunction::reset();
  pm1_.reset();
  update();
}

void Piix4Pm::press_power_button() {
  pm1_.press_power_button();
  update();
}

void Piix4Pm::raise_gpe(unsigned event) {
  if (event < 16) state_.gpe_status |= static_cast<u16>(bit(event));
  update();
}

void Piix4Pm::wake() {
  pm1_.wake();
  update();
}

u8 Piix4Pm::read_power(unsigned offset, u64 now_ticks) {
  if (offset < AcpiPm1::kBytes) return pm1_.read(offset, now_ticks);
  switch (offset & ~3u) {
    case kGpSts:
      return offset < kGpEn ? 0 : byte_of(state_.general_enable, offset - kGpEn);
    case kPCntrl:
      return byte_of(state_.processor_control, offset - kPCntrl);
    case 0x14:
      return 0;  // PLVL2, PLVL3: no clock control on this board
    case kGlbSts:
      return offset < kGlbSts + 2 ? byte_of(state_.global_status, offset - kGlbSts) : 0;
    case kDevSts:
      return byte_of(state_.device_status, offset - kDevSts);
    case kGlbEn:
      return offset < kGlbEn + 2 ? byte_of(state_.global_enable, offset - kGlbEn) : 0;
    case kGlbCtl:
      return byte_of(state_.global_control, offset - kGlbCtl);
    case kDevCtl:
      return byte_of(state_.device_control, offset - kDevCtl);
    case kGpiReg:
      return 0xff;  // inputs are pulled up
    case kGpoReg:
      return byte_of(state_.general_output, offset - kGpoReg);
    default:
      spaces().memory.log().once(fmt::format("piix4pm.read.{:x}", offset & ~3u),
                                 "PIIX4 PM: read of unimplemented register {:#x} gives 0", offset);
      return 0;
  }
}

void Piix4Pm::write_power(unsigned offset, u8 value) {
  if (offset < AcpiPm1::kBytes) {
    pm1_.write(offset, value);
    if (offset == kControl + 1 && (value & AcpiPm1::kSleepEnable)) {
      const unsigned type = pm1_.sleep_type();
      if (type == 0 && outputs_.power_off) outputs_.power_off();
      if (type != 0 && outputs_.sleep) outputs_.sleep(type);
    }
    return;
  }
  switch (offset & ~3u) {
    case kGpSts:
      if (offset >= kGpEn) set_byte(state_.general_enable, offset - kGpEn, value);
      break;
    case kPCntrl:
      set_byte(state_.processor_control, offset - kPCntrl, value, 0x0003fe3e);
      break;
    case 0x14:
      break;  // read-only
    case kGlbSts:
      if (offset < kGlbSts + 2) clear_byte(state_.global_status, offset - kGlbSts, value, 0x08f5);
      break;
    case kDevSts:
      clear_byte(state_.device_status, offset - kDevSts, value, ~u64{0});
      break;
    case kGlbEn:
      if (offset < kGlbEn + 2) set_byte(state_.global_enable, offset - kGlbEn, value);
      break;
    case kGlbCtl:
      set_byte(state_.global_control, offset - kGlbCtl, value);
      break;
    case kDevCtl:
      set_byte(state_.device_control, offset - kDevCtl, value);
      break;
    case kGpiReg:
      break;  // inputs
    case kGpoReg:
      set_byte(state_.general_output, offset - kGpoReg, value);
      break;
    default:
      spaces().memory.log().once(fmt::format("piix4pm.write.{:x}", offset & ~3u),
                                 "PIIX4 PM: write to unimplemented register {:#x} is ignored",
                                 offset);
  }
}

void Piix4Pm::write_smbus(unsigned offset, u8 value) {
  if (offset == kHostStatus) {
    clear_byte(state_.smbus[kHostStatus], 0, value, 0x1e);
  } else if (offset == kSlaveStatus) {
    clear_byte(state_.smbus[kSlaveStatus], 0, value, 0x3c);
  } else {
    state_.smbus[offset] = value;
    if (offset == kHostControl) {
      state_.smbus[kHostControl] = static_cast<u8>(value & ~(kStart | 2));
      if (value & kStart) state_.smbus[kHostStatus] |= transfer_smbus() ? kDone : kDeviceError;
      if ((value & kStart) && (value & kInterruptEnable)) {
        spaces().memory.log().once("piix4pm.smbus.irq",
                                   "PIIX4 SMBus: a transfer sends no interrupt; it ends at once");
      }
    }
  }
}

/// One transaction, at once (7.3, SMBHSTCNT); false when nobody acknowledges it.
bool Piix4Pm::transfer_smbus() {
  auto& r = state_.smbus;
  const auto protocol = static_cast<SmbusProtocol>(r[kHostControl] >> 2 & 7);
  return smbus_transaction(smbus_device_, protocol, r[kHostAddress], r[kHostCommand], r[kHostData0],
                           r[kHostData1]);
}

void Piix4Pm::write_apm_control(u8 value) {
  state_.apm_control = value;
  if (value == kAcpiEnable) pm1_.set_sci_enabled(true);
  if (value == kAcpiDisable) pm1_.set_sci_enabled(false);
  update();
  if ((peek_config(kDevActB, 4) & kApmcEnable) && (state_.global_control & kSmiEnable)) {
    state_.global_status |= kApmStatus;
    if (outputs_.smi) outputs_.smi();
  }
}

u32 Piix4Pm::port_read(unsigned bank, u16 offset, unsigned size) {
  if (bank == kPower) update();        // an overflow due now is visible now
  const u64 now_ticks = pm1_.ticks();  // the bytes of one access show one moment
  u32 value = 0;
  for (unsigned i = 0; i < size; ++i) {
    const unsigned at = offset + i;
    u8 byte = 0;
    switch (bank) {
      case kPower:
        byte = read_power(at, now_ticks);
        break;
      case kSmbus:
        byte = state_.smbus[at & 15];
        break;
      case kApm:
        byte = at == 0 ? state_.apm_control : state_.apm_status;
        break;
      default:
        byte = at < 2 ? byte_of(state_.gpe_status, at) : byte_of(state_.gpe_enable, at - 2);
    }
    value |= u32{byte} << (8 * i);
  }
  return value;
}

void Piix4Pm::port_write(unsigned bank, u16 offset, unsigned size, u32 value) {
  for (unsigned i = 0; i < size; ++i) {
    const unsigned at = offset + i;
    const u8 byte = byte_of(value, i);
    if (bank == kPower) {
      write_power(at, byte);
    } else if (bank == kSmbus) {
      write_smbus(at & 15, byte);
    } else if (bank == kApm) {
      if (at == 0) {
        write_apm_control(byte);
      } else {
        state_.apm_status = byte;
      }
    } else if (at < 2) {
      clear_byte(state_.gpe_status, at, byte, 0xffff);
    } else {
      set_byte(state_.gpe_enable, at - 2, byte);
    }
  }
  if (bank == kPower || bank == kGpe) update();
}

}  // namespace dragoman
