// MOV, PUSH, POP and LES... of segment registers, descriptor tables and descriptor inspection
// (SDM vol. 2).
#include <array>
#include <cstring>

#include "base/bits.h"
#include "cpu/events/event_support.h"
#include "cpu/execute/dispatch.h"
#include "cpu/execute/operands.h"

namespace dragoman {
namespace {

/// Register destination by operand size; 16 bits in memory whatever the operand size.
bool write_word(Cpu& cpu, const Instruction& insn, u16 value) {
  if (insn.memory()) return cpu.write<u16>(insn.segment, effective_address(cpu, insn), value);
  if (insn.operand_size == 2) {
    set_register<u16>(cpu, insn.rm, value);
  } else {
    set_register<u64>(cpu, insn.rm, value);
  }
  return true;
}

void set_by_size(Cpu& cpu, unsigned number, unsigned size, u64 value) {
  if (size == 2) {
    set_register<u16>(cpu, number, static_cast<u16>(value));
  } else if (size == 4) {
    set_register<u32>(cpu, number, static_cast<u32>(value));
  } else {
    set_register<u64>(cpu, number, value);
  }
}

bool read_by_size(Cpu& cpu, unsigned segment, u64 offset, unsigned size, u64& out) {
  if (size == 2) {
    u16 value;
    if (!cpu.read<u16>(segment, offset, value)) return false;
    out = value;
    return true;
  }
  if (size == 4) {
    u32 value;
    if (!cpu.read<u32>(segment, offset, value)) return false;
    out = value;
    return true;
  }
  return cpu.read<u64>(segment, offset, out);
}

void set_zf(Cpu& cpu, bool zf) {
  LazyFlags& lazy = cpu.state.lazy;
  set_arithmetic_flags(lazy, (arithmetic_flags(lazy) & ~u32{kFlagZf}) | (zf ? u32{kFlagZf} : 0));
}

/// MOV SS and POP SS hold events off until the next instruction has run.
void hold_events_after_ss(Cpu& cpu) {
  cpu.state.interrupt_shadow |= kShadowMovSs;
  cpu.set_attention_check();
}

// --- Segment registers -------------------------------------------------------------------------

bool move_from_segment(Cpu& cpu, const Instruction& insn) {
  if (insn.reg > kGs) return cpu.raise(kVectorUd);
  return write_word(cpu, insn, cpu.state.segments[insn.reg].selector);
}

bool move_to_segment(Cpu& cpu, const Instruction& insn) {
  if (insn.reg > kGs || insn.reg == kCs) return cpu.raise(kVectorUd);
  u16 selector;
  if (!read_rm<u16>(cpu, insn, selector) || !load_segment(cpu, insn.reg, selector)) return false;
  if (insn.reg == kSs) hold_events_after_ss(cpu);
  return true;
}

/// 06 0E 16 1E, 0F A0, 0F A8 and the POP forms one above.
unsigned segment_in_opcode(const Instruction& insn) { return (insn.opcode >> 3) & 7; }

bool push_segment(Cpu& cpu, const Instruction& insn) {
  const u16 selector = cpu.state.segments[segment_in_opcode(insn)].selector;
  if (insn.operand_size == 2) return cpu.push<u16>(selector);
  if (insn.operand_size == 8) return cpu.push<u64>(selector);
  if (amd(cpu)) return cpu.push<u32>(selector);
  // Intel processors make room for 32 bits but write only 16 (SDM vol. 2, PUSH).
  const u64 next = (cpu.state.regs[kRsp] - 4) & cpu.stack_mask();
  if (!cpu.write<u16>(kSs, next, selector)) return false;
  cpu.set_stack_pointer(next);
  return true;
}

bool pop_segment(Cpu& cpu, const Instruction& insn) {
  const unsigned segment = segment_in_opcode(insn);
  // Only the selector is read, however wide the slot is (as Intel processors do).
  u64 value;
  if (!read_frame(cpu, 2, 0, 1, &value)) return false;
  const u64 before = cpu.state.regs[kRsp];
  cpu.set_stack_pointer((before & cpu.stack_mask()) + insn.operand_size);
  if (!load_segment(cpu, segment, static_cast<u16>(value))) {
    cpu.state.regs[kRsp] = before;
    return false;
  }
  if (segment == kSs) hold_events_after_ss(cpu);
  return true;
}

template <unsigned kSegment>
bool load_far_pointer(Cpu& cpu, const Instruction& insn) {
  const u64 address = effective_address(cpu, insn);
  // The second part's offset wraps at the address size as any effective address does.
  const u64 second = (address + insn.operand_size) & insn.address_mask();
  u64 offset;
  u16 selector;
  if (!read_by_size(cpu, insn.segment, address, insn.operand_size, offset) ||
      !cpu.read<u16>(insn.segment, second, selector) || !load_segment(cpu, kSegment, selector)) {
    return false;
  }
  set_by_size(cpu, insn.reg, insn.operand_size, offset);
  return true;
}

// --- Tables --------------------------------------------------------------------------------------

/// SGDT, SIDT, SLDT, STR above CPL 0 with CR4.UMIP.
bool hidden_by_umip(const Cpu& cpu) { return (cpu.state.cr4 & kCr4Umip) && cpu.cpl() > 0; }

bool store_table(Cpu& cpu, const Instruction& insn, const DescriptorTable& table) {
  if (hidden_by_umip(cpu)) return cpu.raise(kVectorGp, 0);
  std::array<u8, 10> image{};
  std::memcpy(&image[0], &table.limit, 2);
  std::memcpy(&image[2], &table.base, 8);
  return cpu.write_block(insn.segment, effective_address(cpu, insn), image.data(),
                         cpu.code64() ? 10 : 6);
}

bool load_table(Cpu& cpu, const Instruction& insn, DescriptorTable& table) {
  const u64 address = effective_address(cpu, insn);
  u16 limit;
  u64 base;
  if (!cpu.read<u16>(insn.segment, address, limit) ||
      !read_by_size(cpu, insn.segment, address + 2, cpu.code64() ? 8 : 4, base)) {
    return false;
  }
  if (cpu.code64()) {
    if (!cpu.canonical(base)) return cpu.raise(kVectorGp, 0);
  } else if (insn.operand_size == 2) {
    base &= 0xffffff;
  }
  table.base = base;
  table.limit = limit;
  return true;
}

bool store_gdt(Cpu& cpu, const Instruction& insn) { return store_table(cpu, insn, cpu.state.gdtr); }
bool store_idt(Cpu& cpu, const Instruction& insn) { return store_table(cpu, insn, cpu.state.idtr); }
bool load_gdt(Cpu& cpu, const Instruction& insn) { return load_table(cpu, insn, cpu.state.gdtr); }
bool load_idt(Cpu& cpu, const Instruction& insn) { return load_table(cpu, insn, cpu.state.idtr); }

template <unsigned kSegment>
bool store_system_segment(Cpu& cpu, const Instruction& insn) {
  if (hidden_by_umip(cpu)) return cpu.raise(kVectorGp, 0);
  return write_word(cpu, insn, cpu.state.segments[kSegment].selector);
}

template <unsigned kSegment>
bool load_system_segment(Cpu& cpu, const Instruction& insn) {
  u16 selector;
  return read_rm<u16>(cpu, insn, selector) && load_segment(cpu, kSegment, selector);
}

// --- Inspection ----------------------------------------------------------------------------------

bool adjust_rpl(Cpu& cpu, const Instruction& insn) {
  const u16 source = get_register<u16>(cpu, insn.reg);
  u16 selector;
  if (!read_rm<u16>(cpu, insn, selector)) return false;
  // A destination that stays as it is need not be writable; processors agree, the manual is silent.
  const bool raise_rpl = (selector & 3) < (source & 3);
  if (raise_rpl && !write_rm<u16>(cpu, insn, with_rpl(selector, source & 3))) return false;
  set_zf(cpu, raise_rpl);
  return true;
}

/// Reads the descriptor; `visible` false when the selector is null, outside the table, or its
/// privilege (unless a conforming code segment) is out of reach.
bool inspect(Cpu& cpu, u16 selector, Descriptor& out, bool& visible) {
  visible = false;
  if (null_selector(selector)) return true;
  bool outside;
  if (!read_descriptor(cpu, selector, out, outside)) return outside;
  const Segment segment = make_segment(selector, out);
  const unsigned rpl = selector & 3;
  visible = segment.conforming() || (cpu.cpl() <= segment.dpl() && rpl <= segment.dpl());
  return true;
}

template <bool kWrite>
bool verify(Cpu& cpu, const Instruction& insn) {
  u16 selector;
  Descriptor descriptor;
  bool visible;
  if (!read_rm<u16>(cpu, insn, selector) || !inspect(cpu, selector, descriptor, visible))
    return false;
  if (visible) {
    const Segment segment = make_segment(selector, descriptor);
    visible = kWrite ? segment.writable_data()
                     : !segment.system() && (!segment.code() || (segment.type() & 2));
  }
  set_zf(cpu, visible);
  return true;
}

constexpr u32 type_set(std::initializer_list<unsigned> types) {
  u32 set = 0;
  for (const unsigned type : types) set |= 1u << type;
  return set;
}

/// LAR and LSL: the descriptor when its type is one of `legacy`, in IA-32e mode of `wide`.
bool inspect_type(Cpu& cpu, const Instruction& insn, u32 legacy, u32 wide, Descriptor& out,
                  bool& valid) {
  u16 selector;
  if (!read_rm<u16>(cpu, insn, selector) || !inspect(cpu, selector, out, valid)) return false;
  if (valid && !(out.attributes() & 0x10)) {
    valid = ((cpu.long_mode() ? wide : legacy) >> (out.attributes() & 0xf)) & 1;
  }
  return true;
}

bool load_access_rights(Cpu& cpu, const Instruction& insn) {
  Descriptor descriptor;
  bool valid;
  if (!inspect_type(cpu, insn, type_set({1, 2, 3, 4, 5, 9, 11, 12}), type_set({2, 9, 11, 12}),
                    descriptor, valid)) {
    return false;
  }
  if (valid) set_by_size(cpu, insn.reg, insn.operand_size, descriptor.high & 0x00ffff00);
  set_zf(cpu, valid);
  return true;
}

bool load_segment_limit(Cpu& cpu, const Instruction& insn) {
  Descriptor descriptor;
  bool valid;
  if (!inspect_type(cpu, insn, type_set({1, 2, 3, 9, 11}), type_set({2, 9, 11}), descriptor,
                    valid)) {
    return false;
  }
  if (valid) set_by_size(cpu, insn.reg, insn.operand_size, descriptor.limit());
  set_zf(cpu, valid);
  return true;
}

template <class T>
bool check_bounds(Cpu& cpu, const Instruction& insn) {
  const u64 address = effective_address(cpu, insn);
  T lower, upper;
  using Signed = std::make_signed_t<T>;
  const auto index = static_cast<Signed>(get_register<T>(cpu, insn.reg));
  // The lower bound is judged before the upper one is read, as Intel processors do.
  if (!cpu.read<T>(insn.segment, address, lower)) return false;
  if (index < static_cast<Signed>(lower)) return cpu.raise(kVectorBr);
  if (!cpu.read<T>(insn.segment, (address + sizeof(T)) & insn.address_mask(), upper)) return false;
  return index <= static_cast<Signed>(upper) || cpu.raise(kVectorBr);
}

}  // namespace

Handler select_MovFromSeg(const Instruction&) { return move_from_segment; }
Handler select_MovToSeg(const Instruction&) { return move_to_segment; }
Handler select_PushSeg(const Instruction&) { return push_segment; }
Handler select_PopSeg(const Instruction&) { return pop_segment; }
Handler select_Les(const Instruction&) { return load_far_pointer<kEs>; }
Handler select_Lds(const Instruction&) { return load_far_pointer<kDs>; }
Handler select_Lss(const Instruction&) { return load_far_pointer<kSs>; }
Handler select_Lfs(const Instruction&) { return load_far_pointer<kFs>; }
Handler select_Lgs(const Instruction&) { return load_far_pointer<kGs>; }
Handler select_Sgdt(const Instruction&) { return store_gdt; }
Handler select_Sidt(const Instruction&) { return store_idt; }
Handler select_Lgdt(const Instruction&) { return load_gdt; }
Handler select_Lidt(const Instruction&) { return load_idt; }
Handler select_Sldt(const Instruction&) { return store_system_segment<kLdtr>; }
Handler select_Str(const Instruction&) { return store_system_segment<kTr>; }
Handler select_Lldt(const Instruction&) { return load_system_segment<kLdtr>; }
Handler select_Ltr(const Instruction&) { return load_system_segment<kTr>; }
Handler select_Arpl(const Instruction&) { return adjust_rpl; }
Handler select_Verr(const Instruction&) { return verify<false>; }
Handler select_Verw(const Instruction&) { return verify<true>; }
Handler select_Lar(const Instruction&) { return load_access_rights; }
Handler select_Lsl(const Instruction&) { return load_segment_limit; }
Handler select_Bound(const Instruction& insn) {
  return insn.operand_size == 2 ? check_bounds<u16> : check_bounds<u32>;
}

}  // namespace dragoman
