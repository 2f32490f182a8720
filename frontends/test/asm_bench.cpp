#include "frontends/test/asm_bench.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "cpu/model/host_features.h"

namespace dragoman {
namespace {

// The same numbers as in case.inc.
enum Mode : unsigned {
  kReal,
  kV86,
  kProtected16,
  kProtected32,
  kUser32,
  kCompat32,
  kKernel64,
  kUser64,
  kModeCount
};
enum Tag : u8 {
  kTagEnd,
  kTagCase,
  kTagGiven,
  kTagPoke,
  kTagExpect,
  kTagExpectMemory,
  kTagFault,
  kTagFaultAt,
  kTagFaultAddress,
  kTagRow,
  kTagRowFault,
  kTagGivenYmm,
  kTagExpectYmm,
  kTagGivenX87,
  kTagExpectX87
};
enum Reg : unsigned {
  kRegRip = 16,
  kRegRflags = 17,
  kRegEs = 18,
  kRegCr0 = 24,
  kRegCr2,
  kRegCr3,
  kRegCr4,
  kRegCpl,
  kRegEfer,
  kRegFsBase,
  kRegGsBase,
  kRegMxcsr,
  kRegFcw,
  kRegFsw,
  kRegFtw,
  kRegXcr0,
  kRegCount
};
constexpr std::array<const char*, kRegCount> kNames = {
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi",    "rdi",  "r8",      "r9",     "r10",
    "r11", "r12", "r13", "r14", "r15", "rip", "rflags", "es",   "cs",      "ss",     "ds",
    "fs",  "gs",  "cr0", "cr2", "cr3", "cr4", "cpl",    "efer", "fs base", "gs base"};
constexpr u32 kData = 0x2000, kStack0 = 0x7000, kStack3 = 0x6000, kHandler = 0x600, kText = 0x8000;
constexpr u32 kGdt = 0x1000, kTss = 0x1800, kLdt = 0x1c00, kIdt = 0x3000;
constexpr u32 kPml4 = 0x21000, kPdpt = 0x22000, kPd = 0x23000, kPageTable64 = 0x24000,
              kPageDir32 = 0x28000, kPageTable32 = 0x29000, kTablesEnd = 0x2a000;

/// Reads the file front to back; anything past its end reads as zero and sets `bad`.
struct Reader {
  std::span<const u8> bytes;
  std::size_t at = 0;
  bool bad = false;

