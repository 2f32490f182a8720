#include "jit/emit/instruction_ids.h"

#include "cpu/isa/rows.h"
#include "jit/plan.h"

namespace dragoman {

bool has_host_instruction(const Instruction& insn) { return host_instruction_id(insn) != 0; }

asmjit::InstId host_instruction_id(const Instruction& insn) {
  namespace I = asmjit::x86::Inst;
  const Row& r = row(insn.row);
  switch (r.operation) {
    case Operation::kAdd:
      return I::kIdAdd;
    case Operation::kOr:
      return I::kIdOr;
    case Operation::kAdc:
      return I::kIdAdc;
    case Operation::kSbb:
      return I::kIdSbb;
    case Operation::kAnd:
      return I::kIdAnd;
    case Operation::kSub:
      return I::kIdSub;
    case Operation::kXor:
      return I::kIdXor;
    case Operation::kCmp:
      return I::kIdCmp;
    case Operation::kTest:
      return I::kIdTest;
    case Operation::kInc:
      return I::kIdInc;
    case Operation::kDec:
      return I::kIdDec;
    case Operation::kNeg:
      return I::kIdNeg;
    case Operation::kNot:
      return I::kIdNot;
    case Operation::kMul:
      return I::kIdMul;
    case Operation::kImul:
      return I::kIdImul;
    case Operation::kRol:
      return I::kIdRol;
    case Operation::kRor:
      return I::kIdRor;
    case Operation::kRcl:
      return I::kIdRcl;
    case Operation::kRcr:
      return I::kIdRcr;
    case Operation::kShl:
      return I::kIdShl;
    case Operation::kShr:
      return I::kIdShr;
    case Operation::kSar:
      return I::kIdSar;
    case Operation::kShld:
      return I::kIdShld;
    case Operation::kShrd:
      return I::kIdShrd;
    case Operation::kMov:
      return I::kIdMov;
    case Operation::kMovzx:
      return I::kIdMovzx;
    case Operation::kMovsx:
      return I::kIdMovsx;
    case Operation::kMovsxd:
      return insn.operand_size == 8 ? +I::kIdMovsxd : 0;
    case Operation::kBswap:
      return insn.operand_size == 2 ? 0 : +I::kIdBswap;
    case Operation::kBsf:
      return I::kIdBsf;
    case Operation::kBsr:
      return I::kIdBsr;
    case Operation::kCmovcc:
      return I::cmovccFromCond(static_cast<asmjit::x86::CondCode>(insn.opcode & 15));
    case Operation::kSetcc:
      return I::setccFromCond(static_cast<asmjit::x86::CondCode>(insn.opcode & 15));
    case Operation::kCmpxchg:
      return I::kIdCmpxchg;
    case Operation::kXadd:
      return I::kIdXadd;
    case Operation::kXchg:
      return I::kIdXchg;
    case Operation::kCmpxchg8b:
      return I::kIdCmpxchg8b;
    case Operation::kCmpxchg16b:
      return I::kIdCmpxchg16b;
    case Operation::kMovnti:
      return I::kIdMovnti;
    case Operation::kMovbe:
      return I::kIdMovbe;
    case Operation::kCrc32:
      return I::kIdCrc32;
    case Operation::kAdcx:
      return I::kIdAdcx;
    case Operation::kAdox:
      return I::kIdAdox;
    case Operation::kAndn:
      return I::kIdAndn;
    case Operation::kBextr:
      return I::kIdBextr;
    case Operation::kBlsi:
      return I::kIdBlsi;
    case Operation::kBlsmsk:
      return I::kIdBlsmsk;
    case Operation::kBlsr:
      return I::kIdBlsr;
    case Operation::kBzhi:
      return I::kIdBzhi;
    case Operation::kMulx:
      return I::kIdMulx;
    case Operation::kPdep:
      return I::kIdPdep;
    case Operation::kPext:
      return I::kIdPext;
    case Operation::kRorx:
      return I::kIdRorx;
    case Operation::kSarx:
      return I::kIdSarx;
    case Operation::kShlx:
      return I::kIdShlx;
    case Operation::kShrx:
      return I::kIdShrx;
    case Operation::kTzcnt:
      return I::kIdTzcnt;
    case Operation::kLzcnt:
      return I::kIdLzcnt;
    case Operation::kPopcnt:
      return I::kIdPopcnt;
    case Operation::kLahf:
      return I::kIdLahf;
    case Operation::kSahf:
      return I::kIdSahf;
    case Operation::kBt:
    case Operation::kBts:
    case Operation::kBtr:
    case Operation::kBtc: {
      // With a register offset the memory form reaches beyond its operand.
      if (insn.memory() && r.operands[1].addressing != Addressing::kI) return 0;
      return r.operation == Operation::kBt    ? +I::kIdBt
             : r.operation == Operation::kBts ? +I::kIdBts
             : r.operation == Operation::kBtr ? +I::kIdBtr
                                              : +I::kIdBtc;
    }
    case Operation::kCbw:
      return insn.operand_size == 2   ? +I::kIdCbw
             : insn.operand_size == 4 ? +I::kIdCwde
                                      : +I::kIdCdqe;
    case Operation::kCwd:
      return insn.operand_size == 2 ? +I::kIdCwd : insn.operand_size == 4 ? +I::kIdCdq : +I::kIdCqo;
    case Operation::kClc:
      return I::kIdClc;
    case Operation::kStc:
      return I::kIdStc;
    case Operation::kCmc:
      return I::kIdCmc;
    default:
      return 0;
  }
}

}  // namespace dragoman
