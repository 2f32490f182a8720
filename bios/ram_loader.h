// Puts images into guest RAM below 4 GiB before the machine starts, and keeps account of what is
// where so that nothing overlaps.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "bios/boot_module.h"
#include "bios/boot_state.h"
#include "bios/bytes.h"
#include "memory/guest_memory.h"

namespace dragoman {

class RamLoader {
 public:
  /// RAM below `top` (at most the RAM below 4 GiB) is available, except A0000h..FFFFFh, the
  /// interrupt vectors and BIOS data area (0..4FFh) and the last KiB below 640 KiB.
  RamLoader(GuestMemory& memory, u64 top);

  u64 top() const { return top_; }

  /// Copies `bytes` to `address` and zeroes what follows up to `memory_size` bytes.
  Result<void> put(const std::string& what, u64 address, std::span<const u8> bytes,
                   u64 memory_size = 0);
  /// The same at the lowest free address in [`low`, `high`), aligned.
  Result<u64> put_low(const std::string& what, std::span<const u8> bytes, u64 alignment, u64 low,
                      u64 high);
  Result<u64> put_low(const std::string& what, const ModuleContents& module, u64 alignment, u64 low,
                      u64 high);
  /// The same at the highest free address.
  Result<u64> put_high(const std::string& what, const ModuleContents& module, u64 alignment,
                       u64 low, u64 high);
  /// Replaces bytes of something put here before, whose address had to be known first.
  void overwrite(u64 address, std::span<const u8> bytes);
  /// Whether `address` is inside something put here.
  bool holds(u64 address) const;

 private:
  struct Claim {
    u64 first;
    u64 end;
    std::string what;
  };
  const Claim* overlapping(u64 first, u64 end) const;
  Result<std::span<u8>> claim(const std::string& what, u64 address, u64 size);
  Result<u64> lowest(const std::string& what, u64 size, u64 alignment, u64 low, u64 high) const;
  Result<u64> highest(const std::string& what, u64 size, u64 alignment, u64 low, u64 high) const;
  Result<u64> put_module(const std::string& what, u64 address, const ModuleContents& module);

  GuestMemory& memory_;
  u64 top_;
  std::vector<Claim> claims_;  // by first address
};

/// Puts a descriptor table into low memory and fills in everything of `state` that says "32-bit
/// flat" or "64-bit identity-mapped" (page tables too). Selectors: code 10h, data 18h, TSS 20h.
Result<void> enter_protected32(RamLoader& loader, BootState& state);
Result<void> enter_long64(RamLoader& loader, BootState& state);

}  // namespace dragoman
