// Emits the host code of one block.
#pragma once

#include <asmjit/asmjit.h>

#include <deque>
#include <functional>
#include <vector>

#include "base/result.h"
#include "jit/emit/host_registers.h"
#include "jit/translator.h"

namespace dragoman {

/// Finished code with the places its owner has to know.
struct EmittedBlock {
  std::vector<u8> code;
  u64 resume = 0;  ///< offsets into code
  u64 retired = 0;
  std::vector<std::pair<u64, ExitRecord*>> jumps;  ///< offsets of patchable rel32 jumps
};

class BlockEmitter {
 public:
  BlockEmitter(Cpu& cpu, const Block& block, u64 rip, TranslatedBlock& out);

  /// False when asmjit refused something; the block then stays interpreted.
  bool emit(EmittedBlock& result);

 private:
  using Gp = asmjit::x86::Gp;
  using Mem = asmjit::x86::Mem;

  // --- Flags: where the guest's arithmetic flags are valid now.
  void spill_flags();
  void reload_flags();
  void flags_written() {
    flags_in_host_ = true;
    flags_in_memory_ = false;
  }

  // --- Operands
  Mem state_mem(i32 offset, unsigned size) const;
  Mem register_slot(unsigned gpr, unsigned size = 8) const;
  Mem frame_mem(const void* member, unsigned size) const;
  static Gp sized(const Gp& reg, unsigned bytes);
  void load_address(const Instruction& insn);
  void load_linear(const Instruction& insn);
  /// Emits `op` with the memory operand at kPointer; probes inline, slow path out of line.
  void with_memory(const Instruction& insn, unsigned bytes, bool write,
                   const std::function<void()>& address, const std::function<void()>& op);
  void store_guest(unsigned gpr, const Gp& value);
  void load_guest(const Gp& into, unsigned gpr);

  // --- Instructions
  bool emit_instruction(const Instruction& insn);
  bool emit_generic(const Instruction& insn);
  bool emit_lea(const Instruction& insn);
  bool emit_push(const Instruction& insn);
  bool emit_pop(const Instruction& insn);
  bool emit_branch(const Instruction& insn);
  void emit_interpreted(const Instruction& insn);

  // --- Leaving
  Site& site(const Instruction& insn);
  void leave(u64 target_rip, u32 give_back, bool linkable);
  void leave_indirect();
  void leave_with_state();
  void check_canonical(const Instruction& insn);

  u64 next_rip(const Instruction& insn) const;
  u32 remaining(const Instruction& insn) const;

  Cpu& cpu_;
  const Block& block_;
  u64 rip_;
  TranslatedBlock& out_;
  asmjit::CodeHolder code_;
  asmjit::x86::Assembler a_;
  bool flags_in_host_ = false;
  bool flags_in_memory_ = true;
  u64 current_rip_ = 0;
  /// Where an instruction ends, and whether the flags are in the host's register there.
  struct InstructionEnd {
    asmjit::Label label;
    bool flags_in_host = false;
  };
  std::deque<InstructionEnd> ends_;
  InstructionEnd* end_ = nullptr;  ///< of the instruction being emitted
  std::vector<std::function<void()>> out_of_line_;
  std::vector<std::pair<asmjit::Label, ExitRecord*>> jump_labels_;
  asmjit::Label retired_;
  bool failed_ = false;
};

}  // namespace dragoman
