// Executes guest x87, MMX, SSE and AVX instructions on the host processor: every instruction form
// becomes a stub of host code once, which loads the registers the instruction uses from the guest
// state, runs the very same opcode and stores the results.
#pragma once

#include <array>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/types.h"
#include "cpu/decode/instruction.h"
#include "cpu/execute/host/executable_arena.h"
#include "cpu/execute/host/vector_plan.h"
#include "cpu/execute/host/x87_image.h"

namespace dragoman {

class Cpu;
struct FpuState;

/// What a vector stub exchanges with its caller besides the vector registers.
struct VectorContext {
  u64 gpr = 0;                 ///< general register operand, in and out
  u64 rdx = 0;                 ///< implicit EDX of PCMPESTRx
  u64 flags = 0;               ///< RFLAGS after the instruction
  const u8* fourth = nullptr;  ///< vector register in immediate bits 7:4
  u8* xmm0 = nullptr;          ///< implicit XMM0
  u32 mxcsr_in = 0x1f80;
  u32 mxcsr_out = 0x1f80;
  u32 mxcsr_host = 0x1f80;  ///< what C++ code runs with
};

/// One vector instruction form: row, immediate and size bits, but not its registers.
struct VectorStub {
  /// `rm` is the r/m vector register or the host address of the memory operand.
  using Code = void (*)(u8* reg, u8* rm, u8* vvvv, VectorContext* context);
  Code code = nullptr;  ///< null after the arena was emptied: to be generated again
  u64 key = 0;
  u32 number = 0;  ///< Instruction::vector_stub
  VectorPlan plan;
};

class HostFpu {
 public:
  explicit HostFpu(Cpu& cpu) : cpu_(cpu), arena_(kArenaBytes) {}

  /// The stub of `insn`, generated at the first use; null (reported once) when the host refuses
  /// executable memory. The Instruction remembers it.
  const VectorStub* vector_stub(const Instruction& insn) {
    const VectorStub* stub = stubs_by_number_[insn.vector_stub];
    if (__builtin_expect(stub != nullptr && stub->code != nullptr, 1)) return stub;
    return find_vector_stub(insn);
  }

  /// Runs an x87 instruction on `fpu`: registers, status and tags are replaced by the results.
  /// `memory` is the host address of the memory operand. Arithmetic flags go in and out through
  /// `flags`. False when the host refuses executable memory.
  /// The whole x87 state is loaded and stored around each instruction (about 90 ns, against 4 to 9
  /// for a vector instruction): nothing but FpuState ever holds it.
  [[nodiscard]] bool run_x87(FpuState& fpu, const Instruction& insn, u8* memory, u64& flags);

  /// Level of FERR# as last driven, so that an error is signalled once.
  bool ferr = false;
  VectorContext context;

 private:
  using X87Code = void (*)(X87Image* image, u8* memory, u64* flags);
  /// Stubs have 64 to 128 bytes. All instruction forms with all immediates would need about 10 MB;
  /// beyond the bound the arena starts anew.
  static constexpr std::size_t kArenaBytes = std::size_t{16} << 20;

  const VectorStub* find_vector_stub(const Instruction& insn);
  X87Code x87_stub(const Instruction& insn);
  const void* add_code(std::span<const u8> code);

  Cpu& cpu_;
  ExecutableArena arena_;
  std::unordered_map<u64, std::unique_ptr<VectorStub>> vector_stubs_;
  /// The same by Instruction::vector_stub; 0 is of none.
  std::vector<const VectorStub*> stubs_by_number_{nullptr};
  std::array<X87Code, 8 * 256> x87_stubs_{};  ///< by opcode bits 2:0 and ModRM
  X87Image image_{};
};

}  // namespace dragoman
