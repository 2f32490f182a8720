// The plan of a region in words, for traces, logs and tests.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "jit/plan.h"
#include "jit/region_observer.h"

namespace dragoman {

/// "copied", "push", "conditional" ...
std::string_view emission_name(Emission how);
/// "same page", "narrow" ...
std::string_view exit_name(ExitKind kind);
std::string_view retire_reason(RetireCause cause);

/// "cf zf", "-" when there are none.
std::string flag_names(u32 flags);

/// One thing the plan says of an instruction. `topic` is a fixed word, the key of an explanation:
/// the emission's name, or one of "registers", "probe", "leader", "member", "window", "aligned",
/// "locked",
/// "flags-read", "flags-live", "flags-dead", "may-leave", "inside", "loop", "exit".
struct PlanNote {
  std::string_view topic;
  std::string text;
};
std::vector<PlanNote> plan_notes(const RegionPlan& plan, const PlannedInstruction& planned);

/// The notes in one line, as `-d op` prints them.
std::string plan_line(const RegionPlan& plan, const PlannedInstruction& planned);
/// "narrow, 64-bit, 2 blocks, 9 instructions, 1 shared probe ..."
std::string plan_summary(const RegionPlan& plan, const RegionRequest& request);

/// What generated code reaches at [rsp + offset]: "budget", "deltas[2]", "rip" ..., or "".
std::string frame_member_name(const Cpu& cpu, i64 offset);

/// "probe of 8 bytes for reading", of shared code at a host address that looks a page up; else "".
std::string probe_stub_name(const Cpu& cpu, u64 address);

}  // namespace dragoman
