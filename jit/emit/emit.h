// What the rest of the translator asks of the emitter.
#pragma once

#include <vector>

#include "jit/region_observer.h"
#include "jit/translator.h"

namespace dragoman {

/// Finished code of a region with the places its owner has to know, as offsets into it.
struct EmittedRegion {
  std::vector<u8> code;
  u64 entry = 0;
  u64 retired = 0;                ///< leaves at the region's own start
  std::vector<u64> records;       ///< ExitRecords inside `code`, with offsets instead of addresses
  std::vector<CodeRange> ranges;  ///< of `code`, ascending
};

/// False when something could not be encoded; the block then stays interpreted.
bool emit_region(Cpu& cpu, const RegionPlan& plan, const TranslatorOptions& options,
                 TranslatedRegion& region, EmittedRegion& result);

/// Of ExitKind::kOtherPage, behind ExitRecord::jump: the fetch context to compare with, and the
/// jump to the target.
inline constexpr unsigned kOtherPageContext = 5 + 7;
inline constexpr unsigned kOtherPageJump = 5 + 11 + 2;

/// Of a region that crosses pages, behind its entry: the fetch context it holds in.
inline constexpr unsigned kCrossingContext = 7;

/// How a handler called from host code ended; the stub goes on accordingly.
enum class HandlerOutcome : u32 {
  kLeave = 0,     ///< to the run loop; RIP is in the state
  kGoOn = 1,      ///< with the next instruction of the block
  kDispatch = 2,  ///< at RIP
};

/// Addresses the stubs have built in.
struct StubTargets {
  const void* translator = nullptr;
  const void* memory = nullptr;
  const void* interpret = nullptr;
  const ExitRecord* state_exit = nullptr;
};

// Shared code, placed once. Generated code reaches it through TranslatorFrame.

/// C++ to host code: `const ExitRecord* (TranslatorFrame*, const void* code)`.
std::vector<u8> emit_enter_stub(Cpu& cpu);
/// Host code back to C++: kScratch holds the ExitRecord.
std::vector<u8> emit_exit_stub(Cpu& cpu);
/// The look-up of a target failed; RIP is in the state.
std::vector<u8> emit_miss_stub(Cpu& cpu, const StubTargets& targets);
/// Goes on at the guest address in kPointer, if there is code for it.
std::vector<u8> emit_dispatch_stub(Cpu& cpu);
/// Called with the linear address in kPointer and the Site in kScratch: returns the host address,
/// or 0, in kPointer and the shadow page table's entry in kScratch.
std::vector<u8> emit_memory_stub(Cpu& cpu, const StubTargets& targets);
/// Called with the Site in kScratch: has the instruction executed by its handler. Returns only
/// when the block goes on.
std::vector<u8> emit_interpret_stub(Cpu& cpu, const StubTargets& targets);

}  // namespace dragoman
