// Runs one user-mode instruction on the host processor with all general registers and the flags
// given, at the same addresses as in the guest: the judge of the integer instructions. 64-bit code
// runs as it is, 32-bit code through the kernel's compatibility code segment.
#pragma once

#include <array>
#include <span>

#include "base/types.h"

namespace dragoman {

/// Where code, data and stack lie, in the host process as in the guest. All below 4 GiB for 67h and
/// for compatibility mode; the pages around are not mapped.
struct RunnerLayout {
  static constexpr u64 kCode = 0x60000000;
  static constexpr u64 kData = 0x60010000, kDataBytes = 0x2000;
  static constexpr u64 kStack = 0x60020000, kStackBytes = 0x1000;
  static constexpr u64 kGsBase = kData + 0x400;
  /// The instruction, what follows it, and where a taken branch of displacement kBranch goes.
  static constexpr u64 kInstruction = kCode + 0x100;
  static constexpr u64 kBranch = 0x20;
  /// Selectors of the 64-bit Linux ABI.
  static constexpr u16 kCode64 = 0x33, kCode32 = 0x23, kFlatData = 0x2b;
};

/// Registers before and after; `rip` only after.
struct RunnerState {
  std::array<u64, 16> regs{};
  u64 flags = 2;
  u64 rip = 0;
  int fault = -1;  ///< vector, or -1
  u64 error = 0;
  u64 cr2 = 0;
};

class HostRunner : public RunnerLayout {
 public:
  HostRunner();
  ~HostRunner();
  HostRunner(const HostRunner&) = delete;
  HostRunner& operator=(const HostRunner&) = delete;

  /// False when the fixed addresses could not be had (the test is then skipped).
  bool ready() const { return ready_; }
  void run(std::span<const u8> instruction, bool code32, RunnerState& state);
  /// The code page, data and stack, as memory of this process.
  static u8* at(u64 address) { return reinterpret_cast<u8*>(address); }

 private:
  u8* code_alias_ = nullptr;  ///< writable view of the code page
  u8* stub_alias_ = nullptr;
  bool ready_ = false;
  u64 saved_gs_ = 0;
  std::array<u8, 65536> signal_stack_;
};

}  // namespace dragoman
