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

void emit_jump_look_up(x86::Assembler& a, const Cpu& cpu, const Label& miss) {
  const auto table = [&](const void* array) {
    return x86::ptr(
        kFrame, kPointer, 3,
        static_cast<i32>(static_cast<const u8*>(array) - reinterpret_cast<const u8*>(&cpu.frame)),
        8);
  };
  a.mov(kScratch, slot(cpu, &cpu.frame.jump_key));
  a.xor_(kScratch, kPointer);
  a.mov(kPointer, Imm(JumpTable::kFactor));
  a.imul(kPointer, kScratch);
  a.shr(kPointer, JumpTable::kShift);
  a.cmp(kScratch, table(cpu.jump_table.keys.data()));
  a.jne(miss);
  a.jmp(table(cpu.jump_table.hosts.data()));
}

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
    put_vectors_away(a, cpu, 0);
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

std::vector<u8> emit_guard_stub(Cpu& cpu, const StubTargets& targets) {
  return assembled([&](x86::Assembler& a) {
    constexpr i32 kPushed = 8;
    store_registers(a, cpu, kPushed);
    put_vectors_away(a, cpu, kPushed);
    a.mov(x86::rdi, Imm(reinterpret_cast<u64>(targets.translator)));
    a.mov(x86::rsi, kScratch);
    a.mov(x86::rax, Imm(reinterpret_cast<u64>(targets.guard)));
    a.sub(x86::rsp, 8);
    a.call(x86::rax);
    a.add(x86::rsp, 8);
    a.mov(kPointer, x86::rax);
    load_registers(a, cpu, kPushed);
    fetch_vectors_again(a, cpu, kPushed);
    a.ret();
  });
}

std::vector<u8> emit_miss_stub(Cpu& cpu, const StubTargets& targets) {
  return assembled([&](x86::Assembler& a) {
    a.mov(kScratch, Imm(reinterpret_cast<u64>(targets.no_target_exit)));
    a.jmp(slot(cpu, &cpu.frame.exit_stub));
  });
}

std::vector<u8> emit_dispatch_stub(Cpu& cpu) {
  return assembled([&](x86::Assembler& a) {
    const Label miss = a.newLabel();
    emit_jump_look_up(a, cpu, miss);
    a.bind(miss);
    a.xor_(kScratch, slot(cpu, &cpu.frame.jump_key));
    a.mov(slot(cpu, &cpu.state.regs[kRip]), kScratch);
    a.jmp(slot(cpu, &cpu.frame.miss_stub));
  });
}

std::vector<u8> emit_memory_stub(Cpu& cpu, const StubTargets& targets) {
  return assembled([&](x86::Assembler& a) {
    constexpr i32 kPushed = 8;  // the return address
    store_registers(a, cpu, kPushed);
    put_vectors_away(a, cpu, kPushed);
    a.mov(x86::rdi, Imm(reinterpret_cast<u64>(targets.translator)));
    a.mov(x86::rsi, kScratch);
    a.mov(x86::rdx, kPointer);
    a.mov(x86::rax, Imm(reinterpret_cast<u64>(targets.memory)));
    a.sub(x86::rsp, 8);
    a.call(x86::rax);
    a.add(x86::rsp, 8);
    a.mov(kPointer, x86::rax);
    load_registers(a, cpu, kPushed);
    fetch_vectors_again(a, cpu, kPushed);
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
    put_vectors_away(a, cpu, kPushed);
    a.mov(slot(cpu, &cpu.frame.vectors_live, 1, kPushed), kVectorsInMemory);
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
