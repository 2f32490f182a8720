// Makes user-mode instructions and register states from the columns of a row: all operand sizes,
// register and memory forms, prefixes, edge values, for the integer oracle.
#pragma once

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "cpu/isa/rows.h"
#include "cpu/state.h"
#include "tests/cpu/host_runner.h"

namespace dragoman {

/// What differs between two processors by design, or is not user mode's to see.
inline bool left_out(const Row& r) {
  // The register form of the prefetch group is a NOP on Intel processors and #UD on AMD's.
  if (r.map == OpcodeMap::k0F && r.opcode == 0x0d && r.mod == ModKey::kRegister) return true;
  switch (r.operation) {
    case Operation::kRdrand:
    case Operation::kRdseed:
    case Operation::kRdpid:  // which host processor runs this
    case Operation::kSgdt:   // the kernel's tables, or hidden by UMIP
    case Operation::kSidt:
    case Operation::kSldt:
    case Operation::kStr:
    case Operation::kSmsw:
    case Operation::kLar:
    case Operation::kLsl:
    case Operation::kVerr:
    case Operation::kVerw:
    case Operation::kIns:  // no ports
    case Operation::kOuts:
    case Operation::kRdfsbase:  // FS belongs to the C library
    case Operation::kRdgsbase:  // CR4.FSGSBASE is the kernel's choice
      return true;
    default:
      return false;
  }
}

struct InstructionCase {
  std::vector<u8> bytes;
  RunnerState state;
  bool code32 = false;
  u64 touched = 0;  ///< address the memory operand was aimed at, 0 without one
};

/// Makes instructions and states for one row.
class Maker {
 public:
  explicit Maker(u64 seed) : random_(seed) {}

  u64 number() { return random_(); }
  bool chance(unsigned one_in) { return random_() % one_in == 0; }
  u64 below(u64 n) { return random_() % n; }

  /// An operand value: often an edge.
  u64 value() {
    static constexpr u64 kEdges[] = {0,
                                     1,
                                     2,
                                     7,
                                     8,
                                     9,
                                     15,
                                     16,
                                     17,
                                     31,
                                     32,
                                     33,
                                     63,
                                     64,
                                     65,
                                     0x7f,
                                     0x80,
                                     0x81,
                                     0xff,
                                     0x100,
                                     0x7fff,
                                     0x8000,
                                     0x8001,
                                     0xffff,
                                     0x10000,
                                     0x7fffffff,
                                     0x80000000,
                                     0x80000001,
                                     0xffffffff,
                                     0x100000000,
                                     0x7fffffffffffffff,
                                     0x8000000000000000,
                                     0x8000000000000001,
                                     0xfffffffffffffffe,
                                     0xffffffffffffffff,
                                     0xffffffff80000000,
                                     0xffffffffffff8000,
                                     0xffffffffffffff80};
    switch (below(4)) {
      case 0:
        return kEdges[below(std::size(kEdges))];
      case 1:
        return kEdges[below(std::size(kEdges))] + below(3) - 1;
      case 2:
        return number() >> below(64);
      default:
        return number();
    }
  }

