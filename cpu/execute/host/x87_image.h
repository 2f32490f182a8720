// x87 state as the host's FXSAVE has it (SDM vol. 1, 10.5.1).
#pragma once

#include <array>

#include "base/types.h"

namespace dragoman {

struct FpuState;

struct alignas(64) X87Image {
  u16 control;
  u16 status;
  u8 tag;
  u8 reserved;
  u16 opcode;
  u64 fip;
  u64 fdp;
  u32 mxcsr;
  u32 mxcsr_mask;
  std::array<std::array<u8, 16>, 8> st;  ///< ST(0) first
  std::array<u8, 352> other;             ///< XMM registers of the host, of no interest
};
static_assert(sizeof(X87Image) == 512);

/// Registers, control, status and tags; pointers and opcode are not the host's business.
void fill_x87_image(const FpuState& fpu, X87Image& image);
void take_x87_image(const X87Image& image, FpuState& fpu);

}  // namespace dragoman
