#include "tests/cpu/host_oracle.h"

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cstddef>
#include <cstring>

namespace dragoman {
namespace {

// Read by signal handlers.
thread_local HostState* volatile running = nullptr;
thread_local volatile u64 resume_at = 0;

bool at_instruction(const ucontext_t& context) {
  return running != nullptr && static_cast<u64>(context.uc_mcontext.gregs[REG_RIP]) >> kPageShift ==
                                   resume_at >> kPageShift;
}

void on_floating_point_error(int number, siginfo_t*, void* context) {
  auto* c = static_cast<ucontext_t*>(context);
  if (!at_instruction(*c)) {
    signal(number, SIG_DFL);  // not ours: happens again and ends the program
    return;
  }
  running->trapped_mxcsr = c->uc_mcontext.fpregs->mxcsr;
  c->uc_mcontext.gregs[REG_RIP] = static_cast<greg_t>(resume_at);
}

void on_memory_fault(int number, siginfo_t*, void* context) {
  auto* c = static_cast<ucontext_t*>(context);
  if (!at_instruction(*c)) {
    signal(number, SIG_DFL);
    return;
  }
  running->memory_fault = true;
  c->uc_mcontext.gregs[REG_RIP] = static_cast<greg_t>(resume_at);
}

__attribute__((noinline)) void call_with_state(HostState* state, const void* code) {
  asm volatile(
      "pushq %%rbx\n\t"
      "pushq %%rbp\n\t"
      "movq %%rdi, %%rbx\n\t"
      "movq %%rsi, %%rbp\n\t"
      "movl $7, %%eax\n\t"
      "xorl %%edx, %%edx\n\t"
      "xrstor64 (%%rbx)\n\t"
      "pushq %c[flags](%%rbx)\n\t"
      "popfq\n\t"
      "movq %c[rax](%%rbx), %%rax\n\t"
      "movq %c[rcx](%%rbx), %%rcx\n\t"
      "movq %c[rdx](%%rbx), %%rdx\n\t"
      "movq %c[rdi](%%rbx), %%rdi\n\t"
      "call *%%rbp\n\t"
      "pushfq\n\t"
      "popq %c[flags](%%rbx)\n\t"
      "movq %%rax, %c[rax](%%rbx)\n\t"
      "movq %%rcx, %c[rcx](%%rbx)\n\t"
      "movq %%rdx, %c[rdx](%%rbx)\n\t"
      "movl $7, %%eax\n\t"
      "xorl %%edx, %%edx\n\t"
      "xsave64 (%%rbx)\n\t"
      "fninit\n\t"
      "vzeroupper\n\t"
      "popq %%rbp\n\t"
      "popq %%rbx\n\t"
      "pushq $0x1f80\n\t"
      "ldmxcsr (%%rsp)\n\t"
      "addq $8, %%rsp\n\t"
      : "+D"(state), "+S"(code)
      : [flags] "i"(offsetof(HostState, flags)), [rax] "i"(offsetof(HostState, rax)),
        [rcx] "i"(offsetof(HostState, rcx)), [rdx] "i"(offsetof(HostState, rdx)),
        [rdi] "i"(offsetof(HostState, rdi))
      : "rax", "rcx", "rdx", "r8", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5",
        "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

}  // namespace

HostOracle::HostOracle() {
  code_ = static_cast<u8*>(
      mmap(nullptr, kPageSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  struct sigaction action {};
  action.sa_sigaction = on_floating_point_error;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGFPE, &action, nullptr);
  action.sa_sigaction = on_memory_fault;
  sigaction(SIGSEGV, &action, nullptr);
}

HostOracle::~HostOracle() {
  munmap(code_, kPageSize);
  signal(SIGFPE, SIG_DFL);
  signal(SIGSEGV, SIG_DFL);
}

void HostOracle::run(std::span<const u8> instruction, HostState& state) {
  mprotect(code_, kPageSize, PROT_READ | PROT_WRITE);
  std::memcpy(code_, instruction.data(), instruction.size());
  code_[instruction.size()] = 0xc3;
  mprotect(code_, kPageSize, PROT_READ | PROT_EXEC);
  running = &state;
  resume_at = reinterpret_cast<u64>(code_ + instruction.size());
  state.trapped_mxcsr = 0;
  state.memory_fault = false;
  call_with_state(&state, code_);
  running = nullptr;
}

}  // namespace dragoman
