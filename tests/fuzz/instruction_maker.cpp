// One random instruction of a given row, with its operands aimed somewhere.
#include <algorithm>

#include "cpu/state.h"
#include "tests/fuzz/program_maker.h"

namespace dragoman {
namespace {

bool memory_form(const Row& r, FuzzRandom& random) {
  if (!r.modrm || r.mod == ModKey::kRegister || (r.attributes & kModIgnored)) return false;
  return r.mod == ModKey::kMemory || random.chance(2);
}

}  // namespace

u64 FuzzProgramMaker::aim() {
  const u64 address = aim_low();
  return bits_ == 64 && address < FuzzLayout::kRam && random_.chance(2)
             ? FuzzLayout::kHigh + address
             : address;
}

u64 FuzzProgramMaker::aim_low() {
  using L = FuzzLayout;
  switch (random_.below(24)) {
    case 0:
      return L::kCode + random_.below(slots_ * L::kSlot + 1);
    case 1:
      return program_.paging != FuzzPaging::kNone
                 ? L::kCodeAlias + random_.below(slots_ * L::kSlot + 1)
                 : L::kCode + random_.below(0x800);
    case 2:
      return L::kReadOnly + random_.below(0x1000);
    case 3:
      return L::kAbsent - 20 + random_.below(0x40);
    case 4:
      return L::kSupervisor + random_.below(0x1000);
    case 5:
    case 6:
    case 7:
      return L::kData + random_.below(8) * kPageSize + 0xff0 + random_.below(20);
    case 8:
      return L::kStack + 0x1d00 + random_.below(0x100);
    case 9:
      if (random_.chance(2)) return random_.value();
      if (random_.chance(2)) return 0x00007ffffffffff0 + random_.below(32);  // around the hole
      return u64{0} - random_.below(32);
    default:
      return L::kData + 64 + 8 * random_.below(0x380) + (random_.chance(3) ? random_.below(8) : 0);
  }
}

u64 FuzzProgramMaker::segment_base(unsigned segment) const {
  using L = FuzzLayout;
  if (segment >= 4 && bits_ == 64) return segment == 4 ? program_.fs_base : program_.gs_base;
  if (bits_ == 16) {
    switch (segment) {
      case kCs:
      case kGs:
        return L::kCode;
      case kSs:
        return L::kStack;
      default:
        return L::kData;
    }
  }
  if (bits_ == 32 && program_.selectors[segment] != 0) {
    return program_.selectors[segment] == 0x7b ? L::kCode : L::kData;
  }
  return 0;
}

void FuzzProgramMaker::prefixes(const Row& r, bool memory) {
  std::array<unsigned, 6> list;
  unsigned count = 0;
  size16_ = false;
  const bool may66 = !r.vex && (r.prefix == PrefixKey::kAny || r.prefix == PrefixKey::kNoRep);
  bool prefix66 = false;
  if (may66 && random_.chance(bits_ == 16 ? 2 : 4)) {
    list[count++] = 0x66;
    prefix66 = true;
  }
  if (!r.vex) {
    if (r.prefix == PrefixKey::k66) list[count++] = 0x66;
    if (r.prefix == PrefixKey::kF2) list[count++] = 0xf2;
    if (r.prefix == PrefixKey::kF3) list[count++] = 0xf3;
    if (r.prefix == PrefixKey::k66) prefix66 = true;
    if ((r.attributes & kRepeatable) ? !random_.chance(3)
                                     : r.prefix == PrefixKey::kAny && random_.chance(60)) {
      list[count++] = random_.chance(2) ? 0xf2 : 0xf3;
    }
    if (((r.attributes & kLockable) && memory) ? random_.chance(4) : random_.chance(400)) {
      list[count++] = 0xf0;
    }
  }
  const bool string = operation_info(r.operation).category == Category::kString;
  address_override_ = random_.chance(memory || string ? 8 : 100);
  if (address_override_) list[count++] = 0x67;
  segment_ = 3;
  if (random_.chance(memory || string ? 5 : 100)) {
    static constexpr u8 kSegments[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
    segment_ = static_cast<unsigned>(random_.below(6));
    if (random_.chance(2)) segment_ = 4 + segment_ % 2;
    list[count++] = kSegments[segment_];
  }
  for (unsigned i = count; i > 1; --i) std::swap(list[i - 1], list[random_.below(i)]);
  for (unsigned i = 0; i < count; ++i) byte(list[i]);
  address_size_ = bits_ == 64   ? (address_override_ ? 4 : 8)
                  : bits_ == 32 ? (address_override_ ? 2 : 4)
                                : (address_override_ ? 4 : 2);
  size16_ = bits_ == 16 ? !prefix66 : prefix66;
}

void FuzzProgramMaker::operand_registers(const Row& r, bool memory) {
  rex_r_ = rex_x_ = rex_b_ = vvvv_ = 0;
  rex_ = w_ = vex_l_ = false;
  const bool long_code = bits_ == 64;
  if (r.vex) {
    if (long_code) {
      rex_r_ = random_.chance(2) ? 8 : 0;
      rex_x_ = memory && random_.chance(2) ? 8 : 0;
      rex_b_ = random_.chance(2) ? 8 : 0;
    }
    w_ = (r.attributes & kVexW1) || (!(r.attributes & kVexW0) && random_.chance(3));
    vex_l_ = (r.attributes & kVexL1) || (!(r.attributes & kVexL0) && random_.chance(2));
    if (r.attributes & kVexNds) vvvv_ = static_cast<unsigned>(random_.below(long_code ? 16 : 8));
  } else if (long_code) {
    w_ = (r.attributes & kRexWSelects) || (!(r.attributes & kRexW0) && random_.chance(3));
    rex_ = w_ || random_.chance(2);
    if (rex_) {
      rex_r_ = random_.chance(2) ? 8 : 0;
      rex_x_ = random_.chance(2) ? 8 : 0;
      rex_b_ = !(r.attributes & kRexB0) && random_.chance(2) ? 8 : 0;
    }
  }
  const bool wide =
      long_code && (w_ || (r.attributes & kForce64) || ((r.attributes & kDefault64) && !size16_));
  operand_size_ = wide ? 8 : size16_ ? 2 : 4;
}

void FuzzProgramMaker::opcode(const Row& r) {
  if (r.vex) {
    const unsigned pp = r.prefix == PrefixKey::k66   ? 1
                        : r.prefix == PrefixKey::kF3 ? 2
                        : r.prefix == PrefixKey::kF2 ? 3
                                                     : 0;
    const unsigned tail = (~vvvv_ & 15) << 3 | (vex_l_ ? 4u : 0u) | pp;
    if (r.map == OpcodeMap::k0F && !w_ && rex_x_ == 0 && rex_b_ == 0 && random_.chance(2)) {
      byte(0xc5);
      byte((rex_r_ ? 0u : 0x80u) | tail);
    } else {
      const unsigned map = r.map == OpcodeMap::k0F ? 1 : r.map == OpcodeMap::k0F38 ? 2 : 3;
      byte(0xc4);
      byte((rex_r_ ? 0u : 0x80u) | (rex_x_ ? 0u : 0x40u) | (rex_b_ ? 0u : 0x20u) | map);
      byte((w_ ? 0x80u : 0u) | tail);
    }
  } else {
    if (rex_) byte(0x40 | (w_ ? 8u : 0u) | rex_r_ >> 1 | rex_x_ >> 2 | rex_b_ >> 3);
    if (r.map != OpcodeMap::kOne) byte(0x0f);
    if (r.map == OpcodeMap::k0F38) byte(0x38);
    if (r.map == OpcodeMap::k0F3A) byte(0x3a);
  }
  unsigned low = r.opcode_mask != 0xff ? static_cast<unsigned>(random_.below(8)) : 0;
  if (r.opcode_mask != 0xff && low == kRsp && rex_b_ == 0 && !random_.chance(8)) low = kRdi;
  byte(r.opcode | low);
}

void FuzzProgramMaker::memory16(unsigned mod, unsigned rm, u64 goal) {
  static constexpr u8 kBase[] = {kRbx, kRbx, kRbp, kRbp, kRsi, kRdi, kRbp, kRbx};
  static constexpr i8 kIndex[] = {kRsi, kRdi, kRsi, kRdi, -1, -1, -1, -1};
  u64 displacement = 0;
  if (mod == 0 && rm == 6) {
    bytes(goal, 2);
    return;
  }
  if (mod == 1) displacement = static_cast<u64>(static_cast<i8>(random_.number()));
  if (mod == 2) displacement = random_.number();
  u64 part = 0;
  if (kIndex[rm] >= 0) {
    part = random_.value();
    load(static_cast<unsigned>(kIndex[rm]), part & 0xffff);
  }
  load(kBase[rm], (goal - displacement - part) & 0xffff);
  if (mod != 0) bytes(displacement, mod == 1 ? 1 : 2);
}

void FuzzProgramMaker::memory32(unsigned mod, unsigned rm, u64 goal) {
  const u64 garbage = bits_ == 64 && address_size_ == 4 ? random_.number() << 32 : 0;
  u64 displacement = 0;
  if (mod == 1) displacement = static_cast<u64>(static_cast<i8>(random_.number()));
  if (mod == 2) displacement = static_cast<u64>(static_cast<i32>(random_.number()));
  const auto base_value = [&](u64 part) {
    const u64 v = goal - displacement - part;
    return address_size_ == 4 ? static_cast<u32>(v) | garbage : v;
  };
  if (rm == 4) {
    const unsigned scale = static_cast<unsigned>(random_.below(4));
    unsigned index = static_cast<unsigned>(random_.below(8));
    unsigned base = static_cast<unsigned>(random_.below(8));
    if ((index | rex_x_) == (base | rex_b_)) index = (index + 1) & 7;
    byte(scale << 6 | index << 3 | base);
    u64 part = 0;
    if ((index | rex_x_) != 4) {
      part = random_.chance(2) ? random_.below(16) : random_.value();
      if (address_size_ == 4) part = static_cast<u32>(part);
      load(index | rex_x_, part);
      part <<= scale;
    }
    if (mod == 0 && base == 5) {
      displacement = goal - part;
      bytes(displacement, 4);
      return;
    }
    if ((base | rex_b_) != kRsp) load(base | rex_b_, base_value(part));
  } else if (mod == 0 && rm == 5) {
    if (bits_ == 64) {
      fix_relative_ = insn_.size();
      relative_goal_ = goal;
    }
    bytes(goal, 4);
    return;
  } else if (!random_.chance(5)) {  // else through what the register holds
    load(rm | rex_b_, base_value(0));
  } else {
    displacement = random_.below(96);  // near the access before
  }
  if (mod != 0) bytes(displacement, mod == 1 ? 1 : 4);
}

void FuzzProgramMaker::modrm_memory(unsigned reg, unsigned rm) {
  const unsigned mod = static_cast<unsigned>(random_.below(3));
  byte(mod << 6 | reg << 3 | rm);
  const u64 goal = aim() - segment_base(segment_);
  if (address_size_ == 2) {
    memory16(mod, rm, goal);
  } else {
    memory32(mod, rm, goal);
  }
}

void FuzzProgramMaker::branch_displacement(unsigned width) {
  fix_branch_ = insn_.size();
  branch_width_ = width;
  branch_goal_ = slot_target();
  bytes(0, width);
}

void FuzzProgramMaker::immediates(const Row& r) {
  const unsigned z = operand_size_ == 2 ? 2 : 4;
  for (const Operand& o : r.operands) {
    switch (o.addressing) {
      case Addressing::kJ:
        branch_displacement(o.width == Width::kB ? 1 : bits_ == 64 ? 4 : z);
        break;
      case Addressing::kA:
        bytes(slot_target(), z);
        bytes(random_.chance(2) ? (fuzz_kernel(program_.mode) ? 0x08 : 0x1b) : random_.value(), 2);
        break;
      case Addressing::kO:
        bytes(aim() - segment_base(segment_), address_size_);
        break;
      case Addressing::kL:
        byte(static_cast<unsigned>(random_.below(256)));
        break;
      case Addressing::kI: {
        u64 v = random_.value();
        if (r.operation == Operation::kEnter) v &= o.width == Width::kW ? 0x3f : 0x83;
        if (r.operation == Operation::kRetNear) v &= 0x1c;
        bytes(v, o.width == Width::kB || o.width == Width::kBs ? 1
                 : o.width == Width::kW                        ? 2
                 : o.width == Width::kZ                        ? z
                                                               : operand_size_);
        break;
      }
      default:
        break;
    }
  }
}

/// Register values without which an instruction would nearly always do the same.
void FuzzProgramMaker::set_up(const Row& r) {
  if (operation_info(r.operation).category == Category::kString) {
    // Always: a count of billions would take its time on both engines.
    load(kRcx, random_.chance(12) ? random_.below(0x1400) : random_.below(40));
    if (random_.chance(4)) return;
    load(kRsi, aim() - segment_base(segment_));
    if (random_.chance(2)) load(kRdi, aim() - segment_base(0));
    return;
  }
  switch (r.operation) {
    case Operation::kDiv:
    case Operation::kIdiv:
      if (!random_.chance(3)) load(kRdx, random_.below(4));
      break;
    case Operation::kLoop:
    case Operation::kLoope:
    case Operation::kLoopne:
      load(kRcx, random_.below(6));
      break;
    case Operation::kXlat:
      load(kRbx, FuzzLayout::kData + random_.below(0x1000) - segment_base(segment_));
      break;
    case Operation::kLeave:
      load(kRbp, (bits_ == 16 ? 0 : FuzzLayout::kStack) + 0x1d00 + random_.below(0x80));
      break;
    default:
      break;
  }
}

void FuzzProgramMaker::instruction(const Row& r) {
  loads_.clear();
  insn_.clear();
  const bool memory = memory_form(r, random_);
  prefixes(r, memory);
  operand_registers(r, memory);
  opcode(r);
  if (r.modrm) {
    unsigned reg =
        r.reg >= 0 ? static_cast<unsigned>(r.reg) : static_cast<unsigned>(random_.below(8));
    unsigned rm = r.rm >= 0 ? static_cast<unsigned>(r.rm) : static_cast<unsigned>(random_.below(8));
    // The stack pointer is needed for other things than to hold results.
    if (r.reg < 0 && reg == kRsp && rex_r_ == 0 && !random_.chance(8)) reg = kRdi;
    if (memory) {
      if (r.attributes & kUsesSib) rm = 4;
      modrm_memory(reg, rm);
    } else {
      if (r.rm < 0 && rm == kRsp && rex_b_ == 0 && !random_.chance(8)) rm = kRsi;
      byte(0xc0 | reg << 3 | rm);
      if (r.operation == Operation::kJmpNear || r.operation == Operation::kCallNear) {
        load(rm | rex_b_, slot_target());
      }
    }
    const bool bits = memory && (r.operation == Operation::kBt || r.operation == Operation::kBts ||
                                 r.operation == Operation::kBtr || r.operation == Operation::kBtc);
    if (bits && r.reg < 0 && !random_.chance(4)) load(reg | rex_r_, random_.below(256));
  }
  immediates(r);
  set_up(r);
  if (insn_.size() > 15 && !random_.chance(4)) {
    loads_.clear();
    insn_.clear();
    fix_relative_ = fix_branch_ = 0;
    return;
  }
  commit();
}

}  // namespace dragoman