  InstructionCase make(const Row& r, bool code32) {
    InstructionCase c;
    c.code32 = code32;
    row_ = &r;
    code_ = &c;
    const bool branch = operation_info(r.operation).category == Category::kBranch;
    for (u64& reg : c.state.regs) reg = value();
    if (code32) {
      for (u64& reg : c.state.regs) reg &= 0xffffffff;
    }
    c.state.flags = kFlagFixed | kFlagIf | (number() & kArithmeticFlags);
    // #AC: Linux sets CR0.AM. Processors differ in how ENTER looks at the new top of the stack.
    if (r.operation != Operation::kEnter && chance(8)) c.state.flags |= kFlagAc;
    if (operation_info(r.operation).category == Category::kString && chance(2)) {
      c.state.flags |= kFlagDf;
    }
    c.state.regs[kRsp] = RunnerLayout::kStack + 0x800 + (chance(4) ? below(16) : 0);
    if (chance(24)) c.state.regs[kRsp] = RunnerLayout::kStack + below(20);
    if (chance(24)) {
      c.state.regs[kRsp] = RunnerLayout::kStack + RunnerLayout::kStackBytes - below(20);
    }
    if (!code32 && chance(200)) c.state.regs[kRsp] = value();

    bool memory = false;
    bool register_form = r.mod != ModKey::kMemory;
    if (r.modrm && r.mod != ModKey::kRegister && !(register_form && chance(2))) memory = true;
    bool memory_access = memory;
    for (const Operand& o : r.operands) {
      if (o.addressing == Addressing::kX || o.addressing == Addressing::kY ||
          o.addressing == Addressing::kO) {
        memory_access = true;
      }
    }
    if (r.operation == Operation::kXlat) memory_access = true;
    // 16-bit addresses reach nothing here.
    const bool address32 = !code32 && (memory_access || branch) && chance(6);
    gs_ = !code32 && memory_access && chance(10);

    // Prefixes.
    std::vector<u8> prefixes;
    bool size16 = false;
    if (!r.vex) {
      // MOVSXD with 66h reads 16 bits on Intel processors, 32 on AMD's.
      const bool may66 = r.operation != Operation::kMovsxd && r.prefix != PrefixKey::kNp &&
                         r.prefix != PrefixKey::k66 && !branch;
      if (may66 && chance(3)) {
        prefixes.push_back(0x66);
        size16 = true;
      }
      if (r.prefix == PrefixKey::k66) prefixes.push_back(0x66);
      if (r.prefix == PrefixKey::kF2) prefixes.push_back(0xf2);
      if (r.prefix == PrefixKey::kF3) prefixes.push_back(0xf3);
      if ((r.attributes & kRepeatable) && !chance(3)) prefixes.push_back(chance(2) ? 0xf2 : 0xf3);
      if ((r.attributes & kLockable) && memory && chance(4)) prefixes.push_back(0xf0);
    }
    if (address32) prefixes.push_back(0x67);
    if (gs_) prefixes.push_back(0x65);
    if (!gs_ && !branch && chance(10)) {
      static constexpr u8 kFlat[] = {0x26, 0x36, 0x3e};
      prefixes.push_back(kFlat[below(3)]);
    }
    std::shuffle(prefixes.begin(), prefixes.end(), random_);
    c.bytes = prefixes;

    // REX or VEX.
    u8 rex_r = 0, rex_x = 0, rex_b = 0;
    bool w = false;
    unsigned vvvv = 0;
    if (r.vex) {
      if (!code32) {
        rex_r = chance(2) ? 8 : 0;
        rex_x = chance(2) ? 8 : 0;
        rex_b = chance(2) ? 8 : 0;
      }
      w = chance(2);
      vvvv = (r.attributes & kVexNds) ? static_cast<unsigned>(below(code32 ? 8 : 16)) : 0;
      const unsigned pp = r.prefix == PrefixKey::k66   ? 1
                          : r.prefix == PrefixKey::kF3 ? 2
                          : r.prefix == PrefixKey::kF2 ? 3
                                                       : 0;
      const unsigned map = r.map == OpcodeMap::k0F ? 1 : r.map == OpcodeMap::k0F38 ? 2 : 3;
      c.bytes.push_back(0xc4);
      c.bytes.push_back(
          static_cast<u8>((rex_r ? 0 : 0x80) | (rex_x ? 0 : 0x40) | (rex_b ? 0 : 0x20) | map));
      c.bytes.push_back(static_cast<u8>((w ? 0x80 : 0) | (~vvvv & 15) << 3 | pp));
    } else if (!code32) {
      w = (r.attributes & kRexWSelects) || (!(r.attributes & kRexW0) && chance(3));
      if (w || chance(2)) {
        rex_r = chance(2) ? 8 : 0;
        rex_x = chance(2) ? 8 : 0;
        rex_b = !(r.attributes & kRexB0) && chance(2) ? 8 : 0;
        c.bytes.push_back(
            static_cast<u8>(0x40 | (w ? 8 : 0) | rex_r >> 1 | rex_x >> 2 | rex_b >> 3));
      }
    }
    // Opcode.
    if (!r.vex && r.map != OpcodeMap::kOne) {
      c.bytes.push_back(0x0f);
      if (r.map == OpcodeMap::k0F38) c.bytes.push_back(0x38);
      if (r.map == OpcodeMap::k0F3A) c.bytes.push_back(0x3a);
    }
    unsigned opcode_reg = 0;
    if (r.opcode_mask != 0xff) {
      opcode_reg = static_cast<unsigned>(below(8));
      // 90h is NOP unless REX.B; the XCHG row does not own it.
      if (r.operation == Operation::kXchg && opcode_reg == 0) opcode_reg = 3;
    }
    c.bytes.push_back(static_cast<u8>(r.opcode | opcode_reg));

    const bool wide = r.vex ? w && !code32
                            : w || (r.attributes & kForce64 && !code32) ||
                                  (r.attributes & kDefault64 && !code32 && !size16);
    size_ = wide ? 8 : size16 ? 2 : 4;
    // ModRM.
    unsigned reg = r.reg >= 0 ? static_cast<unsigned>(r.reg) : static_cast<unsigned>(below(8));
    if (r.operation == Operation::kMovFromSeg) reg %= 6;
    unsigned rm = r.rm >= 0 ? static_cast<unsigned>(r.rm) : static_cast<unsigned>(below(8));
    relative_ = 0;
    if (r.modrm) {
      if (memory) {
        add_memory(reg, rm, rex_x, rex_b, address32);
      } else {
        c.bytes.push_back(static_cast<u8>(0xc0 | reg << 3 | rm));
      }
    }
    shape_values(r, memory, reg | rex_r, rm | rex_b, vvvv, w);
    add_immediates(r, size16, w, address32);
    if (relative_ != 0) {
      const u32 distance =
          static_cast<u32>(c.touched - gs_offset() - (RunnerLayout::kInstruction + c.bytes.size()));
      std::memcpy(c.bytes.data() + relative_, &distance, 4);
    }
    if (r.operation == Operation::kJmpNear || r.operation == Operation::kCallNear ||
        r.operation == Operation::kRetNear) {
      aim_branch(memory, rm | rex_b);
    }
    return c;
  }

