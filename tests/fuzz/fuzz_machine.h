// The two machines of the comparison and what is around a program in them: descriptor tables, page
// tables, handlers of exceptions that return.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/scheduler.h"
#include "cpu/cpu.h"
#include "jit/options.h"
#include "jit/translator.h"
#include "memory/guest_memory.h"
#include "memory/memory_map.h"
#include "memory/port_map.h"
#include "tests/fuzz/program.h"

namespace dragoman {

class FuzzMachine : private FuzzLayout {
 public:
  /// `options`: with a translator that works so; null: interpreted.
  explicit FuzzMachine(const TranslatorOptions* options);
  FuzzMachine(const FuzzMachine&) = delete;
  FuzzMachine& operator=(const FuzzMachine&) = delete;

  /// Memory and processor as the program wants them to begin.
  void load(const FuzzProgram& program);
  Cpu& cpu() { return *cpu_; }
  const u8* ram() const { return memory_->ram(); }
  /// The page tables are no longer those the program began with, but for A and D bits.
  bool tables_changed(const FuzzProgram& program);
  u64 blocks_translated() const { return translator_ ? translator_->blocks_translated() : 0; }

 private:
  struct Controller final : LocalInterrupts {
    Cpu* cpu = nullptr;
    u8 acknowledge() override {
      cpu->set_interrupt_request(false);
      return FuzzLayout::kInterrupt;
    }
    u8 cr8() const override { return 0; }
    void set_cr8(u8) override {}
    u64 apic_base() const override { return 0xfee00900; }
    bool set_apic_base(u64) override { return false; }
    bool read_x2apic(u32, u64&) override { return false; }
    bool write_x2apic(u32, u64) override { return false; }
    u64 tsc_deadline() const override { return 0; }
    void set_tsc_deadline(u64) override {}
    void set_ferr(bool) override {}
  };
  struct StillClock final : VirtualClock {
    u64 now_ns() override { return 0; }
  };

  /// RAM before a program of this mode.
  const std::vector<u8>& image(FuzzMode mode, FuzzPaging paging);
  void set_state(const FuzzProgram& program);

  StillClock clock_;
  Log log_;
  std::unique_ptr<GuestMemory> memory_;
  MemoryMap map_;
  PortMap ports_;
  Controller interrupts_;
  std::unique_ptr<Cpu> cpu_;
  std::unique_ptr<Translator> translator_;
  std::array<std::vector<u8>, static_cast<std::size_t>(FuzzMode::kCount) *
                                  static_cast<std::size_t>(FuzzPaging::kCount)>
      images_;
};

/// Interpreter and translator side by side.
class FuzzPair {
 public:
  explicit FuzzPair(const TranslatorOptions& options)
      : interpreted_(nullptr), translated_(&options) {}

  /// Runs the program on both. Nothing when they agree, else the differences, a line each.
  ///
  /// A program that has written its page tables and did not invalidate anything may see either
  /// translation (SDM vol. 3, 4.10.4.3), and a shared probe keeps one longer than the interpreter:
  /// where such a program differs, that is only counted.
  std::string run(const FuzzProgram& program);
  u64 unspecified() const { return unspecified_; }
  /// Instructions of the last run.
  u64 instructions() { return interpreted_.cpu().state.instructions; }
  u64 blocks_translated() const { return translated_.blocks_translated(); }
  const CpuModel& model() { return interpreted_.cpu().model(); }

 private:
  void note_tables(const FuzzProgram& program);
  std::string run_both(const FuzzProgram& program);
  std::string compare(bool everything);

  FuzzMachine interpreted_, translated_;
  u64 unspecified_ = 0;
  bool tables_changed_ = false;  ///< at some time in this run
};

}  // namespace dragoman
