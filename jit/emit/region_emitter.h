// Emits the host code of one region.
#pragma once

#include <asmjit/asmjit.h>

#include <memory_resource>
#include <optional>
#include <utility>
#include <vector>

#include "jit/emit/code_map.h"
#include "jit/emit/emit.h"
#include "jit/emit/host_registers.h"
#include "jit/plan.h"
#include "jit/translator.h"

namespace dragoman {

inline constexpr asmjit::x86::Gp kFrame = asmjit::x86::rsp;
inline constexpr asmjit::x86::Gp kStackPointer = asmjit::x86::r13;  ///< the guest's
inline constexpr asmjit::x86::Gp kPointer = asmjit::x86::r14;
inline constexpr asmjit::x86::Gp kScratch = asmjit::x86::r15;

/// What is used again for every region.
struct EmitterStorage {
  static constexpr std::size_t kBytes = std::size_t{1} << 20;  ///< more than any region has
  asmjit::CodeHolder code;
  asmjit::x86::Assembler assembler;
  std::unique_ptr<u8[]> main{new u8[kBytes]}, rare{new u8[kBytes]};
  CodeMap map;
  OutOfLine exits_apart{map}, out_of_line{map};
  std::vector<asmjit::Label> block_labels;
  static constexpr std::size_t kNotesBytes = std::size_t{128} << 10;  ///< more than most need
  std::unique_ptr<std::byte[]> notes_room{new std::byte[kNotesBytes]};
  std::pmr::monotonic_buffer_resource notes{notes_room.get(), kNotesBytes};
};

// Sequences that regions and stubs share; a stub's return address lies `pushed` bytes above the
// stack.

/// kScratch = entry of the shadow page table for the linear address in kPointer. Flags are lost.
void emit_find_entry(asmjit::x86::Assembler& a, const Cpu& cpu, i32 pushed = 0);
/// The guest's flags, from memory to the host's register. kScratch is used.
void emit_load_flags(asmjit::x86::Assembler& a, const Cpu& cpu);
/// Goes on at the host code for the guest address in kPointer; to `miss` when there is none, with
/// its key in kPointer.
void emit_jump_look_up(asmjit::x86::Assembler& a, const Cpu& cpu, const asmjit::Label& miss);

class RegionEmitter {
 public:
  RegionEmitter(Cpu& cpu, const RegionPlan& plan, const TranslatorOptions& options,
                TranslatedRegion& region, CodeCache& cache, EmitterStorage& storage);

  /// See emit_region().
  bool emit(EmittedCode* report);

 private:
  using Gp = asmjit::x86::Gp;
  using Mem = asmjit::x86::Mem;
  using Label = asmjit::Label;

  // --- Flags: where the guest's arithmetic flags are.
  enum class FlagsIn : u8 {
    kMemory,
    kHost,
    kBoth,
    kRecipe,  ///< nowhere, but an instruction with its operands can make them again
  };
  using Recipe = FlagRecipe;
  struct FlagsState {
    FlagsIn in = FlagsIn::kMemory;
    Recipe recipe;
  };
  void save_flags();                  ///< host -> memory
  void load_flags();                  ///< memory -> host
  void follow_recipe(const Recipe&);  ///< -> host
  void want_flags_in_host();
  void want_flags_in_memory();
  void flags_about_to_be_lost();  ///< before host code that changes the host's flags
  void keep_recipe_alive(const PlannedInstruction& p);
  void note_flags_written(const PlannedInstruction& p);
  bool note_recipe(const PlannedBlock& to);

  // --- Operands (memory_access.cpp)
  Mem frame_mem(const void* member, unsigned size) const;
  Mem state_mem(const void* member, unsigned size) const { return frame_mem(member, size); }
  Mem cpu_mem(i32 offset_from_frame, unsigned size) const;
  Mem segment_base(unsigned segment) const;
  Mem high_slot(unsigned gpr, unsigned size = 8) const;
  static Gp sized(const Gp& reg, unsigned bytes);
  static Gp guest(unsigned gpr, unsigned bytes = 8);
  void load_guest(const Gp& into, unsigned gpr);
  void store_guest(unsigned gpr, const Gp& value, unsigned bytes);
  void turn_round(const Gp& to, const Gp& from, unsigned by, unsigned bytes = 8);

