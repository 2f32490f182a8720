// Makes random programs from the rows of cpu/isa: every row with random prefixes, operands,
// addresses and immediates; branches, calls, loops, code that changes itself.
#pragma once

#include <array>
#include <vector>

#include "cpu/isa/feature_set.h"
#include "cpu/isa/rows.h"
#include "tests/fuzz/program.h"

namespace dragoman {

class FuzzProgramMaker {
 public:
  /// Rows whose feature is not among these are left out but for a few (#UD).
  explicit FuzzProgramMaker(const FeatureSet& features);

  /// The program of this seed. In `mode` if given.
  FuzzProgram make(u64 seed, FuzzMode mode);
  FuzzProgram make(u64 seed);

 private:
  enum Group : unsigned { kInteger, kString, kBranch, kSystem, kX87, kVector, kGroups };
  /// An address the memory operand is aimed at.
  struct Aim {
    u64 linear = 0;
    unsigned segment = 0;
  };

  void start(FuzzMode mode);
  void body(unsigned slots);
  void loop_end();

  const Row& pick_row();
  void instruction(const Row& row);
  void prefixes(const Row& row, bool memory);
  void operand_registers(const Row& row, bool memory);
  void opcode(const Row& row);
  void modrm_memory(unsigned reg, unsigned rm);
  void memory16(unsigned mod, unsigned rm, u64 goal);
  void memory32(unsigned mod, unsigned rm, u64 goal);
  void immediates(const Row& row);
  void branch_displacement(unsigned width);
  void set_up(const Row& row);
  void patch_own_code();
  void inner_loop();
  void jump_to_slot_through_register();

  u64 aim();
  u64 aim_low();
  u64 segment_base(unsigned segment) const;
  u64 slot_target();
  u64 origin() const { return bits_ == 16 ? program_.code_start : FuzzLayout::kCode; }

  // Bytes of the instruction under construction go to `insn_`, loads before it to `loads_`.
  void byte(unsigned v) { insn_.push_back(static_cast<u8>(v)); }
  void bytes(u64 v, unsigned width) {
    for (unsigned i = 0; i < width; ++i) byte(static_cast<unsigned>(v >> (8 * i)) & 0xff);
  }
  void load(unsigned reg, u64 value);
  /// Puts what was built into the slot, or a new one.
  void commit();
  void raw(std::initializer_list<unsigned> list, bool part = false);
  void pad_slot();
  u64 room() const { return FuzzLayout::kSlot - program_.code.size() % FuzzLayout::kSlot; }

  std::array<std::vector<const Row*>, kGroups> rows_;
  FeatureSet features_;
  FuzzRandom random_{0};
  FuzzProgram program_;
  unsigned bits_ = 64;
  unsigned slots_ = 1;
  std::vector<u8> loads_, insn_;
  std::size_t fix_relative_ = 0;  ///< offset in insn_ of a RIP-relative displacement, 0: none
  u64 relative_goal_ = 0;
  std::size_t fix_branch_ = 0;
  unsigned branch_width_ = 0;
  u64 branch_goal_ = 0;
  bool w_ = false, size16_ = false, address_override_ = false;
  unsigned rex_r_ = 0, rex_x_ = 0, rex_b_ = 0, vvvv_ = 0;
  bool rex_ = false, vex_l_ = false;
  unsigned segment_ = 3;
  unsigned operand_size_ = 4, address_size_ = 4;
};

}  // namespace dragoman
