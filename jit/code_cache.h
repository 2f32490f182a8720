// Where translated regions lie: executable memory in chunks that are filled one after the other and
// emptied in the same order when the cache is full.
#pragma once

#include <array>
#include <memory>
#include <memory_resource>
#include <optional>
#include <span>
#include <vector>

#include "cpu/cpu.h"
#include "cpu/execute/host/executable_arena.h"
#include "jit/address_guard.h"
#include "jit/flag_recipe.h"
#include "jit/record_list.h"
#include "memory/linear_window.h"

namespace dragoman {

struct TranslatedRegion;
struct RegionCounters;

/// What a Site's access through the LinearWindow is.
enum class WindowAccess : u8 { kNone, kOperand, kPush, kPop, kLeave };

/// An instruction that may call into C++: what the callee needs to know.
struct Site {
  TranslatedRegion* region = nullptr;
  Block* block = nullptr;
  u64 rip = 0;  ///< of the instruction
  /// Of a memory access that cannot be done in place: host code that goes on, behind the
  /// instruction when its handler has executed it, else with what is done instead.
  const u8* resume = nullptr;
  FlagRecipe recipe;  ///< of flags that are nowhere else
  i16 uncharged = 0;  ///< instructions executed before it, minus what the budget is short by
  u16 bytes = 0;      ///< of the memory access, or of all accesses that share it
  u8 index = 0;       ///< of the instruction in its block
  bool write : 1 = false;
  bool aligned : 1 = false;  ///< of a window: #GP unless the address is a multiple of `bytes`
  WindowPart part : 2 = WindowPart::kNone;  ///< of a window: that serves it
  bool paired : 1 = false;  ///< of a window: missed though a register of its address was inside
  bool writes_later : 1 =
      false;                   ///< it reads, and the page must be one that others write to as well
  u8 refused = 0;              ///< times it was not, or had no place in the window
  bool by_handler = false;     ///< its handler executes it when the access cannot be done in place
  bool load_flags = false;     ///< what follows wants the flags in the host's register
  u8 units = 0;                ///< what follows wants their registers in the host's
  bool flags_in_host = false;  ///< of a window: they are there when the access faults
  WindowAccess window = WindowAccess::kNone;
  u32 again = 0;  ///< of a window: where the access begins, from the region's entry

  static constexpr u8 kVectors = 1, kX87 = 2;  ///< in units
  const Instruction& insn() const { return block->instructions[index]; }
};
static_assert(sizeof(Site) <=
              56);  // there is one for nearly every instruction with an operand in memory

enum class ExitKind : u8 {
  kRetired,    ///< at the region's start, or at a loop's
  kKnownPage,  ///< a direct branch into a page whose place the region knows: the link stays true
  kOtherPage,  ///< another one: the link holds as long as the fetch context is the same
  kNarrow,     ///< the accesses of a group cannot share a probe this time
  kHot,        ///< at the region's start: it ran often enough for the second tier
  kNoTarget,   ///< an indirect branch found no code; RIP is in the state
  kState,      ///< RIP is in the state already
  kCount,
};

/// A place where host code leaves for the run loop.
struct ExitRecord {
  TranslatedRegion* region = nullptr;
  u64 rip = 0;                         ///< guest address to go on at
  const u8* jump = nullptr;            ///< run address of a five-byte jump to patch, or null
  TranslatedRegion* linked = nullptr;  ///< where it goes now, or null
  ExitRecord* next = nullptr;          ///< of those linked there
  i32 other_from_jump = 0;
  i32 exit_from_jump = 0;
  u32 page = 0;  ///< kKnownPage: the target's in the pool
  ExitKind kind = ExitKind::kRetired;
  u8 links = 0;  ///< kOtherPage: how often it was linked anew in another context

