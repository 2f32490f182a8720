#include "frontends/trace/host_sampler.h"

#include <signal.h>
#include <unistd.h>

namespace dragoman {
namespace {
constexpr long kPeriodNs = 1'000'000;
}

// The sampler comes with the signal, so that several can live in one process.
void HostSampler::on_signal(int, siginfo_t* info, void* context) {
  if (info->si_code != SI_TIMER) return;
  auto* self = static_cast<HostSampler*>(info->si_value.sival_ptr);
  const auto* user = static_cast<const ucontext_t*>(context);
  const u64 at = self->next_.load(std::memory_order_relaxed);
  self->ring_[at % kRing] = static_cast<u64>(user->uc_mcontext.gregs[REG_RIP]);
  self->next_.store(at + 1, std::memory_order_release);
}

bool HostSampler::start() {
  struct sigaction action {};
  action.sa_sigaction = &HostSampler::on_signal;
  action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
  if (sigaction(SIGPROF, &action, nullptr) != 0) return false;
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = SIGPROF;
  event.sigev_value.sival_ptr = this;
  event._sigev_un._tid = gettid();
  if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer_) != 0) return false;
  const itimerspec period{{0, kPeriodNs}, {0, kPeriodNs}};
  if (timer_settime(timer_, 0, &period, nullptr) != 0) {
    timer_delete(timer_);
    return false;
  }
  running_ = true;
  return true;
}

void HostSampler::stop() {
  if (!running_) return;
  running_ = false;
  // A signal that is on its way would find the sampler gone.
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  timer_delete(timer_);
  sigaction(SIGPROF, &ignore, nullptr);
}

}  // namespace dragoman