 private:
  u64 gs_offset() const { return gs_ ? RunnerLayout::kGsBase : 0; }

  u64 target() {
    const u64 last = RunnerLayout::kData + RunnerLayout::kDataBytes;
    if (chance(32)) return last - below(20);                 // may run into the page behind
    if (chance(32)) return RunnerLayout::kData - below(20);  // and the one before
    if (chance(4)) return RunnerLayout::kData + 0xff0 + below(32);
    return RunnerLayout::kData + 0x800 + 16 * below(64) + (chance(3) ? below(16) : 0);
  }

  void bytes(u64 v, unsigned count) {
    for (unsigned i = 0; i < count; ++i) code_->bytes.push_back(static_cast<u8>(v >> (8 * i)));
  }

  void add_memory(unsigned reg, unsigned rm, u8 rex_x, u8 rex_b, bool address32) {
    std::array<u64, 16>& regs = code_->state.regs;
    u64 goal = target();
    code_->touched = goal;
    goal -= gs_offset();
    unsigned mod = static_cast<unsigned>(below(3));
    const bool sib = rm == 4;
    code_->bytes.push_back(static_cast<u8>(mod << 6 | reg << 3 | rm));
    unsigned base = rm | rex_b;
    unsigned index = 16;
    unsigned scale = 0;
    bool has_base = true;
    if (sib) {
      const unsigned sib_base = static_cast<unsigned>(below(8));
      const unsigned sib_index = static_cast<unsigned>(below(8));
      scale = static_cast<unsigned>(below(4));
      code_->bytes.push_back(static_cast<u8>(scale << 6 | sib_index << 3 | sib_base));
      base = sib_base | rex_b;
      if ((sib_index | rex_x) != 4) index = sib_index | rex_x;
      has_base = !(mod == 0 && sib_base == 5);
    } else if (mod == 0 && rm == 5) {
      if (!code_->code32) {
        relative_ = code_->bytes.size();
        bytes(0, 4);
        return;
      }
      has_base = false;
    }
    i64 displacement = 0;
    if (mod == 1) displacement = static_cast<i8>(value());
    if (mod == 2) displacement = static_cast<i32>(below(0x2000)) - 0x1000;
    if (index < 16 && index != base) regs[index] = below(64);
    const u64 offset = index < 16 && index != base ? regs[index] << scale : 0;
    if (!has_base) {
      displacement = static_cast<i64>(goal);
      if (index < 16) {
        regs[index] = below(64);
        displacement -= static_cast<i64>(regs[index] << scale);
      }
      bytes(static_cast<u64>(displacement), 4);
    } else {
      u64 start = goal - static_cast<u64>(displacement) - offset;
      if (index == base) {
        const u64 factor = 1 + (u64{1} << scale);
        code_->touched -= start % factor;
        start /= factor;
      }
      regs[base] = start;
      if (mod == 1) bytes(static_cast<u64>(displacement), 1);
      if (mod == 2) bytes(static_cast<u64>(displacement), 4);
    }
    if (address32) {
      if (has_base && index != base) regs[base] = static_cast<u32>(regs[base]) | number() << 32;
      if (index < 16 && index != base) regs[index] |= number() << 32;
    }
    if (code_->code32) {
      for (u64& r : regs) r &= 0xffffffff;
    }
    if (!code_->code32 && has_base && chance(300)) regs[base] = value();  // anywhere
    base_ = has_base ? base : 16;
    index_ = index;
  }

