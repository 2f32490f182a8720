// Code that all regions share: enter, leave, indirect branches, calls into C++.
#include <asmjit/asmjit.h>

#include <cstddef>

#include "jit/emit/emit.h"
#include "jit/emit/region_emitter.h"

namespace dragoman {

using asmjit::Imm;
using asmjit::Label;
namespace x86 = asmjit::x86;

namespace {

/// A member of Cpu, seen from a stack pointer that is `pushed` bytes below the frame.
x86::Mem slot(const Cpu& cpu, const void* member, unsigned size = 8, i32 pushed = 0) {
  const auto* frame = reinterpret_cast<const u8*>(&cpu.frame);
  return x86::ptr(kFrame, static_cast<i32>(static_cast<const u8*>(member) - frame) + pushed, size);
}

void load_registers(x86::Assembler& a, const Cpu& cpu, i32 pushed) {
  for (unsigned gpr = kR13; gpr <= kR15; ++gpr) {
    a.mov(kScratch, slot(cpu, &cpu.state.regs[gpr], 8, pushed));
    a.mov(slot(cpu, &cpu.frame.high[gpr - kR13], 8, pushed), kScratch);
  }
  for (unsigned gpr = 0; gpr <= kR12; ++gpr)
    a.mov(x86::gpq(host_number(gpr)), slot(cpu, &cpu.state.regs[gpr], 8, pushed));
}
void store_registers(x86::Assembler& a, const Cpu& cpu, i32 pushed) {
  for (unsigned gpr = 0; gpr <= kR12; ++gpr)
    a.mov(slot(cpu, &cpu.state.regs[gpr], 8, pushed), x86::gpq(host_number(gpr)));
  for (unsigned gpr = kR13; gpr <= kR15; ++gpr) {
    a.mov(x86::rax, slot(cpu, &cpu.frame.high[gpr - kR13], 8, pushed));
    a.mov(slot(cpu, &cpu.state.regs[gpr], 8, pushed), x86::rax);
  }
}
bool host_has_avx() {
  static const bool avx = __builtin_cpu_supports("avx");
  return avx;
}
void store_vectors(x86::Assembler& a, const Cpu& cpu, i32 pushed) {
  for (unsigned i = 0; i < 16; ++i) {
    const void* at = cpu.state.fpu.ymm[i].data();
    if (host_has_avx()) {
      a.vmovups(slot(cpu, at, 32, pushed), x86::ymm(i));
    } else {
      a.movups(slot(cpu, at, 16, pushed), x86::xmm(i));
    }
  }
  if (host_has_avx()) a.vzeroupper();
}
void load_vectors(x86::Assembler& a, const Cpu& cpu, i32 pushed) {
  const Label done = a.newLabel();
  if (host_has_avx()) {
    // Upper halves that are all zero stay in their initial state, in which SSE code runs best.
    const Label wide = a.newLabel();
    const auto upper = [&](unsigned i) {
      return slot(cpu, cpu.state.fpu.ymm[i].data() + 16, 16, pushed);
    };
    a.vmovups(x86::xmm0, upper(0));
    for (unsigned i = 1; i < 16; ++i) a.vorps(x86::xmm0, x86::xmm0, upper(i));
    a.vptest(x86::xmm0, x86::xmm0);
    a.jnz(wide);
    for (unsigned i = 0; i < 16; ++i)
      a.vmovups(x86::xmm(i), slot(cpu, cpu.state.fpu.ymm[i].data(), 16, pushed));
    a.jmp(done);
    a.bind(wide);
    for (unsigned i = 0; i < 16; ++i)
      a.vmovups(x86::ymm(i), slot(cpu, cpu.state.fpu.ymm[i].data(), 32, pushed));
  } else {
    for (unsigned i = 0; i < 16; ++i)
      a.movups(x86::xmm(i), slot(cpu, cpu.state.fpu.ymm[i].data(), 16, pushed));
  }
  a.bind(done);
}

/// To C++, which runs with its own vector registers, rounding and masks.
void put_vectors_away(x86::Assembler& a, const Cpu& cpu, i32 pushed) {
  const Label done = a.newLabel();
  a.cmp(slot(cpu, &cpu.frame.vectors_live, 1, pushed), kVectorsInMemory);
  a.je(done);
  store_vectors(a, cpu, pushed);
  a.stmxcsr(slot(cpu, &cpu.state.fpu.mxcsr, 4, pushed));
  a.ldmxcsr(slot(cpu, &cpu.frame.host_mxcsr, 4, pushed));
  a.bind(done);
}
/// Back from C++ that did not change them. kScratch is used.
void fetch_vectors_again(x86::Assembler& a, const Cpu& cpu, i32 pushed) {
  const Label done = a.newLabel();
  a.cmp(slot(cpu, &cpu.frame.vectors_live, 1, pushed), kVectorsInMemory);
  a.je(done);
  load_vectors(a, cpu, pushed);
  a.ldmxcsr(slot(cpu, &cpu.state.fpu.mxcsr, 4, pushed));
  a.bind(done);
}

/// The same for x87 and MMX, whose registers C++ finds empty. FXSAVE also stores, and FXRSTOR
/// loads, XMM registers and MXCSR, which are C++'s in between; XSAVE of the x87 alone takes longer
/// (Zen 3).
void put_x87_away(x86::Assembler& a, const Cpu& cpu, i32 pushed) {
  const Label done = a.newLabel();
  a.cmp(slot(cpu, &cpu.frame.x87_live, 1, pushed), 0);
  a.je(done);
  a.fxsave64(slot(cpu, &cpu.frame.x87_image, 0, pushed));
  a.fninit();
  a.bind(done);
}
void fetch_x87_again(x86::Assembler& a, const Cpu& cpu, i32 pushed) {
  const Label done = a.newLabel();
  a.cmp(slot(cpu, &cpu.frame.x87_live, 1, pushed), 0);
  a.je(done);
  a.fxrstor64(slot(cpu, &cpu.frame.x87_image, 0, pushed));
  a.bind(done);
}

/// All of the guest's registers to where C++ may use the host's.
void put_away(x86::Assembler& a, const Cpu& cpu, i32 pushed) {
  store_registers(a, cpu, pushed);
  put_vectors_away(a, cpu, pushed);
  put_x87_away(a, cpu, pushed);
}
/// Back from C++ that did not change vector and x87 registers. kScratch is used.
void fetch_again(x86::Assembler& a, const Cpu& cpu, i32 pushed) {
  fetch_x87_again(a, cpu, pushed);
  load_registers(a, cpu, pushed);
  fetch_vectors_again(a, cpu, pushed);
}

template <class Emit>
std::vector<u8> assembled(Emit&& emit) {
  asmjit::CodeHolder code;
  code.init(asmjit::Environment::host());
  x86::Assembler a(&code);
  emit(a);
  std::vector<u8> bytes;
  if (code.flatten() != asmjit::kErrorOk || code.resolveUnresolvedLinks() != asmjit::kErrorOk)
    return bytes;
  bytes.resize(code.codeSize());
  if (code.copyFlattenedData(bytes.data(), bytes.size()) != asmjit::kErrorOk) bytes.clear();
  return bytes;
}

constexpr x86::Gp kCalleeSaved[] = {x86::rbx, x86::rbp, x86::r12, x86::r13, x86::r14, x86::r15};

/// Back to the caller of the enter stub; rax holds the result.
void return_to_cpp(x86::Assembler& a, const Cpu& cpu) {
  a.mov(x86::rsp, slot(cpu, &cpu.frame.host_stack));
  for (std::size_t i = std::size(kCalleeSaved); i-- > 0;) a.pop(kCalleeSaved[i]);
  a.ret();
}

/// Bytes of all slots but the last.
constexpr u64 kSlotMask = (JumpTable::kSlots - 1) * sizeof(JumpTable::Slot);

x86::Mem jump_slot(const Cpu& cpu, i32 offset) {
  return x86::ptr(kFrame, kScratch, 0,
                  static_cast<i32>(reinterpret_cast<const u8*>(cpu.jump_table.slots.data()) -
                                   reinterpret_cast<const u8*>(&cpu.frame)) +
                      offset,
                  8);
}
}  // namespace

void emit_find_entry(x86::Assembler& a, const Cpu& cpu, i32 pushed) {
  static const bool has_rorx = __builtin_cpu_supports("bmi2");
  if (has_rorx) {
    a.rorx(kScratch, kPointer, kPageShift - 5);
  } else {
    a.mov(kScratch, kPointer);
    a.ror(kScratch, kPageShift - 5);
  }
  static_assert(sizeof(ShadowTable::Entry) == 32);
  a.and_(kScratch.r32(), Imm((ShadowTable::kEntries - 1) << 5));
  a.add(kScratch, slot(cpu, &cpu.frame.shadow, 8, pushed));
}

void emit_load_flags(x86::Assembler& a, const Cpu& cpu) {
  a.mov(kScratch, x86::rax);
  a.movzx(x86::eax, slot(cpu, &cpu.frame.flags, 2));
  a.add(x86::al, 0x7f);  // OF
  a.sahf();
  a.mov(x86::rax, kScratch);
}

void emit_jump_look_up(x86::Assembler& a, const Cpu& cpu, const Label& miss) {
  static_assert(sizeof(JumpTable::Slot) == 16);
  a.mov(kScratch, kPointer);
  a.shl(kScratch, 4 - JumpTable::kGranuleShift);
  a.and_(kScratch.r32(), Imm(kSlotMask));
  a.xor_(kPointer, slot(cpu, &cpu.frame.jump_key));
  a.cmp(kPointer, jump_slot(cpu, 0));
  a.jne(miss);
  a.jmp(jump_slot(cpu, 8));
}

namespace {
/// Calls `function(translator, kScratch, kPointer)`; what was in kScratch is in rbx afterwards.
void call_cpp(x86::Assembler& a, const StubTargets& targets, const void* function) {
  a.mov(x86::rbx, kScratch);
  a.mov(x86::rdi, Imm(reinterpret_cast<u64>(targets.translator)));
  a.mov(x86::rsi, kScratch);
  a.mov(x86::rdx, kPointer);
  a.mov(x86::rax, Imm(reinterpret_cast<u64>(function)));
  a.sub(x86::rsp, 8);
  a.call(x86::rax);
  a.add(x86::rsp, 8);
}
}  // namespace

std::vector<u8> emit_enter_stub(Cpu& cpu) {
  return assembled([&](x86::Assembler& a) {
    for (const x86::Gp& reg : kCalleeSaved) a.push(reg);
    a.mov(x86::rax, x86::rsp);
    a.mov(x86::rsp, x86::rdi);
    a.mov(slot(cpu, &cpu.frame.host_stack), x86::rax);
    a.mov(kPointer, x86::rsi);
    load_registers(a, cpu, 0);
    a.jmp(kPointer);
  });
}

std::vector<u8> emit_exit_stub(Cpu& cpu) {
  return assembled([&](x86::Assembler& a) {
    put_away(a, cpu, 0);
    a.mov(slot(cpu, &cpu.frame.vectors_live, 1), kVectorsInMemory);
    a.mov(x86::rax, kScratch);
    return_to_cpp(a, cpu);
  });
}

std::vector<u8> emit_vectors_stub(Cpu& cpu) {
  return assembled([&](x86::Assembler& a) {
    constexpr i32 kPushed = 8;
    const Label absent = a.newLabel();
    a.cmp(slot(cpu, &cpu.frame.vectors_live, 1, kPushed), kVectorsInMemory);
    a.je(absent);
    a.ret();
    a.bind(absent);
    load_vectors(a, cpu, kPushed);
    a.ldmxcsr(slot(cpu, &cpu.state.fpu.mxcsr, 4, kPushed));
    static_assert(kVectorsLiveUnmasked == kVectorsLive + 1);
    a.mov(kScratch.r32(), slot(cpu, &cpu.state.fpu.mxcsr, 4, kPushed));
    a.not_(kScratch.r32());
    a.test(kScratch.r32(), 0x1f80);
    a.setnz(kScratch.r8());
    a.add(kScratch.r8(), kVectorsLive);
    a.mov(slot(cpu, &cpu.frame.vectors_live, 1, kPushed), kScratch.r8());
    a.ret();
  });
}

std::vector<u8> emit_x87_stub(Cpu& cpu, const StubTargets& targets) {
  return assembled([&](x86::Assembler& a) {
    constexpr i32 kPushed = 8;
    put_away(a, cpu, kPushed);
    call_cpp(a, targets, targets.x87);
    fetch_again(a, cpu, kPushed);
    a.ret();
  });
}

std::vector<u8> emit_guard_stub(Cpu& cpu, const StubTargets& targets) {
  return assembled([&](x86::Assembler& a) {
    constexpr i32 kPushed = 8;
    put_away(a, cpu, kPushed);
    call_cpp(a, targets, targets.guard);
    a.mov(kPointer, x86::rax);
    fetch_again(a, cpu, kPushed);
    a.ret();
  });
}

std::vector<u8> emit_sample_stub(Cpu& cpu, const StubTargets& targets) {
  return assembled([&](x86::Assembler& a) {
    constexpr i32 kPushed = 8;
    put_away(a, cpu, kPushed);
    a.mov(kPointer, slot(cpu, &cpu.frame.target, 8, kPushed));
    call_cpp(a, targets, targets.sample);
    fetch_again(a, cpu, kPushed);
    a.mov(kPointer, slot(cpu, &cpu.frame.target, 8, kPushed));
    a.ret();
  });
}

std::vector<u8> emit_miss_stub(Cpu& cpu, const StubTargets& targets) {
  return assembled([&](x86::Assembler& a) {
    // It may have been moved to another slot of its set.
    a.and_(kScratch.r32(), Imm(-static_cast<i32>(JumpTable::kWays * sizeof(JumpTable::Slot))));
    for (i32 way = 0; way < static_cast<i32>(JumpTable::kWays); ++way) {
      const Label next = a.newLabel();
      a.cmp(kPointer, jump_slot(cpu, way * 16));
      a.jne(next);
      a.jmp(jump_slot(cpu, way * 16 + 8));
      a.bind(next);
    }
    a.xor_(kPointer, slot(cpu, &cpu.frame.jump_key));
    a.mov(slot(cpu, &cpu.state.regs[kRip]), kPointer);
    a.mov(kScratch, Imm(reinterpret_cast<u64>(targets.no_target_exit)));
    a.jmp(slot(cpu, &cpu.frame.exit_stub));
  });
}

std::vector<u8> emit_dispatch_stub(Cpu& cpu) {
  return assembled([&](x86::Assembler& a) {
    const Label miss = a.newLabel();
    emit_jump_look_up(a, cpu, miss);
    a.bind(miss);
    a.jmp(slot(cpu, &cpu.frame.miss_stub));
  });
}

namespace {
/// What comes after a handler, whose outcome is in eax. The block goes on behind what is emitted
/// here, with the registers still in memory.
void follow_handler(x86::Assembler& a, const Cpu& cpu, const StubTargets& targets) {
  const Label go_on = a.newLabel();
  const Label leave = a.newLabel();
  static_assert(static_cast<u32>(HandlerOutcome::kGoOn) == 1);
  a.cmp(x86::eax, 1);
  a.je(go_on);
  a.jb(leave);
  a.add(x86::rsp, 8);
  load_registers(a, cpu, 0);
  a.mov(kPointer, slot(cpu, &cpu.state.regs[kRip]));
  a.jmp(slot(cpu, &cpu.frame.dispatch_stub));
  a.bind(leave);
  a.add(x86::rsp, 8);
  a.mov(x86::rax, Imm(reinterpret_cast<u64>(targets.state_exit)));
  return_to_cpp(a, cpu);
  a.bind(go_on);
}

x86::Mem site_member(const x86::Gp& site, std::size_t offset, unsigned size) {
  return x86::ptr(site, static_cast<i32>(offset), size);
}
/// Has C++ look up the page of an access, and returns with the distance to host memory in `delta`,
/// else with the host address in kPointer; goes on at `cannot`, registers in memory, when it cannot
/// be done in place. The return address is on the stack.
void look_up(x86::Assembler& a, const Cpu& cpu, const StubTargets& targets, const void* function,
             const x86::Gp& delta, const Label& cannot) {
  constexpr i32 kPushed = 8;
  put_away(a, cpu, kPushed);
  call_cpp(a, targets, function);
  a.mov(kPointer, x86::rax);
  a.test(x86::rax, x86::rax);
  a.jz(cannot);
  fetch_again(a, cpu, kPushed);
  a.mov(delta, slot(cpu, &cpu.frame.delta, 8, kPushed));
  a.ret();
}

/// An access that was looked up in C++ cannot be done in place; its Site is in rbx, registers are
/// in memory, and the return address of a stub is on the stack, which is not returned to.
void go_on_without_access(x86::Assembler& a, const Cpu& cpu, const StubTargets& targets) {
  constexpr i32 kPushed = 8;
  const Label by_handler = a.newLabel();
  const Label no_vectors = a.newLabel();
  const Label no_x87 = a.newLabel();
  const Label no_flags = a.newLabel();
  a.mov(kPointer, x86::rbx);
  a.cmp(site_member(x86::rbx, offsetof(Site, by_handler), 1), 0);
  a.jne(by_handler);
  a.cmp(slot(cpu, &cpu.frame.block_invalidated, 8, kPushed), 0);
  a.jne(by_handler);
  fetch_again(a, cpu, kPushed);
  a.add(x86::rsp, 8);
  a.jmp(site_member(kPointer, offsetof(Site, resume), 8));

  a.bind(by_handler);
  a.mov(slot(cpu, &cpu.frame.vectors_live, 1, kPushed), kVectorsInMemory);
  a.mov(kScratch, x86::rbx);
  call_cpp(a, targets, targets.interpret);
  follow_handler(a, cpu, targets);
  a.mov(kPointer, x86::rbx);
  load_registers(a, cpu, kPushed);
  a.add(x86::rsp, 8);
  a.test(site_member(kPointer, offsetof(Site, units), 1), Site::kVectors);
  a.jz(no_vectors);
  a.call(slot(cpu, &cpu.frame.vectors_stub));
  a.bind(no_vectors);
  a.test(site_member(kPointer, offsetof(Site, units), 1), Site::kX87);
  a.jz(no_x87);
  a.call(slot(cpu, &cpu.frame.x87_stub));
  a.bind(no_x87);
  a.cmp(site_member(kPointer, offsetof(Site, load_flags), 1), 0);
  a.je(no_flags);
  emit_load_flags(a, cpu);
  a.bind(no_flags);
  a.jmp(site_member(kPointer, offsetof(Site, resume), 8));
}
}  // namespace

std::vector<u8> emit_memory_stub(Cpu& cpu, const StubTargets& targets) {
  return assembled([&](x86::Assembler& a) {
    const Label cannot = a.newLabel();
    look_up(a, cpu, targets, targets.memory, kScratch, cannot);
    a.bind(cannot);
    go_on_without_access(a, cpu, targets);
  });
}

std::vector<u8> emit_window_stub(Cpu& cpu, const StubTargets& targets) {
  return assembled([&](x86::Assembler& a) {
    constexpr i32 kPushed = 8;
    const Label cannot = a.newLabel();
    const Label no_flags = a.newLabel();
    a.lea(x86::rsp, x86::ptr(x86::rsp, -kPushed));
    put_away(a, cpu, kPushed);
    call_cpp(a, targets, targets.window);
    a.mov(kPointer, x86::rax);
    a.test(x86::rax, x86::rax);
    a.jz(cannot);
    a.mov(slot(cpu, &cpu.frame.site, 8, kPushed), x86::rbx);
    fetch_again(a, cpu, kPushed);
    a.lea(x86::rsp, x86::ptr(x86::rsp, kPushed));
    a.mov(kScratch, slot(cpu, &cpu.frame.site));
    a.cmp(site_member(kScratch, offsetof(Site, flags_in_host), 1), 0);
    a.je(no_flags);
    emit_load_flags(a, cpu);
    a.bind(no_flags);
    a.jmp(kPointer);
    a.bind(cannot);
    go_on_without_access(a, cpu, targets);
  });
}

ProbeCode emit_probe_stubs(Cpu& cpu, const StubTargets& targets) {
  ProbeCode probes;
  std::array<Label, ProbeStubs::kCount> labels;
  probes.code = assembled([&](x86::Assembler& a) {
    constexpr i32 kPushed = 8;
    const std::array<Label, 2> slow = {a.newLabel(), a.newLabel()};
    const Label cannot = a.newLabel();
    for (Label& label : labels) label = a.newLabel();
    for (const bool write : {false, true}) {
      for (const auto result : {ProbeStubs::kDelta, ProbeStubs::kAddress}) {
        for (unsigned log2 = 0; log2 < ProbeStubs::kSpans; ++log2) {
          const u32 span = 1u << log2;
          const i32 tag = write ? 8 : 0;
          const Label miss = a.newLabel();
          a.align(asmjit::AlignMode::kCode, 16);
          a.bind(labels[ProbeStubs::index(write, result, span)]);
          emit_find_entry(a, cpu, kPushed);
          a.sub(kPointer, x86::ptr(kScratch, tag, 8));
          a.cmp(kPointer, Imm(static_cast<i64>(kPageSize - span)));
          a.ja(miss);
          if (result == ProbeStubs::kDelta) {
            a.mov(kPointer, x86::ptr(kScratch, 24, 8));
          } else {
            a.add(kPointer, x86::ptr(kScratch, 16, 8));
            a.mov(kScratch, x86::ptr(kScratch, 24, 8));
          }
          a.ret();
          a.bind(miss);
          a.add(kPointer, x86::ptr(kScratch, tag, 8));
          a.jmp(slow[result]);
        }
      }
    }
    for (const auto result : {ProbeStubs::kDelta, ProbeStubs::kAddress}) {
      a.bind(slow[result]);
      a.mov(kScratch, x86::ptr(x86::rsp, 0, 8));
      look_up(a, cpu, targets, targets.access, result == ProbeStubs::kDelta ? kPointer : kScratch,
              cannot);
    }
    a.bind(cannot);
    a.mov(x86::rbx, slot(cpu, &cpu.frame.site, 8, kPushed));
    go_on_without_access(a, cpu, targets);
    for (std::size_t i = 0; i < labels.size(); ++i)
      probes.offsets[i] = a.code()->labelOffset(labels[i]);
  });
  return probes;
}

std::vector<u8> emit_interpret_stub(Cpu& cpu, const StubTargets& targets) {
  return assembled([&](x86::Assembler& a) {
    constexpr i32 kPushed = 8;
    put_away(a, cpu, kPushed);
    a.mov(slot(cpu, &cpu.frame.vectors_live, 1, kPushed), kVectorsInMemory);
    call_cpp(a, targets, targets.interpret);
    follow_handler(a, cpu, targets);
    load_registers(a, cpu, kPushed);
    a.ret();
  });
}

}  // namespace dragoman
