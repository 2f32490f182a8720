// Vector instructions that touch memory element by element: gathers and masked moves (SDM vol. 2,
// VPGATHERDD and following, VMASKMOV, VPMASKMOV, MASKMOVQ, MASKMOVDQU); VZEROUPPER, VZEROALL.
#include <cstring>

#include "cpu/execute/dispatch.h"
#include "cpu/execute/host/x87.h"
#include "cpu/execute/operands.h"

namespace dragoman {
namespace {

using Ymm = std::array<u8, 32>;

template <class T>
T element(const u8* vector, unsigned index) {
  T value;
  std::memcpy(&value, vector + index * sizeof(T), sizeof(T));
  return value;
}
template <class T>
void set_element(u8* vector, unsigned index, T value) {
  std::memcpy(vector + index * sizeof(T), &value, sizeof(T));
}
template <class T>
bool sign(T value) {
  return (value >> (8 * sizeof(T) - 1)) != 0;
}

template <class Element, class Index>
bool gather(Cpu& cpu, const Instruction& insn) {
  const unsigned dest_number = insn.reg & 15, index_number = insn.index & 15,
                 mask_number = insn.vvvv & 15;
  if (dest_number == index_number || dest_number == mask_number || index_number == mask_number) {
    return cpu.raise(kVectorUd);
  }
  Ymm& dest = cpu.state.fpu.ymm[dest_number];
  Ymm& mask = cpu.state.fpu.ymm[mask_number];
  const Ymm& indices = cpu.state.fpu.ymm[index_number];
  const unsigned bytes = insn.has(kInsnVexL) ? 32 : 16;
  const unsigned count = bytes / static_cast<unsigned>(std::max(sizeof(Element), sizeof(Index)));
  // Seen after a fault: masks are extended as far as VEX.L says, also those without an element, and
  // cleared above; the destination is cleared above once an element is there.
  for (unsigned i = 0; i < bytes / sizeof(Element); ++i) {
    const bool wanted = sign(element<Element>(mask.data(), i));
    set_element<Element>(mask.data(), i, wanted ? static_cast<Element>(~Element{0}) : 0);
  }
  std::fill(mask.begin() + bytes, mask.end(), u8{0});
  const WithoutAlignmentCheck unchecked(cpu);
  const u64 base = cpu.state.regs[insn.base] + static_cast<u64>(i64{insn.displacement});
  for (unsigned i = 0; i < count; ++i) {
    if (element<Element>(mask.data(), i) == 0) continue;
    const auto index =
        static_cast<i64>(static_cast<std::make_signed_t<Index>>(element<Index>(indices.data(), i)));
    const u64 offset = (base + (static_cast<u64>(index) << insn.scale)) & insn.address_mask();
    Element value;
    // On a fault the elements gathered so far stay, with their masks cleared, and the instruction
    // goes on from here when it is executed again.
    if (!cpu.read<Element>(insn.segment, offset, value)) return false;
    set_element<Element>(dest.data(), i, value);
    std::fill(dest.begin() + bytes, dest.end(), u8{0});
    set_element<Element>(mask.data(), i, 0);
  }
  mask = {};
  std::fill(dest.begin() + count * sizeof(Element), dest.end(), u8{0});
  return true;
}

/// VMASKMOV, VPMASKMOV: V,H,M loads; M,H,V stores. The mask is the sign bits of VEX.vvvv.
template <class Element, bool kStore>
bool masked_move(Cpu& cpu, const Instruction& insn) {
  const WithoutAlignmentCheck unchecked(cpu);
  const Ymm& mask = cpu.state.fpu.ymm[insn.vvvv & 15];
  Ymm& reg = cpu.state.fpu.ymm[insn.reg & 15];
  const unsigned count = (insn.has(kInsnVexL) ? 32 : 16) / sizeof(Element);
  const u64 start = effective_address(cpu, insn);
  // One operand: it does not wrap at the address size inside.
  const auto offset = [&](unsigned i) { return start + i * sizeof(Element); };
  const auto wanted = [&](unsigned i) { return sign(element<Element>(mask.data(), i)); };
  if constexpr (kStore) {
    for (unsigned i = 0; i < count; ++i) {
      if (wanted(i) && !cpu.probe_write(insn.segment, offset(i), sizeof(Element))) return false;
    }
    for (unsigned i = 0; i < count; ++i) {
      if (!wanted(i)) continue;
      if (!cpu.write<Element>(insn.segment, offset(i), element<Element>(reg.data(), i))) {
        return false;
      }
    }
    return true;
  } else {
    Ymm result{};
    for (unsigned i = 0; i < count; ++i) {
      Element value = 0;
      if (wanted(i) && !cpu.read<Element>(insn.segment, offset(i), value)) return false;
      set_element<Element>(result.data(), i, value);
    }
    reg = result;
    return true;
  }
}

/// MASKMOVQ and MASKMOVDQU: bytes selected by the mask's sign bits go to DS:rDI.
bool store_masked_bytes(Cpu& cpu, const Instruction& insn, const u8* data, const u8* mask,
                        unsigned count) {
  const unsigned segment = insn.has(kInsnSegmentOverride) ? insn.segment : unsigned{kDs};
  const u64 mask_of_address = insn.address_size == 8   ? ~u64{0}
                              : insn.address_size == 4 ? 0xffffffff
                                                       : 0xffff;
  const u64 start = cpu.state.regs[kRdi];
  const auto offset = [&](unsigned i) { return (start + i) & mask_of_address; };
  for (unsigned i = 0; i < count; ++i) {
    if (sign(mask[i]) && !cpu.probe_write(segment, offset(i), 1)) return false;
  }
  for (unsigned i = 0; i < count; ++i) {
    if (sign(mask[i]) && !cpu.write<u8>(segment, offset(i), data[i])) return false;
  }
  return true;
}

bool maskmovq(Cpu& cpu, const Instruction& insn) {
  if (!check_x87_error(cpu)) return false;
  FpuState& fpu = cpu.state.fpu;
  if (!store_masked_bytes(cpu, insn, fpu.st[insn.reg & 7].data(), fpu.st[insn.rm & 7].data(), 8)) {
    return false;
  }
  enter_mmx(fpu);
  return true;
}

bool maskmovdqu(Cpu& cpu, const Instruction& insn) {
  FpuState& fpu = cpu.state.fpu;
  return store_masked_bytes(cpu, insn, fpu.ymm[insn.reg & 15].data(), fpu.ymm[insn.rm & 15].data(),
                            16);
}

template <unsigned kFrom>
bool vzero(Cpu& cpu, const Instruction&) {
  const unsigned count = cpu.code64() ? 16 : 8;
  for (unsigned i = 0; i < count; ++i) {
    Ymm& ymm = cpu.state.fpu.ymm[i];
    std::fill(ymm.begin() + kFrom, ymm.end(), u8{0});
  }
  return true;
}

template <class Element>
Handler select_masked_move(const Instruction& insn) {
  // 0F38 2E, 2F, 8E store; 2C, 2D, 8C load.
  const bool store = insn.opcode == 0x2e || insn.opcode == 0x2f || insn.opcode == 0x8e;
  return store ? masked_move<Element, true> : masked_move<Element, false>;
}

}  // namespace

Handler select_Vpgatherdd(const Instruction&) { return gather<u32, u32>; }
Handler select_Vpgatherqd(const Instruction&) { return gather<u32, u64>; }
Handler select_Vpgatherdq(const Instruction&) { return gather<u64, u32>; }
Handler select_Vpgatherqq(const Instruction&) { return gather<u64, u64>; }
Handler select_Vgatherdps(const Instruction&) { return gather<u32, u32>; }
Handler select_Vgatherqps(const Instruction&) { return gather<u32, u64>; }
Handler select_Vgatherdpd(const Instruction&) { return gather<u64, u32>; }
Handler select_Vgatherqpd(const Instruction&) { return gather<u64, u64>; }

Handler select_Vmaskmovps(const Instruction& insn) { return select_masked_move<u32>(insn); }
Handler select_Vmaskmovpd(const Instruction& insn) { return select_masked_move<u64>(insn); }
Handler select_Vpmaskmovd(const Instruction& insn) { return select_masked_move<u32>(insn); }
Handler select_Vpmaskmovq(const Instruction& insn) { return select_masked_move<u64>(insn); }

Handler select_Maskmovq(const Instruction&) { return maskmovq; }
Handler select_Maskmovdqu(const Instruction&) { return maskmovdqu; }
Handler select_Vmaskmovdqu(const Instruction&) { return maskmovdqu; }

Handler select_Vzeroupper(const Instruction&) { return vzero<16>; }
Handler select_Vzeroall(const Instruction&) { return vzero<0>; }

}  // namespace dragoman
