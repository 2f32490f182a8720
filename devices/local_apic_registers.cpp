// Register access of the local APIC: the xAPIC page and the x2APIC MSRs share one register file.
// SDM vol. 3, tables 11-1 and 11-6.
#include "base/bits.h"
#include "devices/local_apic.h"

namespace dragoman {
namespace {
// Register numbers: MMIO offset / 16 = MSR - 800h.
constexpr unsigned kId = 0x02, kVersion = 0x03, kTpr = 0x08, kPpr = 0x0a, kEoi = 0x0b, kLdr = 0x0d,
                   kDfr = 0x0e, kSvr = 0x0f, kIsr = 0x10, kTmr = 0x18, kIrr = 0x20, kEsr = 0x28,
                   kIcr = 0x30, kIcrHigh = 0x31, kLvt = 0x32, kInitialCount = 0x38,
                   kCurrentCount = 0x39, kDivide = 0x3e, kSelfIpi = 0x3f;
constexpr u32 kVersionValue = 0x14 | (LocalApicState::kLvts - 1) << 16;
constexpr u32 kIcrLowWritable = 0x000ccfff;
constexpr u32 kX2apicMsr = 0x800;

/// Bits that a WRMSR may set without #GP; registers that cannot be written give false.
bool x2apic_writable(unsigned index, u64& mask) {
  switch (index) {
    case kTpr:
    case kSelfIpi:
      mask = 0xff;
      return true;
    case kEoi:
    case kEsr:
      mask = 0;
      return true;
    case kSvr:
      mask = 0x3ff;
      return true;
    case kIcr:
      mask = u64{0xffffffff} << 32 | kIcrLowWritable;
      return true;
    case kLvt:
      mask = 0x710ff;  // bit 12 is read-only, not reserved
      return true;
    case kLvt + 1:
    case kLvt + 2:
      mask = 0x117ff;
      return true;
    case kLvt + 3:
    case kLvt + 4:
      mask = 0x1f7ff;
      return true;
    case kLvt + 5:
      mask = 0x110ff;
      return true;
    case kInitialCount:
      mask = 0xffffffff;
      return true;
    case kDivide:
      mask = 0xb;
      return true;
    default:
      return false;
  }
}
}  // namespace

bool LocalApic::read_register(unsigned index, u32& value) {
  if (index >= kIsr && index < kIrr + 8) {
    const auto& bits = index < kTmr ? state_.isr : index < kIrr ? state_.tmr : state_.irr;
    value = bits[index % 8];
    return true;
  }
  if (index >= kLvt && index < kLvt + S::kLvts) {
    value = state_.lvt[index - kLvt];
    return true;
  }
  switch (index) {
    case kId:
      value = x2apic() ? state_.id : state_.id << 24;
      return true;
    case kVersion:
      value = kVersionValue;
      return true;
    case kTpr:
      value = state_.tpr;
      return true;
    case kPpr:
      value = priority();
      return true;
    case kLdr:
      value = state_.logical_destination;
      return true;
    case kDfr:
      value = state_.destination_format;
      return !x2apic();
    case kSvr:
      value = state_.spurious;
      return true;
    case kEsr:
      value = state_.error_status;
      return true;
    case kIcr:
      value = static_cast<u32>(state_.icr);
      return true;
    case kIcrHigh:
      value = static_cast<u32>(state_.icr >> 32);
      return !x2apic();
    case kInitialCount:
      value = state_.initial_count;
      return true;
    case kCurrentCount:
      value = current_count();
      return true;
    case kDivide:
      value = state_.divide;
      return true;
    default:
      value = 0;
      return false;
  }
}

bool LocalApic::write_register(unsigned index, u32 value) {
  if (index >= kLvt && index < kLvt + S::kLvts) {
    write_lvt(index - kLvt, value);
    return true;
  }
  switch (index) {
    case kId:
      state_.id = value >> 24;
      return true;
    case kTpr:
      state_.tpr = value & 0xff;
      update();
      return true;
    case kEoi:
      end_of_interrupt();
      return true;
    case kLdr:
      state_.logical_destination = value & 0xff000000;
      return true;
    case kDfr:
      state_.destination_format = value | 0x0fffffff;
      return true;
    case kSvr:
      state_.spurious = value & 0x3ff;
      if (!software_enabled()) {  // 11.4.7.2: every LVT mask is set and stays set
        for (unsigned i = 0; i < S::kLvts; ++i) write_lvt(i, state_.lvt[i]);
      }
      update();
      return true;
    case kEsr:
      state_.error_status = state_.errors;
      state_.errors = 0;
      return true;
    case kIcr:
      state_.icr = (state_.icr & ~u64{0xffffffff}) | (value & kIcrLowWritable);
      send_ipi();
      return true;
    case kIcrHigh:
      state_.icr = (state_.icr & 0xffffffff) | u64{value & 0xff000000} << 32;
      return true;
    case kInitialCount:
      if (timer_mode() == kTscDeadline) return true;  // 11.5.4.1: ignored
      state_.initial_count = value;
      start_timer(value);
      return true;
    case kDivide: {
      const u32 remaining = current_count();
      state_.divide = value & 0xb;
      if (timer_mode() != kTscDeadline) start_timer(remaining);
      return true;
    }
    default:
      return false;
  }
}

u64 LocalApic::mmio_read(unsigned /*bank*/, u64 offset, unsigned size) {
  // 11.4.1: registers are 32 bits wide on 16-byte boundaries; the rest of the page is reserved.
  u32 value = 0;
  if ((offset & 0xc) != 0) return 0;
  if (offset >= 0x400 || !read_register(static_cast<unsigned>(offset >> 4), value)) {
    report_error(kIllegalRegister);
    return 0;
  }
  return (value >> (8 * (offset & 3))) & size_mask(size);
}

void LocalApic::mmio_write(unsigned /*bank*/, u64 offset, unsigned size, u64 value) {
  if ((offset & 0xf) != 0 || size < 4) {
    memory_.log().write(LogCategory::kGuestErrors,
                        "local APIC: write of {} bytes at offset {:#x} is ignored", size, offset);
    return;
  }
  u32 current = 0;
  const unsigned index = static_cast<unsigned>(offset >> 4);
  if (offset >= 0x400 ||
      (!write_register(index, static_cast<u32>(value)) && !read_register(index, current))) {
    report_error(kIllegalRegister);
  }
}

bool LocalApic::read_x2apic(u32 msr, u64& value) {
  const unsigned index = msr - kX2apicMsr;
  if (!x2apic() || msr < kX2apicMsr || index > kSelfIpi) return false;
  u32 low = 0;
  if (!read_register(index, low)) return false;
  value = index == kIcr ? state_.icr : low;
  return true;
}

bool LocalApic::write_x2apic(u32 msr, u64 value) {
  const unsigned index = msr - kX2apicMsr;
  u64 mask = 0;
  if (!x2apic() || msr < kX2apicMsr || !x2apic_writable(index, mask)) return false;
  if (value & ~mask) return false;
  if (index == kSelfIpi) {
    // 11.12.11: the same as an ICR write with the self shorthand, but ICR keeps its value.
    ApicMessage message;
    message.vector = static_cast<u8>(value);
    if (message.vector < 16) {
      report_error(kSendIllegalVector);
    } else {
      accept(message);
    }
    return true;
  }
  if (index == kIcr) state_.icr = value & (u64{0xffffffff} << 32);
  return write_register(index, static_cast<u32>(value));
}

}  // namespace dragoman
