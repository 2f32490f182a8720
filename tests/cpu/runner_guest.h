// The guest side of the integer oracle: user code at the addresses of HostRunner, with real event
// delivery into a ring 0 that only exists to be looked at.
#pragma once

#include <cpuid.h>

#include <cstring>
#include <memory>

#include "base/scheduler.h"
#include "cpu/cpu.h"
#include "memory/guest_memory.h"
#include "memory/memory_map.h"
#include "memory/port_map.h"
#include "tests/cpu/host_runner.h"

namespace dragoman {

class RunnerGuest : public RunnerLayout {
 public:
  RunnerGuest()
      : memory_(GuestMemory::create(2 * kMiB).take()), map_(*memory_, log_), ports_(log_) {
    map_.add_memory("ram", PhysicalAddress(0), 2 * kMiB, memory_->ram(), true, true, 0);
    CpuModel model;
    host_identity(model);
    CpuWiring wiring;
    wiring.memory = &map_;
    wiring.ports = &ports_;
    wiring.clock = &clock_;
    wiring.log = &log_;
    cpu_ = std::make_unique<Cpu>(model, wiring);

    for (unsigned v = 0; v < 256; ++v) {
      const u64 handler = kHandlers + 16 * v;
      put<u64>(kIdt + 16 * v, (handler & 0xffff) | u64{kKernelCode} << 16 | u64{0x8e} << 40 |
                                  (handler >> 16) << 48);
      put<u64>(kIdt + 16 * v + 8, 0);
    }
    put<u64>(kGdt + kKernelCode, 0x00af9b000000ffff);
    put<u64>(kTss + 4, kKernelStack);
    put<u64>(kTables, (kTables + 0x1000) | 7);
    put<u64>(kTables + 0x1000, (kTables + 0x2000) | 7);
    put<u64>(kTables + 0x1008, (kTables + 0x3000) | 7);
    put<u64>(kTables + 0x2000, 0x83);  // the first 2 MiB for the supervisor
    put<u64>(kTables + 0x3000 + 8 * ((kCode >> 21) & 511), (kTables + 0x4000) | 7);
    map_page(kCode, kCodePage, 5);  // not writable on the host either
    for (u64 i = 0; i < kDataBytes; i += kPageSize) map_page(kData + i, kDataPages + i, kNx | 7);
    map_page(kStack, kStackPage, kNx | 7);

    CpuState& s = cpu_->state;
    s.gdtr = {kGdt, 0xff};
    s.idtr = {kIdt, 0xfff};
    s.segments[kTr] = {kTss, 0x67, 0x40, 0x8b};
    s.cr0 = kCr0Pe | kCr0Et | kCr0Ne | kCr0Pg | kCr0Wp | kCr0Am;
    s.cr4 = kCr4Pae | kCr4Osfxsr;
    s.cr3 = kTables;
    s.efer = kEferLme | kEferLma | kEferNxe;
    enter_user(false);
  }

  Cpu& cpu() { return *cpu_; }
  u8* data() { return memory_->ram() + kDataPages; }
  u8* stack() { return memory_->ram() + kStackPage; }

