// Where message-signalled interrupts go (PCI Local Bus Specification 3.0, 6.8; SDM vol. 3, 11.11).
#pragma once

#include "base/types.h"

namespace dragoman {

/// Receives the memory write of a message-signalled interrupt. A store by the CPU to FEE00000h
/// reaches the registers of its own local APIC, the same store by a PCI function is a message to
/// the APIC bus. The memory map cannot tell who stores, so functions hand messages to this
/// interface instead of writing them through MemoryMap.
class MsiSink {
 public:
  virtual ~MsiSink() = default;
  /// `address` lies in FEE00000h..FEEFFFFFh.
  virtual void deliver_msi(u64 address, u32 data) = 0;
};

}  // namespace dragoman
