#include "jit/host_fault.h"

#include <signal.h>
#include <ucontext.h>

#include <array>
#include <mutex>

namespace dragoman {
namespace {

thread_local HostFaultHandler* current_handler = nullptr;

/// Faults of accesses come as SIGSEGV; as SIGBUS (#SS) where an address off RBP or RSP is not
/// canonical.
constexpr std::array kSignals = {SIGSEGV, SIGBUS};
/// What was installed before; signal handlers belong to the whole process.
std::array<struct sigaction, kSignals.size()> previous;

void on_fault(int number, siginfo_t* info, void* context) {
  auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  HostFault fault{reinterpret_cast<const u8*>(registers[REG_RIP]),
                  static_cast<u64>(registers[REG_R15]), static_cast<u64>(registers[REG_EFL])};
  if (current_handler != nullptr && current_handler->host_fault(fault)) {
    registers[REG_RIP] = reinterpret_cast<greg_t>(fault.rip);
    registers[REG_R15] = static_cast<greg_t>(fault.scratch);
    return;
  }
  const struct sigaction& before = previous[number == kSignals[0] ? 0 : 1];
  if ((before.sa_flags & SA_SIGINFO) != 0 && before.sa_sigaction != nullptr) {
    before.sa_sigaction(number, info, context);
    return;
  }
  // A fault of the emulator itself comes again, and ends as it would have without us.
  sigaction(number, &before, nullptr);
}

void receive(std::size_t which) {
  struct sigaction now = {};
  if (sigaction(kSignals[which], nullptr, &now) != 0) return;
  if ((now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == on_fault) return;
  previous[which] = now;
  struct sigaction action = {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  sigaction(kSignals[which], &action, nullptr);
}

}  // namespace

void receive_host_faults() {
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  for (std::size_t i = 0; i < kSignals.size(); ++i) receive(i);
}

HostFaultScope::HostFaultScope(HostFaultHandler* handler) : outer_(current_handler) {
  current_handler = handler;
}
HostFaultScope::~HostFaultScope() { current_handler = outer_; }

}  // namespace dragoman
