// Two machines with the same memory image, one of them with a translator: they run in lockstep and
// must be equal in everything a guest can see.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "base/scheduler.h"
#include "cpu/cpu.h"
#include "jit/translator.h"
#include "memory/guest_memory.h"
#include "memory/memory_map.h"
#include "memory/port_map.h"

namespace dragoman {

/// Places of the test machines. Linear 0..2 MiB are the same physical addresses; linear 2..4 MiB
/// show them again; the last page there shows the device. 4..6 MiB are not mapped.
struct BenchLayout {
  static constexpr u64 kRam = 4 * kMiB;
  static constexpr u64 kIdt = 0x1000, kGdt = 0x3000, kPml4 = 0x4000, kPdpt = 0x5000, kPd = 0x6000,
                       kTable0 = 0x7000, kTable1 = 0x8000, kOtherPml4 = 0x9000, kOtherPdpt = 0xa000,
                       kOtherPd = 0xb000, kOtherTable = 0xc000, kHandler = 0xd000,
                       kCounter = 0xe000;
  static constexpr u64 kStack = 0x20000, kCode = 0x40000, kData = 0x100000, kDataBytes = 0x10000;
  static constexpr u64 kAlias = 2 * kMiB, kDevice = 4 * kMiB - kPageSize, kAbsent = 5 * kMiB;
  static constexpr u64 kDevicePhysical = 0xfe000000;
};

class BenchMachine : private BenchLayout {
 public:
  explicit BenchMachine(bool translated, u64 cache_bytes = 16 * kMiB, u32 runs = 12)
      : memory(std::move(GuestMemory::create(kRam).value())), map(*memory, log), ports(log) {
    map.add_memory("ram", PhysicalAddress(0), kRam, memory->ram(), true, true,
                   MemoryMap::kPriorityRam);
    device.machine = this;
    map.add_mmio("device", PhysicalAddress(kDevicePhysical), kPageSize, device, 0);
    CpuModel model;
    model.vendor = "GenuineIntel";
    model.features = FeatureSet::all();
    CpuWiring wiring;
    wiring.memory = &map;
    wiring.ports = &ports;
    wiring.clock = &clock;
    wiring.log = &log;
    wiring.interrupts = &interrupts;
    interrupts.machine = this;
    cpu = std::make_unique<Cpu>(model, wiring);
    if (translated) {
      TranslatorOptions options;
      options.cache_bytes = cache_bytes;
      options.runs_before_translation = runs;
      options.runs_before_superblock = 4 * runs;
      options.sampling = false;
      options.instructions_before_window = 0;
      translator = std::make_unique<Translator>(*cpu, options);
    }
    tables();
    enter();
  }
  BenchMachine(const BenchMachine&) = delete;
  BenchMachine& operator=(const BenchMachine&) = delete;

  void put(u64 physical, u64 value, unsigned width = 8) {
    map.write_bytes(PhysicalAddress(physical), {reinterpret_cast<const u8*>(&value), width});
  }
  u64 get(u64 physical) { return map.load<u64>(PhysicalAddress(physical)); }
  void code(u64 physical, const std::vector<u8>& bytes) {
    map.write_bytes(PhysicalAddress(physical), bytes);
  }

