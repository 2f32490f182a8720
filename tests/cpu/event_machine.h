// A processor with 4 MiB of RAM, descriptor tables and task state segments at fixed places, for
// the tests of events, far transfers and system instructions.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "cpu/events/events.h"
#include "tests/cpu/bare_processor.h"

namespace dragoman {

class EventMachine {
 public:
  static constexpr u64 kRam = 4 * kMiB;
  // Linear and physical addresses of the tables and stacks.
  static constexpr u32 kGdt = 0x1000, kIdt = 0x2000, kTss = 0x3000, kOtherTss = 0x4000,
                       kLdt = 0x5000, kPages = 0x20000;
  static constexpr u32 kStack0 = 0x9000, kStack3 = 0x8000, kIstStack = 0xa000;
  static constexpr u32 kCode0 = 0x10000, kCode3 = 0x12000, kHandler = 0x14000;
  // Selectors.
  static constexpr u16 kSelCode0 = 0x08, kSelData0 = 0x10, kSelCode3 = 0x1b, kSelData3 = 0x23,
                       kSelTss = 0x28, kSelOtherTss = 0x38, kSelConforming = 0x48,
                       kSelNotPresent = 0x53, kSelReadOnly = 0x5b, kSelExecuteOnly = 0x63,
                       kSelGate = 0x6b, kSelLdt = 0x78, kSelCode64 = 0x88, kSelCode64User = 0x93,
                       kSelCode16 = 0x98;

  explicit EventMachine(const std::string& vendor = "GenuineIntel", bool has_long_mode = true)
      : memory(std::move(GuestMemory::create(kRam).value())), map(*memory, log), ports(log) {
    map.add_memory("ram", PhysicalAddress(0), kRam, memory->ram(), true, true,
                   MemoryMap::kPriorityRam);
    model.vendor = vendor;
    model.features = FeatureSet::all();
    if (!has_long_mode) model.features.remove(Feature::kLm);
    CpuWiring wiring;
    wiring.memory = &map;
    wiring.ports = &ports;
    wiring.clock = &clock;
    wiring.log = &log;
    wiring.smm_changed = [this](bool on) { smm_visible.push_back(on); };
    cpu = std::make_unique<Cpu>(model, wiring);
  }

  template <class T>
  void put(u64 address, T value) {
    map.store<T>(PhysicalAddress(address), value);
  }
  template <class T>
  T get(u64 address) {
    return map.load<T>(PhysicalAddress(address));
  }
  void code(u64 address, std::initializer_list<int> bytes) {
    for (const int byte : bytes) put<u8>(address++, static_cast<u8>(byte));
  }

  CpuState& state() { return cpu->state; }
  u64& reg(unsigned number) { return cpu->state.regs[number]; }
  u16 selector(unsigned segment) { return cpu->state.segments[segment].selector; }
  u32 stack32(unsigned index) { return get<u32>(reg(kRsp) + 4 * index); }
  u64 stack64(unsigned index) { return get<u64>(reg(kRsp) + 8 * index); }

  static u64 descriptor(u32 base, u32 limit, u32 attributes) {
    return (limit & 0xffff) | (u64{base & 0xffffff} << 16) | (u64{attributes & 0xff} << 40) |
           (u64{(limit >> 16) & 0xf} << 48) | (u64{(attributes >> 12) & 0xf} << 52) |
           (u64{base >> 24} << 56);
  }
  void gdt_entry(u16 sel, u32 base, u32 limit, u32 attributes) {
    put<u64>(kGdt + (sel & 0xfff8), descriptor(base, limit, attributes));
  }
  u8 gdt_type(u16 sel) { return get<u8>(kGdt + (sel & 0xfff8) + 5); }
  /// `type` with P, DPL and type bits, such as 8Eh.
  void gate(u32 table, unsigned number, u16 sel, u32 offset, u8 type, u8 parameters = 0) {
    put<u64>(table + number * 8, (offset & 0xffff) | (u64{sel} << 16) | (u64{parameters} << 32) |
                                     (u64{type} << 40) | (u64{offset >> 16} << 48));
  }
  void gate64(unsigned vector, u16 sel, u64 offset, u8 type, u8 ist = 0) {
    put<u64>(kIdt + vector * 16, (offset & 0xffff) | (u64{sel} << 16) | (u64{ist} << 32) |
                                     (u64{type} << 40) | (((offset >> 16) & 0xffff) << 48));
    put<u64>(kIdt + vector * 16 + 8, offset >> 32);
  }

  /// Segment register as if loaded from the GDT.
  void force(unsigned segment, u16 sel) {
    const u64 d = get<u64>(kGdt + (sel & 0xfff8));
    Descriptor parsed{static_cast<u32>(d), static_cast<u32>(d >> 32), 0};
    state().segments[segment] = {parsed.base(), parsed.limit(), sel, parsed.attributes()};
  }