  /// Values that make this operation interesting.
  void shape_values(const Row& r, bool memory, unsigned reg, unsigned rm, unsigned vvvv, bool w) {
    std::array<u64, 16>& regs = code_->state.regs;
    const auto free_register = [&](unsigned n) { return !memory || (n != base_ && n != index_); };
    const u64 at = code_->touched;
    const auto poke = [&](u64 address, u64 v, unsigned size) {
      if (address < RunnerLayout::kData ||
          address > RunnerLayout::kData + RunnerLayout::kDataBytes - size) {
        return;
      }
      std::memcpy(HostRunner::at(address), &v, size);
    };
    if (memory) {
      poke(at, value(), 8);
      poke(at + 8, value(), 8);
    }
    const u64 code_mask = code_->code32 ? 0xffffffff : ~u64{0};
    for (const Operand& o : r.operands) {
      if (o.addressing == Addressing::kFixed && o.number == kRcx && free_register(kRcx) &&
          chance(2)) {
        regs[kRcx] = (regs[kRcx] & ~u64{0xff}) | below(72);
      }
    }
    switch (r.operation) {
      case Operation::kBt:
      case Operation::kBts:
      case Operation::kBtr:
      case Operation::kBtc:
        if (memory && r.reg < 0 && free_register(reg)) {
          regs[reg] = static_cast<u64>(static_cast<i64>(below(2048)) - 1024);
          if (size_ == 2 && chance(2)) regs[reg] = (regs[reg] & 0xffff) | number() << 16;
          regs[reg] &= code_mask;
        }
        break;
      case Operation::kDiv:
      case Operation::kIdiv:
        // Mostly quotients that fit.
        if (chance(2) && free_register(kRdx)) {
          const bool negative = r.operation == Operation::kIdiv && chance(2);
          regs[kRdx] = (negative ? ~u64{0} : 0) & code_mask;
          if (r.operation == Operation::kDiv && chance(2)) regs[kRdx] = below(16);
        }
        if (r.attributes & kByteOperands && chance(2) && free_register(kRax)) {
          regs[kRax] = (value() % 0x8000) >> below(12);
        }
        break;
      case Operation::kCmpxchg:
        if (chance(2) && free_register(kRax)) {
          if (memory) {
            poke(at, regs[kRax], 8);
          } else if (r.attributes & kByteOperands) {
            regs[kRax] = regs[rm & 3];
          } else {
            regs[rm] = regs[kRax];
          }
        }
        break;
      case Operation::kCmpxchg8b:
      case Operation::kCmpxchg16b:
        if (chance(2) && free_register(kRax) && free_register(kRdx)) {
          if (w) {
            poke(at, regs[kRax], 8);
            poke(at + 8, regs[kRdx], 8);
          } else {
            poke(at, static_cast<u32>(regs[kRax]) | regs[kRdx] << 32, 8);
          }
        }
        break;
      case Operation::kBextr:
        if (free_register(vvvv) && chance(2)) regs[vvvv] = below(70) | below(70) << 8;
        break;
      case Operation::kBzhi:
        if (free_register(vvvv) && chance(2)) regs[vvvv] = below(70) | number() << 8;
        break;
      case Operation::kXlat: {
        code_->touched = target();
        regs[kRbx] = code_->touched - gs_offset() - (regs[kRax] & 0xff);
        break;
      }
      case Operation::kLeave:
        regs[kRbp] = RunnerLayout::kStack + below(0x400) * 4;
        break;
      case Operation::kEnter:
        regs[kRbp] = RunnerLayout::kStack + 0xc00 + below(32);
        if (chance(16)) regs[kRbp] = RunnerLayout::kStack + below(32);
        break;
      case Operation::kAaa:
      case Operation::kAas:
      case Operation::kDaa:
      case Operation::kDas:
        regs[kRax] = number() & 0xffffffff;
        break;
      case Operation::kBound:
        if (chance(2)) regs[reg] = below(16);
        poke(at, below(8), static_cast<unsigned>(size_));
        poke(at + size_, below(16), static_cast<unsigned>(size_));
        break;
      case Operation::kLoop:
      case Operation::kLoope:
      case Operation::kLoopne:
      case Operation::kJcxz:
        if (chance(2)) regs[kRcx] = below(3) | (code_->code32 || chance(2) ? 0 : number() << 32);
        break;
      default:
        break;
    }
    if (operation_info(r.operation).category == Category::kString) {
      const auto pointer = [&] {
        u64 p = RunnerLayout::kData + 0x800 + below(0x1000);
        if (chance(8)) p = RunnerLayout::kData + RunnerLayout::kDataBytes - below(64);
        if (chance(8)) p = RunnerLayout::kData + below(64);
        return p;
      };
      regs[kRsi] = pointer() - gs_offset();
      regs[kRdi] = pointer();
      if (chance(4)) regs[kRdi] = regs[kRsi] + gs_offset() + below(16);
      regs[kRcx] = chance(3) ? below(4) : below(100);
      if (!code_->code32) {  // 67h must look at the low halves only
        bool a32 = false;
        for (const u8 b : code_->bytes) a32 = a32 || b == 0x67;
        if (a32) {
          regs[kRsi] |= number() << 32;
          regs[kRdi] |= number() << 32;
          regs[kRcx] |= number() << 32;
          if (gs_) regs[kRsi] &= 0xffffffff;
        }
      }
      if (r.operation == Operation::kCmps && chance(2)) {
        std::memcpy(HostRunner::at(RunnerLayout::kData + 0x800),
                    HostRunner::at(RunnerLayout::kData + 0x1000), 0x800);
      }
      if (r.operation == Operation::kScas && chance(2)) {
        std::memset(HostRunner::at(RunnerLayout::kData + 0x800), static_cast<u8>(regs[kRax]),
                    0x100);
        regs[kRdi] = RunnerLayout::kData + 0x840;
        regs[kRax] = (regs[kRax] & 0xff) * 0x0101010101010101 & code_mask;
      }
    }
    if (!memory && r.operands[1].addressing == Addressing::kG && chance(6)) regs[reg] = regs[rm];
  }

