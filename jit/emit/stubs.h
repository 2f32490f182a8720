// Small pieces of code all blocks share: entering and leaving generated code, indirect branches,
// calls into C++.
#pragma once

#include <vector>

#include "jit/translator.h"

namespace dragoman {

/// Addresses the stubs have built in.
struct StubTargets {
  Translator* translator = nullptr;
  const void* memory = nullptr;
  const void* interpret = nullptr;
  const ExitRecord* dispatch_exit = nullptr;
  u64 jump_targets = 0;
};

/// Where a call stub leaves the function's result.
enum class StubResult : u8 { kInPointer, kInScratch };

/// enter(CpuState*, code) -> ExitRecord*: loads the guest registers and jumps.
std::vector<u8> emit_enter_stub(Cpu& cpu);
/// kScratch = ExitRecord*: stores the guest registers and returns to C++.
std::vector<u8> emit_exit_stub(Cpu& cpu);
/// kPointer = guest address: jumps to its host code, or leaves with RIP set.
std::vector<u8> emit_dispatch_stub(Cpu& cpu, const StubTargets& targets);
/// kScratch = Site*, kPointer = linear address: calls `function(translator, site, linear)`.
std::vector<u8> emit_call_stub(Cpu& cpu, const StubTargets& targets, const void* function,
                               StubResult result);

}  // namespace dragoman