  /// Device: a write of 1 requests an interrupt; a write of 2 writes FFh (INC r/m) over the byte at
  /// `dma_target`, as DMA does.
  struct Device final : MmioHandler {
    BenchMachine* machine = nullptr;
    u64 dma_target = 0;
    u64 writes = 0;
    u64 mmio_read(unsigned, u64, unsigned) override { return 0x1122334455667788 + writes; }
    void mmio_write(unsigned, u64, unsigned, u64 value) override {
      ++writes;
      if (value == 1) machine->cpu->set_interrupt_request(true);
      if (value == 2) machine->map.write_bytes(PhysicalAddress(dma_target), dma_bytes);
    }
    std::vector<u8> dma_bytes;
  };
  struct Controller final : LocalInterrupts {
    BenchMachine* machine = nullptr;
    u8 acknowledge() override {
      machine->cpu->set_interrupt_request(false);
      return 0x40;
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
  class StillClock final : public VirtualClock {
   public:
    u64 now_ns() override { return 0; }
  };

  StillClock clock;
  Log log;
  std::unique_ptr<GuestMemory> memory;
  MemoryMap map;
  PortMap ports;
  Device device;
  Controller interrupts;
  std::unique_ptr<Cpu> cpu;
  std::unique_ptr<Translator> translator;

 private:
  void tables() {
    for (unsigned v = 0; v < 256; ++v) {
      const u64 handler = kHandler + (v == 0x40 ? 0x100 : v == kVectorDb ? 0x200 : 0);
      put(kIdt + v * 16, (handler & 0xffff) | u64{8} << 16 | u64{0x8e} << 40);
    }
    put(kGdt + 8, 0x00af9b000000ffff);
    put(kGdt + 16, 0x00cf93000000ffff);
    code(kHandler, {0xf4});  // hlt
    // inc qword [kCounter]; iretq
    code(kHandler + 0x100, {0x48, 0xff, 0x04, 0x25, 0x00, 0xe0, 0x00, 0x00, 0x48, 0xcf});
    // inc dword [kCounter + 8]; iretq
    code(kHandler + 0x200, {0xff, 0x04, 0x25, 0x08, 0xe0, 0x00, 0x00, 0x48, 0xcf});
    put(kPml4, kPdpt | 7);
    put(kPdpt, kPd | 7);
    put(kPd, kTable0 | 7);
    put(kPd + 8, kTable1 | 7);
    put(kOtherPml4, kOtherPdpt | 7);
    put(kOtherPdpt, kOtherPd | 7);
    put(kOtherPd, kTable0 | 7);
    put(kOtherPd + 8, kOtherTable | 7);
    for (u64 page = 0; page < 512; ++page) {
      put(kTable0 + page * 8, page << 12 | 7);
      put(kTable1 + page * 8, page << 12 | 7);
      put(kOtherTable + page * 8, page << 12 | 7);
    }
    put(kTable1 + 511 * 8, kDevicePhysical | 7);
    put(kOtherTable + 511 * 8, kDevicePhysical | 7);
  }
  void enter() {
    CpuState& s = cpu->state;
    s.cr0 = kCr0Et | kCr0Ne | kCr0Pe | kCr0Pg | kCr0Wp;
    s.cr3 = kPml4;
    s.cr4 = kCr4Pae | kCr4Fsgsbase | kCr4De;
    s.efer = kEferLme | kEferLma | kEferSce | kEferNxe;
    for (unsigned i = kEs; i <= kGs; ++i) s.segments[i] = {0, 0xffffffff, 16, 0xc093};
    s.segments[kCs] = {0, 0xffffffff, 8, 0xa09b};
    s.gdtr = {kGdt, 0x1f};
    s.idtr = {kIdt, 0xfff};
    s.flags = kFlagFixed;
    s.rip() = kCode;
    s.regs[kRsp] = kStack;
    cpu->state_replaced();
  }
};

/// Both machines. `[0]` interprets, `[1]` translates.
class LockstepPair : public BenchLayout {
 public:
  explicit LockstepPair(u64 cache_bytes = 16 * kMiB, u32 runs = 12)
      : interpreted(false), translated(true, cache_bytes, runs) {}

  BenchMachine interpreted, translated;

  template <class Action>
  void both(Action&& action) {
    action(interpreted);
    action(translated);
  }
  void code(u64 physical, const std::vector<u8>& bytes) {
    both([&](BenchMachine& m) { m.code(physical, bytes); });
  }
  void put(u64 physical, u64 value, unsigned width = 8) {
    both([&](BenchMachine& m) { m.put(physical, value, width); });
  }
  void set(unsigned reg, u64 value) {
    both([&](BenchMachine& m) { m.cpu->state.regs[reg] = value; });
  }
  void start(u64 rip) {
    both([&](BenchMachine& m) {
      m.cpu->state.rip() = rip;
      m.cpu->state.activity = Activity::kRunning;
    });
  }
  u64 reg(unsigned number) const { return translated.cpu->state.regs[number]; }
  const FaultRecord& fault() const { return translated.cpu->fault_log.newest(0); }
  u64 blocks() const { return translated.translator->blocks_translated(); }

  /// Runs both; the first difference, or nothing.
  std::string run(u64 budget, u32 flags_mask = ~u32{0}) {
    exit_ = interpreted.cpu->run(budget);
    const RunExit other = translated.cpu->run(budget);
    if (other != exit_) return "run() ended differently";
    return difference(flags_mask);
  }
  /// Runs until both halt or the budget is used up.
  bool halted() const { return exit_ == RunExit::kHalted; }

