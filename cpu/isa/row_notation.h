// The notation in which the row files are written: operands as in SDM vol. 2, appendix A, and a
// small constexpr builder. Only row_table.h includes it.
#pragma once

#include "cpu/isa/row.h"

namespace dragoman::isa {

using enum Operation;
using F = Feature;

constexpr Operand operand(Addressing addressing, Width width, u8 number = 0) {
  return {addressing, width, number};
}

#define DRAGOMAN_OPERAND(name, addressing, width) \
  inline constexpr Operand name = operand(Addressing::addressing, Width::width);
DRAGOMAN_OPERAND(Ap, kA, kP)
DRAGOMAN_OPERAND(By, kB, kY)
DRAGOMAN_OPERAND(Cy, kC, kY)
DRAGOMAN_OPERAND(Dy, kD, kY)
DRAGOMAN_OPERAND(Eb, kE, kB)
DRAGOMAN_OPERAND(Ew, kE, kW)
DRAGOMAN_OPERAND(Ed, kE, kD)
DRAGOMAN_OPERAND(Eq, kE, kQ)
DRAGOMAN_OPERAND(Ev, kE, kV)
DRAGOMAN_OPERAND(Ey, kE, kY)
DRAGOMAN_OPERAND(Ez, kE, kZ)
DRAGOMAN_OPERAND(Gb, kG, kB)
DRAGOMAN_OPERAND(Gw, kG, kW)
DRAGOMAN_OPERAND(Gd, kG, kD)
DRAGOMAN_OPERAND(Gv, kG, kV)
DRAGOMAN_OPERAND(Gy, kG, kY)
DRAGOMAN_OPERAND(Hss, kH, kSs)
DRAGOMAN_OPERAND(Hsd, kH, kSd)
DRAGOMAN_OPERAND(Hdq, kH, kDq)
DRAGOMAN_OPERAND(Hqq, kH, kQq)
DRAGOMAN_OPERAND(Hx, kH, kX)
DRAGOMAN_OPERAND(Ib, kI, kB)
DRAGOMAN_OPERAND(Ibs, kI, kBs)
DRAGOMAN_OPERAND(Iw, kI, kW)
DRAGOMAN_OPERAND(Iv, kI, kV)
DRAGOMAN_OPERAND(Iz, kI, kZ)
DRAGOMAN_OPERAND(Jb, kJ, kB)
DRAGOMAN_OPERAND(Jz, kJ, kZ)
DRAGOMAN_OPERAND(Ldq, kL, kDq)
DRAGOMAN_OPERAND(Lqq, kL, kQq)
DRAGOMAN_OPERAND(Lx, kL, kX)
DRAGOMAN_OPERAND(M, kM, kMemory)
DRAGOMAN_OPERAND(Ma, kM, kA)
DRAGOMAN_OPERAND(Mb, kM, kB)
DRAGOMAN_OPERAND(Mw, kM, kW)
DRAGOMAN_OPERAND(Md, kM, kD)
DRAGOMAN_OPERAND(Mq, kM, kQ)
DRAGOMAN_OPERAND(Mv, kM, kV)
DRAGOMAN_OPERAND(My, kM, kY)
DRAGOMAN_OPERAND(Mp, kM, kP)
DRAGOMAN_OPERAND(Ms, kM, kS)
DRAGOMAN_OPERAND(Mt, kM, kT)
DRAGOMAN_OPERAND(Mss, kM, kSs)
DRAGOMAN_OPERAND(Msd, kM, kSd)
DRAGOMAN_OPERAND(Mdq, kM, kDq)
DRAGOMAN_OPERAND(Mqq, kM, kQq)
DRAGOMAN_OPERAND(Mx, kM, kX)
DRAGOMAN_OPERAND(Menv, kM, kEnv)
DRAGOMAN_OPERAND(Mfsave, kM, kFsave)
DRAGOMAN_OPERAND(Mfxsave, kM, kFxsave)
DRAGOMAN_OPERAND(Mxsave, kM, kXsave)
DRAGOMAN_OPERAND(Nq, kN, kQ)
DRAGOMAN_OPERAND(Ob, kO, kB)
DRAGOMAN_OPERAND(Ov, kO, kV)
DRAGOMAN_OPERAND(Pd, kP, kD)
DRAGOMAN_OPERAND(Pq, kP, kQ)
DRAGOMAN_OPERAND(Qd, kQ, kD)
DRAGOMAN_OPERAND(Qq, kQ, kQ)
DRAGOMAN_OPERAND(Rd, kR, kD)
DRAGOMAN_OPERAND(Rv, kR, kV)
DRAGOMAN_OPERAND(Ry, kR, kY)
DRAGOMAN_OPERAND(Sw, kS, kW)
DRAGOMAN_OPERAND(Uq, kU, kQ)
DRAGOMAN_OPERAND(Udq, kU, kDq)
DRAGOMAN_OPERAND(Uqq, kU, kQq)
DRAGOMAN_OPERAND(Uss, kU, kSs)
DRAGOMAN_OPERAND(Usd, kU, kSd)
DRAGOMAN_OPERAND(Ux, kU, kX)
DRAGOMAN_OPERAND(Vd, kV, kD)
DRAGOMAN_OPERAND(Vq, kV, kQ)
DRAGOMAN_OPERAND(Vdq, kV, kDq)
DRAGOMAN_OPERAND(Vqq, kV, kQq)
DRAGOMAN_OPERAND(Vss, kV, kSs)
DRAGOMAN_OPERAND(Vsd, kV, kSd)
DRAGOMAN_OPERAND(Vx, kV, kX)
DRAGOMAN_OPERAND(Wb, kW, kB)
DRAGOMAN_OPERAND(Ww, kW, kW)
DRAGOMAN_OPERAND(Wd, kW, kD)
DRAGOMAN_OPERAND(Wq, kW, kQ)
DRAGOMAN_OPERAND(Wdq, kW, kDq)
DRAGOMAN_OPERAND(Wqq, kW, kQq)
DRAGOMAN_OPERAND(Wss, kW, kSs)
DRAGOMAN_OPERAND(Wsd, kW, kSd)
DRAGOMAN_OPERAND(Wx, kW, kX)
DRAGOMAN_OPERAND(Whalf, kW, kHalfX)
DRAGOMAN_OPERAND(Wquarter, kW, kQuarterX)
DRAGOMAN_OPERAND(Weighth, kW, kEighthX)
DRAGOMAN_OPERAND(Xb, kX, kB)
DRAGOMAN_OPERAND(Xv, kX, kV)
DRAGOMAN_OPERAND(Xz, kX, kZ)
DRAGOMAN_OPERAND(Yb, kY, kB)
DRAGOMAN_OPERAND(Yv, kY, kV)
DRAGOMAN_OPERAND(Yz, kY, kZ)
DRAGOMAN_OPERAND(Zb, kZ, kB)
DRAGOMAN_OPERAND(Zv, kZ, kV)
DRAGOMAN_OPERAND(One, kOne, kB)
DRAGOMAN_OPERAND(ST0, kSt, kT)
DRAGOMAN_OPERAND(STi, kSti, kT)
DRAGOMAN_OPERAND(XMM0, kXmm0, kDq)
#undef DRAGOMAN_OPERAND

inline constexpr Operand AL = operand(Addressing::kFixed, Width::kB, 0);
inline constexpr Operand CL = operand(Addressing::kFixed, Width::kB, 1);
inline constexpr Operand AX = operand(Addressing::kFixed, Width::kW, 0);
inline constexpr Operand DX = operand(Addressing::kFixed, Width::kW, 2);
inline constexpr Operand eAX = operand(Addressing::kFixed, Width::kZ, 0);
inline constexpr Operand rAX = operand(Addressing::kFixed, Width::kV, 0);
inline constexpr Operand ES = operand(Addressing::kFixedSeg, Width::kW, 0);
inline constexpr Operand CS = operand(Addressing::kFixedSeg, Width::kW, 1);
inline constexpr Operand SS = operand(Addressing::kFixedSeg, Width::kW, 2);
inline constexpr Operand DS = operand(Addressing::kFixedSeg, Width::kW, 3);
inline constexpr Operand FS = operand(Addressing::kFixedSeg, Width::kW, 4);
inline constexpr Operand GS = operand(Addressing::kFixedSeg, Width::kW, 5);
/// Memory with a vector index: `number` is 16 when the index is always an xmm register and 32 when
/// it is as wide as VEX.L says; the width is that of one element.
inline constexpr Operand Vmx(Width element, u8 index_bytes) {
  return operand(Addressing::kVsib, element, index_bytes);
}

/// A row under construction: the members add what the columns of the manual say.
struct Draft : Row {
  constexpr Draft with(u32 more) const {
    Draft d = *this;
    d.attributes |= more;
    return d;
  }
  constexpr Draft prefixed(PrefixKey key) const {
    Draft d = *this;
    d.prefix = key;
    return d;
  }
  constexpr Draft np() const { return prefixed(PrefixKey::kNp); }
  constexpr Draft norep() const { return prefixed(PrefixKey::kNoRep); }
  constexpr Draft p66() const { return prefixed(PrefixKey::k66); }
  constexpr Draft f2() const { return prefixed(PrefixKey::kF2); }
  constexpr Draft f3() const { return prefixed(PrefixKey::kF3); }
  /// The manual's /0 .. /7.
  constexpr Draft slash(int digit) const {
    Draft d = *this;
    d.reg = static_cast<i8>(digit);
    d.modrm = true;
    return d;
  }
  constexpr Draft mem() const {
    Draft d = *this;
    d.mod = ModKey::kMemory;
    d.modrm = true;
    return d;
  }
  constexpr Draft regs() const {
    Draft d = *this;
    d.mod = ModKey::kRegister;
    d.modrm = true;
    return d;
  }
  /// A whole ModRM byte as opcode extension, e.g. 0F 01 C8.
  constexpr Draft modrm_is(int byte) const {
    Draft d = regs().slash((byte >> 3) & 7);
    d.rm = static_cast<i8>(byte & 7);
    return d;
  }
  constexpr Draft not64() const {
    Draft d = *this;
    d.mode = ModeKey::kNot64;
    return d;
  }
  constexpr Draft only64() const {
    Draft d = *this;
    d.mode = ModeKey::kOnly64;
    return d;
  }
  constexpr Draft x(Feature needed) const {
    Draft d = *this;
    d.feature = needed;
    return d;
  }
  constexpr Draft cc(int code) const {
    Draft d = *this;
    d.condition = static_cast<u8>(code);
    return d;
  }
  constexpr Draft lock() const { return with(kLockable); }
  constexpr Draft d64() const { return with(kDefault64); }
  constexpr Draft f64() const { return with(kForce64); }
  constexpr Draft rep() const { return with(kRepeatable); }
  constexpr Draft cpl0() const { return with(kPrivileged); }
  constexpr Draft aligned() const { return with(kAligned); }
  constexpr Draft unaligned() const {
    Draft d = *this;
    d.attributes &= ~u32{kAligned};
    return d;
  }
  constexpr Draft noreal() const { return with(kNoReal); }
  constexpr Draft serial() const { return with(kSerializing); }
  constexpr Draft rexw() const { return with(kRexWSelects); }
  constexpr Draft rexw0() const { return with(kRexW0); }
  constexpr Draft w0() const { return with(kVexW0); }
  constexpr Draft w1() const { return with(kVexW1); }
  constexpr Draft l0() const { return with(kVexL0); }
  constexpr Draft l1() const { return with(kVexL1); }
  constexpr Draft both() const { return with(kSecondWritten); }
};

constexpr bool takes_modrm(Addressing a) {
  switch (a) {
    case Addressing::kC:
    case Addressing::kD:
    case Addressing::kE:
    case Addressing::kG:
    case Addressing::kM:
    case Addressing::kN:
    case Addressing::kP:
    case Addressing::kQ:
    case Addressing::kR:
    case Addressing::kS:
    case Addressing::kU:
    case Addressing::kV:
    case Addressing::kW:
    case Addressing::kVsib:
    case Addressing::kSti:
      return true;
    default:
      return false;
  }
}

/// A row by opcode (0x12, 0x0F12, 0x0F3812, 0x0F3A12) and operands; no operand is written.
template <class... Operands>
constexpr Draft op(u32 code, Operation operation, Operands... list) {
  Draft d{};
  d.operation = operation;
  d.map = code < 0x100      ? OpcodeMap::kOne
          : code < 0x10000  ? OpcodeMap::k0F
          : code < 0x0F3900 ? OpcodeMap::k0F38
                            : OpcodeMap::k0F3A;
  d.opcode = static_cast<u8>(code);
  d.opcode_mask = 0xff;
  d.prefix = PrefixKey::kAny;
  d.reg = -1;
  d.mod = ModKey::kAny;
  d.rm = -1;
  d.mode = ModeKey::kAny;
  d.feature = Feature::kBase;
  d.operands = {list...};
  bool byte_operands = false;
  bool vector = false;
  bool wide_memory = false;
  for (const Operand& o : d.operands) {
    const Addressing a = o.addressing;
    if (takes_modrm(a)) d.modrm = true;
    if (a == Addressing::kZ) d.opcode_mask = 0xf8;
    const bool general = a == Addressing::kE || a == Addressing::kG || a == Addressing::kZ;
    if (general && o.width == Width::kB) byte_operands = true;
    if (a == Addressing::kV || a == Addressing::kW) vector = true;
    if ((a == Addressing::kW || a == Addressing::kM) && o.width == Width::kDq) wide_memory = true;
    // The letters that have no register or no memory form say so themselves.
    if (a == Addressing::kM || a == Addressing::kVsib) d.mod = ModKey::kMemory;
    if (a == Addressing::kR || a == Addressing::kN || a == Addressing::kU ||
        a == Addressing::kSti) {
      d.mod = ModKey::kRegister;
    }
  }
  if (byte_operands) d.attributes |= kByteOperands;
  // Legacy SSE memory operands of 16 bytes must be aligned (SDM vol. 2, table 2-21); the few
  // exceptions are marked unaligned().
  if (vector && wide_memory) d.attributes |= kAligned;
  return d;
}

/// The first operand is read and written.
template <class... Operands>
constexpr Draft rw(u32 code, Operation operation, Operands... list) {
  return op(code, operation, list...).with(kDestination);
}

/// The first operand is written without being read.
template <class... Operands>
constexpr Draft wo(u32 code, Operation operation, Operands... list) {
  return op(code, operation, list...).with(kDestination | kWriteOnly);
}

constexpr Draft made_vex(Draft d) {
  d.vex = true;
  d.attributes |= kNoReal;
  d.attributes &= ~u32{kAligned};
  for (const Operand& o : d.operands) {
    if (o.addressing == Addressing::kH || o.addressing == Addressing::kB) d.attributes |= kVexNds;
    if (o.addressing == Addressing::kVsib) d.attributes |= kUsesSib;
  }
  return d;
}

/// VEX-encoded rows: `vop` writes nothing, `vrw` reads and writes, `vex` only writes the first
/// operand.
template <class... Operands>
constexpr Draft vop(u32 code, Operation operation, Operands... list) {
  return made_vex(op(code, operation, list...)).np();
}
template <class... Operands>
constexpr Draft vrw(u32 code, Operation operation, Operands... list) {
  return made_vex(rw(code, operation, list...)).np();
}
template <class... Operands>
constexpr Draft vex(u32 code, Operation operation, Operands... list) {
  return made_vex(wo(code, operation, list...)).np();
}

}  // namespace dragoman::isa
