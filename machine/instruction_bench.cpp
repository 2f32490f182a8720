#include "machine/instruction_bench.h"

#include <algorithm>
#include <array>
#include <utility>

namespace dragoman {
namespace {

constexpr u64 kTableBytes = 16 * kKiB;
constexpr u64 kLargePage = 2 * kMiB;

// The system area of the user modes, by page: four tables, the handler (HLT) with its stack above
// it, descriptor tables, then the page tables of RAM.
constexpr u64 kSystemPml4 = 0, kSystemPdpt = 1, kSystemDirectory = 2, kSystemHandler = 3,
              kSystemDescriptors = 4, kSystemIdt = 5, kSystemTables = 6;
constexpr u64 kGdtBytes = 0x80, kTssOffset = 0x800, kTssLimit = 0x67, kLdtOffset = 0xc00,
              kLdtLimit = 0x17;
constexpr u64 kStackOffset = kPageSize;  // above the handler, in its page
constexpr u16 kKernelCode = 0x10, kUserCode32 = 0x23, kUserData = 0x2b, kUserCode64 = 0x33,
              kTssSelector = 0x40, kUserCode16 = 0x07, kUserData16 = 0x0f;
constexpr u64 kNoExecute = u64{1} << 63;

/// 64-bit gate descriptor, halves.
constexpr u64 gate_low(u64 target, u8 attributes) {
  constexpr u64 kStackTable = 1;  // IST1: delivery never depends on the user's stack
  return (target & 0xffff) | u64{kKernelCode} << 16 | kStackTable << 32 | u64{attributes} << 40 |
         ((target >> 16) & 0xffff) << 48;
}

}  // namespace

Result<std::unique_ptr<InstructionBench>> InstructionBench::create(const CpuModel& model,
                                                                   u64 ram_bytes,
                                                                   BenchEngine engine) {
  if (ram_bytes < kMiB || ram_bytes % kPageSize != 0 || ram_bytes > kGiB) {
    return error("an instruction bench of {} bytes: give 1 MiB to 1 GiB in whole pages", ram_bytes);
  }
  auto memory = GuestMemory::create(ram_bytes);
  if (!memory) return memory.error();
  return std::unique_ptr<InstructionBench>(new InstructionBench(model, memory.take(), engine));
}

InstructionBench::InstructionBench(const CpuModel& model, std::unique_ptr<GuestMemory> memory,
                                   BenchEngine engine)
    : memory_(std::move(memory)), map_(*memory_, log_), ports_(log_), cpu_(model, wiring()) {
  // What instructions of a test complain about is in its result.
  (void)log_.open("/dev/null");
  map_.add_memory("ram", PhysicalAddress(0), ram_size(), memory_->ram(), true, true,
                  MemoryMap::kPriorityRam);
  memory_->track(0, ram_size() / kPageSize);
  (void)take_written_pages();
  used_.clear();
  if (engine == BenchEngine::kTranslator) {
    TranslatorOptions options;
    options.runs_before_translation = 1;
    translate(options);
  }
  enter(BenchMode::kReal);
}

void InstructionBench::translate(const TranslatorOptions& options, RegionObserver* observer) {
  translator_.reset();
  translator_ = std::make_unique<Translator>(cpu_, options);
  translator_->set_observer(observer);
}

CpuWiring InstructionBench::wiring() {
  CpuWiring wiring;
  wiring.memory = &map_;
  wiring.ports = &ports_;
  wiring.clock = &clock_;
  wiring.log = &log_;
  wiring.random_bytes = [this](std::span<u8> out) {
    for (u8& byte : out) byte = static_cast<u8>(random_.next() >> 56);
  };
  return wiring;
}

void InstructionBench::enter(BenchMode mode) {
  (void)take_written_pages();
  for (const u64 number : used_) {
    u8* bytes = memory_->ram() + number * kPageSize;
    std::fill_n(bytes, kPageSize, u8{0});
    memory_->note_write(number * kPageSize, kPageSize);
    (void)memory_->take_dirty(number);
  }
  used_.clear();
  cpu_.reset();
  cpu_.fault_log = FaultLog{};
  random_ = SplitMix64();  // so that a run can be repeated
  CpuState& s = cpu_.state;
  s.regs.fill(0);
  s.idtr = {0, 0x3ff};
  s.gdtr = {0, 0};
  if (mode >= BenchMode::kUser64) {
    enter_user(mode);
    return;
  }
  const bool real = mode == BenchMode::kReal;
  const bool big = mode == BenchMode::kProtected32;
  for (unsigned i = kEs; i <= kGs; ++i) {
    if (real) {
      s.segments[i] = {0, 0xffff, 0, 0x93};
      continue;
    }
    const bool code = i == kCs;
    const u16 size = code && mode == BenchMode::kLong64 ? 0x2000 : big ? 0x4000 : 0;
    s.segments[i] = {0, 0xffffffff, static_cast<u16>(code ? 0x08 : 0x10),
                     static_cast<u16>(0x8000 | size | (code ? 0x9b : 0x93))};
  }
  if (!real) s.cr0 |= kCr0Pe;
  if (mode == BenchMode::kLong64) map_long_mode();
  cpu_.state_replaced();
}

void InstructionBench::map_long_mode() {
  CpuState& s = cpu_.state;
  const u64 pml4 = ram_size() - kTableBytes;
  const u64 pdpt = pml4 + kPageSize, directory = pdpt + kPageSize;
  put(pml4, pdpt | 3);
  put(pdpt, directory | 3);
  for (u64 base = 0; base < ram_size(); base += kLargePage) {
    put(directory + base / kLargePage * 8, base | 0x83);
  }
  s.cr3 = pml4;
  s.cr4 = kCr4Pae;
  s.efer = kEferLme | kEferLma;
  s.cr0 |= kCr0Pg;
}

u64 InstructionBench::system_pages() const {
  return kSystemTables + (ram_size() + kLargePage - 1) / kLargePage;
}

void InstructionBench::enter_user(BenchMode mode) {
  CpuState& s = cpu_.state;
  const u64 base = system_base();
  const auto page = [&](u64 number) { return base + number * kPageSize; };
  put(page(kSystemPml4), page(kSystemPdpt) | 7);
  put(page(kSystemPdpt), page(kSystemDirectory) | 7);
  for (u64 table = 0; table < system_pages() - kSystemTables; ++table) {
    put(page(kSystemDirectory) + 8 * table, page(kSystemTables + table) | 7);
  }
  for (u64 i = 0; i < system_pages(); ++i) {  // for the supervisor only
    put(page(kSystemTables) + 8 * ((base >> kPageShift) + i), page(i) | 3);
  }
  const u64 handler = page(kSystemHandler);
  write(handler, u8{0xf4});
  for (u64 vector = 0; vector < 256; ++vector) {
    // As in Linux: breakpoint and overflow may be raised by INT n from user code.
    const bool open = vector == kVectorBp || vector == kVectorOf;
    put(page(kSystemIdt) + 16 * vector, gate_low(handler, open ? 0xee : 0x8e));
    put(page(kSystemIdt) + 16 * vector + 8, handler >> 32);
  }
  const u64 gdt = page(kSystemDescriptors);
  put(gdt + 0x08, 0x00cf9b000000ffff);
  put(gdt + kKernelCode, 0x00af9b000000ffff);
  put(gdt + 0x18, 0x00cf93000000ffff);
  put(gdt + (kUserCode32 & ~7u), 0x00cffb000000ffff);
  put(gdt + (kUserData & ~7u), 0x00cff3000000ffff);
  put(gdt + (kUserCode64 & ~7u), 0x00affb000000ffff);
  put(gdt + kTssOffset + 4, handler + kStackOffset);       // RSP0
  put(gdt + kTssOffset + 0x60, u64{kTssLimit + 1} << 48);  // no I/O permission bitmap
  put(gdt + kTssOffset + 0x24, handler + kStackOffset);    // IST1

  s.gdtr = {gdt, kGdtBytes - 1};
  s.idtr = {page(kSystemIdt), 0xfff};
  s.segments[kTr] = {gdt + kTssOffset, kTssLimit, kTssSelector, 0x8b};
  s.segments[kLdtr] = {gdt + kLdtOffset, kLdtLimit, 0x50, 0x82};
  put(gdt + kLdtOffset, 0x0000fb000000ffff);
  put(gdt + kLdtOffset + 8, 0x0000f3000000ffff);
  put(gdt + kLdtOffset + 16, 0x0000f3000000ffff);
  const u16 code = mode == BenchMode::kUser64   ? kUserCode64
                   : mode == BenchMode::kUser32 ? kUserCode32
                                                : kUserCode16;
  const u16 data = mode == BenchMode::kUser16 ? kUserData16 : kUserData;
  const u16 size = mode == BenchMode::kUser64 ? 0xa000 : mode == BenchMode::kUser32 ? 0xc000 : 0;
  const u32 limit = mode == BenchMode::kUser16 ? 0xffff : 0xffffffff;
  s.segments[kCs] = {0, limit, code, static_cast<u16>(0xfb | size)};
  for (const unsigned i : {kEs, kSs, kDs}) {
    s.segments[i] = {0, limit, data, static_cast<u16>(size != 0 ? 0xc0f3 : 0xf3)};
  }
  for (const unsigned i : {kFs, kGs}) s.segments[i] = {0, 0, 0, 0};
  s.cpl = 3;
  s.cr3 = page(kSystemPml4);
  s.cr4 = kCr4Pae | kCr4Osfxsr | kCr4Osxmmexcpt;
  if (cpu_.has(Feature::kFsgsbase)) s.cr4 |= kCr4Fsgsbase;
  if (cpu_.has(Feature::kXsave)) {
    s.cr4 |= kCr4Osxsave;
    s.xcr0 = cpu_.model().xcr0_mask();
  }
  if (cpu_.has(Feature::kPku)) s.cr4 |= kCr4Pke;
  s.efer = kEferSce | kEferLme | kEferLma | kEferNxe;
  s.cr0 = kCr0Pe | kCr0Mp | kCr0Et | kCr0Ne | kCr0Wp | kCr0Am | kCr0Pg;
  s.fpu.control = 0x37f;
  cpu_.state_replaced();
}

void InstructionBench::allow(u64 address, u64 bytes, BenchAccess access) {
  const u64 end = std::min(address + bytes, system_base());
  for (u64 page = address & ~u64{kPageMask}; page < end; page += kPageSize) {
    const u64 bits = access == BenchAccess::kNone        ? 0
                     : access == BenchAccess::kRead      ? 5 | kNoExecute
                     : access == BenchAccess::kReadWrite ? 7 | kNoExecute
                                                         : 5;
    put(system_base() + kSystemTables * kPageSize + 8 * (page >> kPageShift),
        bits == 0 ? 0 : page | bits);
  }
  cpu_.flush_tlb(true);
}

void InstructionBench::registers_changed() {
  cpu_.clear_fault();
  cpu_.state.regs[kZeroRegister] = 0;
  cpu_.update_mode();
}

u64 InstructionBench::get(u64 address) {
  u64 value = 0;
  if (address + sizeof(value) <= ram_size()) {
    std::copy_n(memory_->ram() + address, sizeof(value), reinterpret_cast<u8*>(&value));
  }
  return value;
}

void InstructionBench::take_back_event() {
  CpuState& s = cpu_.state;
  s.activity = Activity::kRunning;
  // The frame: SS, RSP, RFLAGS, CS, RIP from the top of the stack down (SDM vol. 3, 6.14.2).
  const u64 top = system_base() + kSystemHandler * kPageSize + kStackOffset;
  s.regs[kRsp] = get(top - 16);
  s.rip() = get(top - 40);
  s.cpl = 3;
  s.interrupt_shadow = 0;
  cpu_.set_rflags(static_cast<u32>(get(top - 24)));
  s.segments[kCs].selector = static_cast<u16>(get(top - 32));
  s.segments[kSs].selector = static_cast<u16>(get(top - 8));
}

BenchOutcome InstructionBench::execute(std::span<const u8> instruction, u64 limit) {
  constexpr u64 kRoom = 0x40;  // jumps to themselves behind the instruction
  constexpr u64 kPiece = 16;   // of the budget: translated code needs room for its block
  CpuState& s = cpu_.state;
  const u64 start = s.rip();
  const u64 linear = cpu_.code64() ? start : static_cast<u32>(s.segments[kCs].base + start);
  std::array<u8, kMaxInstructionLength + kRoom + 1> code;
  const u64 length = std::min<u64>(instruction.size(), kMaxInstructionLength + 1);
  std::copy_n(instruction.begin(), length, code.begin());
  for (u64 i = 0; i < kRoom; ++i) code[length + i] = i % 2 == 0 ? 0xeb : 0xfe;
  write(linear, {code.data(), length + kRoom});

  cpu_.fault_log = FaultLog{};
  const Segment cs = s.segments[kCs], ss = s.segments[kSs];
  const bool user =
      s.segments[kTr].base == system_base() + kSystemDescriptors * kPageSize + kTssOffset;
  BenchOutcome out;
  u64 spent = 0;
  do {
    const RunExit exit = cpu_.run(kPiece);
    spent += kPiece;
    if (cpu_.fault_log.size() != 0 || exit != RunExit::kBudget) break;
  } while (s.rip() == start && spent < limit);
  if (cpu_.fault_log.size() == 0) {
    out.finished = s.rip() != start || s.activity != Activity::kRunning;
    return out;
  }
  // Handlers of the user modes cannot fault, so the newest event is the one that reached them. Else
  // the first one led to all others.
  const bool caught = user && s.activity == Activity::kHalted;
  const FaultRecord& event = cpu_.fault_log.newest(caught ? 0 : cpu_.fault_log.size() - 1);
  out.vector = event.vector;
  out.error_code = event.has_error_code ? event.error_code : 0;
  out.address = event.vector == kVectorPf ? event.cr2 : 0;
  if (caught) {
    take_back_event();
    // The hidden parts are those from before unless the instruction loaded another selector.
    if (s.segments[kCs].selector == cs.selector) s.segments[kCs] = cs;
    if (s.segments[kSs].selector == ss.selector) s.segments[kSs] = ss;
    cpu_.update_mode();
  }
  return out;
}

void InstructionBench::set_real_segment(unsigned segment, u16 selector) {
  cpu_.state.segments[segment] = {u64{selector} << 4, 0xffff, selector, 0x93};
}

void InstructionBench::write(u64 address, std::span<const u8> bytes) {
  if (address >= ram_size()) return;
  const u64 size = std::min<u64>(bytes.size(), ram_size() - address);
  std::copy_n(bytes.data(), size, memory_->ram() + address);
  memory_->note_write(address, size);
}

u8 InstructionBench::read(u64 address) {
  return address < ram_size() ? memory_->ram()[address] : u8{0xff};
}

std::vector<u64> InstructionBench::take_written_pages() {
  std::vector<u64> pages;
  for (u64 number = 0; number < ram_size() / kPageSize; ++number) {
    if (memory_->take_dirty(number)) pages.push_back(number);
  }
  for (const u64 number : pages) {
    if (std::find(used_.begin(), used_.end(), number) == used_.end()) used_.push_back(number);
  }
  return pages;
}

}  // namespace dragoman
