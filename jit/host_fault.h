// Faults of the host's processor in translated code that accesses guest memory through the host's
// own page tables: who looks after them.
#pragma once

#include "base/types.h"

namespace dragoman {

/// Registers of the host where it faulted.
struct HostFault {
  const u8* rip = nullptr;  ///< may be changed: where to go on
  u64 scratch = 0;          ///< r15; may be changed
  u64 flags = 0;            ///< RFLAGS
};

class HostFaultHandler {
 public:
  /// In a signal handler, for a fault of the thread's own code: no allocation, no lock. False when
  /// the fault is none of its own.
  virtual bool host_fault(HostFault& fault) = 0;

 protected:
  ~HostFaultHandler() = default;
};

/// From now on the process looks who has code that faults; what did so before is asked next.
void receive_host_faults();

/// While it lives, faults of this thread go to `handler` first, which may be null.
class HostFaultScope {
 public:
  explicit HostFaultScope(HostFaultHandler* handler);
  ~HostFaultScope();
  HostFaultScope(const HostFaultScope&) = delete;
  HostFaultScope& operator=(const HostFaultScope&) = delete;

 private:
  HostFaultHandler* const outer_;
};

}  // namespace dragoman
