// A random program for the comparison of interpreter and translator: its mode, its code, and the
// state it starts in. Everything a run needs is in here, so that a program in a file can be run
// again and made smaller.
//
// Code lies in slots of 64 bytes. Handlers of exceptions return to the next slot, so that a fault
// costs the rest of a slot and not of the program.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace dragoman {

enum class FuzzMode : u8 {
  kReal16,
  kV86,
  kKernel16,  ///< protected mode, 16-bit segments, CPL 0
  kUser16,    ///< likewise, CPL 3
  kKernel32,
  kUser32,
  kCompatible32,  ///< 32-bit code under a 64-bit kernel, CPL 3
  kKernel64,
  kUser64,
  kCount
};

enum class FuzzPaging : u8 { kNone, kLegacy, kPae, kLong, kCount };

std::string_view fuzz_mode_name(FuzzMode mode);

/// Bits of the default operand and address size of the code.
constexpr unsigned fuzz_code_bits(FuzzMode mode) {
  if (mode <= FuzzMode::kUser16) return 16;
  return mode >= FuzzMode::kKernel64 ? 64 : 32;
}
constexpr bool fuzz_long_mode(FuzzMode mode) { return mode >= FuzzMode::kCompatible32; }
constexpr bool fuzz_kernel(FuzzMode mode) {
  return mode == FuzzMode::kReal16 || mode == FuzzMode::kKernel16 || mode == FuzzMode::kKernel32 ||
         mode == FuzzMode::kKernel64;
}

/// Linear (and, but for the aliases, physical) addresses. Where code and data segments have bases
/// (16-bit modes), these are kCode, kData and kStack.
struct FuzzLayout {
  static constexpr u64 kRam = 0x40000;
  static constexpr u64 kIdt = 0x1000, kGdt = 0x2000, kTss = 0x2100, kHandlers = 0x2800;
  static constexpr u64 kSystemCall = 0x2900, kKernelStack = 0x4000, kEventStack = 0x5000;
  static constexpr u64 kTables = 0x5000, kTablesBytes = 0x4000;
  static constexpr u64 kCode = 0x10000, kCodeBytes = 0x2000;
  /// Eight pages; with paging the third is read-only, the fifth not present, the seventh the
  /// supervisor's.
  static constexpr u64 kData = 0x20000, kDataBytes = 0x8000;
  static constexpr u64 kReadOnly = kData + 0x2000, kAbsent = kData + 0x4000,
                       kSupervisor = kData + 0x6000;
  static constexpr u64 kStack = 0x28000, kStackBytes = 0x2000;
  static constexpr u64 kCounter = kStack + 0x1f00;  ///< rounds left of the program's loop
  static constexpr u64 kCodeAlias = 0x30000;        ///< the code again, with paging
  static constexpr u64 kHigh = u64{1} << 46;        ///< all of it once more from here, in long mode
  static constexpr u64 kSlot = 64;
  static constexpr u8 kInterrupt = 0x40, kEnd = 0x81;  ///< vectors
};

struct FuzzProgram {
  FuzzMode mode = FuzzMode::kKernel64;
  FuzzPaging paging = FuzzPaging::kLong;
  std::vector<u8> code;
  /// Parts of the code that can be replaced by NOPs one by one.
  struct Part {
    u32 offset = 0;
    u32 bytes = 0;
  };
  std::vector<Part> parts;
  std::array<u64, 16> regs{};
  u32 flags = 2;
  u64 cr0_bits = 0;  ///< on top of what the mode needs
  u64 cr4_bits = 0;
  u64 fs_base = 0, gs_base = 0;
  /// In real and virtual-8086 mode: where the code begins in its segment, which begins as much
  /// below FuzzLayout::kCode. A multiple of a slot.
  u16 code_start = 0;
  std::array<u16, 6> selectors{};  ///< by segment register; 0 where the mode gives it
  u32 mxcsr = 0x1f80;
  u16 fpu_control = 0x37f;
  u32 rounds = 4;
  /// Lengths of the pieces the program is run in and interrupts between them; 0: in one piece.
  u64 schedule = 0;
  u32 limit = 4000;  ///< instructions at most

  /// Replaces a part by NOPs.
  void remove(const Part& part);
  bool removed(const Part& part) const;
  /// As a text file, which parse() reads.
  std::string print() const;
  static Result<FuzzProgram> parse(std::string_view text);
  /// The parts that are left, disassembled, a line each.
  std::string disassembly() const;
};

/// A small and fast random number generator; nothing depends on its quality.
class FuzzRandom {
 public:
  explicit FuzzRandom(u64 seed) : state_(seed) {}
  u64 number() {
    u64 z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  u64 below(u64 n) { return number() % n; }
  bool chance(unsigned one_in) { return below(one_in) == 0; }
  /// Often an edge.
  u64 value();

 private:
  u64 state_;
};

}  // namespace dragoman
