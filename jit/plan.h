// The plan of a region: what the translator knows about each instruction before it emits anything.
// The decoded instructions are the intermediate representation; passes only annotate them.
#pragma once

#include <array>
#include <functional>
#include <memory_resource>
#include <optional>
#include <string>
#include <vector>

#include "cpu/cpu.h"
#include "jit/code_cache.h"
#include "jit/options.h"
#include "memory/linear_window.h"

namespace dragoman {

/// How an instruction becomes host code.
enum class Emission : u8 {
  kNothing,  ///< no visible effect
  kCopied,   ///< the same instruction with renamed registers and a host address
  kLea,
  kPush,
  kPop,
  kLeave,
  kString,         ///< MOVS, STOS, LODS once, upwards
  kDivide,         ///< DIV, IDIV behind a check that they cannot fault
  kDirection,      ///< CLD, STD
  kInterruptFlag,  ///< CLI, STI where they are about IF
  kPushFlags,
  kPopFlags,     ///< in ring 0
  kReadSegment,  ///< MOV from a segment register
  kLoadSegment,  ///< MOV to a data segment register in real and virtual-8086 mode
  kSwapGs,
  kVector,  ///< MMX, SSE, AVX: the same bytes with renamed registers
  kX87,
  kConditional,  ///< Jcc
  kCountBranch,  ///< JCXZ, LOOP
  kJump,
  kCall,
  kReturn,
  kInterpreted,  ///< by its handler
};

/// One memory access of an instruction.
struct PlannedAccess {
  bool present = false;
  bool write = false;
  u8 bytes = 0;
  i16 group = -1;        ///< accesses that share a probe, or -1
  bool leader = false;   ///< probes for its group
  bool aligned = false;  ///< #GP unless the address is a multiple of `bytes`
  i64 offset = 0;        ///< from the group's base value
  /// Through the LinearWindow; a leader looks whether its address is in that part.
  WindowPart window = WindowPart::kNone;
  bool split = false;        ///< through it with an index: the leader looks at the base alone,
  bool swapped = false;      ///< which is the index, as it has no scale,
  bool check_index = false;  ///< and this access whether the other one is small,
  i16 index_group = -1;      ///< which others know from there
};

/// Flags in `live_after`: the arithmetic flags an instruction may read, and one for "an exact copy
/// may be wanted": something that can fault, or an exit, comes before all flags are set anew.
inline constexpr u32 kExactFlags = 1u << 31;

/// A register, memory or immediate operand of an instruction whose operands are general.
struct OperandUse {
  u8 bytes = 0;
  i8 gpr = -1;  ///< general register, or -1
  bool high = false;
  bool memory = false;
  bool immediate = false;
  bool one = false;
};
struct OperandUses {
  std::array<OperandUse, 4> list;
  u8 count = 0;
  u8 memory_bytes = 0;
  bool memory = false, any_high = false, supported = true;
};

struct PlannedInstruction {
  const Instruction* insn = nullptr;
  u64 next_rip = 0;
  Emission how = Emission::kInterpreted;
  bool may_leave = false;     ///< may fault, end up in C++ or leave the region
  bool needs_flags = false;   ///< wants the guest's flags in the host's register
  bool passes_flags = false;  ///< reads none of them, but leaves some as they were
  bool writes_flags = false;  ///< leaves the guest's flags in the host's register
  u32 live_after = 0;
  u32 registers_written = 0;  ///< general registers, as a set of bits
  OperandUses uses;           ///< of kCopied
  PlannedAccess operand;      ///< of the ModRM operand
  PlannedAccess stack;        ///< of PUSH, POP, CALL, RET, LEAVE
  int target = -1;            ///< block of the region it goes to (a RET: is expected to), or -1
  bool back_edge = false;     ///< that branch closes a loop

  u64 rip() const { return next_rip - insn->length; }
};

struct PlannedBlock {
  using allocator_type = std::pmr::polymorphic_allocator<>;
  explicit PlannedBlock(const allocator_type& memory = {})
      : returns(memory), instructions(memory) {}
  PlannedBlock(const PlannedBlock& other, const allocator_type& memory = {})
      : PlannedBlock(memory) {
    *this = other;
  }
  PlannedBlock(PlannedBlock&&) noexcept = default;
  PlannedBlock(PlannedBlock&& other, const allocator_type& memory) : PlannedBlock(memory) {
    *this = std::move(other);
  }
  PlannedBlock& operator=(const PlannedBlock&) = default;
  PlannedBlock& operator=(PlannedBlock&&) = default;

