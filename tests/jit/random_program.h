// Random programs from the rows of the instruction set, for the lockstep test of the translator.
#pragma once

#include <random>
#include <vector>

#include "cpu/isa/rows.h"
#include "tests/jit/translator_bench.h"

namespace dragoman {

class ProgramMaker : private BenchLayout {
 public:
  static constexpr u64 kFsBase = 0x1000, kGsBase = 0x7fff00000000;

  explicit ProgramMaker(u64 seed) : random_(seed) {
    for (const Row& r : rows()) {
      if (wanted(r)) usable_.push_back(&r);
    }
  }

  u64 number() { return random_(); }
  u64 below(u64 n) { return random_() % n; }
  bool chance(unsigned one_in) { return below(one_in) == 0; }
  u64 value() {
    static constexpr u64 kEdges[] = {0,          1,          0x7f,       0x80,
                                     0xff,       0x7fff,     0x8000,     0xffff,
                                     0x7fffffff, 0x80000000, 0xffffffff, 0x7fffffffffffffff,
                                     bit(63),    ~u64{0}};
    switch (below(3)) {
      case 0:
        return kEdges[below(std::size(kEdges))];
      case 1:
        return number() >> below(64);
      default:
        return number();
    }
  }

  /// A loop of `count` random instructions that ends in HLT after as many rounds as kCounter says.
  const std::vector<u8>& make(unsigned count) {
    code_.clear();
    undefined_ = 0;
    for (unsigned i = 0; i < count; ++i) {
      if (undefined_ == 0 && chance(8)) {  // a branch over the next instruction
        const unsigned condition = static_cast<unsigned>(below(16));
        emit({0x70 | static_cast<int>(condition), 0});
        const std::size_t from = code_.size();
        const u32 before = undefined_;
        instruction();
        code_[from - 1] = static_cast<u8>(code_.size() - from);
        undefined_ |= before;
      } else {
        instruction();
      }
    }
    // DEC leaves CF alone, and the next round may read it.
    if (undefined_ & kFlagCf) emit({0x48, 0x39, 0xc8});  // cmp rax, rcx
    emit({0xff, 0x0c, 0x25});                            // dec dword [kCounter]
    bytes(kCounter, 4);
    emit({0x0f, 0x85});  // jnz start
    bytes(u64{0} - (code_.size() + 4), 4);
    emit({0xf4});
    return code_;
  }

 private:
  static bool wanted(const Row& r) {
    const OperationInfo& info = operation_info(r.operation);
    if (info.category != Category::kInteger || r.vex || r.mode == ModeKey::kNot64) return false;
    switch (r.operation) {
      case Operation::kDiv:
      case Operation::kIdiv:
      case Operation::kRdrand:
      case Operation::kRdseed:
      case Operation::kRdpid:
      case Operation::kPushf:  // the stack pointer may be anything here
      case Operation::kPushSeg:
      case Operation::kEnter:
      case Operation::kLeave:
      case Operation::kXlat:
      case Operation::kUd:
      case Operation::kCmpxchg16b:  // #GP unless aligned
        return false;
      default:
        break;
    }
    for (const Operand& o : r.operands) {
      switch (o.addressing) {
        case Addressing::kNone:
        case Addressing::kE:
        case Addressing::kG:
        case Addressing::kI:
        case Addressing::kZ:
        case Addressing::kM:
        case Addressing::kR:
        case Addressing::kFixed:
        case Addressing::kOne:
          break;
        default:
          return false;
      }
    }
    return true;
  }

  void emit(std::initializer_list<int> list) {
    for (const int byte : list) code_.push_back(static_cast<u8>(byte));
  }
  void bytes(u64 value, unsigned width) {
    for (unsigned i = 0; i < width; ++i) code_.push_back(static_cast<u8>(value >> (8 * i)));
  }
  void load(unsigned reg, u64 v) {
    emit({static_cast<int>(0x48 | reg >> 3), static_cast<int>(0xb8 | (reg & 7))});
    bytes(v, 8);
  }
  u64 target() {
    if (chance(12)) return kData + below(15) * kPageSize + 0xff0 + below(16);
    return kData + 64 + below(kDataBytes - 128);
  }

