// Somebody who watches a processor work, for traces and logs. Called on cold paths only; a
// processor without one pays a test of a pointer there and nothing anywhere else.
#pragma once

#include "base/types.h"
#include "cpu/events/fault_log.h"

namespace dragoman {

/// What the shadow page tables lost, and why.
enum class ShadowFlush : u8 {
  kEverything,    ///< all address spaces, global pages too: modes, CR4, RAM moved
  kAllButGlobal,  ///< all address spaces (INVPCID type 3)
  kAddressSpace,  ///< the current or a named PCID: MOV to CR3, INVPCID type 1
  kPage,          ///< one page: INVLPG, INVPCID type 0
  kKept,          ///< none: another address space was chosen and its tables are still good
};
inline constexpr unsigned kShadowFlushes = 5;

/// An entry made after a page walk.
struct ShadowFill {
  u64 linear = 0;         ///< address that was asked for
  u64 physical = 0;       ///< where it lies
  u64 page_bytes = 0;     ///< of the guest's page
  bool fetch = false;     ///< for instruction fetches, else for data
  bool writable = false;  ///< accesses may write from now on
  bool global = false;    ///< survives MOV to CR3
  bool user = false;      ///< the guest's tables let CPL 3 in
  bool direct = true;     ///< false: a device's page or a watched one, which stays outside
};

class CpuObserver {
 public:
  virtual ~CpuObserver() = default;
  /// The run loop begins a slice of some ten thousand instructions, the processor as it is now.
  virtual void slice_began() {}
  /// An exception, interrupt or software interrupt is about to go through the IDT.
  virtual void event_taken(const FaultRecord&) {}
  /// A page walk gave `fill`, or a page fault is pending for that address.
  virtual void page_walked(const ShadowFill&) {}
  virtual void page_walk_failed(u64 /*linear*/, u32 /*error_code*/) {}
  /// `linear` is meant for kPage only.
  virtual void shadow_flushed(ShadowFlush, u64 /*linear*/) {}
  /// Registers of a device at a physical address, or ports.
  virtual void device_accessed(u64 /*physical*/, unsigned /*size*/, bool /*write*/) {}
  virtual void port_accessed(u16 /*port*/, unsigned /*size*/, bool /*write*/) {}
};

}  // namespace dragoman
