// The state in which the boot processor starts.
#pragma once

#include "base/types.h"

namespace dragoman {

enum class BootMode : u8 {
  kReset,        ///< real mode at the reset vector: system firmware runs first
  kProtected32,  ///< 32-bit protected mode, flat segments, no paging
  kLong64,       ///< 64-bit mode, identity-mapped low 4 GiB
};

/// Registers not listed are zero; RFLAGS is 2 (interrupts off). The descriptor table is in guest
/// memory and holds flat segments for exactly these selectors (base 0, limit 4 GiB, ring 0).
struct BootState {
  BootMode mode = BootMode::kReset;
  u64 entry = 0;  ///< RIP
  u64 rax = 0;
  u64 rbx = 0;
  u64 rsi = 0;
  u64 rsp = 0;
  u64 gdt_base = 0;
  u16 gdt_limit = 0;
  u16 code_selector = 0;  ///< CS: execute/read, D = 1 (kProtected32) or L = 1 (kLong64)
  u16 data_selector = 0;  ///< DS, ES, FS, GS, SS: read/write
  u16 task_selector = 0;  ///< TR: 32-bit busy TSS, base 0, limit 67h (64-bit in kLong64)
  u64 cr0 = 0;            ///< PE and ET; in kLong64 also PG
  u64 cr3 = 0;            ///< kLong64
  u64 cr4 = 0;            ///< kLong64: PAE
  u64 efer = 0;           ///< kLong64: LME and LMA
};

}  // namespace dragoman
