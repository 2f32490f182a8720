// What the rest of the translator asks of the emitter.
#pragma once

#include <memory>
#include <vector>

#include "jit/code_cache.h"
#include "jit/plan.h"
#include "jit/region_observer.h"

namespace dragoman {

/// Memory the emitter uses again for every region.
struct EmitterStorage;
struct EmitterStorageDeleter {
  void operator()(EmitterStorage* storage) const;
};
using EmitterStoragePointer = std::unique_ptr<EmitterStorage, EmitterStorageDeleter>;
EmitterStoragePointer make_emitter_storage();

/// The code of a region for whoever watches.
struct EmittedCode {
  HostPlace place;
  std::vector<u8> code;
  std::vector<CodeRange> ranges;
  std::vector<ExitNote> exits;
};

/// Emits a region and puts it into the current chunk of the cache; fills in where it lies. False
/// when something could not be encoded or there is no room; the block then stays interpreted.
/// `report` may be null.
bool emit_region(Cpu& cpu, const RegionPlan& plan, const TranslatorOptions& options,
                 TranslatedRegion& region, CodeCache& cache, EmitterStorage& storage,
                 EmittedCode* report);

/// Of ExitKind::kOtherPage: where the fetch context lies that the code before ExitRecord::jump
/// compares with, and the jump to a look-up of the target that lies behind ExitRecord::other().
inline constexpr int kOtherPageContext = -6 - 4;
inline constexpr int kOtherPageLookUp = 5;
/// No fetch context has this identity.
inline constexpr u32 kNoContext = 0xffffff00;

/// TranslatorFrame::vectors_live.
enum VectorsLive : u8 { kVectorsInMemory, kVectorsLive, kVectorsLiveUnmasked };

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
  const void* access = nullptr;
  const void* interpret = nullptr;
  const void* guard = nullptr;
  const void* window = nullptr;
  const void* sample = nullptr;
  const void* x87 = nullptr;
  const ExitRecord* state_exit = nullptr;
  const ExitRecord* no_target_exit = nullptr;
};

// Shared code, placed once. Generated code reaches it through TranslatorFrame.

/// C++ to host code: `u64 (TranslatorFrame*, const void* code)`, as LeftBy takes it.
std::vector<u8> emit_enter_stub(Cpu& cpu);
/// Host code back to C++: kScratch holds what LeftBy takes.
std::vector<u8> emit_exit_stub(Cpu& cpu);
/// The look-up of a target failed; RIP is in the state.
std::vector<u8> emit_miss_stub(Cpu& cpu, const StubTargets& targets);
/// Goes on at the guest address in kPointer, if there is code for it.
std::vector<u8> emit_dispatch_stub(Cpu& cpu);
/// Called with the linear address in kPointer and the Site in kScratch, flags in memory: returns
/// the host address in kPointer and its distance from the linear one in kScratch, or goes on at
/// Site::resume.
std::vector<u8> emit_memory_stub(Cpu& cpu, const StubTargets& targets);
/// An access through the LinearWindow cannot be done, whose Site is in kScratch; flags in memory or
/// in its recipe. Goes on where the access is done again or behind the instruction.
std::vector<u8> emit_window_stub(Cpu& cpu, const StubTargets& targets);
/// ProbeStubs: called with the linear address in kPointer and flags in memory or in the recipe of
/// the Site the return address belongs to. Return the host address in kPointer and its distance
/// from the linear one in kScratch, or (kDelta) that in kPointer; or go on at Site::resume.
struct ProbeCode {
  std::vector<u8> code;
  std::array<std::size_t, ProbeStubs::kCount> offsets{};
};
ProbeCode emit_probe_stubs(Cpu& cpu, const StubTargets& targets);
/// Loads XMM/YMM registers and MXCSR of the guest; sets TranslatorFrame::vectors_live.
std::vector<u8> emit_vectors_stub(Cpu& cpu);
/// Has C++ fill in TranslatorFrame::x87_image and loads the registers from it, unless exceptions
/// are unmasked; sets TranslatorFrame::x87_live. The host's flags are lost.
std::vector<u8> emit_x87_stub(Cpu& cpu, const StubTargets& targets);
/// Called with a TranslatedRegion in kScratch whose pages may not hold in this fetch context:
/// returns where to go on in kPointer.
std::vector<u8> emit_guard_stub(Cpu& cpu, const StubTargets& targets);
/// Called with a RegionCounters::Exit in kScratch and the target it leads to in
/// TranslatorFrame::target, flags in memory: has the target noted, and returns it in kPointer.
std::vector<u8> emit_sample_stub(Cpu& cpu, const StubTargets& targets);
/// Called with the Site in kScratch: has the instruction executed by its handler. Returns only
/// when the block goes on. Vector registers are in memory then.
std::vector<u8> emit_interpret_stub(Cpu& cpu, const StubTargets& targets);

}  // namespace dragoman
