// CPUID tells the truth: every row whose feature a -cpu model offers executes, every other one
// raises #UD, and the control register bits of a feature exist exactly with it.
#include <gtest/gtest.h>

#include "cpu/decode/decoder.h"
#include "cpu/isa/rows.h"
#include "tests/cpu/event_machine.h"
#include "tests/cpu/row_bytes.h"

namespace dragoman {
namespace {

struct FeatureBit {
  Feature feature;
  u32 leaf, subleaf;
  char reg;
  unsigned bit;
};
constexpr FeatureBit kBits[] = {
#define FEATURE(name, flag, leaf, subleaf, reg, bit_number) \
  {Feature::k##name, leaf, subleaf, reg, bit_number},
#include "cpu/isa/features.inc"
#undef FEATURE
};

class FeatureRows : public ::testing::TestWithParam<std::string> {
 protected:
  static constexpr u32 kScratch = 0x30000;

  FeatureRows() {
    machine_.model = parse_cpu_model(GetParam()).take();
    CpuWiring wiring;
    wiring.memory = &machine_.map;
    wiring.ports = &machine_.ports;
    wiring.clock = &machine_.clock;
    wiring.log = &machine_.log;
    machine_.cpu = std::make_unique<Cpu>(machine_.model, wiring);
    code64_ = machine_.model.features.has(Feature::kLm);
  }

  /// Ring 0 with every unit that the model has switched on.
  void reset() {
    CpuState& s = machine_.state();
    s = CpuState{};
    if (code64_) {
      machine_.long_mode(0);
    } else {
      machine_.protected_mode(0);
    }
    const auto& f = machine_.model.features;
    if (f.has(Feature::kFxsr)) s.cr4 |= kCr4Osfxsr;
    if (f.has(Feature::kXsave)) s.cr4 |= kCr4Osxsave;
    if (f.has(Feature::kFsgsbase)) s.cr4 |= kCr4Fsgsbase;
    if (f.has(Feature::kPku)) s.cr4 |= kCr4Pke;
    s.xcr0 = machine_.model.xcr0_mask();
    s.fpu.control = 0x37f;
    s.regs[kRdi] = s.regs[kRsi] = kScratch;
    s.regs[kRcx] = 1;
    machine_.cpu->state_replaced();
  }

  std::vector<u8> encode(const Row& r, bool memory) const {
    std::vector<u8> out;
    const auto byte = [&](unsigned v) { out.push_back(static_cast<u8>(v)); };
    append_opcode(out, r, (r.attributes & kVexL1) != 0);
    if (r.modrm) {
      const unsigned reg =
          r.reg >= 0 ? static_cast<unsigned>(r.reg)
          : r.operands[0].addressing == Addressing::kC || r.operands[1].addressing == Addressing::kC
              ? 0
              : 1;
      // Segment register 0: CS cannot be loaded.
      const bool segment = r.operation == Operation::kMovToSeg;
      const unsigned field = segment ? 0 : reg;
      if (!memory) {
        byte(0xc0 | field << 3 | (r.rm >= 0 ? static_cast<unsigned>(r.rm) : 2));
      } else if (r.attributes & kUsesSib) {
        byte(field << 3 | 4);
        byte(0x57);  // [rdi + 2 * vector register 2]
      } else {
        byte(field << 3 | 7);
      }
    }
    for (unsigned i = 0; i < 12; ++i) byte(1);  // immediates, as many as wanted
    return out;
  }

  EventMachine machine_;
  bool code64_ = false;
};

TEST_P(FeatureRows, OfferedOnesExecuteAndOthersAreInvalid) {
  unsigned executed = 0, refused = 0;
  for (const Row& r : rows()) {
    if (r.mode == (code64_ ? ModeKey::kNot64 : ModeKey::kOnly64)) continue;
    if ((r.attributes & kRexWSelects) && !code64_) continue;
    switch (r.operation) {
      case Operation::kInvalid:
      case Operation::kUd:
      case Operation::kRsm:  // #UD outside system management mode
        continue;
      default:
        break;
    }
    const bool offered = machine_.cpu->has(r.feature);
    // Without the feature F3 is an ignored prefix of BSF and BSR.
    if (!offered && (r.operation == Operation::kTzcnt || r.operation == Operation::kLzcnt))
      continue;
    for (const bool memory : {false, true}) {
      if (memory ? (r.mod == ModKey::kRegister || !r.modrm) : r.mod == ModKey::kMemory) continue;
      reset();
      const std::vector<u8> bytes = encode(r, memory);
      for (std::size_t i = 0; i < bytes.size(); ++i) {
        machine_.put<u8>(EventMachine::kCode0 + i, bytes[i]);
      }
      for (unsigned i = 0; i < 1024; i += 8) machine_.put<u64>(kScratch + i, 0);
      machine_.cpu->fault_log = {};
      (void)machine_.cpu->run(1);
      const FaultLog& log = machine_.cpu->fault_log;
      bool invalid = false;
      for (unsigned age = 0; age < log.size(); ++age) {
        const FaultRecord& record = log.newest(age);
        invalid = invalid || (record.vector == kVectorUd && record.rip == EventMachine::kCode0);
      }
      std::string hex;
      for (const u8 b : bytes) hex += fmt::format("{:02x}", b);
      EXPECT_EQ(invalid, !offered) << GetParam() << ": " << operation_info(r.operation).mnemonic
                                   << " " << hex << (code64_ ? " 64" : " 32") << " bits";
      ++(offered ? executed : refused);
    }
  }
  EXPECT_GT(executed, 300u);
  if (GetParam() != "max") {
    EXPECT_GT(refused, 10u);
  }
}

TEST_P(FeatureRows, CpuidShowsExactlyTheModel) {
  reset();
  for (const FeatureBit& f : kBits) {
    if (f.feature == Feature::kBase || f.feature == Feature::kApic) continue;  // APIC: by its MSR
    const u32 most =
        f.leaf >= 0x80000000 ? machine_.model.max_extended_leaf : machine_.model.max_basic_leaf;
    if (f.leaf > most) {
      EXPECT_FALSE(machine_.cpu->has(f.feature))
          << GetParam() << fmt::format(" has a feature of leaf {:x} it cannot show", f.leaf);
      continue;
    }
    const CpuidResult r = cpuid(*machine_.cpu, f.leaf, f.subleaf);
    const u32 value = f.reg == 'a' ? r.eax : f.reg == 'b' ? r.ebx : f.reg == 'c' ? r.ecx : r.edx;
    EXPECT_EQ(((value >> f.bit) & 1) != 0, machine_.cpu->has(f.feature))
        << GetParam() << fmt::format(" leaf {:x} {} bit {}", f.leaf, f.reg, f.bit);
  }
}

TEST_P(FeatureRows, ControlRegisterFourHasTheBitsOfTheFeatures) {
  struct Bit {
    unsigned number;
    Feature feature;
  };
  static constexpr Bit kCr4Bits[] = {
      {0, Feature::kVme},    {1, Feature::kVme},   {2, Feature::kTsc},   {3, Feature::kDe},
      {4, Feature::kPse},    {5, Feature::kPae},   {6, Feature::kMce},   {7, Feature::kPge},
      {9, Feature::kFxsr},   {10, Feature::kSse},  {11, Feature::kUmip}, {16, Feature::kFsgsbase},
      {18, Feature::kXsave}, {20, Feature::kSmep}, {21, Feature::kSmap}, {22, Feature::kPku}};
  for (unsigned i = 0; i < 32; ++i) {
    if (i == 8 || i == 17) continue;  // PCE comes with counters; PCIDE has conditions of its own
    bool exists = false;
    for (const Bit& b : kCr4Bits)
      exists = exists || (b.number == i && machine_.cpu->has(b.feature));
    reset();
    machine_.state().regs[kRax] = machine_.state().cr4 | u64{1} << i;
    machine_.code(EventMachine::kCode0, {0x0f, 0x22, 0xe0});
    const u64 before = machine_.state().cr4;
    (void)machine_.cpu->run(1);
    EXPECT_EQ(machine_.state().cr4, exists ? before | u64{1} << i : before)
        << GetParam() << " CR4 bit " << i;
  }
}

/// Models with CPUID; what the ones before lack is not a matter of features.
std::vector<std::string> models_with_cpuid() {
  std::vector<std::string> names;
  for (const std::string& name : cpu_model_names()) {
    if (parse_cpu_model(name).take().has_cpuid) names.push_back(name);
  }
  return names;
}

INSTANTIATE_TEST_SUITE_P(Models, FeatureRows, ::testing::ValuesIn(models_with_cpuid()),
                         [](const auto& instance) {
                           std::string name = instance.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace dragoman