  /// Executes the instruction to its end, or its fault.
  void run(std::span<const u8> instruction, bool code32, RunnerState& state) {
    if (cpu_->cpl() != 3 || code32 != code32_) enter_user(code32);
    std::array<u8, 0x20> bytes;
    bytes.fill(0xcc);
    std::memcpy(bytes.data(), instruction.data(), instruction.size());
    map_.write_bytes(PhysicalAddress(kCodePage + (kInstruction - kCode)), bytes);
    CpuState& s = cpu_->state;
    std::memcpy(s.regs.data(), state.regs.data(), sizeof(state.regs));
    set_arithmetic_flags(s.lazy, static_cast<u32>(state.flags));
    s.flags = static_cast<u32>(state.flags) & ~u32{kArithmeticFlags};
    s.rip() = kInstruction;
    s.interrupt_shadow = 0;
    cpu_->update_mode();                                // EFLAGS.AC
    for (unsigned turns = 0; turns < 10000; ++turns) {  // REP may come back to itself
      cpu_->run(1);
      if (cpu_->cpl() != 3 || s.rip() != kInstruction) break;
    }
    // A branch to somewhere else faults there, as the host sees it.
    const u64 next = kInstruction + instruction.size();
    if (cpu_->cpl() == 3 && s.rip() != next && s.rip() != next + kBranch) cpu_->run(1);
    state.fault = -1;
    state.error = state.cr2 = 0;
    std::memcpy(state.regs.data(), s.regs.data(), sizeof(state.regs));
    state.rip = s.rip();
    state.flags = cpu_->rflags();
    if (cpu_->cpl() == 3) return;
    state.fault = static_cast<int>((s.rip() - kHandlers) / 16);
    u64 frame = s.regs[kRsp];
    if (state.fault == kVectorDf || (state.fault >= kVectorTs && state.fault <= kVectorPf) ||
        state.fault == kVectorAc) {
      state.error = get<u64>(frame);
      frame += 8;
    }
    state.rip = get<u64>(frame);
    state.flags = get<u64>(frame + 16);
    state.regs[kRsp] = get<u64>(frame + 24);
    if (state.fault == kVectorPf) state.cr2 = s.cr2;
  }

 private:
  static constexpr u64 kGdt = 0x1000, kTss = 0x1800, kIdt = 0x2000, kHandlers = 0x4000,
                       kKernelStack = 0x8000, kTables = 0x10000, kCodePage = 0x20000,
                       kDataPages = 0x30000, kStackPage = 0x40000;
  static constexpr u16 kKernelCode = 0x10;
  static constexpr u64 kNx = u64{1} << 63;

  struct Clock final : VirtualClock {
    u64 now_ns() override { return 0; }
  };

  /// The guest offers exactly what the host has, so that an encoding means the same on both.
  static void host_identity(CpuModel& model) {
    u32 a, b, c, d;
    __get_cpuid(0, &a, &b, &c, &d);
    char vendor[12];
    std::memcpy(vendor, &b, 4);
    std::memcpy(vendor + 4, &d, 4);
    std::memcpy(vendor + 8, &c, 4);
    model.vendor.assign(vendor, 12);
    model.features.add(Feature::kBase);
    const auto add = [&](Feature feature, u32 leaf, u32 subleaf, char reg, unsigned bit_number) {
      a = b = c = d = 0;
      if (!__get_cpuid_count(leaf, subleaf, &a, &b, &c, &d)) return;
      const u32 value = reg == 'a' ? a : reg == 'b' ? b : reg == 'c' ? c : d;
      if ((value >> bit_number) & 1) model.features.add(feature);
    };
#define FEATURE(name, flag, leaf, subleaf, reg, bit_number) \
  add(Feature::k##name, leaf, subleaf, reg, bit_number);
#include "cpu/isa/features.inc"
#undef FEATURE
  }

  void map_page(u64 linear, u64 physical, u64 bits) {
    put<u64>(kTables + 0x4000 + 8 * ((linear >> kPageShift) & 511), physical | bits);
  }
  void enter_user(bool code32) {
    code32_ = code32;
    CpuState& s = cpu_->state;
    const u64 unlimited = 0xffffffff;
    s.segments[kCs] = {0, static_cast<u32>(unlimited), code32 ? kCode32 : kCode64,
                       static_cast<u16>(code32 ? 0xc0fb : 0xa0fb)};
    for (const unsigned i : {kSs, kDs, kEs}) s.segments[i] = {0, 0xffffffff, kFlatData, 0xc0f3};
    s.segments[kFs] = {0, 0, 0, 0};
    s.segments[kGs] = {kGsBase, 0, 0, 0};
    s.cpl = 3;
    cpu_->state_replaced();
  }
  template <class T>
  void put(u64 address, T value) {
    std::memcpy(memory_->ram() + address, &value, sizeof(T));
  }
  template <class T>
  T get(u64 address) {
    T value;
    std::memcpy(&value, memory_->ram() + address, sizeof(T));
    return value;
  }

  Log log_;
  Clock clock_;
  std::unique_ptr<GuestMemory> memory_;
  MemoryMap map_;
  PortMap ports_;
  std::unique_ptr<Cpu> cpu_;
  bool code32_ = false;
};

}  // namespace dragoman
