#include "tests/fuzz/fuzz_machine.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <type_traits>

#include "cpu/model/host_features.h"

namespace dragoman {
namespace {

using L = FuzzLayout;

// Handlers in the first page of FuzzLayout::kHandlers.
constexpr u64 kPlain = L::kHandlers, kWithErrorCode = L::kHandlers + 0x40,
              kReturn = L::kHandlers + 0x80, kHalt = L::kHandlers + 0xc0;
/// What lies further into the code than this is no place to return to.
constexpr u16 kLastCode = L::kCodeBytes;

constexpr u16 kKernelCode = 0x08, kKernelData = 0x10, kUserCode = 0x18, kUserData = 0x20,
              kUserCode64 = 0x28, kTask = 0x30, kSmall = 0x40, kExpandDown = 0x48, kReadOnly = 0x50,
              kHandlerCode16 = 0x58, kNotPresent = 0x60, kUserStack16 = 0x68, kExecuteOnly = 0x70,
              kCodeData = 0x78, kKernelStack16 = 0x80, kKernelCode16 = 0x88;

/// Host time after which a program has done enough (REP with a count of billions).
constexpr std::chrono::milliseconds kPatience{200};

/// Writes into an image of RAM.
class Image {
 public:
  explicit Image(std::vector<u8>& bytes) : bytes_(bytes) {}
  template <class T>
  void put(u64 address, T value) {
    std::memcpy(bytes_.data() + address, &value, sizeof(value));
  }
  void code(u64 address, std::initializer_list<int> list) {
    for (const int byte : list) bytes_[address++] = static_cast<u8>(byte);
  }
  void descriptor(u16 selector, u64 base, u64 limit, u64 access, u64 flags) {
    put(L::kGdt + selector, (limit & 0xffff) | (base & 0xffffff) << 16 | access << 40 |
                                (limit >> 16 & 15) << 48 | flags << 52 | (base >> 24) << 56);
  }