  u64 take(unsigned width) {
    u64 value = 0;
    if (at + width > bytes.size()) {
      bad = true;
      return 0;
    }
    std::memcpy(&value, &bytes[at], width);
    at += width;
    return value;
  }
  std::string text() {
    std::string result;
    for (u8 c = static_cast<u8>(take(1)); c != 0; c = static_cast<u8>(take(1)))
      result += static_cast<char>(c);
    return result;
  }
};

bool is_long(unsigned mode) { return mode >= kCompat32; }
unsigned cpl_of(unsigned mode) {
  return mode == kV86 || mode == kUser32 || mode == kCompat32 || mode == kUser64 ? 3 : 0;
}

u64 descriptor(u32 base, u32 limit, u32 attributes) {
  return (limit & 0xffff) | (u64{base & 0xffffff} << 16) | (u64{attributes & 0xff} << 40) |
         (u64{(limit >> 16) & 0xf} << 48) | (u64{(attributes >> 12) & 0xf} << 52) |
         (u64{base >> 24} << 56);
}

}  // namespace

bool AsmFile::is_64_bit() const { return mode == kKernel64 || mode == kUser64; }

AsmFile parse_asm_file(std::span<const u8> bytes) {
  AsmFile file;
  Reader in{bytes};
  if (bytes.size() < 20 || std::memcmp(bytes.data(), "DRAGCASE", 8) != 0) {
    file.problem = "no DRAGCASE header: does the file include case.inc?";
    return file;
  }
  in.at = 8;
  file.mode = static_cast<unsigned>(in.take(4));
  const u64 text = in.take(4), records = in.take(4);
  if (file.mode >= kModeCount || text > records || records > bytes.size() ||
      kText + (records - text) > 0x20000) {
    file.problem = "bad header, or more than 96 KiB of code";
    return file;
  }
  file.text.assign(bytes.begin() + static_cast<long>(text),
                   bytes.begin() + static_cast<long>(records));
  in.at = records;
  while (!in.bad) {
    const u8 tag = static_cast<u8>(in.take(1));
    if (tag == kTagEnd) break;
    if (tag == kTagCase || tag == kTagRow || tag == kTagRowFault) {
      AsmCase test;
      test.name = in.text();
      test.entry = in.take(4);
      test.end = in.take(4);
      file.cases.push_back(std::move(test));
    }
    if (file.cases.empty()) {
      file.problem = "a record before the first case";
      return file;
    }
    AsmCase& test = file.cases.back();
    switch (tag) {
      case kTagCase:
        break;
      case kTagGiven: {
        const unsigned reg = static_cast<unsigned>(in.take(1));
        test.given.push_back({reg, in.take(8), ~u64{0}});
        break;
      }
      case kTagExpect: {
        const unsigned reg = static_cast<unsigned>(in.take(1));
        const u64 value = in.take(8);
        test.expect.push_back({reg, value, in.take(8)});
        break;
      }
      case kTagPoke:
      case kTagExpectMemory: {
        AsmCase::Bytes piece{};
        piece.width = static_cast<unsigned>(in.take(1));
        piece.address = static_cast<u32>(in.take(4));
        piece.value = in.take(8);
        (tag == kTagPoke ? test.poke : test.expect_memory).push_back(piece);
        break;
      }
      case kTagFault:
        test.vector = static_cast<int>(in.take(1));
        test.error_code = static_cast<i32>(in.take(4));
        break;
      case kTagFaultAt:
        test.fault_rip = static_cast<i64>(in.take(4));
        break;
      case kTagFaultAddress:
        test.check_cr2 = true;
        test.cr2 = in.take(8);
        break;
      case kTagRow:
      case kTagRowFault: {
        constexpr std::array<unsigned, 3> kOrder = {kRax, kRdx, kRcx};
        for (const unsigned reg : kOrder) test.given.push_back({reg, in.take(8), ~u64{0}});
        const u64 memory = in.take(8), flags = in.take(8);
        test.poke.push_back({8, kData, memory});
        test.given.push_back({kRegRflags, flags, ~u64{0}});
        if (tag == kTagRowFault) {
          test.expect_memory.push_back({8, kData, memory});
          test.vector = static_cast<int>(in.take(1));
          test.fault_rip = static_cast<i64>(test.entry);
          break;
        }
        for (const unsigned reg : kOrder) test.expect.push_back({reg, in.take(8), ~u64{0}});
        test.expect_memory.push_back({8, kData, in.take(8)});
        const u64 flags_after = in.take(8);
        test.expect.push_back({kRegRflags, flags_after, in.take(8)});
        break;
      }
      case kTagGivenYmm:
      case kTagExpectYmm:
      case kTagGivenX87:
      case kTagExpectX87: {
        const bool vector = tag == kTagGivenYmm || tag == kTagExpectYmm;
        AsmCase::Wide wide{};
        wide.number = static_cast<unsigned>(in.take(1));
        for (unsigned i = 0; i < (vector ? 4u : 1u); ++i) {
          const u64 value = in.take(8);
          std::memcpy(&wide.bytes[8 * i], &value, 8);
        }
        if (!vector) {
          const u64 value = in.take(2);
          std::memcpy(&wide.bytes[8], &value, 2);
        }
        if (wide.number >= (vector ? 16u : 8u)) {
          file.problem = fmt::format("case '{}' names register {} of {}", test.name, wide.number,
                                     vector ? "16 vector registers" : "8 x87 registers");
          return file;
        }
        (tag == kTagGivenYmm    ? test.given_ymm
         : tag == kTagExpectYmm ? test.expect_ymm
         : tag == kTagGivenX87  ? test.given_x87
                                : test.expect_x87)
            .push_back(wide);
        break;
      }
      default:
        file.problem = fmt::format("unknown record {} after case '{}'", tag, test.name);
        return file;
    }
  }
  if (in.bad) file.problem = "the file ends inside a record: is end_of_cases missing?";
  return file;
}

AsmBench::AsmBench(BenchEngine engine) : engine_(engine) {
  CpuModel model;
  model.vendor = "GenuineIntel";
  model.features = host_features();
  bench_ = InstructionBench::create(model, kRam, engine).take();
  cpu_ = &bench_->cpu();
}

void AsmBench::put(u64 address, u64 value, unsigned width) {
  bench_->write(address, {reinterpret_cast<const u8*>(&value), width});
}

u64 AsmBench::get(u64 address, unsigned width) {
  u64 value = 0;
  for (unsigned i = 0; i < width; ++i) value |= u64{bench_->read(address + i)} << (8 * i);
  return value;
}

void AsmBench::force(unsigned segment, u16 selector) {
  const u64 d = get(kGdt + (selector & 0xfff8u), 8);
  Segment& s = cpu_->state.segments[segment];
  s.selector = selector;
  s.attributes = static_cast<u16>((d >> 40) & 0xf0ff);
  s.limit = static_cast<u32>((d & 0xffff) | ((d >> 32) & 0xf0000));
  if (s.attributes & 0x8000) s.limit = (s.limit << 12) | 0xfff;
  s.base = ((d >> 16) & 0xffffff) | ((d >> 32) & 0xff000000);
}

void AsmBench::tables(unsigned mode) {
  put(kHandler, 0xf4, 1);  // HLT

  if (mode == kReal) {
    for (unsigned v = 0; v < 256; ++v) put(v * 4, kHandler, 4);
    return;
  }
  const std::array<std::array<u32, 4>, 16> entries = {{{0x08, 0, 0xfffff, 0xc09b},
                                                       {0x10, 0, 0xfffff, 0xc093},
                                                       {0x18, 0, 0xfffff, 0xc0fb},
                                                       {0x20, 0, 0xfffff, 0xc0f3},
                                                       {0x28, kTss, 0x68, 0x008b},
                                                       {0x38, 0, 0xffff, 0x009b},
                                                       {0x40, 0, 0xffff, 0x0093},
                                                       {0x48, 0, 0xfffff, 0xc09f},
                                                       {0x50, 0, 0xfffff, 0xc073},
                                                       {0x58, 0, 0xfffff, 0xc0f1},
                                                       {0x60, 0, 0xfffff, 0xc0f9},
                                                       {0x68, kLdt, 0xff, 0x0082},
                                                       {0x78, 0, 0xfffff, 0xa09b},
                                                       {0x80, 0, 0xfffff, 0xa0fb},
                                                       {0x88, 0, 0xfff, 0x40f7},
                                                       {0x90, 0, 0xff, 0x40f3}}};
  for (const auto& e : entries) put(kGdt + e[0], descriptor(e[1], e[2], e[3]), 8);
  for (unsigned v = 0; v < 256; ++v) {
    const u64 type = v == 3 || v == 4 || v == 0x80 ? 0xee : 0x8e;
    if (is_long(mode)) {
      put(kIdt + v * 16, kHandler | (0x78u << 16) | (type << 40), 8);
    } else {
      put(kIdt + v * 8, kHandler | (0x08u << 16) | (type << 40), 8);
    }
  }
  put(kTss + 4, kStack0, 4);  // ESP0 or RSP0
  if (!is_long(mode)) put(kTss + 8, 0x10, 4);
  put(kTss + 0x66, 0x68, 2);  // no I/O permission bitmap

  put(kPml4, kPdpt | 7, 8);
  put(kPdpt, kPd | 7, 8);
  put(kPd, kPageTable64 | 7, 8);
  put(kPageDir32, kPageTable32 | 7, 4);
  for (u32 page = 0; page < kRam / kPageSize; ++page) {
    put(kPageTable64 + page * 8, (page << 12) | 7, 8);
    put(kPageTable32 + page * 4, (page << 12) | 7, 4);
  }
}

void AsmBench::enter(unsigned mode) {
  CpuState& s = cpu_->state;
  s = CpuState{};
  s.fpu.control = 0x37f;
  cpu_->fault_log = FaultLog{};
  cpu_->clear_fault();
  s.regs[kRsp] = cpl_of(mode) == 0 ? kStack0 : kStack3;
  s.flags = kFlagFixed;
  s.cr0 = kCr0Et | kCr0Ne;
  if (mode == kReal) {
    for (unsigned i = kEs; i <= kGs; ++i) s.segments[i] = {0, 0xffff, 0, 0x93};
    s.idtr = {0, 0x3ff};
    return;
  }
  s.cr0 |= kCr0Pe;
  s.gdtr = {kGdt, 0xff};
  s.idtr = {kIdt, is_long(mode) ? 0xfffu : 0x7ffu};
  s.cpl = static_cast<u8>(cpl_of(mode));
  force(kTr, 0x28);
  s.segments[kLdtr] = {0, 0, 0, 0};
  constexpr std::array<u16, kModeCount> kCode = {0, 0, 0x38, 0x08, 0x1b, 0x1b, 0x78, 0x83};
  constexpr std::array<u16, kModeCount> kDataSel = {0, 0, 0x40, 0x10, 0x23, 0x23, 0x10, 0x23};
  if (mode == kV86) {
    for (unsigned i = kEs; i <= kGs; ++i) s.segments[i] = {0, 0xffff, 0, 0xf3};
    s.flags |= kFlagVm | kFlagIopl;
  } else {
    for (unsigned i = kEs; i <= kGs; ++i) force(i, i == kCs ? kCode[mode] : kDataSel[mode]);
  }
  if (mode == kUser32) {
    s.cr3 = kPageDir32;
    s.cr0 |= kCr0Pg | kCr0Wp;
  }
  if (is_long(mode)) {
    s.cr3 = kPml4;
    s.cr4 = kCr4Pae;
    s.efer = kEferLme | kEferLma | kEferSce | kEferNxe;
    s.cr0 |= kCr0Pg | kCr0Wp;
  }
}

void AsmBench::set(unsigned reg, u64 value) {
  CpuState& s = cpu_->state;
  if (reg < kRegRip) {
    s.regs[reg] = value;
  } else if (reg == kRegRflags) {
    // Cases give arithmetic and system flags; VM and IOPL belong to the mode.
    cpu_->set_rflags(static_cast<u32>(value) | (s.flags & (kFlagVm | kFlagIopl)));
  } else if (reg < kRegCr0) {
    force(kEs + (reg - kRegEs), static_cast<u16>(value));
  } else if (reg == kRegCr0) {
    s.cr0 = value;
  } else if (reg == kRegCr3) {
    s.cr3 = value;
  } else if (reg == kRegCr4) {
    s.cr4 = value;
  } else if (reg == kRegEfer) {
    s.efer = value;
  } else if (reg == kRegFsBase || reg == kRegGsBase) {
    s.segments[reg == kRegFsBase ? kFs : kGs].base = value;
  } else if (reg == kRegMxcsr) {
    s.fpu.mxcsr = static_cast<u32>(value);
  } else if (reg == kRegFcw) {
    s.fpu.control = static_cast<u16>(value);
  } else if (reg == kRegFsw) {
    s.fpu.status = static_cast<u16>(value);
  } else if (reg == kRegFtw) {
    s.fpu.tag = static_cast<u8>(value);
  } else if (reg == kRegXcr0) {
    s.xcr0 = value;
  }
}

u64 AsmBench::value_of(unsigned reg) {
  const CpuState& s = cpu_->state;
  if (reg < kRegRip) return s.regs[reg];
  if (reg == kRegRip) return s.rip();
  if (reg == kRegRflags) return cpu_->rflags();
  if (reg < kRegCr0) return s.segments[kEs + (reg - kRegEs)].selector;
  switch (reg) {
    case kRegCr0:
      return s.cr0;
    case kRegCr2:
      return s.cr2;
    case kRegCr3:
      return s.cr3;
    case kRegCr4:
      return s.cr4;
    case kRegCpl:
      return s.cpl;
    case kRegEfer:
      return s.efer;
    case kRegFsBase:
      return s.segments[kFs].base;
    case kRegGsBase:
      return s.segments[kGs].base;
    case kRegMxcsr:
      return s.fpu.mxcsr;
    case kRegFcw:
      return s.fpu.control;
    case kRegFsw:
      return s.fpu.status;
    case kRegFtw:
      return s.fpu.tag;
    default:
      return s.xcr0;
  }
}

std::string AsmBench::compare_wide(const AsmCase& test, const FpuState& before) {
  const FpuState& fpu = cpu_->state.fpu;
  std::string out;
  const auto hex = [](std::span<const u8> bytes) {  // as one number
    std::string text;
    for (std::size_t i = bytes.size(); i-- > 0;) text += fmt::format("{:02x}", bytes[i]);
    return text;
  };
  const auto compare = [&](const char* name, unsigned number, std::span<const u8> was,
                           std::span<const u8> is, const std::vector<AsmCase::Wide>& expected) {
    bool mentioned = false;
    for (const AsmCase::Wide& wide : expected) {
      if (wide.number != number) continue;
      was = std::span<const u8>(wide.bytes).first(is.size());
      mentioned = true;
    }
    if (!std::equal(was.begin(), was.end(), is.begin())) {
      out += fmt::format("  {} {}: {} {}, actual {}\n", name, number,
                         mentioned ? "expected" : "must stay", hex(was), hex(is));
    }
  };
  for (unsigned i = 0; i < 16; ++i) {
    compare("ymm", i, before.ymm[i], fpu.ymm[i], test.expect_ymm);
  }
  constexpr std::size_t kX87Bytes = 10;
  for (unsigned i = 0; i < 8; ++i) {
    compare("x87 register", i, std::span<const u8>(before.st[i]).first(kX87Bytes),
            std::span<const u8>(fpu.st[i]).first(kX87Bytes), test.expect_x87);
  }
  return out;
}

std::string AsmBench::run(const AsmFile& file, const AsmCase& test) {
  constexpr unsigned kMostInstructions = 10000;
  bench_->enter(BenchMode::kReal);  // clears what the case before wrote
  tables(file.mode);
  bench_->write(kText, file.text);
  // Translated code wants a budget for its whole block: the block ends where the case does, in a
  // jump to itself. With SMEP the handler, a user page, would raise an event of its own.
  const bool smep = std::any_of(test.given.begin(), test.given.end(), [](const auto& v) {
    return v.reg == kRegCr4 && (v.value & kCr4Smep) != 0;
  });
  const u64 budget = engine_ == BenchEngine::kTranslator && !smep ? 100 : 1;
  if (budget > 1) put(test.end, 0xfeeb, 2);
  for (const auto& piece : test.poke) put(piece.address, piece.value, piece.width);
  enter(file.mode);
  cpu_->state.rip() = test.entry;
  cpu_->state_replaced();
  cpu_->flush_tlb(true);
  for (const auto& v : test.given) set(v.reg, v.value);
  FpuState& fpu = cpu_->state.fpu;
  for (const auto& w : test.given_ymm) fpu.ymm[w.number] = w.bytes;
  for (const auto& w : test.given_x87) std::copy_n(w.bytes.begin(), 10, fpu.st[w.number].begin());
  cpu_->state_replaced();
  const FpuState fpu_before = fpu;
  std::array<u64, kRegCount> before{};
  for (unsigned r = 0; r < before.size(); ++r) before[r] = value_of(r);

  std::string out;
  unsigned steps = 0;
  const auto at_end = [&] {
    return cpu_->state.segments[kCs].base + cpu_->state.rip() == test.end;
  };
  while (!at_end() && cpu_->fault_log.size() == 0) {
    if (++steps > kMostInstructions) {
      return fmt::format("  does not reach its end, rip {:x}\n", cpu_->state.rip());
    }
    const RunExit exit = cpu_->run(budget);
    if (exit == RunExit::kTripleFault) out += "  triple fault\n";
    if (exit != RunExit::kBudget && cpu_->fault_log.size() == 0 && !at_end()) {
      return out + fmt::format("  stopped at rip {:x}\n", cpu_->state.rip());
    }
  }

  const bool faulted = cpu_->fault_log.size() != 0;
  if (faulted) {
    // The state looked at is that of the handler's first instruction, a HLT.
    if (cpu_->state.activity == Activity::kHalted) cpu_->state.rip() = kHandler;
    const FaultRecord& f = cpu_->fault_log.newest(0);
    const auto compare = [&](const char* what, u64 expected, u64 actual) {
      if (expected != actual)
        out += fmt::format("  {}: expected {:x}, actual {:x}\n", what, expected, actual);
    };
    if (test.vector < 0) {
      return fmt::format("  unexpected event: vector {}, error code {:x}, rip {:x}, cr2 {:x}\n",
                         f.vector, f.error_code, f.rip, f.cr2);
    }
    compare("vector", static_cast<u64>(test.vector), f.vector);
    if (test.error_code >= 0)
      compare("error code", static_cast<u64>(test.error_code), f.error_code);
    if (test.fault_rip >= 0) compare("rip of the event", static_cast<u64>(test.fault_rip), f.rip);
    if (test.check_cr2) compare("cr2", test.cr2, cpu_->state.cr2);
  } else if (test.vector >= 0) {
    out += fmt::format("  expected vector {}, but it ran to its end\n", test.vector);
  }

  std::array<bool, kRegCount> mentioned{};
  for (const auto& v : test.expect) {
    if (v.reg >= kRegCount) return "  unknown register number\n";
    mentioned[v.reg] = true;
    const u64 actual = value_of(v.reg);
    if ((actual ^ v.value) & v.mask) {
      out += fmt::format("  {}: expected {:x}, actual {:x}, mask {:x}\n", kNames[v.reg],
                         v.value & v.mask, actual & v.mask, v.mask);
    }
  }
  // What the case does not mention must not change; an event changes RSP, RIP and RFLAGS.
  for (unsigned r = 0; r < before.size(); ++r) {
    if (r >= kRegEs && r < kRegMxcsr) continue;  // the mode's own
    if (mentioned[r] || r == kRegRip || (faulted && (r == kRsp || r == kRegRflags))) continue;
    if (value_of(r) != before[r]) {
      out += fmt::format("  {}: must stay {:x}, actual {:x}\n", kNames[r], before[r], value_of(r));
    }
  }
  out += compare_wide(test, fpu_before);
  for (const auto& piece : test.expect_memory) {
    const u64 mask = piece.width == 8 ? ~u64{0} : (u64{1} << (piece.width * 8)) - 1;
    const u64 actual = get(piece.address, piece.width);
    if (actual != (piece.value & mask)) {
      out += fmt::format("  [{:x}]: expected {:x}, actual {:x}\n", piece.address,
                         piece.value & mask, actual);
    }
  }
  return out;
}

}  // namespace dragoman
