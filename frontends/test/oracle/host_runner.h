// Runs one user-mode instruction on the host processor with the whole user state given, at the same
// addresses as in the guest: the judge of all instructions. 64-bit code runs as it is, 32-bit code
// through the kernel's compatibility segment, 16-bit code through the local descriptor table.
#pragma once

#include <memory>
#include <string>

#include "frontends/test/oracle/cpu_case.h"

namespace dragoman {

/// One at a time in a process: it owns fixed addresses, the handlers of the signals that faults
/// become, the segment registers and the signal stack while it lives.
class HostRunner {
 public:
  HostRunner();
  ~HostRunner();
  HostRunner(const HostRunner&) = delete;
  HostRunner& operator=(const HostRunner&) = delete;

  /// Empty when cases can be run, else why they cannot.
  const std::string& problem() const { return problem_; }
  /// False when there is no compatibility segment: a kernel without 32-bit programs, or one that
  /// runs under another kernel which does not pass it on.
  bool has_32_bit() const { return has_32_bit_; }
  /// False when there are no 16-bit segments (modify_ldt), likewise.
  bool has_16_bit() const { return has_16_bit_; }
  /// True when user code may set the bases of FS and GS (CR4.FSGSBASE).
  bool has_segment_bases() const { return has_bases_; }
  /// False for a stack pointer that this host's kernel cannot bear when a fault is taken: some that
  /// run under another kernel end a process whose RSP is not canonical then.
  bool bears(const CpuCase& test) const;
  /// PKRU and the mask of MXCSR, which the guest must share.
  u32 pkru() const { return pkru_; }

  void run(const CpuCase& test, CpuOutcome& out);
  /// An instruction with registers and memory of the caller's, for tests: only bytes, mode and
  /// registers of `test` are looked at, and `out.memory` is left alone.
  void run_in_place(const CpuCase& test, CpuOutcome& out);

 private:
  void map_pages();
  bool bears_bad_stacks();

  u8* code_alias_ = nullptr;  ///< writable view of the code page
  u8* stub_alias_ = nullptr;
  std::string problem_;
  bool mapped_ = false;
  bool has_32_bit_ = false;
  bool has_16_bit_ = false;
  bool has_bases_ = false;
  bool bears_any_stack_ = false;
  u32 pkru_ = 0;
  u64 saved_fs_ = 0, saved_gs_ = 0;
  std::unique_ptr<u8[]> signal_stack_;
};

}  // namespace dragoman