 private:
  std::vector<u8>& bytes_;
};

void put_descriptors(Image& image, FuzzMode mode, FuzzPaging paging) {
  const bool long_mode = fuzz_long_mode(mode);
  const bool small = mode == FuzzMode::kKernel16 || mode == FuzzMode::kUser16;
  constexpr u64 kBig = 0xc, kLong = 0xa;
  // Without paging nothing else keeps string instructions from walking through empty gigabytes.
  const u64 limit = paging == FuzzPaging::kNone ? (L::kRam >> kPageShift) - 1 : 0xfffff;
  image.descriptor(kKernelCode, 0, 0xfffff, 0x9b, long_mode ? kLong : kBig);
  image.descriptor(kKernelData, 0, small ? 0xffff : limit, 0x93, small ? 0 : kBig);
  if (small) {
    image.descriptor(kUserCode, L::kCode, 0xffff, 0xfb, 0);
    image.descriptor(kUserData, L::kData, 0xffff, 0xf3, 0);
  } else {
    image.descriptor(kUserCode, 0, 0xfffff, 0xfb, kBig);
    image.descriptor(kUserData, 0, limit, 0xf3, kBig);
  }
  image.descriptor(kUserCode64, 0, 0xfffff, 0xfb, kLong);
  image.descriptor(kTask, L::kTss, 0x67, 0x8b, 0);
  image.descriptor(kSmall, L::kData, 0xfff, 0xf3, 4);
  image.descriptor(kExpandDown, L::kData, 0x7ff, 0xf7, 4);
  image.descriptor(kReadOnly, L::kData, 0xffff, 0xf1, 4);
  image.descriptor(kHandlerCode16, 0, 0xffff, 0x9b, 0);
  image.descriptor(kNotPresent, L::kData, 0xffff, 0x73, 4);
  image.descriptor(kUserStack16, L::kStack, 0xffff, 0xf3, 0);
  image.descriptor(kExecuteOnly, L::kCode, 0xffff, 0xf9, 4);
  image.descriptor(kCodeData, L::kCode, 0xffff, 0xf3, 4);
  image.descriptor(kKernelStack16, L::kStack, 0xffff, 0x93, 0);
  image.descriptor(kKernelCode16, L::kCode, 0xffff, 0x9b, 0);
  if (long_mode) {
    image.put<u64>(L::kTss + 4, L::kKernelStack);
    image.put<u64>(L::kTss + 0x24, L::kEventStack);
  } else {
    image.put<u32>(L::kTss + 4, L::kKernelStack);
    image.put<u32>(L::kTss + 8, kKernelData);
  }
}

void put_handlers(Image& image, FuzzMode mode) {
  const bool small =
      mode == FuzzMode::kReal16 || mode == FuzzMode::kKernel16 || mode == FuzzMode::kUser16;
  for (unsigned v = 0; v < 256; ++v) {
    const bool error_code =
        v == kVectorDf || (v >= kVectorTs && v <= kVectorPf) || v == kVectorAc || v == 21;
    const u64 handler = v == L::kEnd || v == kVectorDf            ? kHalt
                        : v == L::kInterrupt || v == kVectorNmi   ? kReturn
                        : error_code && mode != FuzzMode::kReal16 ? kWithErrorCode
                                                                  : kPlain;
    if (mode == FuzzMode::kReal16) {
      image.put<u32>(4 * v, static_cast<u32>(handler));
    } else if (fuzz_long_mode(mode)) {
      image.put<u64>(L::kIdt + 16 * v, handler | u64{kKernelCode} << 16 | u64{1} << 32 |
                                           u64{0xee} << 40);  // on stack 1
    } else {
      image.put<u64>(L::kIdt + 8 * v, handler | u64{small ? kHandlerCode16 : kKernelCode} << 16 |
                                          u64{small ? 0xe6u : 0xeeu} << 40);
    }
  }
  // The return address goes to the next slot, unless it lies nowhere near the program.
  constexpr int kMask = static_cast<int>(L::kSlot - 1);
  image.code(kHalt, {0xf4, 0xeb, 0xfd});
  image.code(kReturn, {0xcf});
  if (small) {
    constexpr int kLow = kLastCode & 0xff, kHigh = kLastCode >> 8;
    // push bp; mov bp, sp; or word [bp+2], mask; inc word [bp+2]; cmp word [bp+2], last; pop bp;
    // ja halt; iret
    image.code(kPlain, {0x55, 0x89, 0xe5, 0x83, 0x4e,  2,    kMask, 0xff, 0x46, 2,
                        0x81, 0x7e, 2,    kLow, kHigh, 0x5d, 0x77,  1,    0xcf, 0xf4});
    image.code(kWithErrorCode,
               {0x55, 0x89, 0xe5, 0x83,  0x4e, 4,    kMask, 0xff, 0x46, 4,    0x81,
                0x7e, 4,    kLow, kHigh, 0x5d, 0x44, 0x44,  0x77, 1,    0xcf, 0xf4});
    return;
  }
  const bool v86 = mode == FuzzMode::kV86;
  const u32 last = static_cast<u32>(v86 ? kLastCode : L::kCode + kLastCode);
  const auto n = [&](unsigned i) { return static_cast<int>(last >> (8 * i) & 0xff); };
  if (fuzz_long_mode(mode)) {
    image.code(kPlain, {0x48, 0x83, 0x0c, 0x24, kMask, 0x48, 0xff, 0x04, 0x24, 0x48, 0x81,
                        0x3c, 0x24, n(0), n(1), n(2),  n(3), 0x77, 2,    0x48, 0xcf, 0xf4});
    image.code(kWithErrorCode,
               {0x48, 0x83, 0xc4, 8,    0x48, 0x83, 0x0c, 0x24, kMask, 0x48, 0xff, 0x04, 0x24,
                0x48, 0x81, 0x3c, 0x24, n(0), n(1), n(2), n(3), 0x77,  2,    0x48, 0xcf, 0xf4});
    image.code(kReturn, {0x48, 0xcf});
    image.code(L::kSystemCall, {0x48, 0x0f, 0x07});
  } else {
    image.code(kPlain, {0x83, 0x0c, 0x24, kMask, 0xff, 0x04, 0x24, 0x81, 0x3c, 0x24, n(0), n(1),
                        n(2), n(3), 0x77, 1, 0xcf, 0xf4});
    image.code(kWithErrorCode, {0x83, 0xc4, 4,    0x83, 0x0c, 0x24, kMask, 0xff, 0x04, 0x24, 0x81,
                                0x3c, 0x24, n(0), n(1), n(2), n(3), 0x77,  1,    0xcf, 0xf4});
  }
}

void put_tables(Image& image, FuzzPaging paging) {
  if (paging == FuzzPaging::kNone) return;
  constexpr u64 kPresent = 1, kWritable = 2, kUser = 4;
  u64 table = L::kTables + 0x1000;
  if (paging == FuzzPaging::kLegacy) {
    image.put<u32>(L::kTables, static_cast<u32>(table | 7));
  } else if (paging == FuzzPaging::kPae) {
    table = L::kTables + 0x2000;
    image.put<u64>(L::kTables, (L::kTables + 0x1000) | 1);
    image.put<u64>(L::kTables + 0x1000, table | 7);
  } else {
    table = L::kTables + 0x3000;
    image.put<u64>(L::kTables, (L::kTables + 0x1000) | 7);
    image.put<u64>(L::kTables + (L::kHigh >> 39) * 8, (L::kTables + 0x1000) | 7);
    image.put<u64>(L::kTables + 0x1000, (L::kTables + 0x2000) | 7);
    image.put<u64>(L::kTables + 0x2000, table | 7);
  }
  for (u64 page = 0; page < L::kRam >> kPageShift; ++page) {
    const u64 linear = page << kPageShift;
    u64 physical = linear;
    u64 access = kPresent | kWritable | kUser;
    if (linear < L::kCode) access = kPresent | kWritable;
    if (linear == L::kReadOnly) access = kPresent | kUser;
    if (linear == L::kAbsent) access = 0;
    if (linear == L::kSupervisor) access = kPresent | kWritable;
    if (linear >= L::kCodeAlias) {
      physical = linear - L::kCodeAlias + L::kCode;
      if (physical >= L::kCode + L::kCodeBytes) access = 0;
    }
    const u64 entry = access == 0 ? 0 : physical | access;
    if (paging == FuzzPaging::kLegacy) {
      image.put<u32>(table + 4 * page, static_cast<u32>(entry));
    } else {
      image.put<u64>(table + 8 * page, entry);
    }
  }
}

/// A segment register as it is after `selector` was loaded.
Segment segment_from(const std::vector<u8>& image, u16 selector) {
  u64 d = 0;
  std::memcpy(&d, image.data() + L::kGdt + (selector & ~7), 8);
  Segment s;
  s.selector = selector;
  s.base = (d >> 16 & 0xffffff) | (d >> 56 << 24);
  s.limit = static_cast<u32>((d & 0xffff) | (d >> 48 & 15) << 16);
  if (d >> 55 & 1) s.limit = s.limit << 12 | 0xfff;
  s.attributes = static_cast<u16>((d >> 40) & 0xf0ff);
  return s;
}

}  // namespace

FuzzMachine::FuzzMachine(const TranslatorOptions* options)
    : memory_(GuestMemory::create(kRam).take()), map_(*memory_, log_), ports_(log_) {
  (void)log_.open("/dev/null");
  map_.add_memory("ram", PhysicalAddress(0), kRam, memory_->ram(), true, true,
                  MemoryMap::kPriorityRam);
  CpuModel model;
  model.vendor = "GenuineIntel";
  model.features = host_features();
  CpuWiring wiring;
  wiring.memory = &map_;
  wiring.ports = &ports_;
  wiring.clock = &clock_;
  wiring.log = &log_;
  wiring.interrupts = &interrupts_;
  cpu_ = std::make_unique<Cpu>(model, wiring);
  interrupts_.cpu = cpu_.get();
  if (options != nullptr) {
    translator_ = std::make_unique<Translator>(*cpu_, *options);
  }
}

const std::vector<u8>& FuzzMachine::image(FuzzMode mode, FuzzPaging paging) {
  std::vector<u8>& bytes =
      images_[static_cast<std::size_t>(mode) * static_cast<std::size_t>(FuzzPaging::kCount) +
              static_cast<std::size_t>(paging)];
  if (!bytes.empty()) return bytes;
  bytes.resize(kRam);
  FuzzRandom random(5);
  for (u64 at = kData; at < kData + kDataBytes; at += 8) {
    const u64 v = random.value();
    std::memcpy(&bytes[at], &v, 8);
  }
  Image writer(bytes);
  put_descriptors(writer, mode, paging);
  put_handlers(writer, mode);
  put_tables(writer, paging);
  return bytes;
}

void FuzzMachine::load(const FuzzProgram& program) {
  const std::vector<u8>& fresh = image(program.mode, program.paging);
  u8* ram = memory_->ram();
  for (u64 page = 0; page < kRam; page += kPageSize) {
    if (std::memcmp(ram + page, fresh.data() + page, kPageSize) == 0) continue;
    std::memcpy(ram + page, fresh.data() + page, kPageSize);
    memory_->note_write(page, kPageSize);
  }
  map_.write_bytes(PhysicalAddress(kCode), program.code);
  const u32 rounds = program.rounds;
  map_.write_bytes(PhysicalAddress(kCounter), {reinterpret_cast<const u8*>(&rounds), 4});
  set_state(program);
}

void FuzzMachine::set_state(const FuzzProgram& program) {
  const FuzzMode mode = program.mode;
  const std::vector<u8>& tables = image(mode, program.paging);
  cpu_->set_interrupt_request(false);
  cpu_->reset();
  cpu_->fault_log = FaultLog{};
  CpuState& s = cpu_->state;
  s.instructions = 0;
  std::copy(program.regs.begin(), program.regs.end(), s.regs.begin());
  const bool protect = mode != FuzzMode::kReal16;
  s.cr0 = kCr0Et | kCr0Ne | kCr0Mp | program.cr0_bits;
  if (protect) s.cr0 |= kCr0Pe;
  s.cr4 = kCr4Osfxsr | kCr4Osxmmexcpt | kCr4Osxsave | kCr4Fsgsbase | program.cr4_bits;
  s.xcr0 = cpu_->model().xcr0_mask() & 7;
  if (program.paging != FuzzPaging::kNone) {
    s.cr0 |= kCr0Pg;
    s.cr3 = kTables;
    if (program.paging != FuzzPaging::kLegacy) s.cr4 |= kCr4Pae;
    if (program.paging == FuzzPaging::kPae) s.pdpte[0] = (kTables + 0x1000) | 1;
  }
  s.efer = kEferNxe | kEferSce;
  if (program.paging == FuzzPaging::kLong) s.efer |= kEferLme | kEferLma;
  s.msr.star = u64{0x18} << 48 | u64{kKernelCode} << 32;
  s.msr.lstar = s.msr.cstar = kSystemCall;
  s.msr.sfmask = kFlagTf | kFlagIf | kFlagDf;
  s.gdtr = {kGdt, 0xff};
  s.idtr = protect ? DescriptorTable{kIdt, 0xfff} : DescriptorTable{0, 0x3ff};
  s.segments[kTr] = {kTss, 0x67, kTask, 0x8b};

  const auto set = [&](unsigned segment, u16 selector) {
    s.segments[segment] = segment_from(tables, selector);
  };
  const auto all = [&](u16 code, u16 stack, u16 data) {
    set(kCs, code);
    set(kSs, stack);
    for (const unsigned i : {kEs, kDs, kFs, kGs}) {
      set(i, program.selectors[i] != 0 ? program.selectors[i] : data);
    }
  };
  s.cpl = fuzz_kernel(mode) ? 0 : 3;
  s.rip() = fuzz_code_bits(mode) == 16 ? program.code_start : kCode;
  switch (mode) {
    case FuzzMode::kReal16:
    case FuzzMode::kV86: {
      const u16 access = protect ? 0xf3 : 0x93;
      for (unsigned i = kEs; i <= kGs; ++i) {
        const u64 base = i == kCs   ? kCode - program.code_start
                         : i == kGs ? kCode
                         : i == kSs ? kStack
                                    : kData;
        s.segments[i] = {base, 0xffff, static_cast<u16>(base >> 4), access};
      }
      break;
    }
    case FuzzMode::kKernel16:
      all(kKernelCode16, kKernelStack16, kUserData);
      set(kGs, kCodeData);
      break;
    case FuzzMode::kUser16:
      all(kUserCode | 3, kUserStack16 | 3, kUserData | 3);
      set(kGs, kCodeData | 3);
      break;
    case FuzzMode::kKernel32:
      all(kKernelCode, kKernelData, kUserData);
      break;
    case FuzzMode::kUser32:
    case FuzzMode::kCompatible32:
      all(kUserCode | 3, kUserData | 3, kUserData | 3);
      break;
    case FuzzMode::kKernel64:
      all(kKernelCode, kKernelData, kKernelData);
      break;
    default:
      all(kUserCode64 | 3, kUserData | 3, kUserData | 3);
      break;
  }
  if (fuzz_code_bits(mode) == 64) {
    s.segments[kFs].base = program.fs_base;
    s.segments[kGs].base = program.gs_base;
  }
  s.fpu.control = program.fpu_control;
  s.fpu.mxcsr = program.mxcsr;
  for (unsigned i = 0; i < s.fpu.ymm.size(); ++i) {
    std::memcpy(s.fpu.ymm[i].data(), tables.data() + kData + 0x40 + 48 * i, 32);
  }
  s.flags = kFlagFixed;
  cpu_->state_replaced();
  cpu_->set_rflags(program.flags | (mode == FuzzMode::kV86 ? u32{kFlagVm} : 0));
  cpu_->state_replaced();
}

bool FuzzMachine::tables_changed(const FuzzProgram& program) {
  if (program.paging == FuzzPaging::kNone) return false;
  constexpr u64 kAccessedAndDirty = 0x60'0000'0060;  // of two entries, or of a long one
  const std::vector<u8>& before = image(program.mode, program.paging);
  u64 changed = 0;
  for (u64 at = kTables; at < kTables + kTablesBytes; at += 8) {
    u64 now, then;
    std::memcpy(&now, ram() + at, 8);
    std::memcpy(&then, before.data() + at, 8);
    changed |= now ^ then;
  }
  return (changed & ~kAccessedAndDirty) != 0;
}

std::string FuzzPair::run(const FuzzProgram& program) {
  tables_changed_ = false;
  std::string difference = run_both(program);
  note_tables(program);
  if (!difference.empty() && tables_changed_) {
    ++unspecified_;
    difference.clear();
  }
  return difference;
}

/// What a program writes there now may be as it was in the end, but for A and D bits.
void FuzzPair::note_tables(const FuzzProgram& program) {
  tables_changed_ = tables_changed_ || interpreted_.tables_changed(program) ||
                    translated_.tables_changed(program);
}

std::string FuzzPair::run_both(const FuzzProgram& program) {
  interpreted_.load(program);
  translated_.load(program);
  Cpu& a = interpreted_.cpu();
  Cpu& b = translated_.cpu();
  FuzzRandom random(program.schedule);
  const auto begin = std::chrono::steady_clock::now();
  while (a.state.instructions < program.limit) {
    // Both are at the same instruction here, so that giving up on a slow program does no harm.
    if (std::chrono::steady_clock::now() - begin > kPatience) break;
    u64 piece = std::min<u64>(program.limit - a.state.instructions, 1000);
    if (program.schedule != 0) {
      piece = std::min(piece, 1 + random.below(random.chance(3) ? 400 : 40));
      if (random.chance(6)) {
        a.set_interrupt_request(true);
        b.set_interrupt_request(true);
      }
    }
    const RunExit first = a.run(piece);
    const RunExit second = b.run(piece);
    std::string difference = compare(false);
    if (first != second) difference += "run() ended differently\n";
    if (!difference.empty()) return difference;
    if (first != RunExit::kBudget) break;
    note_tables(program);
  }
  return compare(true);
}

std::string FuzzPair::compare(bool everything) {
  Cpu& first = interpreted_.cpu();
  Cpu& second = translated_.cpu();
  const CpuState& a = first.state;
  const CpuState& b = second.state;
  if (a.instructions == b.instructions && a.regs == b.regs && first.rflags() == second.rflags() &&
      !everything) {
    return {};
  }
  std::string out;
  const auto line = [&](std::string_view what, u64 expected, u64 actual) {
    if (expected != actual) {
      out += fmt::format("{}: interpreted {:x}, translated {:x}\n", what, expected, actual);
    }
  };
  // The flags are compared as a program sees them; how they are kept may differ.
  CpuState x = a, y = b;
  x.lazy = y.lazy = LazyFlags{};
  line("rflags", first.rflags(), second.rflags());
  if (std::memcmp(&x, &y, sizeof(CpuState)) != 0) {
    std::vector<u8> left, right;
    visit_fields(x, "", [&](const std::string& path, const auto& leaf) {
      const auto offset = reinterpret_cast<const u8*>(&leaf) - reinterpret_cast<const u8*>(&x);
      const u8* other = reinterpret_cast<const u8*>(&y) + offset;
      if (std::memcmp(&leaf, other, sizeof(leaf)) == 0) return;
      out += path + ": interpreted ";
      for (std::size_t i = sizeof(leaf); i-- != 0;) {
        out += fmt::format("{:02x}", reinterpret_cast<const u8*>(&leaf)[i]);
      }
      out += ", translated ";
      for (std::size_t i = sizeof(leaf); i-- != 0;) out += fmt::format("{:02x}", other[i]);
      out += '\n';
    });
  }
  line("events", first.fault_log.size(), second.fault_log.size());
  if (first.fault_log.size() != 0 && second.fault_log.size() != 0) {
    const FaultRecord& p = first.fault_log.newest(0);
    const FaultRecord& q = second.fault_log.newest(0);
    line("rip of the last event", p.rip, q.rip);
    line("vector of the last event", p.vector, q.vector);
    line("error code of the last event", p.error_code, q.error_code);
  }
  if (std::memcmp(interpreted_.ram(), translated_.ram(), FuzzLayout::kRam) != 0) {
    unsigned shown = 0;
    for (u64 at = 0; at < FuzzLayout::kRam && shown < 8; ++at) {
      if (interpreted_.ram()[at] == translated_.ram()[at]) continue;
      line(fmt::format("memory at {:x}", at), interpreted_.ram()[at], translated_.ram()[at]);
      ++shown;
    }
  }
  return out;
}

}  // namespace dragoman
