// Runs one instruction's bytes on the host processor with a given register state: the judge of
// what x87, MMX, SSE and AVX instructions do.
#pragma once

#include <array>
#include <span>

#include "base/types.h"

namespace dragoman {

/// XSAVE area in the standard format plus general registers.
struct alignas(64) HostState {
  struct Area {
    u16 control = 0x37f, status = 0;
    u8 tag = 0, reserved = 0;
    u16 opcode = 0;
    u64 fip = 0, fdp = 0;
    u32 mxcsr = 0x1f80, mxcsr_mask = 0;
    std::array<std::array<u8, 16>, 8> st{};  // ST(0) first
    std::array<std::array<u8, 16>, 16> xmm{};
    std::array<u8, 96> unused{};
    std::array<u64, 8> header{7};
    std::array<std::array<u8, 16>, 16> upper{};
    std::array<u8, 192> room{};
  } area;
  u64 rax = 0, rcx = 0, rdx = 0, rdi = 0, flags = 2;
  /// MXCSR when an unmasked SIMD exception was raised, else 0: the instruction did not complete.
  u32 trapped_mxcsr = 0;
  /// True when the memory operand could not be accessed.
  bool memory_fault = false;
};

class HostOracle {
 public:
  HostOracle();
  ~HostOracle();
  HostOracle(const HostOracle&) = delete;
  HostOracle& operator=(const HostOracle&) = delete;

  void run(std::span<const u8> instruction, HostState& state);

 private:
  u8* code_ = nullptr;
};

}  // namespace dragoman
