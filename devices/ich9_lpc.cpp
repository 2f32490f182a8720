#include "devices/ich9_lpc.h"

#include <utility>

#include "base/bits.h"

namespace dragoman {
namespace {

// Configuration registers (13.1).
constexpr u8 kPmBase = 0x40;
constexpr u8 kAcpiControl = 0x44;
constexpr u8 kPirqA = 0x60;
constexpr u8 kPirqE = 0x68;
constexpr u8 kGenPmcon1 = 0xa0;
constexpr u8 kRcba = 0xf0;
constexpr u8 kDecode = 0x80;  // ACPI_CTRL
constexpr u8 kSmiLock = 0x10;
constexpr u8 kRouteDisabled = 0x80;
constexpr u16 kReservedIrqs = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 8 | 1 << 13;  // 13.1.15

// Power management ports (13.8.3).
constexpr unsigned kGpeStatus = 0x20, kGpeEnable = 0x28, kSmiEnable = 0x30, kSmiStatus = 0x34,
                   kPowerEnd = 0x38, kTco = 0x60;
constexpr u32 kSmiGlobal = 1 << 0;
constexpr u32 kSmiApm = 1 << 5;
constexpr u32 kSmiTco = 1 << 13;
constexpr u32 kSmiEnableBits = 0x00066cf7;  // without those that trigger by being written
constexpr u32 kSmiStatusBits = 0x001f7f7c;

// Reset control (13.7.5).
constexpr u8 kHardReset = 2;
constexpr u8 kResetCpu = 4;
constexpr u8 kFullReset = 8;

// Chipset configuration (10.1).
constexpr u64 kRcbaBytes = 16 * kKiB;
constexpr u64 kGeneralControl = 0x3410;  // GCS
constexpr u32 kNoReboot = 1 << 5;

u8 route_register(unsigned pirq) {
  return static_cast<u8>(pirq < 4 ? kPirqA + pirq : kPirqE + pirq - 4);
}

u32 chipset_register(u64 offset) {
  switch (offset) {
    case 0x3140:  // D30IR and D31IR: INTA# is PIRQA# and so on
      return 0x32103210;
    case 0x3144:
    case 0x3148:
    case 0x314c:
    case 0x3150:
      return 0x32103210;
    case 0x31fc:  // OIC, in the high half: I/O APIC enabled at FEC00000h
      return 0x01000000;
    case 0x3404:  // HPTC: HPET enabled at FED00000h
      return 0x00000080;
    default:
      return 0;
  }
}

template <class T>
u8 byte_of(T value, unsigned n) {
  return static_cast<u8>(value >> (8 * n));
}
template <class T>
void set_byte(T& value, unsigned n, u8 byte, u64 writable = ~u64{0}) {
  const u64 mask = (u64{0xff} << (8 * n)) & writable;
  value = static_cast<T>((value & ~mask) | ((u64{byte} << (8 * n)) & mask));
}

}  // namespace

Ich9Lpc::Ich9Lpc(std::string name, const PciSpaces& spaces, Scheduler& scheduler, IrqSink& pic,
                 IrqSink& ioapic, Ich9LpcOutputs outputs)
    : StatefulPciFunction(std::move(name), spaces,
                          {.vendor = 0x8086,
                           .device = 0x2918,
                           .class_code = 0x060100,
                           .revision = 2,
                           .multifunction = true}),
      pic_(pic),
      ioapic_(ioapic),
      outputs_(std::move(outputs)),
      pm1_(state_.pm1, scheduler, "ich9 pm timer", [this] { update_sci(); }),
      tco_(
          state_.tco, scheduler, [this] { tco_timeout(); },
          [this] {
            if ((state_.general_control & kNoReboot) == 0 && outputs_.reset) outputs_.reset(true);
          }) {
  define_register(PciRegister::kCommand, 2, 0x0007, 0x0140);
  define_register(PciRegister::kStatus, 2, 0x0200, 0);
  define_register(PciRegister::kInterruptLine, 1, 0, 0);
  define_register(kPmBase, 4, 1, 0xff80);
  define_register(kAcpiControl, 1, 0, 0x87);
  define_register(0x48, 4, 1, 0xffc0);  // GPIOBASE
  define_register(0x4c, 1, 0, 0x11);    // GC
  for (unsigned pirq = 0; pirq < 8; ++pirq) {
    define_register(route_register(pirq), 1, kRouteDisabled, 0x8f);
  }
  define_register(0x64, 1, 0x10, 0xff);                                               // SIRQ_CNTL
  define_register(0x80, 2, 0, 0x1377);                                                // LPC_I/O_DEC
  define_register(0x82, 2, 0, 0x3f0f);                                                // LPC_EN
  for (u8 reg = 0x84; reg <= 0x90; reg += 4) define_register(reg, 4, 0, 0x00fcfffd);  // GENn_DEC
  define_register(kGenPmcon1, 2, 0, 0x0630 | kSmiLock);
  define_register(0xa2, 1, 0, 0x8b);                 // GEN_PMCON_2
  define_register(0xa4, 2, 0, 0xc1fd);               // GEN_PMCON_3
  define_register(0xb8, 4, 0, 0xffffffff);           // GPIO_ROUT
  define_register(0xd0, 4, 0x00112233, 0xffffffff);  // FWH_SEL1
  define_register(0xd4, 2, 0x4567, 0xffff);          // FWH_SEL2
  define_register(0xd8, 2, 0xffcf, 0x7fcf);          // FWH_DEC_EN1
  define_register(0xdc, 1, 0, 0x1f);                 // BIOS_CNTL
  define_register(kRcba, 4, 0, 0xffffc001);
  power_range_ = spaces.ports.add("ich9 pm", Port(0), 128, *this, kPower, 4, false);
  spaces.ports.add("ich9 apm", Port(0xb2), 2, *this, kApm, 1);
  spaces.ports.add("ich9 reset control", Port(0xcf9), 1, *this, kReset);
  rcba_range_ = spaces.memory.add_mmio("ich9 chipset configuration", PhysicalAddress(0), kRcbaBytes,
                                       *this, 0, MemoryMap::kPriorityRam - 1, false);
}

// --- Interrupts ---

void Ich9Lpc::set_irq(unsigned pin, bool level) {
  const auto assign = [level](auto& mask, unsigned n) {
    using Mask = std::remove_reference_t<decltype(mask)>;
    mask = static_cast<Mask>(level ? mask | 1u << n : mask & ~(1u << n));
  };
  if (pin < 8) {
    assign(state_.pirq_levels, pin);
  } else if (pin >= kIsa0 && pin < kIsa0 + 16) {
    assign(state_.isa_levels, pin - kIsa0);
  }
  drive();
}

/// Where the SCI goes (ACPI_CTRL, 13.1.8): IRQ 9, 10 or 11, or an input of the I/O APIC.
unsigned Ich9Lpc::sci_input() const {
  const u32 select = peek_config(kAcpiControl, 1) & 7;
  return select < 3 ? 9 + select : 16 + select;
}

u32 Ich9Lpc::pic_levels() const {
  u32 levels = state_.isa_levels;
  if (state_.sci_level && sci_input() < 16) levels |= 1u << sci_input();
  for (unsigned pirq = 0; pirq < 8; ++pirq) {
    const u32 route = peek_config(route_register(pirq), 1);
    const u32 irq = 1u << (route & 15);
    if ((state_.pirq_levels >> pirq & 1) && !(route & kRouteDisabled) && !(irq & kReservedIrqs)) {
      levels |= irq;
    }
  }
  return levels;
}

u32 Ich9Lpc::ioapic_levels() const {
  constexpr u32 kCascade = 1 << 2;
  u32 levels = state_.isa_levels & ~(kCascade | 1u);
  if (state_.isa_levels & 1) levels |= 1 << 2;
  levels |= u32{state_.pirq_levels} << 16;
  if (state_.sci_level && sci_input() < 24) levels |= 1u << sci_input();
  return levels;
}

void Ich9Lpc::drive(bool all) {
  const u32 pic = pic_levels();
  const u32 pic_changed = all ? 0xffff : pic ^ std::exchange(pic_driven_, pic);
  const u32 ioapic = ioapic_levels();
  const u32 ioapic_changed = all ? 0xffffff : ioapic ^ std::exchange(ioapic_driven_, ioapic);
  pic_driven_ = pic;
  ioapic_driven_ = ioapic;
  for (unsigned irq = 0; irq < 16; ++irq) {
    if ((pic_changed >> irq & 1) && irq != 2) pic_.set_irq(irq, (pic >> irq & 1) != 0);
  }
  for (unsigned pin = 0; pin < 24; ++pin) {
    if (ioapic_changed >> pin & 1) ioapic_.set_irq(pin, (ioapic >> pin & 1) != 0);
  }
}

// --- Configuration ---

void Ich9Lpc::config_written(u8 offset, unsigned size) {
  if (offset <= kGenPmcon1 && offset + size > kGenPmcon1) {
    if (peek_config(kGenPmcon1, 1) & kSmiLock) smi_locked_ = true;
    if (smi_locked_) poke_config(kGenPmcon1, 1, peek_config(kGenPmcon1, 1) | kSmiLock);
  }
  if (offset + size > kPmBase) {
    update_mappings();
    drive();
  }
}

void Ich9Lpc::update_mappings() {
  const u32 power = peek_config(kPmBase, 2) & 0xff80;
  const bool power_on = (peek_config(kAcpiControl, 1) & kDecode) != 0 && power != 0;
  if (power_on) spaces().ports.move(power_range_, Port(static_cast<u16>(power)));
  spaces().ports.set_enabled(power_range_, power_on);
  const u32 rcba = peek_config(kRcba, 4);
  if (rcba & 1) spaces().memory.move(rcba_range_, PhysicalAddress(rcba & 0xffffc000));
  spaces().memory.set_enabled(rcba_range_, (rcba & 1) != 0);
}

void Ich9Lpc::reset() {
  Ich9LpcState fresh;
  fresh.isa_levels = state_.isa_levels;
  fresh.pirq_levels = state_.pirq_levels;
  const Ich9TcoState tco = state_.tco;
  state_ = fresh;
  PciFunction::reset();
  pm1_.reset();
  tco_.reset(tco);
  update_sci();
}

void Ich9Lpc::restored() {
  state_.reset_control &= kHardReset | kResetCpu | kFullReset;
  smi_locked_ = (peek_config(kGenPmcon1, 1) & kSmiLock) != 0;
  update_mappings();
  pm1_.restored();
  tco_.restored();
  update_sci();
  drive(true);
}

u64 Ich9Lpc::mmio_read(unsigned /*bank*/, u64 offset, unsigned size) {
  u64 value = 0;
  for (unsigned i = 0; i < size; ++i) {
    const u64 at = offset + i;
    const u64 word = at & ~u64{3};
    const u32 content = word == kGeneralControl ? state_.general_control : chipset_register(word);
    value |= u64{byte_of(content, at & 3)} << (8 * i);
  }
  return value;
}

void Ich9Lpc::mmio_write(unsigned /*bank*/, u64 offset, unsigned /*size*/, u64 value) {
  if (offset == kGeneralControl) {
    state_.general_control = static_cast<u32>(value) & kNoReboot;
    return;
  }
  spaces().memory.log().once(fmt::format("ich9.rcba.{:x}", offset & ~u64{3}),
                             "ICH9: chipset configuration register {:#x} cannot be changed",
                             offset);
}

// --- Power management ---

void Ich9Lpc::update_sci() {
  pm1_.update();
  const bool general = (state_.gpe_status & state_.gpe_enable) != 0;
  state_.sci_level = pm1_.sci_enabled() && (pm1_.active() || general);
  drive();
}

void Ich9Lpc::press_power_button() {
  pm1_.press_power_button();
  update_sci();
}

/// The first timeout: an SMI, for a handler that may still rescue the system.
void Ich9Lpc::tco_timeout() {
  state_.smi_status |= kSmiTco;
  if ((state_.smi_enable & kSmiGlobal) && (state_.smi_enable & kSmiTco) && outputs_.smi) {
    outputs_.smi();
  }
}

u8 Ich9Lpc::read_power(unsigned offset, u64 now_ticks) {
  if (offset >= kTco && offset < kTco + Ich9Tco::kBytes) return tco_.read(offset - kTco);
  if (offset < AcpiPm1::kBytes) return pm1_.read(offset, now_ticks);
  if (offset >= kGpeStatus && offset < kPowerEnd) {
    if (offset < kGpeEnable) return byte_of(state_.gpe_status, offset - kGpeStatus);
    if (offset < kSmiEnable) return byte_of(state_.gpe_enable, offset - kGpeEnable);
    if (offset < kSmiStatus) return byte_of(state_.smi_enable, offset - kSmiEnable);
    return byte_of(state_.smi_status, offset - kSmiStatus);
  }
  spaces().memory.log().once(fmt::format("ich9pm.read.{:x}", offset & ~3u),
                             "ICH9 PM: read of unimplemented register {:#x} gives 0", offset);
  return 0;
}

void Ich9Lpc::write_power(unsigned offset, u8 value) {
  if (offset < AcpiPm1::kBytes) {
    pm1_.write(offset, value);
    if (offset == AcpiPm1::kControlOffset + 1 && (value & AcpiPm1::kSleepEnable)) {
      const unsigned type = pm1_.sleep_type();
      // Type 0 is S0 here; firmware that knows this board as QEMU's asks for soft off with it.
      if ((type == kSoftOff || type == 0) && outputs_.power_off) outputs_.power_off();
      if (type != kSoftOff && type != 0 && outputs_.sleep) outputs_.sleep(type);
    }
    return;
  }
  if (offset >= kTco && offset < kTco + Ich9Tco::kBytes) return tco_.write(offset - kTco, value);
  if (offset >= kGpeStatus && offset < kGpeEnable) {
    state_.gpe_status &= ~(u64{value} << (8 * (offset - kGpeStatus)));
  } else if (offset >= kGpeEnable && offset < kSmiEnable) {
    set_byte(state_.gpe_enable, offset - kGpeEnable, value);
  } else if (offset >= kSmiEnable && offset < kSmiStatus) {
    const u32 writable = smi_locked_ ? kSmiEnableBits & ~kSmiGlobal : kSmiEnableBits;
    set_byte(state_.smi_enable, offset - kSmiEnable, value, writable);
  } else if (offset >= kSmiStatus && offset < kPowerEnd) {
    state_.smi_status &= ~((u32{value} << (8 * (offset - kSmiStatus))) & kSmiStatusBits);
  } else {
    spaces().memory.log().once(fmt::format("ich9pm.write.{:x}", offset & ~3u),
                               "ICH9 PM: write to unimplemented register {:#x} is ignored", offset);
  }
}

void Ich9Lpc::write_apm_control(u8 value) {
  state_.apm_control = value;
  if (value == kAcpiEnable) pm1_.set_sci_enabled(true);
  if (value == kAcpiDisable) pm1_.set_sci_enabled(false);
  update_sci();
  if ((state_.smi_enable & kSmiGlobal) && (state_.smi_enable & kSmiApm)) {
    state_.smi_status |= kSmiApm;
    if (outputs_.smi) outputs_.smi();
  }
}

u32 Ich9Lpc::port_read(unsigned bank, u16 offset, unsigned size) {
  if (bank == kReset) return state_.reset_control;
  if (bank == kApm) return offset == 0 ? state_.apm_control : state_.apm_status;
  update_sci();  // an overflow due now is visible now
  const u64 now_ticks = pm1_.ticks();
  u32 value = 0;
  for (unsigned i = 0; i < size; ++i) value |= u32{read_power(offset + i, now_ticks)} << (8 * i);
  return value;
}

void Ich9Lpc::port_write(unsigned bank, u16 offset, unsigned size, u32 value) {
  if (bank == kReset) {
    // A rising edge of RST_CPU resets, in the manner that bit 1 tells.
    const bool reset_now = (value & kResetCpu) && !(state_.reset_control & kResetCpu);
    state_.reset_control = static_cast<u8>(value & (kHardReset | kResetCpu | kFullReset));
    if (reset_now && outputs_.reset) outputs_.reset((value & kHardReset) != 0);
    return;
  }
  if (bank == kApm) {
    if (offset == 0) return write_apm_control(static_cast<u8>(value));
    state_.apm_status = static_cast<u8>(value);
    return;
  }
  for (unsigned i = 0; i < size; ++i) write_power(offset + i, static_cast<u8>(value >> (8 * i)));
  update_sci();
}

}  // namespace dragoman
