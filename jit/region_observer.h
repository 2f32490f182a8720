// Somebody who is told what the translator makes and forgets, for teaching traces and logs. Called
// on cold paths only (a region is made, linked, retired, the cache is emptied); null by default.
#pragma once

#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "cpu/cpu.h"
#include "jit/plan.h"

namespace dragoman {

/// Which part of a region some host code is.
enum class CodePart : u8 {
  kEntry,        ///< budget, counters, vector registers: before the first instruction
  kInstruction,  ///< the main line of an instruction
  kRare,         ///< what an instruction keeps out of the main line
  kEnd,          ///< behind the last instruction of a block: on to another one, or out
  kLeave,        ///< leaves at the region's start
};

/// Where a region lies: its main line, and elsewhere what seldom runs. Offsets count through both.
struct HostPlace {
  u64 main = 0, rare = 0;
  u32 main_bytes = 0, rare_bytes = 0;

  u64 address_of(u32 offset) const {
    return offset < main_bytes ? main + offset : rare + (offset - main_bytes);
  }
  /// All ones for an address outside.
  u32 offset_of(u64 address) const {
    if (address - main < main_bytes) return static_cast<u32>(address - main);
    if (address - rare < rare_bytes) return main_bytes + static_cast<u32>(address - rare);
    return ~u32{0};
  }
};

/// A place where the region leaves, by the address of its record, which is built into the code.
struct ExitNote {
  u64 record = 0;
  u64 rip = 0;
  ExitKind kind{};
};

/// Host code from `begin` on, up to the begin of the next range.
struct CodeRange {
  u32 begin = 0;  ///< offset
  CodePart part = CodePart::kEntry;
  i16 block = -1;        ///< of the plan
  i16 instruction = -1;  ///< of the block
};

/// How often parts of a region ran. Its code counts when TranslatorOptions::counters is on; the
/// addresses of the counters are built in, which is why they are in deques.
struct RegionCounters {
  struct Target {
    u64 rip = 0;
    u64 samples = 0;
  };
  struct Exit {
    u64 rip = 0;  ///< where it leads, 0 when only known as it runs
    ExitKind kind{};
    i16 block = -1;
    i16 instruction = -1;  ///< -1: behind the last one
    u64 count = 0;
    i32 until_sample = 0;  ///< passes; where it led is looked at when this is below zero
    std::vector<Target> targets = {};  ///< of an indirect one, where it led when it was looked at

    /// It leads to `target` this time. Which pass is looked at next is left to chance, as guests
    /// repeat themselves.
    void sample(u64 target);
    /// `count` shared out by the samples.
    u64 times(const Target& target) const;
  };
  u64 entries = 0;         ///< entered from outside
  std::deque<u64> blocks;  ///< of the plan, in its order
  std::deque<Exit> exits;  ///< in the order of the code
  /// Left from an instruction the interpreter executed: system calls, interrupt returns, far jumps.
  Exit handled;
  const void* sample_stub = nullptr;  ///< calls Exit::sample, see emit_sample_stub
};

/// A region just translated. Everything it points to is gone when the call returns, except the
/// counters.
struct RegionRecord {
  u64 id = 0;  ///< 1, 2, 3 ... in the order of translation
  Cpu* cpu = nullptr;
  const RegionPlan* plan = nullptr;
  RegionRequest request;  ///< why it was made
  u32 runs = 0;  ///< of its first block until then: interpreted, of a superblock translated
  std::span<const u8> code;  ///< host code as placed, the rare part behind
  HostPlace place;
  u32 entry = 0;  ///< offset of the entry
  std::span<const ExitNote> exits;
  std::span<const CodeRange> ranges;         ///< ascending
  std::shared_ptr<RegionCounters> counters;  ///< null without TranslatorOptions::counters
};

/// Why a region went out of use.
enum class RetireCause : u8 {
  kBytesChanged,  ///< guest code was written over
  kSuperseded,    ///< a superblock took its place
  kMadeRoom,      ///< the cache was full
};

class RegionObserver {
 public:
  virtual ~RegionObserver() = default;
  virtual void translated(const RegionRecord&) {}
  /// A jump from region `from` to region `to` was patched in; `rip` is the guest address.
  virtual void linked(u64 /*from*/, u64 /*to*/, u64 /*rip*/) {}
  virtual void retired(u64 /*id*/, RetireCause) {}
  /// All regions are gone: the processor's blocks were cleared.
  virtual void cache_emptied() {}
};

}  // namespace dragoman
