// A processor with a little memory on which single instructions are executed without events.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string_view>
#include <vector>

#include "cpu/cpu.h"
#include "cpu/decode/decoder.h"
#include "cpu/execute/dispatch.h"
#include "cpu/model/host_features.h"

namespace dragoman {

class VectorMachine {
 public:
  static constexpr u64 kCode = 0x10000, kData = 0x20000, kAbsent = 0x30000, kTables = 0x80000;

  /// 64-bit mode with 4 KiB pages (the page at kAbsent is not present), or flat 32-bit, or real
  /// mode (16).
  explicit VectorMachine(unsigned bits = 64)
      : memory_(GuestMemory::create(2 * kMiB).take()),
        map_(*memory_, log_),
        ports_(log_),
        cpu(make_model(), wiring()) {
    map_.add_memory("ram", PhysicalAddress(0), 2 * kMiB, memory_->ram(), true, true, 0);
    CpuState& s = cpu.state;
    s.cr4 = kCr4Osfxsr | kCr4Osxmmexcpt | kCr4Osxsave | kCr4Pae | kCr4Pke;
    s.cr0 = kCr0Et | kCr0Ne;
    s.xcr0 = 7 | 0x200;
    for (Segment& segment : s.segments) segment.base = 0;
    if (bits != 16) {
      s.cr0 |= kCr0Pe;
      for (unsigned i = 0; i < 6; ++i) {
        s.segments[i] = {0, 0xffffffff, static_cast<u16>(i == kCs ? 8 : 16),
                         static_cast<u16>(i == kCs ? 0xc09b : 0xc093)};
      }
    }
    if (bits == 64) {
      s.segments[kCs].attributes = 0xa09b;
      put(kTables, u64{kTables + 0x1003});
      put(kTables + 0x1000, u64{kTables + 0x2003});
      put(kTables + 0x2000, u64{kTables + 0x3003});
      for (u64 page = 0; page < 512; ++page) {
        put(kTables + 0x3000 + 8 * page, page * kPageSize == kAbsent ? 0 : (page * kPageSize) | 3);
      }
      s.cr3 = kTables;
      s.cr0 |= kCr0Pg;
      s.efer = kEferLme | kEferLma;
    }
    cpu.state_replaced();
  }

  static std::vector<u8> bytes(std::string_view hex) {
    std::vector<u8> out;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
      out.push_back(static_cast<u8>(std::stoul(std::string(hex.substr(i, 2)), nullptr, 16)));
    }
    return out;
  }

  /// Executes one instruction. Returns the vector of the fault it raised, or -1.
  int execute(std::string_view hex) {
    const std::vector<u8> code = bytes(hex);
    Instruction insn;
    if (decode(code, cpu.decode_mode(), insn, cpu.model().features) != DecodeResult::kOk) {
      return kVectorUd;
    }
    EXPECT_EQ(insn.length, code.size()) << hex;
    cpu.clear_fault();
    insn.handler = select_handler(cpu, insn);
    cpu.state.rip() = kCode + insn.length;
    (void)insn.handler(cpu, insn);
    const int vector = cpu.fault_pending() ? cpu.fault().vector : -1;
    cpu.clear_fault();
    return vector;
  }

  /// Level of FERR#.
  bool ferr() const { return pins_.ferr; }

  u8* ram(u64 address) { return memory_->ram() + address; }
  template <class T>
  void put(u64 address, T value) {
    std::memcpy(ram(address), &value, sizeof(T));
  }
  template <class T>
  T get(u64 address) {
    T value;
    std::memcpy(&value, ram(address), sizeof(T));
    return value;
  }

 private:
  struct Clock final : VirtualClock {
    u64 now_ns() override { return 0; }
  };
  struct Pins final : LocalInterrupts {
    bool ferr = false;
    u8 acknowledge() override { return 0; }
    u8 cr8() const override { return 0; }
    void set_cr8(u8) override {}
    u64 apic_base() const override { return 0; }
    bool set_apic_base(u64) override { return false; }
    bool read_x2apic(u32, u64&) override { return false; }
    bool write_x2apic(u32, u64) override { return false; }
    u64 tsc_deadline() const override { return 0; }
    void set_tsc_deadline(u64) override {}
    void set_ferr(bool level) override { ferr = level; }
  };
  static CpuModel make_model() {
    CpuModel model;
    model.vendor = "GenuineIntel";
    model.features = host_features();
    return model;
  }
  CpuWiring wiring() {
    CpuWiring w;
    w.memory = &map_;
    w.ports = &ports_;
    w.clock = &clock_;
    w.log = &log_;
    w.interrupts = &pins_;
    return w;
  }

  Log log_;
  Clock clock_;
  std::unique_ptr<GuestMemory> memory_;
  MemoryMap map_;
  PortMap ports_;
  Pins pins_;

 public:
  Cpu cpu;
};

/// Operand bytes with many special floating-point values among random ones.
class OperandSource {
 public:
  explicit OperandSource(u64 seed) : random_(seed) {}

  u64 number() { return random_(); }
  void fill(std::span<u8> out) {
    const unsigned kind = static_cast<unsigned>(random_() % 4);
    for (std::size_t i = 0; i < out.size(); i += 8) {
      u64 value = random_();
      if (kind == 0) value = special32() | special32() << 32;
      if (kind == 1) value = special64();
      if (kind == 2) value = (random_() % 64) | (random_() % 64) << 32;
      std::memcpy(out.data() + i, &value, std::min<std::size_t>(8, out.size() - i));
    }
  }
  /// An 80-bit value, often special: zeros, denormals, infinities, NaNs, unnormals.
  std::array<u8, 16> extended() {
    static constexpr u16 kExponents[] = {0,      0,      1,      0x3fff, 0x4000, 0x3ffe,
                                         0x403e, 0x7ffe, 0x7fff, 0x3c01, 0x3f81, 0x43ff};
    static constexpr u64 kMantissas[] = {0,       u64{1} << 63,       u64{3} << 62, 1,
                                         ~u64{0}, (u64{1} << 63) | 1, u64{5} << 61};
    u16 exponent = kExponents[random_() % std::size(kExponents)];
    u64 mantissa = kMantissas[random_() % std::size(kMantissas)];
    if (random_() % 2) {  // an ordinary number
      exponent = static_cast<u16>(0x3fff - 40 + random_() % 80);
      mantissa = random_() | u64{1} << 63;
    }
    if (random_() % 2) exponent |= 0x8000;
    std::array<u8, 16> out{};
    std::memcpy(out.data(), &mantissa, 8);
    std::memcpy(out.data() + 8, &exponent, 2);
    return out;
  }

 private:
  u64 special32() {
    static constexpr u32 k[] = {0,          0x80000000, 1,          0x807fffff, 0x00800000,
                                0x7f7fffff, 0xff800000, 0x7f800000, 0x7fc00001, 0x7f800001,
                                0x3f800000, 0xbf800001, 0x00800001, 0x4f000000, 0x33800000};
    return k[random_() % std::size(k)];
  }
  u64 special64() {
    static constexpr u64 k[] = {0,
                                0x8000000000000000,
                                1,
                                0x800fffffffffffff,
                                0x0010000000000000,
                                0x7fefffffffffffff,
                                0x7ff0000000000000,
                                0xfff0000000000000,
                                0x7ff8000000000001,
                                0x7ff0000000000001,
                                0x3ff0000000000000,
                                0xbff0000000000001,
                                0x36a0000000000000,
                                0x47f0000000000000,
                                0x43e0000000000000};
    return k[random_() % std::size(k)];
  }
  std::mt19937_64 random_;
};

}  // namespace dragoman