  /// kOtherPage: the jump taken in another fetch context.
  const u8* other() const { return jump + other_from_jump; }
  /// Where the jumps go while it is not linked.
  const u8* exit() const { return jump + exit_from_jump; }
};
// Guest code that runs little is mostly a matter of how much memory is touched for it.
static_assert(sizeof(ExitRecord) <= 56);

/// A page of guest code a region was made of, beside that of its entry.
struct GuardedPage {
  u64 linear = 0;  ///< address of the page
  u64 delta = 0;   ///< host minus linear address
};

/// Counter of a region that had its chance.
inline constexpr i32 kNoSuperblock = 0x7fffffff;

struct TranslatedRegion {
  Block* head = nullptr;
  u64 rip = 0;
  u32 limit = 0;  ///< of CS outside 64-bit mode: the code was checked against it
  bool narrow = false;
  bool hot = false;   ///< second tier
  bool dead = false;  ///< its bytes changed
  /// Index in Cpu::run_counters of the runs left to a superblock; 0 where they are never counted.
  u32 counter = 0;
  bool counts = false;        ///< they are counted now
  u8 samples = 0;             ///< how often it was found running
  u32 first_sample = 0;       ///< since when, in samples
  u32 context = 0;            ///< fetch context its pages were looked up in last
  unsigned chunk = 0;         ///< of the code cache
  u64 id = 0;                 ///< counts translations
  const u8* entry = nullptr;  ///< begins with five bytes that may become a jump elsewhere
  // Other places in its code, from the entry on:
  i32 body = 0;  ///< behind the guard
  /// Where the entry's jump goes while runs are counted, or 0, and what it goes on with.
  i32 counting = 0, uncounted = 0;
  i32 retired = 0;                      ///< code that leaves at the region's own start
  std::array<u8, 5> uncounted_entry{};  ///< its first bytes without that jump
  u32 bytes = 0;
  TranslatedRegion* better = nullptr;  ///< the superblock that begins here
  TranslatedRegion* plain = nullptr;   ///< of a superblock: what runs where its pages do not hold
  TranslatedRegion* next_head = nullptr;  ///< another one of the same block, not a superblock
  ExitRecord* incoming = nullptr;         ///< links that lead here
  u32 first_exit = 0, exits = 0;          ///< in the chunk
  u32 first_site = 0, sites = 0;          ///< the same
  std::span<Block*> members;              ///< of a superblock: blocks beside the head
  std::span<GuardedPage> pages;
  std::shared_ptr<RegionCounters> counters;  ///< null unless runs are counted

  const u8* at(i32 place) const { return entry + place; }
};

/// How host code came back: the kind, and the region or the record. Most regions leave at their
/// start or for the second tier alone, which takes no record.
class LeftBy {
 public:
  /// What host code brings: the record's address, or the region's with one of these added.
  static constexpr u64 kAtStart = 1, kForSecondTier = 2;
  explicit LeftBy(u64 value) : value_(value) {}
  ExitKind kind() const {
    return value_ & kAtStart         ? ExitKind::kRetired
           : value_ & kForSecondTier ? ExitKind::kHot
                                     : record()->kind;
  }
  TranslatedRegion* region() const {
    return value_ & kTags ? reinterpret_cast<TranslatedRegion*>(value_ & ~kTags) : record()->region;
  }
  u64 rip() const { return value_ & kTags ? region()->rip : record()->rip; }
  /// Null where there is none.
  ExitRecord* record() const {
    return value_ & kTags ? nullptr : reinterpret_cast<ExitRecord*>(value_);
  }

 private:
  static constexpr u64 kTags = kAtStart | kForSecondTier;
  u64 value_;
};

class CodeCache {
 public:
  explicit CodeCache(u64 bytes);

  /// What is known of the regions of a chunk.
  struct Records {
    explicit Records(std::size_t block_bytes) : memory(block_bytes) {}
    /// A probe that is a call, by the offset it returns to.
    struct ProbeCall {
      u32 back = 0;
      u32 site = 0;
    };
    RecordMemory memory;
    RecordList<TranslatedRegion> regions{memory};
    RecordList<Site> sites{memory};
    RecordList<ExitRecord> exits{memory};
    RecordList<ProbeCall> calls{memory};  ///< in the order of their offsets
    std::vector<u32> first_call;          ///< in every kGranule bytes of the chunk
    /// Code of an access through the window begins at this offset; in the order of the offsets.
    struct WindowCode {
      u32 begin = 0;
      u32 site = 0;
    };
    RecordList<WindowCode> windows{memory};
  };