  Block* block = nullptr;
  u64 rip = 0;
  std::pmr::vector<u64> returns;  ///< of the calls it was reached through, the innermost last
  std::pmr::vector<PlannedInstruction> instructions;
  int parent = -1;            ///< the only block that comes here, or -1
  unsigned parent_index = 0;  ///< its instruction that does
  unsigned entries = 0;       ///< edges that come here
  bool loop_head = false;
  int next = -1;  ///< block behind the last instruction, when it falls through
  bool next_back_edge = false;
  bool falls_through = true;
  u32 live_in = 0;
};

/// Accesses off one base value that share a probe of the shadow page table.
struct AccessGroup {
  bool write = false;
  int block = -1;         ///< of the region, where its leader is
  unsigned leader = 0;    ///< instruction of that block
  i64 low = 0, high = 0;  ///< bytes covered, from the base value
  unsigned members = 0;
  u32 align = 0;         ///< bytes to a multiple of which members are aligned, or 0
  i64 align_offset = 0;  ///< one of them
  WindowPart window = WindowPart::kNone;  ///< the leader only looks whether this part serves it
  i64 checked = 0;                        ///< then: what it looks at, from the base value
  int slot = -1;                          ///< where the delta is kept, in TranslatorFrame::deltas
};

struct RegionPlan {
  explicit RegionPlan(std::pmr::memory_resource* memory = std::pmr::get_default_resource())
      : blocks(memory), groups(memory), pages(memory) {}

  /// Offset in the pool of the code at `rip` where that is on the page the region is entered on. CS
  /// may begin anywhere in a page: addresses in the segment say nothing about pages.
  std::optional<u64> on_entry_page(u64 rip) const {
    const u64 offset = entry_offset + (rip - blocks[0].rip);
    if ((offset ^ entry_offset) >> kPageShift != 0) return std::nullopt;
    return offset;
  }

  std::pmr::vector<PlannedBlock> blocks;  ///< [0] is the entry
  std::pmr::vector<AccessGroup> groups;
  u64 entry_offset = 0;  ///< in the pool, of the code the region is entered at
  unsigned code_bits = 64;
  u64 stack_mask = ~u64{0};
  std::pmr::vector<GuardedPage> pages;  ///< beside that of the entry
  bool vectors = false;                 ///< has instructions on XMM or YMM registers
  bool x87 = false;                     ///< has instructions on x87 or MMX registers
  bool floating_point = false;          ///< some of which may raise floating-point exceptions
  unsigned instructions = 0;
  bool inline_probes = false;  ///< look-ups of pages in place, not by calls of shared code
  bool superblock = false;     ///< the second tier
  const LinearWindow* window = nullptr;  ///< accesses may go through it
  bool counted = false;                  ///< its runs can be counted, for it to become a superblock
};

/// What makes one translation of a block differ from another.
struct RegionRequest {
  u64 rip = 0;
  bool narrow = false;  ///< every access probes for itself, one block only
  bool hot = false;     ///< the second tier: with the blocks around it
};

/// Instructions on the longest way through a region, loops once.
inline constexpr unsigned kMaxRegionInstructions = 300;
inline constexpr unsigned kMaxRegionBlocks = 32;
inline constexpr std::size_t kMaxGuardedPages = 6;

/// Says whether a block ran often enough, beside the head, to be part of a superblock.
using FrequentBlock = std::function<bool(const Block&)>;

/// The plan lies in `memory`. Accesses may go through `window` unless it is null.
RegionPlan plan_region(Cpu& cpu, Block& head, const RegionRequest& request,
                       const TranslatorOptions& options, const LinearWindow* window,
                       const FrequentBlock& frequent, std::pmr::memory_resource& memory);

/// Puts accesses of a region into groups (shared_probes.cpp).
void share_probes(const Cpu& cpu, RegionPlan& plan);

/// The emitter has a host instruction for this row and form (emit/instruction_ids.cpp).
bool has_host_instruction(const Instruction& insn);

OperandUses operand_uses(const Instruction& insn);
/// MOV between the accumulator and an absolute offset.
bool has_absolute_offset(const Instruction& insn);

}  // namespace dragoman