  std::string difference(u32 flags_mask = ~u32{0}) {
    const CpuState& a = interpreted.cpu->state;
    const CpuState& b = translated.cpu->state;
    std::string out;
    const auto compare = [&](const std::string& what, u64 expected, u64 actual) {
      if (expected != actual) {
        out += fmt::format("{}: interpreted {:x}, translated {:x}\n", what, expected, actual);
      }
    };
    for (unsigned i = 0; i < 16; ++i) compare(fmt::format("register {}", i), a.regs[i], b.regs[i]);
    compare("rip", a.rip(), b.rip());
    compare("rflags", interpreted.cpu->rflags() & flags_mask,
            translated.cpu->rflags() & flags_mask);
    compare("instructions", a.instructions, b.instructions);
    compare("cr2", a.cr2, b.cr2);
    compare("cr3", a.cr3, b.cr3);
    compare("activity", static_cast<u64>(a.activity), static_cast<u64>(b.activity));
    compare("pending #DB", a.pending_debug, b.pending_debug);
    compare("dr6", a.dr[6], b.dr[6]);
    compare("device writes", interpreted.device.writes, translated.device.writes);
    compare("events", interpreted.cpu->fault_log.size(), translated.cpu->fault_log.size());
    if (interpreted.cpu->fault_log.size() != 0 && translated.cpu->fault_log.size() != 0) {
      const FaultRecord& x = interpreted.cpu->fault_log.newest(0);
      const FaultRecord& y = translated.cpu->fault_log.newest(0);
      compare("event rip", x.rip, y.rip);
      compare("event rsp", x.rsp, y.rsp);
      compare("event vector", x.vector, y.vector);
      compare("event error code", x.error_code, y.error_code);
      compare("event instructions", x.instructions, y.instructions);
    }
    const FpuState &f = a.fpu, &g = b.fpu;
    compare("fip", f.fip, g.fip);
    compare("fdp", f.fdp, g.fdp);
    compare("fcs", f.fcs, g.fcs);
    compare("fds", f.fds, g.fds);
    compare("x87 opcode", f.opcode, g.opcode);
    compare("x87 control", f.control, g.control);
    compare("x87 status", f.status, g.status);
    compare("x87 tags", f.tag, g.tag);
    compare("mxcsr", f.mxcsr, g.mxcsr);
    for (unsigned i = 0; i < 8; ++i) {
      if (f.st[i] != g.st[i]) out += fmt::format("x87 register {}\n", i);
    }
    for (unsigned i = 0; i < 16; ++i) {
      if (f.ymm[i] != g.ymm[i]) out += fmt::format("ymm{}\n", i);
    }
    const u8* left = interpreted.memory->ram();
    const u8* right = translated.memory->ram();
    if (std::memcmp(left, right, kRam) != 0) {
      u64 at = 0;
      while (left[at] == right[at]) ++at;
      compare(fmt::format("memory at {:x}", at), left[at], right[at]);
    }
    return out;
  }

 private:
  RunExit exit_ = RunExit::kBudget;
};

/// Machine code by hand.
class Bytes {
 public:
  Bytes& operator()(std::initializer_list<int> list) {
    for (const int byte : list) bytes_.push_back(static_cast<u8>(byte));
    return *this;
  }
  Bytes& number(u64 value, unsigned width) {
    for (unsigned i = 0; i < width; ++i) bytes_.push_back(static_cast<u8>(value >> (8 * i)));
    return *this;
  }
  /// MOV r64, imm64.
  Bytes& load(unsigned reg, u64 value) {
    bytes_.push_back(static_cast<u8>(0x48 | reg >> 3));
    bytes_.push_back(static_cast<u8>(0xb8 | (reg & 7)));
    return number(value, 8);
  }
  /// A near branch with a 32-bit displacement to an offset of this code.
  Bytes& branch(std::initializer_list<int> opcode, u64 target) {
    (*this)(opcode);
    return number(target - (bytes_.size() + 4), 4);
  }
  u64 size() const { return bytes_.size(); }
  operator const std::vector<u8>&() const { return bytes_; }  // NOLINT

 private:
  std::vector<u8> bytes_;
};

/// Runs until HLT, which comes after so many rounds that the code is translated.
inline void expect_halt(LockstepPair& pair, u64 budget = 100000) {
  ASSERT_EQ(pair.run(budget), "");
  ASSERT_TRUE(pair.halted());
}

/// Runs guest code, translated or not, that ends in HLT.
inline void run_once(LockstepPair& pair, u64 at, const std::vector<u8>& code) {
  pair.code(at, code);
  pair.start(at);
  expect_halt(pair);
}

}  // namespace dragoman
