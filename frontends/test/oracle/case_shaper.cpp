// State: registers and memory that make an instruction interesting.
#include <algorithm>

#include "frontends/test/oracle/instruction_maker.h"

namespace dragoman {
namespace {

using L = CaseLayout;

constexpr u32 kMxcsrBits = 0xffff;

}  // namespace

void InstructionMaker::poke_bytes(u64 address, std::span<const u8> bytes) {
  case_->memory.push_back({address, {bytes.begin(), bytes.end()}});
}

void InstructionMaker::poke(u64 address, u64 value, unsigned size) {
  poke_bytes(address, {reinterpret_cast<const u8*>(&value), size});
}

u16 InstructionMaker::selector() {
  static constexpr std::array<u16, 14> kSelectors = {0,
                                                     1,
                                                     2,
                                                     3,
                                                     L::kFlatData,
                                                     L::kFlatData,
                                                     L::kFlatData & ~3,
                                                     L::kCode32,
                                                     L::kCode64,
                                                     L::kKernelCode,
                                                     0x18,
                                                     0x68,
                                                     0xfff8,
                                                     0x1f};
  return kSelectors[random_.below(kSelectors.size())];
}

u16 InstructionMaker::far_selector() {
  for (;;) {
    const u16 s = selector();
    const u16 index = s & ~u16{3};
    if (index != (L::kCode32 & ~3) && index != (L::kCode64 & ~3)) return s;
  }
}

void InstructionMaker::fill_registers() {
  CaseRegisters& before = case_->before;
  for (u64& reg : before.regs) reg = random_.value();
  before.flags = kFlagFixed | kFlagIf | (random_() & kArithmeticFlags);
  // #AC: Linux sets CR0.AM. Processors differ in how ENTER looks at the new top of the stack.
  if (!is(Operation::kEnter) && random_.chance(8)) before.flags |= kFlagAc;
  if (category() == Category::kString && random_.chance(2)) before.flags |= kFlagDf;
  const u64 stack = L::kStack - L::stack_base(case_->mode);
  before.regs[kRsp] = stack + 0x800 + (random_.chance(4) ? random_.below(16) : 0);
  if (random_.chance(24)) before.regs[kRsp] = stack + random_.below(20);
  if (random_.chance(24)) before.regs[kRsp] = stack + L::kStackBytes - random_.below(20);
  if (code64() && random_.chance(200)) before.regs[kRsp] = random_.value();
  fill_fpu();
}

void InstructionMaker::fill_fpu() {
  FpuState& fpu = case_->before.fpu;
  fpu.control = 0x37f;
  for (auto& ymm : fpu.ymm) random_.fill(ymm);
  const bool vector = category() == Category::kVector || category() == Category::kVectorOwn;
  const bool x87 = category() == Category::kX87 || is(Operation::kFwait);
  if (!vector && !x87 && !random_.chance(8)) return;
  fpu.control = x87 && random_.chance(2) ? static_cast<u16>(random_() & 0xf3f) | 0x40 : 0x37f;
  const unsigned top = static_cast<unsigned>(random_.below(8));
  // Flags of masked exceptions may be set already, now and then one of an unmasked exception.
  u16 status = static_cast<u16>(top << 11 | (random_() & (0x4700 | (fpu.control & 0x3f))));
  if (random_.chance(12)) status |= static_cast<u16>(random_() & 0x3f);
  if (status & ~fpu.control & 0x3f) status |= 0x8080;  // ES and B follow from them
  fpu.status = status;
  fpu.tag = random_.chance(2) ? u8{0xff} : static_cast<u8>(random_() | random_());
  for (auto& st : fpu.st) st = random_.extended();
  // Half of the cases with all exceptions masked; rounding, FTZ and DAZ at random. No flag is set
  // whose exception is unmasked: it would not trap, but neither tell anything.
  const u32 masks = random_.chance(2) ? 0x1f80 : static_cast<u32>(random_()) & 0x1f80;
  const u32 flags = random_.chance(2) ? 0 : static_cast<u32>(random_()) & (masks >> 7) & 0x3f;
  const u32 control = random_.chance(2) ? 0 : static_cast<u32>(random_()) & 0xe040;
  fpu.mxcsr = masks | flags | control;
}

/// Bytes where the memory operand is aimed at.
void InstructionMaker::fill_operand() {
  if (case_->touched == 0) return;
  unsigned size = 16;
  for (const Operand& o : row_->operands) {
    switch (o.width) {
      case Width::kX:
      case Width::kQq:
      case Width::kDq:
        size = std::max(size, 32u);
        break;
      case Width::kEnv:
        size = 28;
        break;
      case Width::kFsave:
        size = 108;
        break;
      case Width::kFxsave:
      case Width::kXsave:
        size = 576;
        break;
      default:
        break;
    }
  }
  if (row_->attributes & kUsesSib) size = 512;
  std::vector<u8> bytes(size);
  const bool numbers = category() == Category::kInteger || category() == Category::kSystem;
  if (numbers) {
    for (unsigned i = 0; i < size; i += 8) {
      const u64 v = random_.value();
      std::memcpy(&bytes[i], &v, std::min(8u, size - i));
    }
  } else if (size == 16 && random_.chance(3)) {
    const auto v = random_.extended();
    std::copy(v.begin(), v.end(), bytes.begin());
  } else {
    random_.fill(bytes);
  }
  if (size > 32 && size < 512) {  // x87 environment: a control word as programs have it
    const u16 control = static_cast<u16>(random_.chance(2) ? 0x37f : (random_() & 0xf3f) | 0x40);
    std::memcpy(&bytes[0], &control, 2);
  }
  poke_bytes(case_->touched, bytes);
}

void InstructionMaker::shape_values() {
  auto& regs = case_->before.regs;
  for (const Operand& o : row_->operands) {
    if (o.addressing == Addressing::kFixed && o.number == kRcx && free_register(kRcx) &&
        random_.chance(2)) {
      regs[kRcx] = (regs[kRcx] & ~u64{0xff}) | random_.below(72);
    }
  }
  if (!memory_ && row_->modrm && row_->operands[1].addressing == Addressing::kG &&
      random_.chance(6)) {
    regs[reg_ | rex_r_] = regs[rm_ | rex_b_];
  }
  switch (category()) {
    case Category::kString:
      shape_string();
      break;
    case Category::kSystem:
      shape_system();
      break;
    case Category::kVector:
    case Category::kVectorOwn:
      shape_vector();
      break;
    default:
      shape_integer();
      shape_stack();
      break;
  }
}

void InstructionMaker::shape_integer() {
  auto& regs = case_->before.regs;
  const u64 at = case_->touched;
  const unsigned reg = reg_ | rex_r_, rm = rm_ | rex_b_;
  switch (row_->operation) {
    case Operation::kBt:
    case Operation::kBts:
    case Operation::kBtr:
    case Operation::kBtc:
      if (memory_ && row_->reg < 0 && free_register(reg)) {
        regs[reg] = random_.below(2048) - 1024;
        if (size_ == 2 && random_.chance(2)) regs[reg] = (regs[reg] & 0xffff) | random_() << 16;
      }
      break;
    case Operation::kDiv:
    case Operation::kIdiv:  // mostly quotients that fit
      if (random_.chance(2) && free_register(kRdx)) {
        const bool negative = is(Operation::kIdiv) && random_.chance(2);
        regs[kRdx] = negative ? ~u64{0} : 0;
        if (is(Operation::kDiv) && random_.chance(2)) regs[kRdx] = random_.below(16);
      }
      if ((row_->attributes & kByteOperands) && random_.chance(2) && free_register(kRax)) {
        regs[kRax] = (random_.value() % 0x8000) >> random_.below(12);
      }
      break;
    case Operation::kCmpxchg:
      if (random_.chance(2) && free_register(kRax)) {
        if (memory_) {
          poke(at, regs[kRax], 8);
        } else if (row_->attributes & kByteOperands) {
          regs[kRax] = regs[rm_ & 3];
        } else {
          regs[rm] = regs[kRax];
        }
      }
      break;
    case Operation::kCmpxchg8b:
    case Operation::kCmpxchg16b:
      if (random_.chance(2) && free_register(kRax) && free_register(kRdx)) {
        poke(at, w_ ? regs[kRax] : static_cast<u32>(regs[kRax]) | regs[kRdx] << 32, 8);
        if (w_) poke(at + 8, regs[kRdx], 8);
      }
      break;
    case Operation::kBextr:
      if (free_register(vvvv_) && random_.chance(2)) {
        regs[vvvv_] = random_.below(70) | random_.below(70) << 8;
      }
      break;
    case Operation::kBzhi:
      if (free_register(vvvv_) && random_.chance(2))
        regs[vvvv_] = random_.below(70) | random_() << 8;
      break;
    case Operation::kXlat: {
      case_->touched = target(case_->mode == CaseMode::k16 && segment_ == kSs);
      u64 base =
          case_->mode == CaseMode::k16 ? (segment_ == kSs ? L::kStackBase16 : L::kDataBase16) : 0;
      if (code64() && segment_ == kGs) base = L::kGsBase;
      if (code64() && segment_ == kFs) base = L::kFsBase;
      fill_operand();
      regs[kRbx] = (case_->touched - base - (regs[kRax] & 0xff)) & address_mask();
      break;
    }
    case Operation::kAaa:
    case Operation::kAas:
    case Operation::kDaa:
    case Operation::kDas:
      regs[kRax] = random_();
      break;
    case Operation::kBound:
      if (random_.chance(2)) regs[reg] = random_.below(16);
      poke(at, random_.below(8), size_);
      poke(at + size_, random_.below(16), size_);
      break;
    case Operation::kLoop:
    case Operation::kLoope:
    case Operation::kLoopne:
    case Operation::kJcxz:
      if (random_.chance(2)) {
        regs[kRcx] = random_.below(3) | (code64() && random_.chance(2) ? random_() << 32 : 0);
      }
      break;
    case Operation::kLar:
    case Operation::kLsl:
    case Operation::kVerr:
    case Operation::kVerw:
      if (memory_) {
        poke(at, selector(), 2);
      } else {
        regs[rm] = selector() | (regs[rm] & ~u64{0xffff});
      }
      break;
    default:
      break;
  }
}

void InstructionMaker::shape_stack() {
  auto& regs = case_->before.regs;
  const u64 stack = L::kStack - L::stack_base(case_->mode);
  switch (row_->operation) {
    case Operation::kLeave:
      regs[kRbp] = stack + random_.below(0x400) * 4;
      break;
    case Operation::kEnter:
      regs[kRbp] = stack + 0xc00 + random_.below(32);
      if (random_.chance(16)) regs[kRbp] = stack + random_.below(32);
      break;
    case Operation::kPop:
    case Operation::kPopa:
    case Operation::kPush:
    case Operation::kRetNear: {
      std::array<u8, 32> bytes;
      for (unsigned i = 0; i < 32; i += 8) {
        const u64 v = random_.value();
        std::memcpy(&bytes[i], &v, 8);
      }
      poke_bytes(regs[kRsp] + L::stack_base(case_->mode), bytes);
      break;
    }
    default:
      break;
  }
  if (is(Operation::kLeave)) poke(regs[kRbp] + L::stack_base(case_->mode), random_.value(), 8);
}

void InstructionMaker::shape_string() {
  auto& regs = case_->before.regs;
  const bool small = case_->mode == CaseMode::k16;
  u64 source = 0;
  if (small) source = segment_ == kSs ? L::kStackBase16 : L::kDataBase16;
  if (code64() && segment_ == kGs) source = L::kGsBase;
  if (code64() && segment_ == kFs) source = L::kFsBase;
  const u64 destination = small ? L::kDataBase16 : 0;
  const auto pointer = [&] {
    u64 p = L::kData + 0x800 + random_.below(0x1000);
    if (random_.chance(8)) p = L::kData + L::kDataBytes - random_.below(64);
    if (random_.chance(8)) p = L::kData + random_.below(64);
    return p;
  };
  u64 from = pointer(), to = pointer();
  if (small && segment_ == kSs) from = L::kStack + 0x400 + random_.below(0x800);
  if (random_.chance(4)) to = from + random_.below(16);
  std::vector<u8> bytes(128);
  random_.fill(bytes);
  poke_bytes(from - 64, bytes);
  if (is(Operation::kCmps) && random_.chance(2)) {
    poke_bytes(to - 64, bytes);
  } else {
    random_.fill(bytes);
    poke_bytes(to - 64, bytes);
  }
  if (is(Operation::kScas) && random_.chance(2)) {
    std::fill(bytes.begin(), bytes.end(), static_cast<u8>(regs[kRax]));
    poke_bytes(to - 64, bytes);
    regs[kRax] = (regs[kRax] & 0xff) * 0x0101010101010101;
  }
  const u64 mask = address_mask();
  const u64 above = code64() && address_bits_ == 32 ? random_() << 32
                    : address_bits_ == 16           ? random_() << 16
                                                    : 0;
  regs[kRsi] = ((from - source) & mask) | above;
  regs[kRdi] = ((to - destination) & mask) | above;
  regs[kRcx] = (random_.chance(3) ? random_.below(4) : random_.below(100)) | above;
}

void InstructionMaker::shape_system() {
  auto& regs = case_->before.regs;
  const u64 at = case_->touched;
  const CaseMode mode = case_->mode;
  const u64 stack = regs[kRsp] + L::stack_base(mode);
  const u16 code = mode == CaseMode::k64   ? L::kCode64
                   : mode == CaseMode::k32 ? L::kCode32
                                           : L::kCode16;
  const u16 data = mode == CaseMode::k16 ? L::kStack16 : L::kFlatData;
  const u64 goal =
      L::start(mode) + case_->bytes.size() + L::kBranch +
      (is(Operation::kRetFar) && row_->operands[0].addressing == Addressing::kI ? 2 : 0);
  const bool plain = !random_.chance(3);
  switch (row_->operation) {
    case Operation::kMovToSeg:
      if (memory_) {
        poke(at, plain ? data : selector(), 2);
      } else if (free_register(rm_ | rex_b_)) {
        regs[rm_ | rex_b_] = (plain ? data : selector()) | (random_() & ~u64{0xffff});
      }
      break;
    case Operation::kPopSeg:
      poke(stack, (plain ? data : selector()) | (random_() & ~u64{0xffff}), 8);
      break;
    case Operation::kLes:
    case Operation::kLds:
    case Operation::kLss:
    case Operation::kLfs:
    case Operation::kLgs:
      poke(at + size_, plain ? data : selector(), 2);
      break;
    case Operation::kPopf:
      // No single step: the trap would come in code of this program.
      poke(stack, random_() & ~u64{kFlagTf}, 8);
      break;
    case Operation::kRetFar:
    case Operation::kIret: {
      poke(stack, goal, size_);
      poke(stack + size_, plain ? code : far_selector(), size_);
      if (is(Operation::kRetFar)) break;
      poke(stack + 2 * size_, (random_() & 0xffff & ~u64{kFlagTf | kFlagNt}) | 2, size_);
      poke(stack + 3 * size_, regs[kRsp] + random_.below(64), size_);
      poke(stack + 4 * size_, plain ? data : selector(), size_);
      break;
    }
    case Operation::kJmpFar:
    case Operation::kCallFar:
      if (!memory_) break;
      poke(at, goal, size_);
      poke(at + size_, plain ? code : far_selector(), 2);
      break;
    case Operation::kMonitor:
    case Operation::kMwait:
    default:
      break;
  }
}

void InstructionMaker::shape_vector() {
  auto& regs = case_->before.regs;
  const u64 at = case_->touched;
  for (const unsigned r : {kRax, kRcx, kRdx}) {
    if (free_register(r) && random_.chance(2)) regs[r] = random_.below(24);
  }
  switch (row_->operation) {
    case Operation::kLdmxcsr:
    case Operation::kVldmxcsr:
      poke(at, random_() & (random_.chance(8) ? ~u64{0} : kMxcsrBits), 4);
      break;
    case Operation::kFxrstor:
      poke(at, (random_() & 0xf3f) | 0x40, 2);
      poke(at + 24, random_() & (random_.chance(8) ? ~u64{0} : kMxcsrBits), 4);
      break;
    case Operation::kMaskmovq:
    case Operation::kMaskmovdqu:
    case Operation::kVmaskmovdqu: {
      const bool stack = case_->mode == CaseMode::k16 && segment_ == kSs;
      case_->touched = target(stack);
      u64 base = 0;
      if (case_->mode == CaseMode::k16) base = stack ? L::kStackBase16 : L::kDataBase16;
      if (code64() && segment_ == kGs) base = L::kGsBase;
      if (code64() && segment_ == kFs) base = L::kFsBase;
      regs[kRdi] = (case_->touched - base) & address_mask();
      break;
    }
    default:
      break;
  }
  if (!(row_->attributes & kUsesSib) || vector_index_ >= 16) return;
  // Small indices on both sides of the base, so that most elements are mapped.
  auto& index = case_->before.fpu.ymm[vector_index_];
  const bool quads = random_.chance(2);
  for (unsigned i = 0; i < 32; i += quads ? 8 : 4) {
    const u64 v = random_.below(64) - (random_.chance(4) ? 16 : 0);
    std::memcpy(&index[i], &v, quads ? 8 : 4);
  }
  if (random_.chance(16)) random_.fill(index);
}

/// Indirect targets and return addresses lead to the place behind kBranch.
void InstructionMaker::aim_branch() {
  const u64 goal = L::start(case_->mode) + case_->bytes.size() + L::kBranch;
  if (is(Operation::kRetNear)) {
    poke(case_->before.regs[kRsp] + L::stack_base(case_->mode), goal, size_);
  } else if ((is(Operation::kJmpNear) || is(Operation::kCallNear)) &&
             row_->operands[0].addressing == Addressing::kE) {
    if (!memory_) {
      case_->before.regs[rm_ | rex_b_] = goal;
    } else {
      poke(case_->touched, goal, 8);
    }
  }
}

}  // namespace dragoman