  void instruction() {
    const Row& r = *usable_[below(usable_.size())];
    const OperationInfo& info = operation_info(r.operation);
    if (info.flags_read & undefined_) {
      emit({0x48, 0x39, 0xc8});  // cmp rax, rcx
      undefined_ = 0;
    }
    const bool bit_string = (r.operation == Operation::kBt || r.operation == Operation::kBts ||
                             r.operation == Operation::kBtr || r.operation == Operation::kBtc) &&
                            r.operands[1].addressing == Addressing::kG;
    const bool memory = r.modrm && r.mod != ModKey::kRegister && !bit_string &&
                        r.operands[0].addressing != Addressing::kR &&
                        (r.mod == ModKey::kMemory || chance(2));
    const bool stack = r.operation == Operation::kPush || r.operation == Operation::kPop;
    const bool shift_double = r.operation == Operation::kShld || r.operation == Operation::kShrd;

    std::vector<u8> prefix;
    // 16-bit SHLD by more than 16 and 16-bit BSWAP have undefined results.
    const bool may66 = (r.prefix == PrefixKey::kAny || r.prefix == PrefixKey::kNoRep) &&
                       !shift_double && r.operation != Operation::kBswap &&
                       r.operation != Operation::kMovsxd;
    const bool size16 = may66 && chance(4);
    if (size16 || r.prefix == PrefixKey::k66) prefix.push_back(0x66);
    if (r.prefix == PrefixKey::kF2) prefix.push_back(0xf2);
    if (r.prefix == PrefixKey::kF3) prefix.push_back(0xf3);
    if (memory && (r.attributes & kLockable) && chance(4)) prefix.push_back(0xf0);
    const bool small = memory && chance(8);
    if (small) prefix.push_back(0x67);
    u64 segment_base = 0;
    if (memory && chance(6)) {
      const bool gs = chance(2);
      prefix.push_back(gs ? 0x65 : 0x64);
      segment_base = gs ? kGsBase : kFsBase;
    }
    const bool w = (r.attributes & kRexWSelects) || (!(r.attributes & kRexW0) && chance(3));
    const bool rex = w || chance(2);
    const unsigned rex_r = rex && chance(2) ? 8 : 0, rex_x = rex && chance(2) ? 8 : 0,
                   rex_b = rex && !(r.attributes & kRexB0) && chance(2) ? 8 : 0;
    unsigned reg = r.reg >= 0 ? static_cast<unsigned>(r.reg) : static_cast<unsigned>(below(8));
    unsigned rm = r.rm >= 0 ? static_cast<unsigned>(r.rm) : static_cast<unsigned>(below(8));

    // Address: registers are loaded just before.
    std::vector<u8> tail;
    bool relative = false;
    const u64 goal = target();
    const u64 offset = goal - segment_base;
    if (stack) load(kRsp, kStack - 8 * below(64));
    if (memory) {
      const unsigned mod = static_cast<unsigned>(below(3));
      tail.push_back(static_cast<u8>(mod << 6 | reg << 3 | rm));
      const u64 garbage = small ? number() << 32 : 0;
      i64 displacement = mod == 1   ? static_cast<i8>(number())
                         : mod == 2 ? static_cast<i32>(number())
                                    : 0;
      // PUSH and POP may address through RSP; its value is then the stack as well.
      if (rm == 4) {
        const unsigned scale = static_cast<unsigned>(below(4));
        unsigned index = static_cast<unsigned>(below(8)), base = static_cast<unsigned>(below(8));
        if (stack && (base | rex_b) == kRsp) base = kRbx;
        if (mod == 0 && base == 5) base = 3;
        if ((index | rex_x) == (base | rex_b)) index = (index + 1) & 7;
        tail.push_back(static_cast<u8>(scale << 6 | index << 3 | base));
        u64 part = 0;
        if ((index | rex_x) != 4) {
          part = value();
          load(index | rex_x, part);
          part <<= scale;
        }
        load(base | rex_b, segmented(offset, displacement, part, small, segment_base) ^ garbage);
      } else if (mod == 0 && rm == 5) {
        relative = true;
        for (unsigned i = 0; i < 4; ++i) tail.push_back(0);
      } else {
        load(rm | rex_b, segmented(offset, displacement, 0, small, segment_base) ^ garbage);
      }
      if (mod == 1) tail.push_back(static_cast<u8>(displacement));
      if (mod == 2) {
        for (unsigned i = 0; i < 4; ++i) tail.push_back(static_cast<u8>(displacement >> (8 * i)));
      }
    } else if (r.modrm) {
      tail.push_back(static_cast<u8>(0xc0 | reg << 3 | rm));
    }
    // 67h cannot reach through a GS base above 4 GiB, nor can RIP: those go without the segment.
    if (segment_base == kGsBase && (small || relative)) std::erase(prefix, u8{0x65});
    if (segment_base == kGsBase && (small || relative)) segment_base = 0;

    for (const u8 byte : prefix) code_.push_back(byte);
    if (rex) {
      code_.push_back(static_cast<u8>(0x40 | (w ? 8 : 0) | rex_r >> 1 | rex_x >> 2 | rex_b >> 3));
    }
    if (r.map != OpcodeMap::kOne) {
      emit({0x0f});
      if (r.map == OpcodeMap::k0F38) emit({0x38});
      if (r.map == OpcodeMap::k0F3A) emit({0x3a});
    }
    unsigned opcode_reg = r.opcode_mask != 0xff ? static_cast<unsigned>(below(8)) : 0;
    if (r.operation == Operation::kXchg && r.opcode_mask != 0xff && opcode_reg == 0) opcode_reg = 3;
    code_.push_back(static_cast<u8>(r.opcode | opcode_reg));
    const std::size_t modrm_at = code_.size();
    code_.insert(code_.end(), tail.begin(), tail.end());
    for (const Operand& o : r.operands) {
      if (o.addressing != Addressing::kI) continue;
      const u64 v = chance(2) ? below(70) : value();
      const unsigned z = size16 && !w ? 2 : 4;
      switch (o.width) {
        case Width::kB:
        case Width::kBs:
          bytes(v, 1);
          break;
        case Width::kW:
          bytes(v, 2);
          break;
        case Width::kZ:
          bytes(v, z);
          break;
        default:
          bytes(v, w ? 8 : z);
          break;
      }
    }
    if (relative) {
      const u64 displacement = goal - segment_base - (kCode + code_.size());
      for (unsigned i = 0; i < 4; ++i) {
        code_[modrm_at + 1 + i] = static_cast<u8>(displacement >> (8 * i));
      }
    }
    // Flags with a defined result; those also read may have been handed on.
    undefined_ &= ~(info.flags_written & ~info.flags_read);
    undefined_ |= info.flags_undefined;
    const bool counted = r.operation == Operation::kRol || r.operation == Operation::kRor ||
                         r.operation == Operation::kRcl || r.operation == Operation::kRcr ||
                         r.operation == Operation::kShl || r.operation == Operation::kShr ||
                         r.operation == Operation::kSar || shift_double;
    // OF is defined for counts of 1 only, CF of SHL and SHR not beyond the size.
    if (counted) undefined_ |= kFlagOf | kFlagCf | kFlagAf;
  }

  static u64 segmented(u64 offset, i64 displacement, u64 part, bool small, u64 segment_base) {
    const u64 goal = small && segment_base == kGsBase ? offset + segment_base : offset;
    const u64 base = goal - static_cast<u64>(displacement) - part;
    return small ? static_cast<u32>(base) : base;
  }

  std::mt19937_64 random_;
  std::vector<const Row*> usable_;
  std::vector<u8> code_;
  u32 undefined_ = 0;  // flags the manual leaves undefined at this place
};

}  // namespace dragoman
