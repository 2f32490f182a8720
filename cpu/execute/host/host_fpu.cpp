#include "cpu/execute/host/host_fpu.h"

#include <cstddef>
#include <cstring>

#include "cpu/cpu.h"
#include "cpu/execute/host/code_buffer.h"
#include "cpu/execute/host/x87.h"
#include "cpu/isa/rows.h"

namespace dragoman {
namespace {

// Registers inside a vector stub: the caller's arguments stay in RDI (reg), RSI (r/m or memory)
// and RDX (vvvv); R8 holds the context. The instruction itself is encoded with these:
constexpr unsigned kReg = 1, kVvvv = 2, kRm = 3, kFourth = 4;  // xmm or mm
constexpr unsigned kBaseRdi = 7, kBaseRsi = 6, kBaseRdx = 2;

constexpr unsigned field(std::size_t offset) { return static_cast<unsigned>(offset); }
constexpr unsigned kGprField = field(offsetof(VectorContext, gpr));
constexpr unsigned kRdxField = field(offsetof(VectorContext, rdx));
constexpr unsigned kFlagsField = field(offsetof(VectorContext, flags));
constexpr unsigned kFourthField = field(offsetof(VectorContext, fourth));
constexpr unsigned kXmm0Field = field(offsetof(VectorContext, xmm0));
constexpr unsigned kMxcsrInField = field(offsetof(VectorContext, mxcsr_in));
constexpr unsigned kMxcsrOutField = field(offsetof(VectorContext, mxcsr_out));
constexpr unsigned kMxcsrHostField = field(offsetof(VectorContext, mxcsr_host));

enum class Size : u8 { kLegacy16, kVex16, kVex32 };

/// (V)MOVUPS xmm/ymm, [base] or the other way round.
void move_vector(CodeBuffer& out, bool store, unsigned number, unsigned base, Size size) {
  if (size != Size::kLegacy16) out.bytes({0xc5, size == Size::kVex32 ? 0xfcu : 0xf8u});
  if (size == Size::kLegacy16) out.byte(0x0f);
  out.bytes({store ? 0x11u : 0x10u, modrm_byte(0, number, base)});
}

/// The same with the pointer in a field of the context: MOV R9, [R8+field]; (V)MOVUPS [R9].
void move_vector_through(CodeBuffer& out, bool store, unsigned number, unsigned context_field,
                         Size size) {
  out.bytes({0x4d, 0x8b, 0x48, context_field});
  if (size == Size::kLegacy16) {
    out.bytes({0x41, 0x0f});
  } else {
    out.bytes({0xc4, 0xc1, size == Size::kVex32 ? 0x7cu : 0x78u});
  }
  out.bytes({store ? 0x11u : 0x10u, modrm_byte(0, number, 1)});
}

/// The guest's instruction with its operands in the stub's registers.
void encode_instruction(CodeBuffer& out, const Row& r, const VectorPlan& plan, bool wide, bool l,
                        unsigned immediate) {
  const unsigned pp = r.prefix == PrefixKey::k66   ? 1
                      : r.prefix == PrefixKey::kF3 ? 2
                      : r.prefix == PrefixKey::kF2 ? 3
                                                   : 0;
  static constexpr std::array<unsigned, 4> kPrefixBytes = {0, 0x66, 0xf3, 0xf2};
  const unsigned map = r.map == OpcodeMap::k0F ? 1 : r.map == OpcodeMap::k0F38 ? 2 : 3;
  if (r.vex) {
    const unsigned vvvv = plan.vvvv ? kVvvv : 0;
    out.bytes({0xc4, 0xe0 | map, (wide ? 0x80u : 0u) | (~vvvv & 15) << 3 | (l ? 4u : 0u) | pp});
  } else {
    if (pp != 0) out.byte(kPrefixBytes[pp]);
    if (wide) out.byte(0x48);
    out.byte(0x0f);
    if (map == 2) out.byte(0x38);
    if (map == 3) out.byte(0x3a);
  }
  out.byte(r.opcode);
  const unsigned reg = r.reg >= 0                       ? static_cast<unsigned>(r.reg)
                       : plan.gpr == OperandField::kReg ? 0
                                                        : kReg;
  if (plan.memory) {
    out.byte(modrm_byte(0, reg, kBaseRsi));
  } else {
    out.byte(modrm_byte(3, reg, plan.gpr == OperandField::kRm ? 0 : kRm));
  }
  if (plan.immediate) out.byte(immediate);
}

void generate_vector_stub(CodeBuffer& out, const Row& r, const VectorPlan& plan, bool wide, bool l,
                          unsigned immediate) {
  const Size load = !r.vex ? Size::kLegacy16 : l ? Size::kVex32 : Size::kVex16;
  const Size store = r.vex ? Size::kVex32 : Size::kLegacy16;  // VEX clears the bits above
  out.bytes({0x49, 0x89, 0xc8});                              // mov r8, rcx
  if (plan.reg) move_vector(out, false, kReg, kBaseRdi, load);
  if (plan.rm) move_vector(out, false, kRm, kBaseRsi, load);
  if (plan.vvvv) move_vector(out, false, kVvvv, kBaseRdx, load);
  if (plan.mmx_reg) out.bytes({0x0f, 0x6f, modrm_byte(0, kReg, kBaseRdi)});
  if (plan.mmx_rm) out.bytes({0x0f, 0x6f, modrm_byte(0, kRm, kBaseRsi)});
  if (plan.fourth) move_vector_through(out, false, kFourth, kFourthField, load);
  if (plan.xmm0) move_vector_through(out, false, 0, kXmm0Field, load);
  if (plan.gpr != OperandField::kNone || plan.compares_strings) {
    out.bytes({0x49, 0x8b, 0x40, kGprField});  // mov rax, [r8+gpr]
  }
  if (plan.compares_strings) out.bytes({0x49, 0x8b, 0x50, kRdxField});
  if (plan.floating_point) out.bytes({0x41, 0x0f, 0xae, 0x50, kMxcsrInField});  // ldmxcsr

  encode_instruction(out, r, plan, wide, l, immediate);

  if (plan.writes_flags) {
    out.bytes({0x9c, 0x41, 0x59});               // pushfq; pop r9
    out.bytes({0x4d, 0x89, 0x48, kFlagsField});  // mov [r8+flags], r9
  }
  if (plan.floating_point) {
    out.bytes({0x41, 0x0f, 0xae, 0x58, kMxcsrOutField});   // stmxcsr
    out.bytes({0x41, 0x0f, 0xae, 0x50, kMxcsrHostField});  // ldmxcsr
  }
  if (plan.reg_written) move_vector(out, true, kReg, kBaseRdi, store);
  if (plan.rm_written) move_vector(out, true, kRm, kBaseRsi, store);
  if (plan.vvvv_written) move_vector(out, true, kVvvv, kBaseRdx, store);
  if (plan.xmm0_written) move_vector_through(out, true, 0, kXmm0Field, store);
  if (plan.mmx_reg_written) out.bytes({0x0f, 0x7f, modrm_byte(0, kReg, kBaseRdi)});
  if (plan.mmx_rm_written) out.bytes({0x0f, 0x7f, modrm_byte(0, kRm, kBaseRsi)});
  if (plan.gpr_written) out.bytes({0x49, 0x89, 0x40, kGprField});   // mov [r8+gpr], rax
  if (plan.index_result) out.bytes({0x49, 0x89, 0x48, kGprField});  // mov [r8+gpr], rcx
  if (plan.mmx()) out.bytes({0x0f, 0x77});                          // emms
  if (r.vex) out.bytes({0xc5, 0xf8, 0x77});                         // vzeroupper
  out.byte(0xc3);
}

}  // namespace

const void* HostFpu::add_code(std::span<const u8> code) {
  const void* start = arena_.add(code);
  if (start == nullptr && arena_.usable()) {
    // Full: start anew. Instructions keep their VectorStub, whose code comes back when needed.
    arena_.clear();
    for (auto& entry : vector_stubs_) entry.second->code = nullptr;
    x87_stubs_.fill(nullptr);
    start = arena_.add(code);
  }
  if (start == nullptr) {
    cpu_.log().once("executable memory",
                    "The host allows no executable memory (mprotect PROT_EXEC failed); x87, MMX, "
                    "SSE and AVX instructions raise #UD. Lift the restriction on executable "
                    "mappings for this process.");
  }
  return start;
}

const VectorStub* HostFpu::find_vector_stub(const Instruction& insn) {
  const Row& r = row(insn.row);
  // Outside 64-bit mode W is ignored where it would select a 64-bit general operand.
  bool wide = insn.has(kInsnRexW);
  VectorPlan plan = vector_plan(insn, wide);
  if (wide && !cpu_.code64()) {
    for (const Operand& operand : r.operands) {
      const Addressing a = operand.addressing;
      if (operand.width == Width::kY || a == Addressing::kG || a == Addressing::kE ||
          a == Addressing::kR || plan.compares_strings) {
        wide = false;
      }
    }
    plan = vector_plan(insn, wide);
  }
  const bool l = insn.has(kInsnVexL);
  const unsigned immediate = plan.fourth      ? kFourth << 4 | (insn.immediate & 15)
                             : plan.immediate ? static_cast<unsigned>(insn.immediate & 0xff)
                                              : 0;
  const u64 key =
      u64{insn.row} << 16 | immediate << 8 | (insn.memory() ? 4 : 0) | (wide ? 2 : 0) | (l ? 1 : 0);
  std::unique_ptr<VectorStub>& stub = vector_stubs_[key];
  if (stub == nullptr) {
    stub = std::make_unique<VectorStub>();
    stub->key = key;
    stub->plan = plan;
    stub->number = static_cast<u32>(stubs_by_number_.size());
    stubs_by_number_.push_back(stub.get());
  }
  insn.vector_stub = stub->number;
  if (stub->code == nullptr) {
    CodeBuffer out;
    generate_vector_stub(out, r, plan, wide, l, immediate);
    stub->code = reinterpret_cast<VectorStub::Code>(reinterpret_cast<u64>(add_code(out.code())));
  }
  return stub->code == nullptr ? nullptr : stub.get();
}

HostFpu::X87Code HostFpu::x87_stub(const Instruction& insn) {
  // Memory forms differ by ModRM.reg only; the address is passed in RSI.
  const unsigned modrm =
      insn.memory() ? modrm_byte(0, insn.modrm >> 3, kBaseRsi) : unsigned{insn.modrm} | 0xc0;
  X87Code& known = x87_stubs_[(insn.opcode & 7u) << 8 | modrm];
  if (known != nullptr) return known;

  CodeBuffer out;
  // FCMOVcc reads and F(U)COMI(P) writes RFLAGS: they are passed through [RDX].
  const bool flags =
      !insn.memory() && (insn.opcode == 0xda || insn.opcode == 0xdb || insn.opcode == 0xdf);
  out.bytes({0x48, 0x0f, 0xae, 0x0f});       // fxrstor64 [rdi]
  if (flags) out.bytes({0xff, 0x32, 0x9d});  // push qword [rdx]; popfq
  out.bytes({insn.opcode, modrm});
  if (flags) out.bytes({0x9c, 0x8f, 0x02});  // pushfq; pop qword [rdx]
  // No waiting instruction from here on: an unmasked exception of the guest may be pending.
  out.bytes({0x48, 0x0f, 0xae, 0x07});  // fxsave64 [rdi]
  out.byte(0xc3);
  const auto code = reinterpret_cast<X87Code>(reinterpret_cast<u64>(add_code(out.code())));
  known = code;
  return code;
}

bool HostFpu::run_x87(FpuState& fpu, const Instruction& insn, u8* memory, u64& flags) {
  const X87Code code = x87_stub(insn);
  if (code == nullptr) return false;
  X87Image& image = image_;
  fill_x87_image(fpu, image);
  // An error that was reported by FERR# and is ignored (IGNNE#) must not be pending on the host.
  const unsigned ignored = (fpu.status & kX87Summary) ? fpu.status & kX87Exceptions : 0;
  image.status = static_cast<u16>(fpu.status & ~ignored);
  image.mxcsr = 0x1f80;
  code(&image, memory, &flags);
  // Leave the x87 as C++ code expects it: the standard library uses long double here and there.
  // With the default control word nothing can be pending and emptying the stack is enough.
  if (fpu.control == 0x037f) {
    asm volatile("emms");
  } else {
    asm volatile("fninit");
  }
  const u16 control = fpu.control;
  take_x87_image(image, fpu);
  fpu.control = control;
  if (ignored != 0) fpu.status |= static_cast<u16>(ignored | kX87Summary | kX87Busy);
  return true;
}

}  // namespace dragoman
