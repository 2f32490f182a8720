// Memory for generated code that is never writable and executable at once: two views of the same
// pages, one to write through and one to run.
#pragma once

#include <cstddef>
#include <span>

#include "base/types.h"

namespace dragoman {

/// Two views of the same pages. Address space for the whole bound is reserved at once; the pages
/// behind it appear as they are written, so that unused memory costs nothing.
class ExecutableMemory {
 public:
  static constexpr u64 kHugePage = 2 * kMiB;  ///< of the host; run_view() begins with one

  explicit ExecutableMemory(std::size_t bound) : bound_(bound) {}
  ~ExecutableMemory();
  ExecutableMemory(const ExecutableMemory&) = delete;
  ExecutableMemory& operator=(const ExecutableMemory&) = delete;

  /// Maps it unless that was done. False when the host refuses executable memory, for good.
  bool map();
  /// Overwrites code at a run address. It may run after serialize().
  void write(const void* run_address, std::span<const u8> code);
  /// Has the processor notice what was written: it was written through another linear address than
  /// it is fetched from (SDM vol. 3, 11.6).
  static void serialize();
  /// Code is about to be written to this range: its pages are made at once, which is cheaper than
  /// one by one. Best effort.
  void populate(const void* run_begin, u64 bytes);
  /// Makes the 2 MiB at `run_begin` a huge page of the host, which saves translations of its own;
  /// that needs Linux 6.1 and is left undone where it cannot be had.
  void make_huge(const void* run_begin);
  const u8* run_view() const { return run_view_; }
  std::size_t bound() const { return bound_; }
  bool usable() const { return !refused_; }

 private:
  std::size_t bound_;
  u8* write_view_ = nullptr;
  u8* run_view_ = nullptr;
  bool refused_ = false;
};

/// Append-only code memory.
class ExecutableArena {
 public:
  explicit ExecutableArena(std::size_t bound) : memory_(bound) {}

  /// Copies finished position-independent code in and returns where it can be called, or null when
  /// the bound is reached or the host gives no executable memory (see usable()).
  const void* add(std::span<const u8> code);
  /// Overwrites code at an address that add() returned (or inside of it).
  void patch(const void* run_address, std::span<const u8> code) {
    memory_.write(run_address, code);
    ExecutableMemory::serialize();
  }
  /// Forgets all code. Nothing returned by add() may be called afterwards.
  void clear() { used_ = 0; }
  /// False when the host refused to map memory executable.
  bool usable() const { return memory_.usable(); }

 private:
  ExecutableMemory memory_;
  std::size_t used_ = 0;
};

}  // namespace dragoman
