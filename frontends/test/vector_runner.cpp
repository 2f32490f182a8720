#include "frontends/test/vector_runner.h"

#include <algorithm>

#include "base/bits.h"

namespace dragoman {
namespace {

using R = VectorReg;

/// More than any instruction with its HLT needs, few enough not to run through all of memory.
constexpr u64 kInstructionLimit = 8;
/// The translator needs room for whole blocks: else it leaves them to the interpreter.
constexpr u64 kTranslatedLimit = 256;

struct GprName {
  VectorReg reg;
  Gpr number;
};
constexpr std::array kGprs = {GprName{R::kAx, kRax}, GprName{R::kBx, kRbx}, GprName{R::kCx, kRcx},
                              GprName{R::kDx, kRdx}, GprName{R::kSp, kRsp}, GprName{R::kBp, kRbp},
                              GprName{R::kSi, kRsi}, GprName{R::kDi, kRdi}, GprName{R::kIp, kRip}};
struct SegmentName {
  VectorReg reg;
  SegmentRegister number;
};
constexpr std::array kSegments = {SegmentName{R::kCs, kCs}, SegmentName{R::kSs, kSs},
                                  SegmentName{R::kDs, kDs}, SegmentName{R::kEs, kEs},
                                  SegmentName{R::kFs, kFs}, SegmentName{R::kGs, kGs}};

/// Bits of a register the set's processor has; what a test holds in the others is of no meaning.
u32 existing_bits(VectorReg reg, VectorFamily family) {
  switch (reg) {
    case R::kCr0:
      return 0x8000000e;  // PG, TS, EM, MP; PE belongs to the mode
    case R::kCr3:
      return 0xfffff000;
    case R::kDr6:
      return 0x0000e00f;
    case R::kDr7:
      return 0xffff03ff;
    case R::kFlags:
      return family == VectorFamily::k8086  ? 0xffd7
             : family == VectorFamily::k286 ? 0x0fd7
                                            : 0x7fd7;  // real mode: no RF, no VM
    case R::kCs:
    case R::kSs:
    case R::kDs:
    case R::kEs:
    case R::kFs:
    case R::kGs:
      return 0xffff;
    default:
      return family == VectorFamily::k386 ? 0xffffffff : 0xffff;
  }
}

void append(std::string& text, std::string_view piece) {
  if (!text.empty()) text += ", ";
  text += piece;
}

}  // namespace

Result<VectorFamily> vector_family(std::string_view cpu) {
  if (cpu.find("386") != std::string_view::npos) return VectorFamily::k386;
  if (cpu.find("286") != std::string_view::npos) return VectorFamily::k286;
  if (cpu == "8086" || cpu == "8088") return VectorFamily::k8086;
  return error(
      "no rules for vectors of the processor '{}': there are some for 8088, 8086, 286 and 386",
      cpu);
}

std::string_view vector_model(VectorFamily family) {
  switch (family) {
    case VectorFamily::k8086:
      return "8086";
    case VectorFamily::k286:
      return "286";
    case VectorFamily::k386:
      break;
  }
  return "386";
}

Result<VectorRunner> VectorRunner::create(VectorFamily family, std::string_view cpu_model,
                                          BenchEngine engine) {
  const auto model = parse_cpu_model(cpu_model);
  if (!model) return model.error();
  auto bench = InstructionBench::create(*model, InstructionBench::kDefaultRam, engine);
  if (!bench) return bench.error();
  return VectorRunner(family, engine, bench.take());
}

void VectorRunner::prepare(const VectorTest& test) {
  bench_->enter(BenchMode::kReal);
  CpuState& s = bench_->state();
  const auto initial = [&](VectorReg reg) {
    return test.initial.reg(reg).value_or(0) & existing_bits(reg, family_);
  };
  for (const GprName& gpr : kGprs) s.regs[gpr.number] = initial(gpr.reg);
  for (const SegmentName& segment : kSegments) {
    bench_->set_real_segment(segment.number, static_cast<u16>(initial(segment.reg)));
  }
  if (test.initial.reg(R::kCr0)) {
    s.cr0 = kCr0Et | (initial(R::kCr0) & ~u32{1u << 31});
    s.cr3 = initial(R::kCr3);
    s.dr[6] = 0xffff0ff0 | initial(R::kDr6);
    s.dr[7] = 0x400 | initial(R::kDr7);
  }
  bench_->set_flags(initial(R::kFlags));
  bench_->set_address_wrap(family_ == VectorFamily::k8086);
  for (const VectorState::Byte& byte : test.initial.ram) bench_->write(byte.address, byte.value);
  bench_->state_changed();
}

u32 VectorRunner::value(VectorReg reg) {
  const CpuState& s = bench_->state();
  for (const GprName& gpr : kGprs) {
    if (gpr.reg == reg) return static_cast<u32>(s.regs[gpr.number]);
  }
  for (const SegmentName& segment : kSegments) {
    if (segment.reg == reg) return s.segments[segment.number].selector;
  }
  switch (reg) {
    case R::kFlags:
      return bench_->flags();
    case R::kCr0:
      return static_cast<u32>(s.cr0);
    case R::kCr3:
      return static_cast<u32>(s.cr3);
    case R::kDr6:
      return static_cast<u32>(s.dr[6]);
    default:
      return static_cast<u32>(s.dr[7]);
  }
}

void VectorRunner::compare_registers(const VectorFile& file, const VectorTest& test,
                                     u32 defined_flags, VectorDifference& out) {
  for (std::size_t i = 0; i < kVectorRegs; ++i) {
    const VectorReg reg = static_cast<VectorReg>(i);
    if (!test.initial.reg(reg)) continue;
    u32 mask = existing_bits(reg, family_) & file.masks[i].value_or(0xffffffff) &
               test.final.masks[i].value_or(0xffffffff);
    // Bit 1 of the flags is always set, but some sets have it clear in what they put in.
    // Bits 15:12 belong to the 8086; on another model they are NT and IOPL.
    if (reg == R::kFlags) {
      mask &= defined_flags & ~u32{kFlagFixed};
      if (family_ == VectorFamily::k8086) {
        mask &= kArithmeticFlags | kFlagTf | kFlagIf | kFlagDf | bench_->cpu().model().flags_fixed;
      }
    }
    const u32 expected = test.final.reg(reg).value_or(*test.initial.reg(reg)) & mask;
    const u32 got = value(reg) & mask;
    if (got == expected) continue;
    out.registers |= 1u << i;
    append(out.text, fmt::format("{} {:04x} for {:04x}", vector_reg_name(reg), got, expected));
  }
}

void VectorRunner::compare_memory(const VectorTest& test, u32 defined_flags,
                                  VectorDifference& out) {
  std::vector<u64> pages = bench_->take_written_pages();
  for (const VectorState::Byte& byte : test.final.ram) {
    const u64 number = byte.address >> kPageShift;
    if (byte.address < bench_->ram_size() &&
        std::find(pages.begin(), pages.end(), number) == pages.end()) {
      pages.push_back(number);
    }
  }
  // The flags word an exception pushed, with the bits its instruction leaves undefined.
  u64 flags_at = ~u64{0};
  if (test.final.reg(R::kSp) && test.final.reg(R::kCs) && test.initial.reg(R::kSp)) {
    const u32 sp = *test.final.reg(R::kSp);
    const u32 ss = test.final.reg(R::kSs).value_or(test.initial.reg(R::kSs).value_or(0)) & 0xffff;
    u64 address = u64{ss} * 16 + ((sp + 4) & 0xffff);
    if (family_ == VectorFamily::k8086) {
      // This set does not say which tests end in interrupt 0.
      address &= 0xfffff;
      if (((*test.initial.reg(R::kSp) - sp) & 0xffff) == 6) flags_at = address;
    } else if (test.exception && (test.exception->flag_address | 1) == (address | 1)) {
      flags_at = address;  // captured on a 16-bit bus: odd addresses are given as even ones
    }
  }
  std::array<u8, kPageSize> expected;
  for (const u64 number : pages) {
    expected.fill(0);
    for (const VectorState* state : {&test.initial, &test.final}) {
      for (const VectorState::Byte& byte : state->ram) {
        if (byte.address >> kPageShift == number) expected[byte.address & kPageMask] = byte.value;
      }
    }
    const std::span<const u8> page = bench_->page(number);
    for (u64 i = 0; i < kPageSize; ++i) {
      if (page[i] == expected[i]) continue;
      const u64 address = (number << kPageShift) + i;
      u8 mask = 0xff;
      if (address == flags_at) mask = static_cast<u8>(defined_flags);
      if (address == flags_at + 1) mask = static_cast<u8>(defined_flags >> 8);
      if (((page[i] ^ expected[i]) & mask) == 0) continue;
      out.memory = true;
      append(out.text, fmt::format("[{:05x}] {:02x} for {:02x}", address, page[i], expected[i]));
    }
  }
}

int VectorRunner::delivered() {
  const FaultLog& log = bench_->cpu().fault_log;
  return log.size() == 0 ? -1 : log.newest(0).vector;
}

VectorDifference VectorRunner::run(const VectorFile& file, const VectorTest& test,
                                   u32 defined_flags) {
  VectorDifference difference;
  prepare(test);
  const RunExit exit =
      family_ == VectorFamily::k8086
          ? bench_->step()
          : bench_->run(engine_ == BenchEngine::kTranslator ? kTranslatedLimit : kInstructionLimit);
  if (exit == RunExit::kTripleFault) append(difference.text, "shutdown");
  if (exit == RunExit::kBudget && family_ != VectorFamily::k8086) {
    append(difference.text, "HLT is not reached");
  }
  difference.delivered = delivered();
  const int expected = test.exception ? test.exception->number : -1;
  if (family_ != VectorFamily::k8086 && difference.delivered != expected) {
    const auto name = [](int vector) {
      return vector < 0 ? std::string("none") : std::to_string(vector);
    };
    append(difference.text,
           fmt::format("exception {} for {}", name(difference.delivered), name(expected)));
    difference.exception = true;
  }
  compare_registers(file, test, defined_flags, difference);
  compare_memory(test, defined_flags, difference);
  // A string instruction that went wrong differs in hundreds of bytes.
  constexpr std::size_t kLongest = 300;
  if (difference.text.size() > kLongest) difference.text.resize(kLongest);
  return difference;
}

}  // namespace dragoman
