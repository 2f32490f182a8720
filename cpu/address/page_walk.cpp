// Paging: SDM vol. 3, chapter 4.
#include <algorithm>

#include "cpu/cpu.h"

namespace dragoman {
namespace {

enum EntryBit : u64 {
  kPresent = 1 << 0,
  kWritable = 1 << 1,
  kUser = 1 << 2,
  kAccessed = 1 << 5,
  kDirty = 1 << 6,
  kLarge = 1 << 7,
  kGlobal = 1 << 8,
  kNoExecute = u64{1} << 63,
};

/// #PF error code bits (SDM vol. 3, 4.7).
enum ErrorBit : u32 {
  kErrorPresent = 1 << 0,
  kErrorWrite = 1 << 1,
  kErrorUser = 1 << 2,
  kErrorReserved = 1 << 3,
  kErrorFetch = 1 << 4,
  kErrorProtectionKey = 1 << 5,
};

constexpr u64 kAddressBits = 0x000ffffffffff000;

struct Level {
  u64 address;  // physical address of the entry
  u64 entry;
};

}  // namespace

bool Cpu::walk_tables(u64 linear, AccessType type, Privilege privilege, PageWalk& walk,
                      bool write_intent, bool quiet) {
  const bool write = type == AccessType::kWrite || write_intent;
  const bool fetch = type == AccessType::kExecute;
  if (!(state.cr0 & kCr0Pg)) {
    walk.physical = (linear & 0xffffffff) & a20_mask();
    walk.page_bytes = 4 * kMiB;
    walk.user = walk.writable = walk.executable = walk.global = walk.dirty = true;
    return true;
  }

  const bool user_access =
      privilege == Privilege::kUser || (privilege == Privilege::kCurrent && state.cpl == 3);
  const bool pae = state.cr4 & kCr4Pae;
  const bool nxe = pae && (state.efer & kEferNxe);
  u32 error = (write ? kErrorWrite : 0u) | (user_access ? kErrorUser : 0u);
  if (fetch && (nxe || (state.cr4 & kCr4Smep))) error |= kErrorFetch;

  const u64 beyond_physical = kAddressBits & ~((u64{1} << model_.physical_bits) - 1);
  const u64 reserved_nx = nxe ? u64{0} : u64{kNoExecute};
  MemoryMap& map = memory();
  const auto read_entry = [&](u64 address, unsigned size) {
    return map.read(PhysicalAddress(address & a20_mask()), size);
  };

  std::array<Level, 4> levels;
  unsigned count = 0;
  bool writable = true, user = true, executable = true;
  unsigned entry_size = pae ? 8 : 4;
  const auto step = [&](u64 address) -> u64 {
    const u64 entry = read_entry(address, entry_size);
    levels[count++] = {address, entry};
    writable = writable && (entry & kWritable);
    user = user && (entry & kUser);
    executable = executable && !(entry & kNoExecute && nxe);
    return entry;
  };

  u64 leaf = 0;
  if (!pae) {
    u64 entry = step((state.cr3 & 0xfffff000) + ((linear >> 22) & 0x3ff) * 4);
    if (!(entry & kPresent)) return raise_page_fault(linear, error);
    if ((entry & kLarge) && (state.cr4 & kCr4Pse)) {
      // PSE-36: bits (M-20):13 are physical bits (M-1):32, the ones from there to 21 are reserved
      // (SDM vol. 3, table 4-4; M is MAXPHYADDR, at most 40).
      const unsigned m = has(Feature::kPse36) ? std::clamp(model_.physical_bits, 32u, 40u) : 32;
      if (entry & (0x3fe000 & ~((u64{1} << (m - 19)) - 1))) {
        return raise_page_fault(linear, error | kErrorPresent | kErrorReserved);
      }
      leaf = entry;
      walk.page_bytes = 4 * kMiB;
      walk.physical = (entry & 0xffc00000) | (linear & 0x3fffff) | bits(entry, 20, 13) << 32;
    } else {
      entry = step((entry & 0xfffff000) + ((linear >> 12) & 0x3ff) * 4);
      if (!(entry & kPresent)) return raise_page_fault(linear, error);
      leaf = entry;
      walk.page_bytes = kPageSize;
      walk.physical = (entry & 0xfffff000) | (linear & kPageMask);
    }
  } else {
    u64 table;
    if (long_mode()) {
      u64 entry = step((state.cr3 & kAddressBits) + ((linear >> 39) & 0x1ff) * 8);
      if (!(entry & kPresent)) return raise_page_fault(linear, error);
      if (entry & (beyond_physical | reserved_nx | kLarge)) {
        return raise_page_fault(linear, error | kErrorPresent | kErrorReserved);
      }
      entry = step((entry & kAddressBits) + ((linear >> 30) & 0x1ff) * 8);
      if (!(entry & kPresent)) return raise_page_fault(linear, error);
      u64 reserved = beyond_physical | reserved_nx;
      const bool large = entry & kLarge;
      if (large) reserved |= has(Feature::kPdpe1gb) ? 0x3fffe000 : u64{kLarge};
      if (entry & reserved) {
        return raise_page_fault(linear, error | kErrorPresent | kErrorReserved);
      }
      if (large) {
        leaf = entry;
        walk.page_bytes = kGiB;
        walk.physical = (entry & kAddressBits & ~(kGiB - 1)) | (linear & (kGiB - 1));
        goto found;
      }
      table = entry & kAddressBits;
    } else {
      // PAE: the PDPTEs are registers loaded with CR3; reserved bits were checked then.
      const u64 entry = state.pdpte[(linear >> 30) & 3];
      if (!(entry & kPresent)) return raise_page_fault(linear, error);
      table = entry & kAddressBits;
    }
    u64 entry = step(table + ((linear >> 21) & 0x1ff) * 8);
    if (!(entry & kPresent)) return raise_page_fault(linear, error);
    // Outside long mode bits 62:52 are reserved as well (SDM vol. 3, tables 4-9 to 4-11).
    const u64 reserved_high = long_mode() ? 0 : 0x7ff0000000000000;
    u64 reserved = beyond_physical | reserved_nx | reserved_high;
    if (entry & kLarge) reserved |= 0x1fe000;
    if (entry & reserved) {
      return raise_page_fault(linear, error | kErrorPresent | kErrorReserved);
    }
    if (entry & kLarge) {
      leaf = entry;
      walk.page_bytes = 2 * kMiB;
      walk.physical = (entry & kAddressBits & ~(2 * kMiB - 1)) | (linear & (2 * kMiB - 1));
    } else {
      entry = step((entry & kAddressBits) + ((linear >> 12) & 0x1ff) * 8);
      if (!(entry & kPresent)) return raise_page_fault(linear, error);
      if (entry & (beyond_physical | reserved_nx | reserved_high)) {
        return raise_page_fault(linear, error | kErrorPresent | kErrorReserved);
      }
      leaf = entry;
      walk.page_bytes = kPageSize;
      walk.physical = (entry & kAddressBits) | (linear & kPageMask);
    }
  }
found:
  walk.user = user;
  walk.writable = writable;
  walk.executable = executable;
  walk.global = (leaf & kGlobal) && (state.cr4 & kCr4Pge);
  walk.protection_key = long_mode() ? static_cast<u8>(bits(leaf, 62, 59)) : 0;

  // Protection keys cover data accesses to user pages (SDM vol. 3, 4.6.2). The error code tells of
  // them also when another right is missing (4.7), so they are looked at first.
  error |= kErrorPresent;
  if (user && !fetch && (state.cr4 & kCr4Pke) && long_mode()) {
    const u32 rights = state.pkru >> (2 * walk.protection_key);
    const bool access_disabled = rights & 1;
    const bool write_disabled = (rights & 2) && (user_access || (state.cr0 & kCr0Wp));
    if (access_disabled || (write && write_disabled)) {
      return raise_page_fault(linear, error | kErrorProtectionKey);
    }
  }

  // Access rights (SDM vol. 3, 4.6.1).
  if (user_access) {
    if (!user || (write && !writable) || (fetch && !executable)) {
      return raise_page_fault(linear, error);
    }
  } else {
    if (fetch) {
      if (!executable || (user && (state.cr4 & kCr4Smep))) return raise_page_fault(linear, error);
    } else {
      if (write && !writable && (state.cr0 & kCr0Wp)) return raise_page_fault(linear, error);
      if (user && (state.cr4 & kCr4Smap)) {
        const bool lifted = privilege != Privilege::kImplicit && (state.flags & kFlagAc);
        if (!lifted) return raise_page_fault(linear, error);
      }
    }
  }

  // Accessed in every entry used, dirty in the leaf for writes.
  for (unsigned i = 0; i < count; ++i) {
    u64 wanted = levels[i].entry | kAccessed;
    if (i + 1 == count && write) wanted |= kDirty;
    if (wanted != levels[i].entry) {
      if (quiet) return false;
      map.write(PhysicalAddress(levels[i].address & a20_mask()), entry_size, wanted);
    }
  }
  walk.dirty = write || (leaf & kDirty);
  walk.physical &= a20_mask();
  return true;
}

bool Cpu::load_pdptes(u64 cr3) {
  std::array<u64, 4> loaded;
  const u64 reserved =
      0xfff0000000000000 | (kAddressBits & ~((u64{1} << model_.physical_bits) - 1)) | 0x1e6;
  for (unsigned i = 0; i < 4; ++i) {
    loaded[i] = memory().read(PhysicalAddress(((cr3 & 0xffffffe0) + 8 * i) & a20_mask()), 8);
    if ((loaded[i] & kPresent) && (loaded[i] & reserved)) return raise(kVectorGp, 0);
  }
  state.pdpte = loaded;
  return true;
}

void Cpu::note_flush(ShadowFlush what, u64 linear) {
  if (observer != nullptr) observer->shadow_flushed(what, linear);
}

void Cpu::flush_tlb(bool global_too) {
  if (global_too) {
    spaces_->flush_all();
  } else {
    spaces_->flush_current();
  }
  note_flush(global_too ? ShadowFlush::kEverything : ShadowFlush::kAddressSpace);
  update_fetch_context();
  update_window();
}

void Cpu::flush_tlb_page(u64 linear) {
  note_flush(ShadowFlush::kPage, linear);
  (void)spaces_->flush_page(linear >> kPageShift);
  update_fetch_context();
  update_window();
}

// A page fault also drops what is cached for its address, so that it does not come again when the
// tables in memory say otherwise by now (SDM vol. 3, 4.10.4.1).
void Cpu::after_page_fault(u64 linear) {
  if (observer != nullptr) observer->page_walk_failed(linear, fault_.error_code);
  if (spaces_->flush_page(linear >> kPageShift)) update_fetch_context();
  update_window();
}

void Cpu::address_space_changed(bool keep) {
  spaces_->select(current_pcid());
  if (!keep) spaces_->flush_current();
  note_flush(keep ? ShadowFlush::kKept : ShadowFlush::kAddressSpace);
  update_mode();
}

void Cpu::flush_tlb_page_of(u16 pcid, u64 linear) {
  note_flush(ShadowFlush::kPage, linear);
  spaces_->flush_page_of(pcid, linear >> kPageShift);
  update_fetch_context();
  update_window();
}

void Cpu::flush_tlb_of(u16 pcid) {
  note_flush(ShadowFlush::kAddressSpace);
  spaces_->flush_pcid(pcid);
  update_fetch_context();
  update_window();
}

void Cpu::flush_tlb_of_all() {
  note_flush(ShadowFlush::kAllButGlobal);
  spaces_->flush_all_but_global();
  update_fetch_context();
  update_window();
}

bool Cpu::peek(u64 linear, void* out, unsigned size) {
  auto* bytes = static_cast<u8*>(out);
  for (unsigned i = 0; i < size; ++i) {
    const u64 physical = peek_translate(linear + i);
    if (physical == ~u64{0}) return false;
    const auto view = memory().page(PhysicalAddress(physical));
    if (view.read == nullptr) return false;
    bytes[i] = view.read[physical & kPageMask];
  }
  return true;
}

u64 Cpu::peek_translate(u64 linear) {
  if (!(state.cr0 & kCr0Pg)) return linear & 0xffffffff & a20_mask();
  const auto entry_at = [&](u64 address, unsigned size) -> u64 {
    const auto view = memory().page(PhysicalAddress(address & a20_mask()));
    if (view.read == nullptr) return 0;
    u64 value = 0;
    __builtin_memcpy(&value, view.read + (address & kPageMask), size);
    return value;
  };
  if (!(state.cr4 & kCr4Pae)) {
    const u64 directory = entry_at((state.cr3 & 0xfffff000) + ((linear >> 22) & 0x3ff) * 4, 4);
    if (!(directory & kPresent)) return ~u64{0};
    if ((directory & kLarge) && (state.cr4 & kCr4Pse)) {
      return (bits(directory, 20, 13) << 32 | (directory & 0xffc00000) | (linear & 0x3fffff)) &
             a20_mask();
    }
    const u64 leaf = entry_at((directory & 0xfffff000) + ((linear >> 12) & 0x3ff) * 4, 4);
    if (!(leaf & kPresent)) return ~u64{0};
    return ((leaf & 0xfffff000) | (linear & kPageMask)) & a20_mask();
  }
  u64 entry = long_mode() ? entry_at((state.cr3 & kAddressBits) + ((linear >> 39) & 0x1ff) * 8, 8)
                          : state.pdpte[(linear >> 30) & 3];
  for (int shift = long_mode() ? 30 : 21; shift >= 12; shift -= 9) {
    if (!(entry & kPresent)) return ~u64{0};
    entry = entry_at((entry & kAddressBits) + ((linear >> shift) & 0x1ff) * 8, 8);
    if (shift > 12 && (entry & kPresent) && (entry & kLarge)) {
      const u64 mask = bit(static_cast<unsigned>(shift)) - 1;
      return ((entry & kAddressBits & ~mask) | (linear & mask)) & a20_mask();
    }
  }
  if (!(entry & kPresent)) return ~u64{0};
  return ((entry & kAddressBits) | (linear & kPageMask)) & a20_mask();
}

}  // namespace dragoman