  /// A guest memory operand at a host address.
  struct HostOperand {
    Gp base;
    Gp index;
    i32 displacement = 0;
    bool scratch_used = false;  ///< kScratch is part of it
    u8 scale = 0;               ///< of the index
    /// The same address, now in `reg`.
    HostOperand in(const Gp& reg) const { return {reg, {}, 0, false, 0}; }
    Mem mem(unsigned size) const;
  };
  /// How the address of an access is formed.
  struct Address {
    u8 base = kZeroRegister;  ///< guest register; kZeroRegister: none
    u8 index = kZeroRegister;
    u8 scale = 0;
    u8 size = 8;  ///< of the address, in bytes
    u8 segment = kDs;
    i64 displacement = 0;
    u64 align_mask = 0;  ///< bits that must be clear in the address for the access in place
  };
  void load_effective(const Address& address, i64 plus);
  bool plain_segment(const Address& address) const;
  HostOperand access(const PlannedInstruction& p, const PlannedAccess& a, const Address& address,
                     bool need_scratch);
  /// What an address is made of, as far as it matters how it is looked up.
  enum class AddressForm : u8 {
    kConstant,  ///< known while translating
    kBase,      ///< one host register plus a constant
    kGeneral,
  };
  AddressForm form_of(const Address& address) const;
  u64 constant_address(const Address& address) const;
  HostOperand group_member(const PlannedAccess& a, const Address& address, bool need_scratch);
  HostOperand probe(const PlannedInstruction& p, const PlannedAccess& a, const Address& address);
  HostOperand probe_by_call(const PlannedInstruction& p, const PlannedAccess& a,
                            const Address& address);
  HostOperand through_window(const PlannedInstruction& p, const PlannedAccess& a,
                             const Address& address, bool need_scratch);
  bool can_look_quietly() const;
  void look_quietly(const Gp& checked);
  void keep_delta(const AccessGroup& group, const Address& address);
  Site& call_stub(const void* stub, const PlannedInstruction& p, const PlannedAccess& a);
  void check_segment(const PlannedAccess& a, const Address& address, const Label& cannot);
  /// The rare part of a probe.
  struct SlowAccess {
    const PlannedInstruction* planned;
    const PlannedAccess* access;
    const AccessGroup* group;
    AddressForm form;
    bool checks;   ///< there are jumps to `cannot`
    u64 constant;  ///< kConstant: the address
    i32 tag;       ///< of the entry, where it is compared with
    Label slow, ready, cannot;
    FlagsState before;
    std::size_t end;  ///< index in ends_
    unsigned pending;
  };
  void emit_slow_access(const SlowAccess& s);
  void leave_narrow(Site& site, const PlannedInstruction& p);
  Address operand_address(const PlannedInstruction& p) const;
  Address stack_address(const PlannedInstruction& p) const;
  HostOperand operand(const PlannedInstruction& p, bool need_scratch);
  HostOperand stack(const PlannedInstruction& p, bool need_scratch);
  void move_stack_pointer(i64 by);

  // --- Instructions
  void emit_block(unsigned index);
  void count(u64& counter);
  void count_block();
  void count_exit(u64 rip, ExitKind kind);
  void emit_instruction(const PlannedInstruction& p);
  void emit_copied(const PlannedInstruction& p);
  void emit_lea(const PlannedInstruction& p);
  void emit_push(const PlannedInstruction& p);
  void emit_pop(const PlannedInstruction& p);
  void emit_leave(const PlannedInstruction& p);
  void emit_divide(const PlannedInstruction& p);
  void emit_direction(const PlannedInstruction& p);
  void emit_interrupt_flag(const PlannedInstruction& p);
  void emit_push_flags(const PlannedInstruction& p);
  void emit_pop_flags(const PlannedInstruction& p);
  void emit_string(const PlannedInstruction& p);
  void move_pointer(Gpr gpr, unsigned address_size, unsigned bytes);
  void emit_read_segment(const PlannedInstruction& p);
  void emit_load_segment(const PlannedInstruction& p);
  void emit_swap_gs();
  void emit_interpreted(const PlannedInstruction& p);
  void emit_conditional(const PlannedInstruction& p);
  void emit_count_branch(const PlannedInstruction& p);
  void emit_jump(const PlannedInstruction& p);
  void emit_call(const PlannedInstruction& p);
  void emit_return(const PlannedInstruction& p);
  void emit_expected_return(const PlannedInstruction& p);
  void finish_return(const PlannedInstruction& p, i64 released);

