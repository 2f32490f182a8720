// Runs test vectors on the interpreter and says what differs.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "frontends/test/vector_file.h"
#include "machine/instruction_bench.h"

namespace dragoman {

/// Sets differ in where a test ends and what a register holds that the chip does not have.
enum class VectorFamily : u8 {
  k8086,  ///< ends after one instruction; 20 address lines
  k286,   ///< ends with the HLT behind the instruction
  k386,   ///< likewise
};
/// From what a file, or the metadata, calls the processor.
Result<VectorFamily> vector_family(std::string_view cpu);
/// The `-cpu` model for a family.
std::string_view vector_model(VectorFamily family);

/// What differed in one test.
struct VectorDifference {
  std::string text;   ///< one line; empty when nothing differs
  u32 registers = 0;  ///< which ones, a bit per VectorReg
  bool memory = false;
  bool exception = false;  ///< another exception than the chip's, or only one of them had any
  int delivered = -1;      ///< vector of our newest exception or interrupt, -1 for none
  explicit operator bool() const { return !text.empty(); }
};

class VectorRunner {
 public:
  static Result<VectorRunner> create(VectorFamily family, std::string_view cpu_model,
                                     BenchEngine engine = BenchEngine::kInterpreter);

  VectorFamily family() const { return family_; }
  /// The 8086 has none: its tests end after one instruction, which is interpreted.
  u64 blocks_translated() const { return bench_->blocks_translated(); }
  /// `defined_flags`: bits of the flags register that the instruction defines.
  VectorDifference run(const VectorFile& file, const VectorTest& test, u32 defined_flags);

 private:
  VectorRunner(VectorFamily family, BenchEngine engine, std::unique_ptr<InstructionBench> bench)
      : family_(family), engine_(engine), bench_(std::move(bench)) {}
  void prepare(const VectorTest& test);
  u32 value(VectorReg reg);
  void compare_registers(const VectorFile& file, const VectorTest& test, u32 defined_flags,
                         VectorDifference& out);
  void compare_memory(const VectorTest& test, u32 defined_flags, VectorDifference& out);
  /// Vector of the newest exception or interrupt of the test, or -1.
  int delivered();

  VectorFamily family_;
  BenchEngine engine_;
  std::unique_ptr<InstructionBench> bench_;
};

}  // namespace dragoman