  struct Chunk {
    std::unique_ptr<Records> records;  ///< null until the chunk is used
    u64 first = 0, last = 0;           ///< offsets: free memory between main line and rare code
    u64 main_made = 0, rare_made = 0;  ///< offsets: as far as the host's pages were made for them
    u64 begin = 0, end = 0;
  };

  /// Shared code, placed once, never emptied. Null when the host refuses executable memory.
  const void* add_stub(std::span<const u8> code);
  /// The chunk that is being filled.
  Chunk& current() { return chunks_[current_]; }
  Records& records(unsigned chunk) { return *chunks_[chunk].records; }
  unsigned current_index() const { return current_; }
  Chunk& chunk(unsigned index) { return chunks_[index]; }
  /// True when a region of about so many bytes fits into the current chunk. What is known of its
  /// regions takes room as well.
  bool room(u64 bytes) const;
  /// The chunk to be filled next, which the caller empties first.
  unsigned next_index() const { return (current_ + 1) % static_cast<unsigned>(chunks_.size()); }
  /// Makes the next chunk, emptied, the current one.
  void advance();
  /// Empties all of them.
  void clear();

  /// Run addresses for the main line and the rare code of a region, or nulls when it does not fit.
  struct Place {
    const u8* main = nullptr;
    const u8* rare = nullptr;
  };
  Place place(u64 main_bytes, u64 rare_bytes);
  void write(const void* run_address, std::span<const u8> code) {
    memory_.write(run_address, code);
    written_ = true;
  }
  /// A five-byte jump at `from` to `to`, both run addresses.
  void write_jump(const u8* from, const u8* to);
  void write(const Place& place, std::span<const u8> main, std::span<const u8> rare) {
    write(place.rare, rare);
    write(place.main, main);
  }
  /// Has to come between any write and host code: writes are often many.
  void serialize() {
    if (!written_) return;
    written_ = false;
    ExecutableMemory::serialize();
  }
  /// A probe of the region that was placed last calls shared code, which returns to `back`.
  void add_call(const u8* back, u32 site);
  /// What that code was told about the site of a call that returns to `back`.
  Site& site_of_call(const u8* back);
  /// Code of the region that was placed last accesses guest memory through the window from `at` on.
  void add_window(const u8* at, u32 site);
  /// Whose access the host fault at `at` belongs to, or null.
  Site* site_of_fault(const u8* at);
  /// Run addresses of a chunk's code.
  std::span<const u8> code_of(const Chunk& chunk) const {
    return {memory_.run_view() + chunk.begin, chunk.end - chunk.begin};
  }
  u64 bytes_used() const;
  /// What code compares addresses with where the host's flags must stay.
  const AddressGuard& address_guard() const { return guard_; }

  /// A number for a recipe, the same for the same one; nothing when there are no more numbers.
  std::optional<u32> recipe_number(const FlagRecipe& recipe);
  const FlagRecipe& recipe(u32 number) const { return recipes_[number]; }

 private:
  static constexpr u64 kStubBytes = 16 * kKiB;
  static constexpr u64 kGranule = 64;        ///< of Records::first_call
  static constexpr u64 kMostOfAccess = 128;  ///< bytes of code from where an access begins
  static constexpr u64 kAlignment = 8, kStubAlignment = 64;

  void empty(Chunk& chunk);
  void make_records(Chunk& chunk);
  void make_pages(Chunk& chunk);

  ExecutableMemory memory_;
  AddressGuard guard_;
  bool written_ = false;  ///< since it was serialized
  u64 stubs_used_ = 0;
  u64 chunk_bytes_ = 0;
  std::vector<Chunk> chunks_;
  unsigned current_ = 0;
  std::vector<FlagRecipe> recipes_;
};

}  // namespace dragoman
