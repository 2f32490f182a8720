#include "jit/emit/stubs.h"

#include "jit/emit/host_registers.h"

namespace dragoman {

using asmjit::Imm;
using asmjit::Label;
namespace x86 = asmjit::x86;

namespace {

x86::Mem slot(const Cpu& cpu, const void* member, unsigned size = 8) {
  return x86::ptr(
      kState,
      static_cast<i32>(static_cast<const u8*>(member) - reinterpret_cast<const u8*>(&cpu.state)),
      size);
}

void load_registers(x86::Assembler& a, const Cpu& cpu) {
  for (const u8 gpr : kPinned) a.mov(x86::gpq(gpr), slot(cpu, &cpu.state.regs[gpr]));
}
void store_registers(x86::Assembler& a, const Cpu& cpu) {
  for (const u8 gpr : kPinned) a.mov(slot(cpu, &cpu.state.regs[gpr]), x86::gpq(gpr));
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

}  // namespace

std::vector<u8> emit_enter_stub(Cpu& cpu) {
  return assembled([&](x86::Assembler& a) {
    for (const x86::Gp& reg : kCalleeSaved) a.push(reg);
    a.sub(x86::rsp, 8);  // calls from generated code find an aligned stack
    a.mov(kState, x86::rdi);
    a.mov(kScratch, x86::rsi);
    load_registers(a, cpu);
    a.jmp(kScratch);
  });
}

std::vector<u8> emit_exit_stub(Cpu& cpu) {
  return assembled([&](x86::Assembler& a) {
    store_registers(a, cpu);
    a.mov(x86::rax, kScratch);
    a.add(x86::rsp, 8);
    for (std::size_t i = std::size(kCalleeSaved); i-- > 0;) a.pop(kCalleeSaved[i]);
    a.ret();
  });
}

std::vector<u8> emit_dispatch_stub(Cpu& cpu, const StubTargets& targets) {
  return assembled([&](x86::Assembler& a) {
    const Label miss = a.newLabel();
    a.mov(slot(cpu, &cpu.state.regs[kRip]), kPointer);
    a.mov(kScratch, kPointer);
    a.shr(kScratch, 12);
    a.xor_(kScratch, kPointer);
    a.and_(kScratch.r32(), Imm(targets.jump_targets - 1));
    a.shl(kScratch, 5);
    a.add(kScratch, slot(cpu, &cpu.frame.jump_table));
    a.cmp(kPointer, x86::ptr(kScratch, 0, 8));
    a.jne(miss);
    a.mov(kPointer, x86::ptr(kScratch, 8, 8));
    a.cmp(kPointer, x86::ptr(kState, TranslatorAccess::fetch_generation(cpu), 8));
    a.jne(miss);
    a.mov(kPointer.r32(), x86::ptr(kScratch, 24, 4));
    a.cmp(kPointer.r32(), x86::ptr(kState, TranslatorAccess::mode_key(cpu), 4));
    a.jne(miss);
    a.jmp(x86::ptr(kScratch, 16, 8));
    a.bind(miss);
    a.mov(kScratch, Imm(reinterpret_cast<u64>(targets.dispatch_exit)));
    a.jmp(slot(cpu, &cpu.frame.exit_stub));
  });
}

std::vector<u8> emit_call_stub(Cpu& cpu, const StubTargets& targets, const void* function,
                               StubResult result) {
  return assembled([&](x86::Assembler& a) {
    store_registers(a, cpu);
    a.sub(x86::rsp, 8);
    a.mov(x86::rdi, Imm(reinterpret_cast<u64>(targets.translator)));
    a.mov(x86::rsi, kScratch);
    a.mov(x86::rdx, kPointer);
    a.mov(x86::rax, Imm(reinterpret_cast<u64>(function)));
    a.call(x86::rax);
    a.add(x86::rsp, 8);
    if (result == StubResult::kInPointer) a.mov(kPointer, x86::rax);
    if (result == StubResult::kInScratch) a.mov(kScratch, x86::rax);
    load_registers(a, cpu);
    a.ret();
  });
}

}  // namespace dragoman
