#include "machine/instruction_bench.h"

#include <algorithm>
#include <utility>

namespace dragoman {
namespace {

constexpr u64 kTableBytes = 16 * kKiB;
constexpr u64 kLargePage = 2 * kMiB;

}  // namespace

Result<std::unique_ptr<InstructionBench>> InstructionBench::create(const CpuModel& model,
                                                                   u64 ram_bytes) {
  if (ram_bytes < kMiB || ram_bytes % kPageSize != 0 || ram_bytes > kGiB) {
    return error("an instruction bench of {} bytes: give 1 MiB to 1 GiB in whole pages", ram_bytes);
  }
  auto memory = GuestMemory::create(ram_bytes);
  if (!memory) return memory.error();
  return std::unique_ptr<InstructionBench>(new InstructionBench(model, memory.take()));
}

InstructionBench::InstructionBench(const CpuModel& model, std::unique_ptr<GuestMemory> memory)
    : memory_(std::move(memory)), map_(*memory_, log_), ports_(log_), cpu_(model, wiring()) {
  // What instructions of a test complain about is in its result.
  (void)log_.open("/dev/null");
  map_.add_memory("ram", PhysicalAddress(0), ram_size(), memory_->ram(), true, true,
                  MemoryMap::kPriorityRam);
  memory_->track(0, ram_size() / kPageSize);
  (void)take_written_pages();
  used_.clear();
  enter(BenchMode::kReal);
}

CpuWiring InstructionBench::wiring() {
  CpuWiring wiring;
  wiring.memory = &map_;
  wiring.ports = &ports_;
  wiring.clock = &clock_;
  wiring.log = &log_;
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
  CpuState& s = cpu_.state;
  s.regs.fill(0);
  s.idtr = {0, 0x3ff};
  s.gdtr = {0, 0};
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
  const auto put = [&](u64 address, u64 value) {
    write(address, std::span<const u8>(reinterpret_cast<const u8*>(&value), sizeof(value)));
  };
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
