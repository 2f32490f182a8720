// Runs the cases of an assembled file (format: case.inc) on the interpreter or the translator.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "machine/instruction_bench.h"

namespace dragoman {

/// One case as written in the file.
struct AsmCase {
  struct Value {
    unsigned reg;
    u64 value;
    u64 mask;
  };
  struct Bytes {
    unsigned width;
    u32 address;
    u64 value;
  };
  std::string name;
  u64 entry = 0, end = 0;
  std::vector<Value> given, expect;
  std::vector<Bytes> poke, expect_memory;
  /// A vector register, or a physical x87 register (ten bytes).
  struct Wide {
    unsigned number;
    std::array<u8, 32> bytes;
  };
  std::vector<Wide> given_ymm, expect_ymm, given_x87, expect_x87;
  int vector = -1;
  i64 error_code = -1;  ///< -1: not looked at
  i64 fault_rip = -1;
  bool check_cr2 = false;
  u64 cr2 = 0;
};

struct AsmFile {
  unsigned mode = 0;
  std::vector<u8> text;
  std::vector<AsmCase> cases;
  std::string problem;  ///< not empty: the file could not be read
  bool is_64_bit() const;
};
AsmFile parse_asm_file(std::span<const u8> bytes);

class AsmBench {
 public:
  explicit AsmBench(BenchEngine engine = BenchEngine::kInterpreter);
  /// Differences from what the case expects, one line each; empty when it passes.
  std::string run(const AsmFile& file, const AsmCase& test);
  /// Blocks the translator made so far.
  u64 blocks_translated() const { return bench_->blocks_translated(); }

 private:
  void put(u64 address, u64 value, unsigned width);
  u64 get(u64 address, unsigned width);
  void tables(unsigned mode);
  void enter(unsigned mode);
  void force(unsigned segment, u16 selector);
  void set(unsigned reg, u64 value);
  u64 value_of(unsigned reg);
  /// What the case expects of the vector and x87 registers, and what it does not mention.
  std::string compare_wide(const AsmCase& test, const FpuState& before);

  static constexpr u64 kRam = 2 * kMiB;
  BenchEngine engine_;
  std::unique_ptr<InstructionBench> bench_;
  Cpu* cpu_ = nullptr;  ///< of the bench
};

}  // namespace dragoman
