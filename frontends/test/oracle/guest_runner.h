// The guest side of the host comparison: the case on an InstructionBench, in user code at the
// addresses of CaseLayout, on the interpreter or on the translator.
#pragma once

#include <memory>

#include "frontends/test/oracle/cpu_case.h"
#include "machine/instruction_bench.h"

namespace dragoman {

/// The host processor as a CPU model: its vendor, name and exactly its features, so that an
/// encoding means the same on both.
CpuModel host_identity();

class GuestRunner {
 public:
  /// `pkru` as the host has it.
  GuestRunner(BenchEngine engine, u32 pkru);

  void run(const CpuCase& test, CpuOutcome& out);
  const Cpu& cpu() const { return bench_->cpu(); }
  const InstructionBench& bench() const { return *bench_; }

 private:
  static constexpr u64 kRam = 4 * kMiB;
  void set_segments(CaseMode mode);

  std::unique_ptr<InstructionBench> bench_;
  u32 pkru_ = 0;
  Segment code64_, flat_;
};

}  // namespace dragoman
