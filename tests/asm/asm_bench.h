// Runs the cases of an assembled file of tests/asm (format: case.inc) on the interpreter or the
// translator.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/scheduler.h"
#include "cpu/cpu.h"
#include "jit/translator.h"
#include "memory/guest_memory.h"
#include "memory/memory_map.h"
#include "memory/port_map.h"

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

/// Which engine runs the code of a case. The translator takes 64-bit code at its first run.
enum class AsmEngine : u8 { kInterpreter, kTranslator };

class AsmBench {
 public:
  explicit AsmBench(AsmEngine engine = AsmEngine::kInterpreter);
  /// Differences from what the case expects, one line each; empty when it passes.
  std::string run(const AsmFile& file, const AsmCase& test);
  /// Blocks the translator made so far.
  u64 blocks_translated() const {
    return translator_ != nullptr ? translator_->blocks_translated() : 0;
  }

 private:
  class StillClock final : public VirtualClock {
   public:
    u64 now_ns() override { return 0; }
  };
  void put(u64 address, u64 value, unsigned width);
  u64 get(u64 address, unsigned width);
  void tables(unsigned mode);
  void enter(unsigned mode);
  void force(unsigned segment, u16 selector);
  void set(unsigned reg, u64 value);
  u64 value_of(unsigned reg);

  static constexpr u64 kRam = 2 * kMiB;
  StillClock clock_;
  Log log_;
  std::unique_ptr<GuestMemory> memory_;
  MemoryMap map_;
  PortMap ports_;
  std::unique_ptr<Cpu> cpu_;
  std::unique_ptr<Translator> translator_;
};

}  // namespace dragoman
