// Code that all regions share: enter, leave, indirect branches, calls into C++.
#include <asmjit/asmjit.h>

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
/// C++ runs with its own rounding and masks.
void leave_guest_mxcsr(x86::Assembler& a, const Cpu& cpu, i32 pushed) {
  const Label done = a.newLabel();
  a.cmp(slot(cpu, &cpu.frame.guest_mxcsr, 1, pushed), 0);
  a.je(done);
  a.stmxcsr(slot(cpu, &cpu.state.fpu.mxcsr, 4, pushed));
  a.ldmxcsr(slot(cpu, &cpu.frame.host_mxcsr, 4, pushed));
  a.mov(slot(cpu, &cpu.frame.guest_mxcsr, 1, pushed), 0);
  a.bind(done);
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
    store_registers(a, cpu, 0);
    leave_guest_mxcsr(a, cpu, 0);
    a.mov(x86::rax, kScratch);
    return_to_cpp(a, cpu);
  });
}

std::vector<u8> emit_miss_stub(Cpu& cpu, const StubTargets& targets) {
  return assembled([&](x86::Assembler& a) {
    a.mov(kScratch, Imm(reinterpret_cast<u64>(targets.state_exit)));
    a.jmp(slot(cpu, &cpu.frame.exit_stub));
  });
}

std::vector<u8> emit_dispatch_stub(Cpu& cpu) {
  return assembled([&](x86::Assembler& a) {
    const Label miss = a.newLabel();
    a.mov(slot(cpu, &cpu.state.regs[kRip]), kPointer);
    a.imul(kScratch.r32(), x86::ptr(kFrame, TranslatorAccess::fetch_context(cpu) + 4, 4),
           kJumpContextFactor);
    a.lea(kScratch.r32(), x86::ptr(kScratch, kPointer, 3));
    a.and_(kScratch.r32(), Imm((kJumpTargets - 1) << 5));
    a.add(kScratch, slot(cpu, &cpu.frame.jump_table));
    a.cmp(kPointer, x86::ptr(kScratch, 0, 8));
    a.jne(miss);
    a.mov(kPointer, x86::ptr(kFrame, TranslatorAccess::fetch_context(cpu), 8));
    a.cmp(kPointer, x86::ptr(kScratch, 8, 8));
    a.jne(miss);
    a.jmp(x86::ptr(kScratch, 16, 8));
    a.bind(miss);
    a.jmp(slot(cpu, &cpu.frame.miss_stub));
  });
}

std::vector<u8> emit_memory_stub(Cpu& cpu, const StubTargets& targets) {
  return assembled([&](x86::Assembler& a) {
    constexpr i32 kPushed = 8;  // the return address
    store_registers(a, cpu, kPushed);
    leave_guest_mxcsr(a, cpu, kPushed);
    a.mov(x86::rdi, Imm(reinterpret_cast<u64>(targets.translator)));
    a.mov(x86::rsi, kScratch);
    a.mov(x86::rdx, kPointer);
    a.mov(x86::rax, Imm(reinterpret_cast<u64>(targets.memory)));
    a.sub(x86::rsp, 8);
    a.call(x86::rax);
    a.add(x86::rsp, 8);
    a.mov(kPointer, x86::rax);
    load_registers(a, cpu, kPushed);
    a.mov(kScratch, slot(cpu, &cpu.frame.entry, 8, kPushed));
    a.ret();
  });
}

std::vector<u8> emit_interpret_stub(Cpu& cpu, const StubTargets& targets) {
  return assembled([&](x86::Assembler& a) {
    constexpr i32 kPushed = 8;
    const Label leave = a.newLabel();
    const Label dispatch = a.newLabel();
    store_registers(a, cpu, kPushed);
    leave_guest_mxcsr(a, cpu, kPushed);
    a.mov(x86::rdi, Imm(reinterpret_cast<u64>(targets.translator)));
    a.mov(x86::rsi, kScratch);
    a.mov(x86::rax, Imm(reinterpret_cast<u64>(targets.interpret)));
    a.sub(x86::rsp, 8);
    a.call(x86::rax);
    a.add(x86::rsp, 8);
    static_assert(static_cast<u32>(HandlerOutcome::kGoOn) == 1);
    a.cmp(x86::eax, 1);
    a.jb(leave);
    a.ja(dispatch);
    load_registers(a, cpu, kPushed);
    a.ret();
    a.bind(dispatch);
    a.add(x86::rsp, 8);
    load_registers(a, cpu, 0);
    a.mov(kPointer, slot(cpu, &cpu.state.regs[kRip]));
    a.jmp(slot(cpu, &cpu.frame.dispatch_stub));
    a.bind(leave);
    a.add(x86::rsp, 8);
    a.mov(x86::rax, Imm(reinterpret_cast<u64>(targets.state_exit)));
    return_to_cpp(a, cpu);
  });
}

}  // namespace dragoman