  /// Real mode, all segments at 0, interrupts on, at 0:500h.
  void real_mode() {
    for (unsigned i = kEs; i <= kGs; ++i) state().segments[i] = {0, 0xffff, 0, 0x93};
    state().idtr = {0, 0x3ff};
    state().rip() = 0x500;
    reg(kRsp) = 0x7000;
    state().flags = kFlagFixed | kFlagIf;
    cpu->state_replaced();
  }

  /// Flat 32-bit protected mode at `cpl`; every vector leads to kHandler + 16 * vector in ring 0.
  void protected_mode(unsigned cpl) {
    tables();
    for (unsigned v = 0; v < 256; ++v) gate(kIdt, v, kSelCode0, kHandler + 16 * v, 0x8e);
    state().idtr = {kIdt, 0x7ff};
    put<u32>(kTss + 4, kStack0);
    put<u16>(kTss + 8, kSelData0);
    put<u16>(kTss + 0x66, 0x68);
    state().cr0 = kCr0Pe | kCr0Et | kCr0Ne;
    enter(cpl, kSelCode0, kSelCode3);
  }

  /// 64-bit mode with 4 MiB mapped one to one for user and supervisor.
  void long_mode(unsigned cpl) {
    tables();
    put<u64>(kGdt + kSelTss + 8, 0);
    for (unsigned v = 0; v < 256; ++v) gate64(v, kSelCode64, kHandler + 16 * v, 0x8e);
    state().idtr = {kIdt, 0xfff};
    put<u64>(kTss + 4, kStack0);
    put<u64>(kTss + 0x24, kIstStack);  // IST1
    put<u64>(kPages, (kPages + 0x1000) | 7);
    put<u64>(kPages + 0x1000, (kPages + 0x2000) | 7);
    put<u64>(kPages + 0x2000, 0x000000 | 0x87);
    put<u64>(kPages + 0x2008, 0x200000 | 0x87);
    state().cr3 = kPages;
    state().cr4 = kCr4Pae;
    state().efer = kEferLme | kEferLma | kEferSce;
    state().cr0 = kCr0Pe | kCr0Et | kCr0Ne | kCr0Pg;
    enter(cpl, kSelCode64, kSelCode64User);
  }

  /// From ring 0 by IRET into virtual-8086 mode at 1200h:10h, stack 500h:7000h.
  void enter_v86(u32 flags) {
    protected_mode(0);
    code(kCode0, {0xcf});
    const u32 frame[] = {
        0x10, 0x1200, flags | kFlagVm | kFlagFixed, 0x7000, 0x0500, 0x1111, 0x2222, 0x3333, 0x4444};
    reg(kRsp) = kStack0 - sizeof(frame);
    for (unsigned i = 0; i < 9; ++i) put<u32>(reg(kRsp) + 4 * i, frame[i]);
    cpu->run(1);
  }

  StillClock clock;
  Log log;
  std::unique_ptr<GuestMemory> memory;
  MemoryMap map;
  PortMap ports;
  CpuModel model;
  std::unique_ptr<Cpu> cpu;
  std::vector<bool> smm_visible;

 private:
  void tables() {
    gdt_entry(kSelCode0, 0, 0xfffff, 0xc09b);
    gdt_entry(kSelData0, 0, 0xfffff, 0xc093);
    gdt_entry(kSelCode3, 0, 0xfffff, 0xc0fb);
    gdt_entry(kSelData3, 0, 0xfffff, 0xc0f3);
    gdt_entry(kSelTss, kTss, 0xfff, 0x008b);
    gdt_entry(kSelOtherTss, kOtherTss, 0x67, 0x0089);
    gdt_entry(kSelConforming, 0, 0xfffff, 0xc09f);
    gdt_entry(kSelNotPresent, 0, 0xfffff, 0xc073);
    gdt_entry(kSelReadOnly, 0, 0xfffff, 0xc0f1);
    gdt_entry(kSelExecuteOnly, 0, 0xfffff, 0xc0f9);
    gdt_entry(kSelLdt, kLdt, 0xff, 0x0082);
    gdt_entry(kSelCode64, 0, 0xfffff, 0xa09b);
    gdt_entry(kSelCode64User, 0, 0xfffff, 0xa0fb);
    gdt_entry(kSelCode16, 0, 0xffff, 0x009b);
    state().gdtr = {kGdt, 0xff};
  }
  void enter(unsigned cpl, u16 code0, u16 code3) {
    force(kCs, cpl == 0 ? code0 : code3);
    for (const unsigned i : {kSs, kDs, kEs, kFs, kGs}) force(i, cpl == 0 ? kSelData0 : kSelData3);
    force(kTr, kSelTss);
    state().segments[kLdtr] = {0, 0, 0, 0};
    state().cpl = static_cast<u8>(cpl);
    state().rip() = cpl == 0 ? kCode0 : kCode3;
    reg(kRsp) = cpl == 0 ? kStack0 : kStack3;
    state().flags = kFlagFixed | kFlagIf;
    cpu->state_replaced();
  }
};

}  // namespace dragoman