  void add_immediates(const Row& r, bool size16, bool w, bool address32) {
    for (const Operand& o : r.operands) {
      if (o.addressing == Addressing::kJ) {
        bytes(RunnerLayout::kBranch, o.width == Width::kB ? 1 : 4);
      } else if (o.addressing == Addressing::kO) {
        code_->touched = target();
        bytes(code_->touched - gs_offset(), code_->code32 || address32 ? 4 : 8);
      } else if (o.addressing == Addressing::kI) {
        u64 v = value();
        if (r.operation == Operation::kEnter) v = o.width == Width::kW ? below(64) : value() & 0x87;
        if (r.operation == Operation::kRetNear) v = below(64);
        switch (o.width) {
          case Width::kB:
          case Width::kBs:
            bytes(v, 1);
            break;
          case Width::kW:
            bytes(v, 2);
            break;
          case Width::kZ:
            bytes(v, size16 && !w ? 2 : 4);
            break;
          default:
            bytes(v, w ? 8 : size16 ? 2 : 4);
            break;
        }
      }
    }
  }

  /// Indirect targets and return addresses lead to the place behind kBranch.
  void aim_branch(bool memory, unsigned rm) {
    const u64 goal = RunnerLayout::kInstruction + code_->bytes.size() + RunnerLayout::kBranch;
    if (row_->operation == Operation::kRetNear) {
      const u64 sp = code_->state.regs[kRsp];
      if (sp >= RunnerLayout::kStack &&
          sp <= RunnerLayout::kStack + RunnerLayout::kStackBytes - 8) {
        std::memcpy(HostRunner::at(sp), &goal, code_->code32 ? 4 : 8);
      }
    } else if (row_->operands[0].addressing == Addressing::kE) {
      if (!memory) {
        code_->state.regs[rm] = goal;
      } else if (code_->touched >= RunnerLayout::kData &&
                 code_->touched <= RunnerLayout::kData + RunnerLayout::kDataBytes - 8) {
        std::memcpy(HostRunner::at(code_->touched), &goal, 8);
      }
    }
  }

  std::mt19937_64 random_;
  const Row* row_ = nullptr;
  InstructionCase* code_ = nullptr;
  bool gs_ = false;
  unsigned size_ = 4;
  std::size_t relative_ = 0;
  unsigned base_ = 16, index_ = 16;
};

}  // namespace dragoman
