#include "devices/piix3.h"

namespace dragoman {
namespace {
constexpr u8 kPirqRoute = 0x60;
constexpr u8 kRouteDisabled = 0x80;
constexpr u16 kReservedIrqs = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 8 | 1 << 13;  // 2.5.6, PIRQRC
constexpr u8 kHardReset = 2;
constexpr u8 kResetCpu = 4;
constexpr unsigned kSciIrq = 9;
}  // namespace

Piix3::Piix3(std::string name, const PciSpaces& spaces, IrqSink& pic, IrqSink& ioapic,
             std::function<void(bool hard)> reset_request)
    : StatefulPciFunction(
          std::move(name), spaces,
          {.vendor = 0x8086, .device = 0x7000, .class_code = 0x060100, .multifunction = true}),
      pic_(pic),
      ioapic_(ioapic),
      reset_request_(std::move(reset_request)) {
  define_register(PciRegister::kCommand, 2, 0x0007, 0x0008);
  define_register(PciRegister::kStatus, 2, 0x0200, 0);
  define_register(PciRegister::kInterruptLine, 1, 0, 0);
  define_register(0x4c, 1, 0x4d, 0x7f);      // IORT
  define_register(0x4e, 2, 0x0003, 0x01ff);  // XBCS
  for (u8 i = 0; i < 4; ++i) define_register(kPirqRoute + i, 1, kRouteDisabled, 0x8f);
  define_register(0x69, 1, 0x02, 0xfe);      // TOM
  define_register(0x6a, 2, 0, 0x8080);       // MSTAT
  define_register(0x70, 2, 0x8080, 0xefef);  // MBIRQ0/1
  define_register(0x76, 2, 0x0c0c, 0x8f8f);  // MBDMA0/1
  define_register(0x78, 2, 0x0002, 0xfffe);  // PCSC
  define_register(0x80, 1, 0, 0x7f);         // APICBASE: this board has its IOAPIC at FEC00000h
  define_register(0x82, 1, 0, 0x0f);         // DLC
  define_register(0xa0, 1, 0x08, 0x1f);      // SMICNTL
  define_register(0xa2, 2, 0, 0x01ff);       // SMIEN
  define_register(0xa4, 4, 0, 0xffffffff);   // SEE
  define_register(0xa8, 1, 0x0f, 0xff);      // FTMR
  define_register(0xaa, 2, 0, 0x01ff);       // SMIREQ
  define_register(0xac, 1, 0, 0xff);         // CTLTMR
  define_register(0xae, 1, 0, 0xff);         // CTHTMR
  spaces.ports.add("piix3 reset control", Port(0xcf9), 1, *this);
}

void Piix3::set_irq(unsigned pin, bool level) {
  const auto assign = [level](auto& mask, unsigned n) {
    using Mask = std::remove_reference_t<decltype(mask)>;
    mask = static_cast<Mask>(level ? mask | 1u << n : mask & ~(1u << n));
  };
  if (pin < kPirqs) {
    assign(state_.pirq_levels, pin);
  } else if (pin == kSci) {
    state_.sci_level = level;
  } else if (pin >= kIsa0 && pin < kIsa0 + 16) {
    assign(state_.isa_levels, pin - kIsa0);
  }
  drive(static_cast<u16>(levels() ^ driven_));
}

u16 Piix3::levels() const {
  u16 result = state_.isa_levels;
  if (state_.sci_level) result |= 1 << kSciIrq;
  for (u8 pirq = 0; pirq < 4; ++pirq) {
    const u32 route = peek_config(kPirqRoute + pirq, 1);
    const u16 irq = static_cast<u16>(1u << (route & 15));
    if ((state_.pirq_levels >> pirq & 1) && !(route & kRouteDisabled) && !(irq & kReservedIrqs)) {
      result |= irq;
    }
  }
  return result;
}

void Piix3::drive(u16 changed) {
  const u16 now = levels();
  driven_ = now;
  for (unsigned irq = 0; irq < 16; ++irq) {
    if (!(changed >> irq & 1) || irq == 2) continue;
    const bool level = (now >> irq & 1) != 0;
    pic_.set_irq(irq, level);
    ioapic_.set_irq(irq == 0 ? 2 : irq, level);
  }
}

void Piix3::config_written(u8 offset, unsigned size) {
  if (offset < kPirqRoute + 4 && offset + size > kPirqRoute) {
    drive(static_cast<u16>(levels() ^ driven_));
  }
}

u32 Piix3::port_read(unsigned /*bank*/, u16 /*offset*/, unsigned /*size*/) {
  return state_.reset_control;
}

void Piix3::port_write(unsigned /*bank*/, u16 /*offset*/, unsigned /*size*/, u32 value) {
  // A rising edge of RCPU resets, in the manner that bit 1 tells (RC register).
  const bool reset_now = (value & kResetCpu) && !(state_.reset_control & kResetCpu);
  state_.reset_control = static_cast<u8>(value & (kHardReset | kResetCpu));
  if (reset_now && reset_request_) reset_request_((value & kHardReset) != 0);
}

void Piix3::reset() {
  Piix3State fresh;
  fresh.isa_levels = state_.isa_levels;
  fresh.pirq_levels = state_.pirq_levels;
  fresh.sci_level = state_.sci_level;
  state_ = fresh;
  PciFunction::reset();
}

void Piix3::restored() {
  state_.reset_control &= kHardReset | kResetCpu;
  drive(0xffff);
}

}  // namespace dragoman
