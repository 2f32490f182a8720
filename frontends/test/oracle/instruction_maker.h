// Makes user-mode instructions with their states from the columns of a row: all operand sizes,
// register and memory forms, prefixes, edge values, page ends and misalignment.
#pragma once

#include <string_view>

#include "cpu/isa/feature_set.h"
#include "cpu/isa/rows.h"
#include "frontends/test/oracle/case_random.h"
#include "frontends/test/oracle/cpu_case.h"

namespace dragoman {

/// What the host offers beyond its CPUID features.
struct HostTraits {
  FeatureSet features;
  bool has_32_bit = false;         ///< HostRunner::has_32_bit()
  bool has_16_bit = false;         ///< HostRunner::has_16_bit()
  bool has_segment_bases = false;  ///< HostRunner::has_segment_bases()
};

/// Why cases of a row cannot be judged by the host in a mode; empty when they can. A row that does
/// not exist in the mode at all answers "not in this mode".
std::string_view left_out(const Row& r, CaseMode mode, const HostTraits& host);

/// What is unusual about the encoding of a case.
enum class Oddity : u8 {
  kNone,
  kPrefixes,   ///< superfluous prefixes, REX that is not the last one
  kPadding,    ///< a length about the limit of 15 bytes
  kLock,       ///< LOCK where it must not stand
  kVexPrefix,  ///< 66h, F2h, F3h, LOCK or REX before VEX
  kVexFields,  ///< vvvv, L, W or the map changed
  kOpcode,     ///< an opcode without a row
};

/// Whether the host can be asked about an odd case: it is illegal, or whole and of a row that is
/// not left out, whose index `test.row` becomes.
bool may_ask(CpuCase& test, const HostTraits& host);

class InstructionMaker {
 public:
  explicit InstructionMaker(const HostTraits& host) : host_(host) {}

  /// Case number `variation` of a row, which alone with `seed` decides everything about it.
  CpuCase make(u16 row_index, CaseMode mode, u64 seed, u64 variation);

 private:
  CpuCase make_with(Oddity oddity, u16 row_index, CaseMode mode, u64 seed, u64 variation);
  // What no assembler makes (case_oddities.cpp).
  Oddity choose_oddity(u16 row_index, CaseMode mode);
  void add_odd_prefixes();
  void add_prefix_at_random(u8 prefix);
  void change_vex_fields();
  void add_unknown_opcode();
  void cut_at_page_end();
  // Encoding, in the order of the bytes.
  void choose_form(u64 variation);
  void add_prefixes();
  void add_rex_or_vex();
  void add_opcode();
  void add_modrm();
  void add_memory(unsigned reg, unsigned rm);
  void add_memory16(unsigned reg, unsigned rm);
  void add_immediates();
  void fix_relative();
  // State.
  void fill_registers();
  void fill_fpu();
  void fill_operand();
  void shape_values();
  void shape_integer();
  void shape_string();
  void shape_stack();
  void shape_system();
  void shape_vector();
  void aim_branch();

  bool is(Operation operation) const { return row_->operation == operation; }
  Category category() const { return operation_info(row_->operation).category; }
  bool code64() const { return case_->mode == CaseMode::k64; }
  u64 address_mask() const { return address_bits_ == 64 ? ~u64{0} : (u64{1} << address_bits_) - 1; }
  u64 register_mask() const { return code64() ? ~u64{0} : 0xffffffff; }
  void emit(u64 value, unsigned count);
  /// Bytes of data or stack before the instruction.
  void poke(u64 address, u64 value, unsigned size);
  void poke_bytes(u64 address, std::span<const u8> bytes);
  /// A linear address for the memory operand; on the stack page for operands by SS in 16-bit code.
  u64 target(bool on_stack);
  bool free_register(unsigned n) const { return !memory_ || (n != base_ && n != index_); }
  u16 selector();
  /// For far transfers: not code of another size, which the bytes there are not.
  u16 far_selector();

  HostTraits host_;
  CaseRandom random_{0};
  const Row* row_ = nullptr;
  CpuCase* case_ = nullptr;

  Oddity odd_ = Oddity::kNone;
  bool memory_ = false;       ///< a ModRM memory operand
  bool size_prefix_ = false;  ///< 66h as operand size
  bool address_prefix_ = false;
  unsigned address_bits_ = 64;
  unsigned segment_ = 6;  ///< override, 6 for none
  u64 segment_base_ = 0;  ///< of the memory operand
  bool w_ = false, l_ = false;
  unsigned rex_r_ = 0, rex_x_ = 0, rex_b_ = 0, vvvv_ = 0;
  unsigned vex_map_ = 0;  ///< instead of the row's own, 0 for that
  unsigned opcode_reg_ = 0, reg_ = 0, rm_ = 0;
  unsigned size_ = 4;  ///< operand size in bytes
  unsigned base_ = 16, index_ = 16, vector_index_ = 16;
  std::size_t relative_ = 0;  ///< where a RIP-relative displacement stands
};

}  // namespace dragoman