  // --- Vectors (vectors.cpp)
  void emit_vector(const PlannedInstruction& p);
  void encode_vector(const Instruction& insn, bool wide, unsigned reg, unsigned vvvv, unsigned rm,
                     const HostOperand* memory, bool immediate);
  using InstructionBytes = std::array<u8, 16>;
  static void put_operands(InstructionBytes& code, unsigned& size, unsigned reg, unsigned rm,
                           const HostOperand* memory);
  void enter_vectors();

  // --- x87 (x87.cpp)
  void emit_x87(const PlannedInstruction& p);
  void emit_load_control(const PlannedInstruction& p);
  void embed_x87(const Instruction& insn, const HostOperand* memory);
  void note_x87(const PlannedInstruction& p);
  bool noted_by_next() const;
  void enter_x87();

  // --- Leaving (control_flow.cpp)
  Site& new_site(const PlannedInstruction& p, const PlannedAccess* a);
  Site& load_site(const PlannedInstruction& p, const PlannedAccess* a);
  void enter_guard();
  void interpret_and_return(const PlannedInstruction& p, const FlagsState& before);
  void charge(unsigned count);
  void settle(unsigned count);
  void finish_exit(std::size_t index);
  void leave(u64 rip, ExitKind kind);
  void leave_direct(u64 rip, unsigned pending);
  std::optional<u64> page_of(u64 rip) const;
  void count_indirect();
  void leave_indirect();
  void go_to_block(int target, bool back_edge, unsigned pending);
  void check_target(const PlannedInstruction& p);
  void load_target(unsigned bytes, const HostOperand& from);
  u64 branch_target(const PlannedInstruction& p) const;

  Cpu& cpu_;
  const RegionPlan& plan_;
  const TranslatorOptions& options_;
  TranslatedRegion* region_;
  CodeCache& cache_;
  EmitterStorage& storage_;
  CodeCache::Records& records_;
  asmjit::CodeHolder& code_;
  asmjit::Section* rare_ = nullptr;  ///< where code that seldom runs is emitted
  asmjit::x86::Assembler& a_;
  FlagsState flags_;
  unsigned block_index_ = 0;
  unsigned instruction_index_ = 0;
  unsigned pending_ = 0;  ///< instructions executed on this path and not yet charged
  /// What a block that has one way in starts with.
  struct Start {
    FlagsState flags;
    unsigned pending = 0;
  };
  std::pmr::vector<Start> starts_;
  std::vector<Label>& block_labels_;
  CodeMap& map_;
  OutOfLine& exits_apart_;  ///< emitted behind the blocks, still in the main line
  OutOfLine& out_of_line_;  ///< in rare_
  template <class Code>
  void put_off(const Code& code) {
    if (!out_of_line_.push_back(code)) failed_ = true;
  }
  /// For the way out of a branch: as likely as the other one in the first tier, where it stays
  /// near; superblocks were made of the ways that are taken.
  template <class Code>
  void put_off_exit(const Code& code) {
    if (!(plan_.superblock ? out_of_line_ : exits_apart_).push_back(code)) failed_ = true;
  }
  /// Where an instruction ends, and where the flags are there.
  struct InstructionEnd {
    Label label;             ///< made when rare code wants to come back there
    std::size_t offset = 0;  ///< in the main line
    FlagsState flags;
  };
  Label end_of_instruction();
  std::size_t end_index() const { return ends_.size() - 1; }
  std::pmr::vector<InstructionEnd> ends_;
  struct PendingExit {
    ExitRecord* record;
    Label jump, other, exit;
  };
  std::pmr::vector<PendingExit> exits_;
  std::pmr::vector<ExitNote> plain_exits_;  ///< without a record
  std::pmr::vector<std::pair<Site*, Label>> resumes_;
  std::pmr::vector<std::pair<Site*, std::size_t>> resumes_behind_;  ///< by index in ends_
  /// A call of a stub whose distance is known when the region has its place.
  struct StubCall {
    std::size_t end;  ///< offset of the byte behind it, in the main line
    const void* stub;
    u32 site;  ///< index in the chunk of the cache
  };
  std::pmr::vector<StubCall> stub_calls_;
  std::pmr::vector<CodeCache::Records::WindowCode> windows_;  ///< offsets in the main line
  Label retired_;                                             ///< leaves at the start of the region
  Label short_;  ///< the same when the budget does not cover it
  Label body_;   ///< behind the guard
  bool failed_ = false;
};

}  // namespace dragoman
