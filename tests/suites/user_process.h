// A program of Linux user mode on an InstructionBench: pages at any linear address, flat segments,
// until it meets an exception. HLT is one, by which such programs say that they are done.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "machine/instruction_bench.h"

namespace dragoman {

class UserProcess {
 public:
  static constexpr u64 kRam = 128 * kMiB;

  explicit UserProcess(BenchEngine engine);
  const CpuModel& model() { return bench_->cpu().model(); }

  /// Everything as at the start of a program; nothing is mapped.
  void start(bool bits32);
  /// Pages of zeros, readable, writable and executable. What is mapped already stays.
  void map(u64 linear, u64 bytes);
  /// Bytes of mapped pages; others are left out, and read as zeros.
  void store(u64 linear, std::span<const u8> bytes);
  void load(u64 linear, std::span<u8> bytes);
  /// Call changed() after writing through it.
  CpuState& state() { return bench_->state(); }
  void changed();
  /// LDT entry 2, selector 17h: flat data.
  void make_ldt_data();

  /// Runs from RIP. False when it does not meet an exception in `instructions`, or shuts down.
  bool run(u64 instructions);
  /// Where and how it ended; state() is that of the handler otherwise.
  u8 vector() const { return vector_; }
  u64 rip() const { return rip_; }
  u64 rsp() const { return rsp_; }
  u32 flags() const { return flags_; }
  /// It ended with HLT.
  bool halted();

 private:
  u64 get(u64 physical);
  void put(u64 physical, u64 value);
  u64 page();
  u64 entry(u64 linear);
  bool walk(u64 linear, u64& physical);

  std::unique_ptr<InstructionBench> bench_;
  u64 next_page_ = 0;
  u64 rip_ = 0, rsp_ = 0;
  u32 flags_ = 0;
  u8 vector_ = 0;
};

}  // namespace dragoman
