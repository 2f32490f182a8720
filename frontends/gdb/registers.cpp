#include "frontends/gdb/registers.h"

#include <array>
#include <cstring>

namespace dragoman {
namespace {

enum class Kind : u8 {
  kGpr64,
  kGpr32,
  kPc64,
  kPc32,
  kFlags,
  kSelector,
  kSt,
  kFpu,
  kXmm,
  kYmmHigh,
  kMxcsr,
  kSegmentBase,
  kSegmentLimit,
  kControl,
  kDebug,
  kTable,
  kMsr,
  kOffset,
};

struct Register {
  std::string name;
  unsigned bits;
  std::string type;
  Kind kind;
  unsigned index;
  const char* feature;
};

constexpr const char* kCore = "org.gnu.gdb.i386.core";
constexpr const char* kSse = "org.gnu.gdb.i386.sse";
constexpr const char* kAvx = "org.gnu.gdb.i386.avx";
constexpr const char* kSystem = "org.dragoman.system";

enum FpuIndex : unsigned { kFctrl, kFstat, kFtag, kFiseg, kFioff, kFoseg, kFooff, kFop };
enum ControlIndex : unsigned { kCr0 = 0, kCr2 = 2, kCr3 = 3, kCr4 = 4, kCr8 = 8, kEfer, kXcr0 };
enum TableIndex : unsigned { kGdtBase, kGdtLimit, kIdtBase, kIdtLimit };
enum MsrIndex : unsigned { kKernelGs, kStar, kLstar, kCstar, kSfmask, kTscAux };

std::vector<Register> make_registers() {
  std::vector<Register> list;
  const auto add = [&](std::string name, unsigned bits, std::string type, Kind kind, unsigned index,
                       const char* feature) {
    list.push_back({std::move(name), bits, std::move(type), kind, index, feature});
  };
  static constexpr std::array<std::pair<const char*, unsigned>, 8> kWide = {{{"rax", kRax},
                                                                             {"rbx", kRbx},
                                                                             {"rcx", kRcx},
                                                                             {"rdx", kRdx},
                                                                             {"rsi", kRsi},
                                                                             {"rdi", kRdi},
                                                                             {"rbp", kRbp},
                                                                             {"rsp", kRsp}}};
  for (const auto& [name, index] : kWide) {
    add(name, 64, "int64", Kind::kGpr64, index, kCore);
  }
  for (unsigned i = 8; i < 16; ++i) {
    add("r" + std::to_string(i), 64, "int64", Kind::kGpr64, i, kCore);
  }
  // Not code_ptr and data_ptr, whose size would change with the architecture GDB is set to.
  add("rip", 64, "int64", Kind::kPc64, 0, kCore);
  static constexpr std::array<const char*, 8> kNarrow = {"eax", "ecx", "edx", "ebx",
                                                         "esp", "ebp", "esi", "edi"};
  for (unsigned i = 0; i < 8; ++i) add(kNarrow[i], 32, "int32", Kind::kGpr32, i, kCore);
  add("eip", 32, "int32", Kind::kPc32, 0, kCore);
  add("eflags", 32, "i386_eflags", Kind::kFlags, 0, kCore);
  static constexpr std::array<std::pair<const char*, unsigned>, 6> kSelectors = {
      {{"cs", kCs}, {"ss", kSs}, {"ds", kDs}, {"es", kEs}, {"fs", kFs}, {"gs", kGs}}};
  for (const auto& [name, index] : kSelectors) {
    add(name, 32, "int32", Kind::kSelector, index, kCore);
  }
  for (unsigned i = 0; i < 8; ++i) {
    add("st" + std::to_string(i), 80, "i387_ext", Kind::kSt, i, kCore);
  }
  static constexpr std::array<const char*, 8> kFpuNames = {"fctrl", "fstat", "ftag",  "fiseg",
                                                           "fioff", "foseg", "fooff", "fop"};
  for (unsigned i = 0; i < 8; ++i) add(kFpuNames[i], 32, "int", Kind::kFpu, i, kCore);
  for (unsigned i = 0; i < 16; ++i) {
    add("xmm" + std::to_string(i), 128, "vec128", Kind::kXmm, i, kSse);
  }
  add("mxcsr", 32, "i386_mxcsr", Kind::kMxcsr, 0, kSse);
  for (unsigned i = 0; i < 16; ++i) {
    add("ymm" + std::to_string(i) + "h", 128, "uint128", Kind::kYmmHigh, i, kAvx);
  }
  for (const auto& [name, index] : kSelectors) {
    add(std::string(name) + "_base", 64, "int64", Kind::kSegmentBase, index, kSystem);
  }
  for (const auto& [name, index] : kSelectors) {
    add(std::string(name) + "_limit", 32, "int32", Kind::kSegmentLimit, index, kSystem);
  }
  add("ip_offset", 64, "int64", Kind::kOffset, 0, kSystem);
  static constexpr std::array<std::pair<const char*, unsigned>, 7> kControls = {{{"cr0", kCr0},
                                                                                 {"cr2", kCr2},
                                                                                 {"cr3", kCr3},
                                                                                 {"cr4", kCr4},
                                                                                 {"cr8", kCr8},
                                                                                 {"efer", kEfer},
                                                                                 {"xcr0", kXcr0}}};
  for (const auto& [name, index] : kControls) {
    add(name, 64, "int64", Kind::kControl, index, kSystem);
  }
  for (const unsigned i : {0u, 1u, 2u, 3u, 6u, 7u}) {
    add("dr" + std::to_string(i), 64, "int64", Kind::kDebug, i, kSystem);
  }
  static constexpr std::array<const char*, 4> kTables = {"gdt_base", "gdt_limit", "idt_base",
                                                         "idt_limit"};
  for (unsigned i = 0; i < 4; ++i) add(kTables[i], 64, "int64", Kind::kTable, i, kSystem);
  add("ldt", 32, "int32", Kind::kSelector, kLdtr, kSystem);
  add("tr", 32, "int32", Kind::kSelector, kTr, kSystem);
  static constexpr std::array<const char*, 6> kMsrs = {"k_gs_base", "star",   "lstar",
                                                       "cstar",     "sfmask", "tsc_aux"};
  for (unsigned i = 0; i < 6; ++i) add(kMsrs[i], 64, "int64", Kind::kMsr, i, kSystem);
  return list;
}

const std::vector<Register>& registers() {
  static const std::vector<Register> list = make_registers();
  return list;
}

u64 code_base(const Cpu& cpu) { return cpu.code64() ? 0 : cpu.state.segments[kCs].base; }

unsigned st_index(const FpuState& fpu, unsigned i) { return ((fpu.status >> 11) + i) & 7; }

/// The tag word of FNSTENV: two bits a register, 0 valid, 1 zero, 2 special, 3 empty.
u16 full_tag(const FpuState& fpu) {
  unsigned word = 0;
  for (unsigned i = 0; i < 8; ++i) {
    unsigned tag = 3;
    if ((fpu.tag >> i) & 1) {
      u64 mantissa;
      u16 exponent;
      std::memcpy(&mantissa, fpu.st[i].data(), 8);
      std::memcpy(&exponent, fpu.st[i].data() + 8, 2);
      exponent &= 0x7fff;
      tag = exponent == 0x7fff                       ? 2
            : exponent == 0 && mantissa == 0         ? 1
            : exponent == 0 || (mantissa >> 63) == 0 ? 2
                                                     : 0;
    }
    word |= tag << (2 * i);
  }
  return static_cast<u16>(word);
}

u64 read_fpu(const FpuState& fpu, unsigned index) {
  switch (index) {
    case kFctrl:
      return fpu.control;
    case kFstat:
      return fpu.status;
    case kFtag:
      return full_tag(fpu);
    case kFiseg:
      return fpu.fcs;
    case kFioff:
      return static_cast<u32>(fpu.fip);
    case kFoseg:
      return fpu.fds;
    case kFooff:
      return static_cast<u32>(fpu.fdp);
    default:
      return fpu.opcode;
  }
}

void write_fpu(FpuState& fpu, unsigned index, u64 value) {
  const u16 word = static_cast<u16>(value);
  switch (index) {
    case kFctrl:
      fpu.control = static_cast<u16>((word & 0x1f3f) | 0x40);
      break;
    case kFstat:
      fpu.status = word;
      break;
    case kFtag:
      fpu.tag = 0;
      for (unsigned i = 0; i < 8; ++i) {
        if (((word >> (2 * i)) & 3) != 3) fpu.tag = static_cast<u8>(fpu.tag | 1u << i);
      }
      break;
    case kFiseg:
      fpu.fcs = word;
      break;
    case kFioff:
      if (static_cast<u32>(fpu.fip) != static_cast<u32>(value)) fpu.fip = static_cast<u32>(value);
      break;
    case kFoseg:
      fpu.fds = word;
      break;
    case kFooff:
      if (static_cast<u32>(fpu.fdp) != static_cast<u32>(value)) fpu.fdp = static_cast<u32>(value);
      break;
    default:
      fpu.opcode = word & 0x7ff;
      break;
  }
}

u64 read_control(const CpuState& s, unsigned index) {
  switch (index) {
    case kCr0:
      return s.cr0;
    case kCr2:
      return s.cr2;
    case kCr3:
      return s.cr3;
    case kCr4:
      return s.cr4;
    case kEfer:
      return s.efer;
    case kXcr0:
      return s.xcr0;
    default:
      return 0;
  }
}

/// A debugger may change paging, but not into what no processor can be in.
bool write_control(CpuState& s, unsigned index, u64 value) {
  if (value == read_control(s, index)) return true;
  switch (index) {
    case kCr2:
      s.cr2 = value;
      return true;
    case kCr3:
      if (value >> 52 != 0) return false;
      s.cr3 = value;
      return true;
    case kCr0: {
      constexpr u64 kFixed = kCr0Pe | kCr0Pg;  // changing these takes a sequence of instructions
      constexpr u64 kKnown = kCr0Mp | kCr0Em | kCr0Ts | kCr0Ne | kCr0Wp | kCr0Am | kCr0Cd | kCr0Nw;
      if (((value ^ s.cr0) & kFixed) != 0 || ((value ^ s.cr0) & ~kKnown) != 0) return false;
      s.cr0 = value;
      return true;
    }
    default:
      return false;  // read-only here
  }
}

u64& msr_slot(MsrState& msr, unsigned index) {
  switch (index) {
    case kKernelGs:
      return msr.kernel_gs_base;
    case kStar:
      return msr.star;
    case kLstar:
      return msr.lstar;
    case kCstar:
      return msr.cstar;
    case kSfmask:
      return msr.sfmask;
    default:
      return msr.tsc_aux;
  }
}

std::vector<u8> little(u64 value, unsigned bytes) {
  std::vector<u8> out(bytes);
  std::memcpy(out.data(), &value, bytes);
  return out;
}

/// Selectors are loaded as in real mode where the processor has no descriptors; elsewhere the
/// hidden part comes from the descriptor, without the checks of a load.
bool write_selector(Cpu& cpu, unsigned segment, u64 value) {
  Segment& s = cpu.state.segments[segment];
  if (value == s.selector) return true;
  if (value > 0xffff || segment == kLdtr || segment == kTr) return false;
  const u16 selector = static_cast<u16>(value);
  if (cpu.real_mode() || cpu.v86()) {
    s.selector = selector;
    s.base = u64{selector} << 4;
    return true;
  }
  const Segment& ldt = cpu.state.segments[kLdtr];
  const u64 table = selector & 4 ? ldt.base : cpu.state.gdtr.base;
  const u64 limit = selector & 4 ? ldt.limit : cpu.state.gdtr.limit;
  u64 descriptor = 0;
  if ((selector | 7u) > limit || !cpu.peek(table + (selector & ~7u), &descriptor, 8)) return false;
  Segment loaded;
  loaded.selector = selector;
  loaded.base = bits(descriptor, 39, 16) | bits(descriptor, 63, 56) << 24;
  loaded.attributes = static_cast<u16>(bits(descriptor, 55, 40) & 0xf0ff);
  const u64 units = bits(descriptor, 15, 0) | bits(descriptor, 51, 48) << 16;
  loaded.limit = static_cast<u32>(loaded.attributes & 0x8000 ? units << 12 | 0xfff : units);
  if (!loaded.present() || loaded.system() || (segment == kCs) != loaded.code()) return false;
  if (segment == kCs || segment == kSs) {
    if (loaded.dpl() != cpu.cpl()) return false;
  }
  s = loaded;
  return true;
}

}  // namespace

unsigned GdbRegisters::count() { return static_cast<unsigned>(registers().size()); }
unsigned GdbRegisters::size(unsigned number) { return registers()[number].bits / 8; }

std::vector<u8> GdbRegisters::read(unsigned number) const {
  const Register& r = registers()[number];
  const CpuState& s = cpu_.state;
  const FpuState& fpu = s.fpu;
  switch (r.kind) {
    case Kind::kGpr64:
      return little(s.regs[r.index], 8);
    case Kind::kGpr32:
      return little(s.regs[r.index], 4);
    case Kind::kPc64:
    case Kind::kPc32: {
      const u64 linear = s.rip() + code_base(cpu_);
      return little(cpu_.code64() ? linear : static_cast<u32>(linear), r.bits / 8);
    }
    case Kind::kOffset:
      return little(s.rip(), 8);
    case Kind::kFlags:
      return little(cpu_.rflags(), 4);
    case Kind::kSelector:
      return little(s.segments[r.index].selector, 4);
    case Kind::kSt: {
      const auto& st = fpu.st[st_index(fpu, r.index)];
      return {st.begin(), st.begin() + 10};
    }
    case Kind::kFpu:
      return little(read_fpu(fpu, r.index), 4);
    case Kind::kXmm:
      return {fpu.ymm[r.index].begin(), fpu.ymm[r.index].begin() + 16};
    case Kind::kYmmHigh:
      return {fpu.ymm[r.index].begin() + 16, fpu.ymm[r.index].end()};
    case Kind::kMxcsr:
      return little(fpu.mxcsr, 4);
    case Kind::kSegmentBase:
      return little(s.segments[r.index].base, 8);
    case Kind::kSegmentLimit:
      return little(s.segments[r.index].limit, 4);
    case Kind::kControl:
      if (r.index == kCr8) {
        return little(cpu_.interrupts() != nullptr ? cpu_.interrupts()->cr8() : 0, 8);
      }
      return little(read_control(s, r.index), 8);
    case Kind::kDebug:
      return little(s.dr[r.index], 8);
    case Kind::kTable: {
      const DescriptorTable& t = r.index < kIdtBase ? s.gdtr : s.idtr;
      return little(r.index % 2 == 0 ? t.base : t.limit, 8);
    }
    case Kind::kMsr: {
      MsrState msr = s.msr;
      return little(msr_slot(msr, r.index), 8);
    }
  }
  return {};
}

bool GdbRegisters::write(unsigned number, const u8* bytes) {
  const Register& r = registers()[number];
  CpuState& s = cpu_.state;
  FpuState& fpu = s.fpu;
  u64 value = 0;
  std::memcpy(&value, bytes, std::min(8u, r.bits / 8));
  switch (r.kind) {
    case Kind::kGpr64:
      s.regs[r.index] = value;
      return true;
    case Kind::kGpr32:
      // Both views of a register come with one packet: what did not change changes nothing.
      if (static_cast<u32>(s.regs[r.index]) != value) s.regs[r.index] = value;
      return true;
    case Kind::kPc64:
      if (read(number) != std::vector<u8>(bytes, bytes + 8)) {
        const u64 rip = value - code_base(cpu_);
        s.rip() = cpu_.code64() ? rip : static_cast<u32>(rip);
      }
      return true;
    case Kind::kPc32:
      if (read(number) != std::vector<u8>(bytes, bytes + 4)) {
        s.rip() = static_cast<u32>(value - code_base(cpu_));
      }
      return true;
    case Kind::kOffset:
      if (!cpu_.code64() && value >> 32 != 0) return false;
      s.rip() = value;
      return true;
    case Kind::kFlags:
      // VM changes the mode, which takes more than a flag.
      if (((value ^ cpu_.rflags()) & kFlagVm) != 0) return false;
      cpu_.set_rflags(static_cast<u32>(value));
      return true;
    case Kind::kSelector:
      return write_selector(cpu_, r.index, value);
    case Kind::kSt:
      std::memcpy(fpu.st[st_index(fpu, r.index)].data(), bytes, 10);
      return true;
    case Kind::kFpu:
      write_fpu(fpu, r.index, value);
      return true;
    case Kind::kXmm:
      std::memcpy(fpu.ymm[r.index].data(), bytes, 16);
      return true;
    case Kind::kYmmHigh:
      std::memcpy(fpu.ymm[r.index].data() + 16, bytes, 16);
      return true;
    case Kind::kMxcsr:
      if (value & ~u64{0xffff}) return false;
      fpu.mxcsr = static_cast<u32>(value);
      return true;
    case Kind::kSegmentBase:
      s.segments[r.index].base = value;
      return true;
    case Kind::kControl:
      return r.index == kCr8 || write_control(s, r.index, value);
    case Kind::kMsr:
      if (r.index != kStar && r.index != kSfmask && !cpu_.canonical(value)) return false;
      msr_slot(s.msr, r.index) = value;
      return true;
    case Kind::kSegmentLimit:
    case Kind::kDebug:
    case Kind::kTable:
      return value == [&] {
        u64 now = 0;
        std::memcpy(&now, read(number).data(), r.bits / 8);
        return now;
      }();
  }
  return false;
}

std::string GdbRegisters::description(const std::string& architecture) {
  static constexpr const char* kFlagsType =
      "<flags id=\"i386_eflags\" size=\"4\">"
      "<field name=\"CF\" start=\"0\" end=\"0\"/><field name=\"PF\" start=\"2\" end=\"2\"/>"
      "<field name=\"AF\" start=\"4\" end=\"4\"/><field name=\"ZF\" start=\"6\" end=\"6\"/>"
      "<field name=\"SF\" start=\"7\" end=\"7\"/><field name=\"TF\" start=\"8\" end=\"8\"/>"
      "<field name=\"IF\" start=\"9\" end=\"9\"/><field name=\"DF\" start=\"10\" end=\"10\"/>"
      "<field name=\"OF\" start=\"11\" end=\"11\"/><field name=\"NT\" start=\"14\" end=\"14\"/>"
      "<field name=\"RF\" start=\"16\" end=\"16\"/><field name=\"VM\" start=\"17\" end=\"17\"/>"
      "<field name=\"AC\" start=\"18\" end=\"18\"/><field name=\"VIF\" start=\"19\" end=\"19\"/>"
      "<field name=\"VIP\" start=\"20\" end=\"20\"/><field name=\"ID\" start=\"21\" end=\"21\"/>"
      "</flags>";
  static constexpr const char* kVectorTypes =
      "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>"
      "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"
      "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/>"
      "<vector id=\"v8i16\" type=\"int16\" count=\"8\"/>"
      "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/>"
      "<vector id=\"v2i64\" type=\"int64\" count=\"2\"/>"
      "<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/>"
      "<field name=\"v2_double\" type=\"v2d\"/><field name=\"v16_int8\" type=\"v16i8\"/>"
      "<field name=\"v8_int16\" type=\"v8i16\"/><field name=\"v4_int32\" type=\"v4i32\"/>"
      "<field name=\"v2_int64\" type=\"v2i64\"/><field name=\"uint128\" type=\"uint128\"/></union>"
      "<flags id=\"i386_mxcsr\" size=\"4\"><field name=\"IE\" start=\"0\" end=\"0\"/>"
      "<field name=\"DE\" start=\"1\" end=\"1\"/><field name=\"ZE\" start=\"2\" end=\"2\"/>"
      "<field name=\"OE\" start=\"3\" end=\"3\"/><field name=\"UE\" start=\"4\" end=\"4\"/>"
      "<field name=\"PE\" start=\"5\" end=\"5\"/><field name=\"DAZ\" start=\"6\" end=\"6\"/>"
      "<field name=\"IM\" start=\"7\" end=\"7\"/><field name=\"DM\" start=\"8\" end=\"8\"/>"
      "<field name=\"ZM\" start=\"9\" end=\"9\"/><field name=\"OM\" start=\"10\" end=\"10\"/>"
      "<field name=\"UM\" start=\"11\" end=\"11\"/><field name=\"PM\" start=\"12\" end=\"12\"/>"
      "<field name=\"FZ\" start=\"15\" end=\"15\"/></flags>";
  std::string xml =
      "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target version=\"1.0\">";
  if (!architecture.empty()) xml += "<architecture>" + architecture + "</architecture>";
  xml += "<osabi>none</osabi>";
  const char* feature = "";
  const auto& list = registers();
  for (unsigned i = 0; i < list.size(); ++i) {
    const Register& r = list[i];
    if (std::strcmp(r.feature, feature) != 0) {
      if (*feature != '\0') xml += "</feature>";
      feature = r.feature;
      xml += fmt::format("<feature name=\"{}\">", feature);
      if (feature == kCore) xml += kFlagsType;
      if (feature == kSse) xml += kVectorTypes;
    }
    const bool is_float = r.kind == Kind::kFpu;
    xml += fmt::format("<reg name=\"{}\" bitsize=\"{}\" type=\"{}\" regnum=\"{}\"{}/>", r.name,
                       r.bits, r.type, i,
                       is_float               ? " group=\"float\""
                       : r.feature == kSystem ? " group=\"system\""
                                              : "");
  }
  return xml + "</feature></target>";
}

const char* GdbRegisters::architecture(const Cpu& cpu) {
  switch (cpu.decode_mode().code_bits) {
    case 64:
      return "i386:x86-64";
    case 32:
      return "i386";
    default:
      return "i8086";
  }
}

}  // namespace dragoman
