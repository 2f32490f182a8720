#include "bios/ram_loader.h"

#include <algorithm>

#include "base/bits.h"

namespace dragoman {
namespace {
constexpr u64 kBiosDataEnd = 0x500;
constexpr u64 kConventionalEnd = 0x9fc00;
}  // namespace

RamLoader::RamLoader(GuestMemory& memory, u64 top)
    : memory_(memory), top_(std::min(top, memory.ram_size())) {
  claims_.push_back({0, kBiosDataEnd, "the BIOS data area"});
  claims_.push_back({kConventionalEnd, kMiB, "the video memory and BIOS area"});
}

const RamLoader::Claim* RamLoader::overlapping(u64 first, u64 end) const {
  for (const Claim& claim : claims_) {
    if (first < claim.end && claim.first < end) return &claim;
  }
  return nullptr;
}

bool RamLoader::holds(u64 address) const {
  const Claim* claim = overlapping(address, address + 1);
  return claim != nullptr && claim->first != 0 && claim->first != kConventionalEnd;
}

/// RAM for `what`, where nothing else is.
Result<std::span<u8>> RamLoader::claim(const std::string& what, u64 address, u64 size) {
  if (address >= top_ || size > top_ - address) {
    return error("{} needs {} bytes at {:#x}, but usable RAM ends at {:#x}; use a larger -m", what,
                 size, address, top_);
  }
  const u64 end = address + size;
  if (const Claim* other = overlapping(address, end); other != nullptr) {
    return error("{} ({:#x}-{:#x}) overlaps {} ({:#x}-{:#x}); the image is damaged or does not fit",
                 what, address, end - 1, other->what, other->first, other->end - 1);
  }
  const auto place = std::find_if(claims_.begin(), claims_.end(),
                                  [&](const Claim& claim) { return claim.first > address; });
  claims_.insert(place, {address, end, what});
  memory_.note_write(address, size);
  return memory_.ram_span().subspan(address, size);
}

Result<void> RamLoader::put(const std::string& what, u64 address, std::span<const u8> bytes,
                            u64 memory_size) {
  const u64 size = std::max<u64>(bytes.size(), memory_size);
  if (size == 0) return {};
  const auto ram = claim(what, address, size);
  if (!ram) return ram.error();
  memory_.note_use_of(address, bytes.size());
  std::copy(bytes.begin(), bytes.end(), ram->begin());
  memory_.clear(address + bytes.size(), size - bytes.size());
  return {};
}

void RamLoader::overwrite(u64 address, std::span<const u8> bytes) {
  DRAGOMAN_ASSERT(address <= top_ && bytes.size() <= top_ - address);
  std::copy(bytes.begin(), bytes.end(), memory_.ram() + address);
  memory_.note_write(address, bytes.size());
}

Result<u64> RamLoader::lowest(const std::string& what, u64 size, u64 alignment, u64 low,
                              u64 high) const {
  high = std::min(high, top_);
  u64 address = align_up(low, alignment);
  while (address < high && size <= high - address) {
    const Claim* other = overlapping(address, address + size);
    if (other == nullptr) return address;
    address = align_up(other->end, alignment);
  }
  return error("no room for {} ({} bytes) between {:#x} and {:#x}; use a larger -m or a smaller {}",
               what, size, low, high, what);
}

Result<u64> RamLoader::highest(const std::string& what, u64 size, u64 alignment, u64 low,
                               u64 high) const {
  u64 end = std::min(high, top_);
  while (end >= size && ((end - size) & ~(alignment - 1)) >= low) {
    const u64 address = (end - size) & ~(alignment - 1);
    const Claim* other = overlapping(address, address + size);
    if (other == nullptr) return address;
    end = other->first;
  }
  return error("no room for {} ({} bytes) between {:#x} and {:#x}; use a larger -m or a smaller {}",
               what, size, low, high, what);
}

Result<u64> RamLoader::put_low(const std::string& what, std::span<const u8> bytes, u64 alignment,
                               u64 low, u64 high) {
  const u64 size = std::max<u64>(1, bytes.size());
  const auto address = lowest(what, size, alignment, low, high);
  if (!address) return address;
  if (auto done = put(what, *address, bytes, size); !done) return done.error();
  return address;
}

Result<u64> RamLoader::put_module(const std::string& what, u64 address,
                                  const ModuleContents& module) {
  const auto ram = claim(what, address, std::max<u64>(1, module.size()));
  if (!ram) return ram.error();
  memory_.note_use_of(address, module.size());
  if (auto done = module.read(ram->first(module.size())); !done) return done.error();
  return address;
}

Result<u64> RamLoader::put_low(const std::string& what, const ModuleContents& module, u64 alignment,
                               u64 low, u64 high) {
  const auto address = lowest(what, std::max<u64>(1, module.size()), alignment, low, high);
  return address ? put_module(what, *address, module) : address;
}

Result<u64> RamLoader::put_high(const std::string& what, const ModuleContents& module,
                                u64 alignment, u64 low, u64 high) {
  const auto address = highest(what, std::max<u64>(1, module.size()), alignment, low, high);
  return address ? put_module(what, *address, module) : address;
}

namespace {

constexpr u16 kCode = 0x10;  // the selectors of the Linux boot protocol
constexpr u16 kData = 0x18;
constexpr u16 kTask = 0x20;
constexpr u64 kCr0 = 0x11;  // PE, ET
constexpr u64 kStackBytes = 0x1000;

/// Descriptor table and a small stack, both in conventional memory.
Result<void> segments_and_stack(RamLoader& loader, BootState& state, u64 code_descriptor) {
  Bytes table;
  append64(table, 0);
  append64(table, 0);
  append64(table, code_descriptor);
  append64(table, 0x00cf93000000ffff);  // data: read/write, accessed, 4 GiB
  append64(table, 0x00008b0000000067);  // busy 32-bit TSS (in 64-bit mode: its low half)
  append64(table, 0);
  const auto address = loader.put_low("descriptor table", table, 16, 0x1000, 0x9f000);
  if (!address) return address.error();
  const auto stack = loader.put_low("stack", Bytes(kStackBytes), 16, 0x1000, 0x9f000);
  if (!stack) return stack.error();
  state.gdt_base = *address;
  state.gdt_limit = static_cast<u16>(table.size() - 1);
  state.code_selector = kCode;
  state.data_selector = kData;
  state.task_selector = kTask;
  state.rsp = *stack + kStackBytes;
  state.cr0 = kCr0;
  return {};
}

}  // namespace

Result<void> enter_protected32(RamLoader& loader, BootState& state) {
  state.mode = BootMode::kProtected32;
  return segments_and_stack(loader, state, 0x00cf9b000000ffff);
}

Result<void> enter_long64(RamLoader& loader, BootState& state) {
  state.mode = BootMode::kLong64;
  if (auto done = segments_and_stack(loader, state, 0x00af9b000000ffff); !done) return done;

  // One PML4, one page-directory-pointer table and four page directories of 2 MiB pages.
  constexpr u64 kPresentWritable = 3;
  constexpr u64 kLargePage = 0x80;
  constexpr u64 kTables = 6;
  const auto base =
      loader.put_low("page tables", Bytes(kTables * kPageSize), kPageSize, 0x1000, 0x9f000);
  if (!base) return base.error();
  Bytes tables(kTables * kPageSize);
  patch(tables, 0, (*base + kPageSize) | kPresentWritable, 8);
  for (u64 gib = 0; gib < 4; ++gib) {
    patch(tables, kPageSize + gib * 8, (*base + (2 + gib) * kPageSize) | kPresentWritable, 8);
    for (u64 n = 0; n < 512; ++n) {
      patch(tables, (2 + gib) * kPageSize + n * 8,
            (gib * kGiB + n * 2 * kMiB) | kPresentWritable | kLargePage, 8);
    }
  }
  loader.overwrite(*base, tables);
  state.cr3 = *base;
  state.cr0 |= bit(31);           // PG
  state.cr4 = bit(5);             // PAE
  state.efer = bit(8) | bit(10);  // LME, LMA
  return {};
}

}  // namespace dragoman
