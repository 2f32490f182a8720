#include "jit/host_fault.h"

#include <signal.h>
#include <sys/auxv.h>
#include <ucontext.h>

namespace dragoman {
namespace {

thread_local HostFaultHandler* current_handler = nullptr;
thread_local u64 gs_base = 0;

/// What was installed before; signal handlers belong to the whole process.
struct sigaction previous;

void on_fault(int number, siginfo_t* info, void* context) {
  auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  HostFault fault{reinterpret_cast<const u8*>(registers[REG_RIP]),
                  static_cast<u64>(registers[REG_R15]), static_cast<u64>(registers[REG_EFL])};
  if (current_handler != nullptr && current_handler->host_fault(fault)) {
    registers[REG_RIP] = reinterpret_cast<greg_t>(fault.rip);
    registers[REG_R15] = static_cast<greg_t>(fault.scratch);
    return;
  }
  if ((previous.sa_flags & SA_SIGINFO) != 0 && previous.sa_sigaction != nullptr) {
    previous.sa_sigaction(number, info, context);
    return;
  }
  // A fault of the emulator itself comes again, and ends as it would have without us.
  sigaction(number, &previous, nullptr);
}

}  // namespace

void receive_host_faults() {
  struct sigaction now = {};
  if (sigaction(SIGSEGV, nullptr, &now) != 0) return;
  if ((now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == on_fault) return;
  previous = now;
  struct sigaction action = {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  sigaction(SIGSEGV, &action, nullptr);
}

HostFaultScope::HostFaultScope(HostFaultHandler* handler) : outer_(current_handler) {
  current_handler = handler;
}
HostFaultScope::~HostFaultScope() { current_handler = outer_; }

bool can_set_gs_base() {
  constexpr unsigned long kFsGsBase = 1 << 1;  // of Linux' hints in AT_HWCAP2
  return (getauxval(AT_HWCAP2) & kFsGsBase) != 0;
}

// The system call takes no address of the kernel's half, as which a distance downwards counts.
void set_gs_base(u64 distance) {
  if (gs_base == distance) return;
  asm volatile("wrgsbase %0" ::"r"(distance));
  gs_base = distance;
}

}  // namespace dragoman
