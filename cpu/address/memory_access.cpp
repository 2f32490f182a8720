// Guest memory accesses that the inline probes of cpu.h could not serve: segment faults, page
// walks, page crossings, registers, watched pages.
#include <algorithm>
#include <cstring>

#include "cpu/cpu.h"

namespace dragoman {

bool Cpu::segment_check_slow(unsigned segment, u64 offset, unsigned size, AccessType type) {
  const Segment& s = state.segments[segment];
  const bool stack_fault =
      segment == kSs && !(model_.quirks.has(Quirk::kOverrunIsGp) && real_mode());
  const auto fail = [&] { return raise(stack_fault ? kVectorSs : kVectorGp, 0); };
  if (protected_mode() && !v86()) {
    if (!s.present()) return fail();  // null selector: the hidden part was made unusable
    const bool readable = !s.code() || (s.type() & 2) || type == AccessType::kExecute;
    if (type == AccessType::kWrite ? !s.writable_data() : !readable) return fail();
  }
  const u64 last = offset + size - 1;
  if (s.expand_down()) {
    const u64 highest = s.big() ? 0xffffffff : 0xffff;
    if (offset <= s.limit || last > highest) return fail();
  } else if (last > s.limit) {
    return fail();
  }
  return true;
}

namespace {

/// What EFLAGS.AC asks of an access (SDM vol. 3, table 6-7). Vector operands of 16 and 32 bytes are
/// not checked, as on Intel processors: the aligned forms raise #GP whatever AC says.
constexpr unsigned checked_alignment(unsigned size) {
  switch (size) {
    case 2:
    case 4:
    case 8:
      return size;
    case 10:  // 80-bit x87 operands
      return 8;
    case 14:  // x87 environment and state by operand size
    case 94:
      return 2;
    case 28:
    case 108:
      return 4;
    default:
      return 1;
  }
}

}  // namespace

bool Cpu::access_slow(u64 linear, void* data, unsigned size, AccessType type, Privilege privilege,
                      unsigned segment, bool write_intent) {
  const bool write = type == AccessType::kWrite || write_intent;
  ShadowTable& table = *view_for(privilege);
  // Descriptor tables, TSS, other stacks and blocks of bytes: the inline probes did not look yet.
  const ShadowTable::Entry& e = table.entry(linear >> kPageShift);
  if ((write ? e.writable(linear, size) : e.readable(linear, size)) ||
      beside_watches(e, linear, size, write)) {
    u8* host = reinterpret_cast<u8*>(linear + e.delta);
    if (type == AccessType::kWrite) {
      std::memcpy(host, data, size);
    } else {
      std::memcpy(data, host, size);
    }
    return true;
  }
  // Addresses of compatibility mode have 32 bits, those of its descriptor tables 64.
  const bool wide = code64() || (long_mode() && privilege != Privilege::kCurrent);
  const u64 last = wide ? linear + size - 1 : static_cast<u32>(linear + size - 1);
  if (wide) {
    if (!canonical(linear) || !canonical(last)) {
      return raise(segment == kSs ? kVectorSs : kVectorGp, 0);
    }
  }
  const AccessType page_type = write ? AccessType::kWrite : type;

  PageWalk first_walk;
  if (!translate(linear, page_type, privilege, first_walk)) return false;
  const bool crosses = (linear >> kPageShift) != (last >> kPageShift);
  PageWalk second_walk;
  if (crosses && !translate(last & ~kPageMask, page_type, privilege, second_walk)) return false;

  // #AC is of lower priority than a page fault (SDM vol. 3, table 6-2).
  if (alignment_checked_ && privilege == Privilege::kCurrent &&
      (linear & (checked_alignment(size) - 1)) != 0) {
    return raise(kVectorAc, 0);
  }

  const unsigned first_size =
      crosses ? static_cast<unsigned>(kPageSize - (linear & kPageMask)) : size;
  if (!crosses) fill_shadow(table, linear, page_type, first_walk);
  access_page(linear, data, first_size, type, first_walk);
  if (crosses) {
    access_page(last & ~kPageMask, static_cast<u8*>(data) + first_size, size - first_size, type,
                second_walk);
  }
  // A read-modify-write is seen twice, as a read with write intent and as a write: note it once.
  if (watching_data_ && !(type == AccessType::kRead && write_intent)) {
    check_data_breakpoints(linear, size, type);
  }
  if (debug_ != nullptr && !(type == AccessType::kRead && write_intent)) {
    debug_check_access(linear, size, type);
  }
  return true;
}

void Cpu::access_page(u64 linear, void* data, unsigned size, AccessType type,
                      const PageWalk& walk) {
  const PhysicalAddress physical((walk.physical & ~kPageMask) | (linear & kPageMask));
  MemoryMap& map = memory();
  const bool write = type == AccessType::kWrite;
  const MemoryMap::PageView view = map.page(physical);
  u8* page = write ? view.write : view.read;
  if (page != nullptr) {
    u8* host = page + physical.page_offset();
    if (!write) {
      std::memcpy(data, host, size);
    } else if (std::memcmp(host, data, size) != 0) {  // rewriting the same bytes changes no code
      std::memcpy(host, data, size);
      map.memory().note_write(map.memory().offset_of(host), size);
    }
    return;
  }
  if (observer != nullptr) observer->device_accessed(physical.value, size, write);
  // Registers: as one access when the size is one a bus can do, else byte by byte.
  if (size == 1 || size == 2 || size == 4 || size == 8) {
    if (write) {
      u64 value = 0;
      std::memcpy(&value, data, size);
      map.write(physical, size, value);
    } else {
      const u64 value = map.read(physical, size);
      std::memcpy(data, &value, size);
    }
  } else if (write) {
    map.write_bytes(physical, {static_cast<const u8*>(data), size});
  } else {
    map.read_bytes(physical, {static_cast<u8*>(data), size});
  }
  if (write) after_device_write();
}

ShadowTable* Cpu::view_for(Privilege privilege) {
  switch (privilege) {
    case Privilege::kCurrent:
      return frame.shadow;
    case Privilege::kUser:
      return &spaces_->view(kViewUser);
    case Privilege::kImplicit:
      return &spaces_->view(kViewSupervisor);
    default:
      return &spaces_->view((state.flags & kFlagAc) && (state.cr4 & kCr4Smap) ? kViewSupervisorAc
                                                                              : kViewSupervisor);
  }
}

void Cpu::fill_shadow(ShadowTable& table, u64 linear, AccessType type, const PageWalk& walk) {
  enter_in_shadow(table, linear, type, walk);
  if (observer != nullptr) note_walk(table, linear, type, walk);
}

void Cpu::note_walk(ShadowTable& table, u64 linear, AccessType type, const PageWalk& walk) {
  ShadowFill fill;
  fill.linear = linear;
  fill.physical = (walk.physical & ~kPageMask) | (linear & kPageMask);
  fill.page_bytes = walk.page_bytes;
  fill.fetch = type == AccessType::kExecute;
  fill.global = walk.global;
  fill.user = walk.user;
  const ShadowTable::Entry& e = table.entry(linear >> kPageShift);
  fill.writable = e.writable(linear, 1);
  fill.direct = fill.fetch ? table.fetch(linear >> kPageShift) != nullptr : e.readable(linear, 1);
  observer->page_walked(fill);
}

namespace {
/// Some watchpoint on the page is about reads.
bool reads_watched(const DebugPoints& points, u64 page) {
  return std::any_of(points.watches.begin(), points.watches.end(), [&](const auto& w) {
    return w.on_read && w.address >> kPageShift <= page &&
           page <= (w.address + w.bytes - 1) >> kPageShift;
  });
}
}  // namespace

Cpu::InPlace Cpu::in_place(u64 page, const PageWalk& walk, bool written) {
  if (page_watched(page)) return {};
  const MemoryMap::PageView view = memory().page(PhysicalAddress(walk.physical));
  InPlace found;
  found.host = view.read;
  // Where only writes are watched, reads need not be seen and stay fast.
  found.watched = debug_ != nullptr && debug_->watches_page(page);
  found.reads_watched = found.watched && reads_watched(*debug_, page);
  // Writes need: permission, the dirty bit set already, the same memory for reads and writes, no
  // decoded code on the page, and exact dirty tracking satisfied.
  if (view.read == nullptr || view.write != view.read) return found;
  GuestMemory& pool = memory().memory();
  const u64 host_page = pool.offset_of(view.read) >> kPageShift;
  pool.note_use(host_page);
  // A protection key that takes no right away changes nothing (SDM vol. 3, 4.6.2).
  const bool keyed = walk.user && long_mode() && (state.cr4 & kCr4Pke) &&
                     (state.pkru >> (2 * walk.protection_key) & 3) != 0;
  if (!written && (!walk.dirty || !walk.writable || keyed)) return found;
  const u8 flags = pool.flags(host_page);
  if (flags & kPageHasCode) return found;
  if ((flags & kPageTracked) && !(flags & kPageDirty)) {
    if (!written) return found;
    pool.note_write(host_page << kPageShift, 1);
  }
  found.writable = true;
  return found;
}

void Cpu::enter_in_shadow(ShadowTable& table, u64 linear, AccessType type, const PageWalk& walk) {
  const u64 page = linear >> kPageShift;
  if (spaces_->never_filled(table)) return;
  if (type == AccessType::kExecute) {
    const MemoryMap::PageView view = memory().page(PhysicalAddress(walk.physical));
    if (page_watched(page) || view.read == nullptr) return;
    if (walk.global) spaces_->note_global(page, walk.page_bytes);
    const u64 delta = reinterpret_cast<u64>(view.read) - (linear & ~kPageMask);
    table.add_fetch(page, delta, walk.global, walk.page_bytes);
    return;
  }
  const InPlace found = in_place(page, walk, type == AccessType::kWrite);
  if (found.host == nullptr) return;
  if (walk.global) spaces_->note_global(page, walk.page_bytes);
  const u64 delta = reinterpret_cast<u64>(found.host) - (linear & ~kPageMask);
  ShadowTable::Entry& e = table.claim(page, delta, walk.global, walk.page_bytes);
  if (found.reads_watched) {
    e.watch_reads(page);
  } else {
    e.read = page << kPageShift;
  }
  if (!found.writable) return;
  if (found.watched) {
    e.watch_writes(page);
  } else {
    e.write = page << kPageShift;
  }
}

bool Cpu::in_place_quietly(u64 linear, PageWalk& walk, InPlace& found) {
  const bool pending = fault_pending_;
  const Fault fault = fault_;
  const bool present = walk_tables(linear, AccessType::kRead, Privilege::kCurrent, walk,
                                   /*write_intent=*/false, /*quiet=*/true);
  fault_pending_ = pending;
  fault_ = fault;
  if (!present) return false;
  found = in_place(linear >> kPageShift, walk, /*written=*/false);
  return found.host != nullptr;
}

bool Cpu::beside_watches(const ShadowTable::Entry& e, u64 linear, unsigned size, bool write) const {
  // Watchpoints on reads count for writes too, which may be half of a read-modify-write.
  return (write ? e.writable_but_watched(linear, size) : e.readable_but_watched(linear, size)) &&
         debug_ != nullptr && !debug_->watches_bytes(linear, size);
}

u8* Cpu::direct(u64 linear, unsigned size, AccessType type) {
  if ((linear & kPageMask) + size > kPageSize) return nullptr;
  ShadowTable::Entry* e = &frame.shadow->entry(linear >> kPageShift);
  const auto allowed = [&] {
    const bool write = type == AccessType::kWrite;
    return (write ? e->writable(linear, size) : e->readable(linear, size)) ||
           beside_watches(*e, linear, size, write);
  };
  if (!allowed()) {
    if (code64() && !canonical(linear)) return nullptr;
    PageWalk walk;
    const bool pending = fault_pending_;
    const Fault fault = fault_;
    if (!translate(linear, type, Privilege::kCurrent, walk)) {
      fault_pending_ = pending;  // the caller's own access will fault
      fault_ = fault;
      return nullptr;
    }
    fill_shadow(*frame.shadow, linear, type, walk);
    if (!allowed()) return nullptr;
  }
  return reinterpret_cast<u8*>(linear + e->delta);
}

bool Cpu::read_block(unsigned segment, u64 offset, void* out, unsigned size) {
  u64 linear;
  if (!segment_linear(segment, offset, size, AccessType::kRead, linear)) return false;
  return access_slow(linear, out, size, AccessType::kRead, Privilege::kCurrent, segment, false);
}

bool Cpu::write_block(unsigned segment, u64 offset, const void* in, unsigned size) {
  u64 linear;
  if (!segment_linear(segment, offset, size, AccessType::kWrite, linear)) return false;
  return access_slow(linear, const_cast<void*>(in), size, AccessType::kWrite, Privilege::kCurrent,
                     segment, false);
}

bool Cpu::probe(unsigned segment, u64 offset, unsigned size, AccessType type) {
  u64 linear;
  return segment_linear(segment, offset, size, type, linear) &&
         probe_linear(linear, size, type, segment);
}

bool Cpu::probe_linear(u64 linear, unsigned size, AccessType type, unsigned segment) {
  const u64 last = code64() ? linear + size - 1 : static_cast<u32>(linear + size - 1);
  if (code64() && (!canonical(linear) || !canonical(last))) {
    return raise(segment == kSs ? kVectorSs : kVectorGp, 0);
  }
  PageWalk walk;
  if (!translate(linear, type, Privilege::kCurrent, walk)) return false;
  if ((linear >> kPageShift) != (last >> kPageShift)) {
    return translate(last & ~kPageMask, type, Privilege::kCurrent, walk);
  }
  return true;
}

bool Cpu::read_linear_as(Privilege privilege, u64 linear, void* out, unsigned size) {
  return access_slow(linear, out, size, AccessType::kRead, privilege, kDs, false);
}

bool Cpu::write_linear_as(Privilege privilege, u64 linear, const void* in, unsigned size) {
  return access_slow(linear, const_cast<void*>(in), size, AccessType::kWrite, privilege, kDs,
                     false);
}

void Cpu::code_written(u64 offset, u64 length) {
  blocks_->invalidate(offset, length, &Cpu::cancelled_instruction);
}

void Cpu::drop_write_pointers(u64 first_page, u64 page_count) {
  const u8* first = memory().memory().base() + (first_page << kPageShift);
  spaces_->drop_writes(first, page_count << kPageShift);
}

// --- Debug registers (SDM vol. 3, 17.2) --------------------------------------------------------

namespace {
struct Breakpoint {
  u64 address;
  unsigned length;
  unsigned kind;  // 0 execute, 1 write, 2 I/O, 3 read or write
  bool enabled;
};

Breakpoint breakpoint(const CpuState& state, unsigned i) {
  const u64 control = state.dr[7];
  static constexpr std::array<unsigned, 4> kLengths = {1, 2, 8, 4};
  const unsigned length = kLengths[bits(control, 19 + 4 * i, 18 + 4 * i)];
  return {state.dr[i] & ~u64{length - 1}, length,
          static_cast<unsigned>(bits(control, 17 + 4 * i, 16 + 4 * i)),
          (control & (u64{3} << (2 * i))) != 0};
}
}  // namespace

void Cpu::update_watchpoints() {
  bool watching = false;
  watching_code_ = false;
  for (unsigned i = 0; i < 4; ++i) {
    const Breakpoint b = breakpoint(state, i);
    if (!b.enabled) continue;
    if (b.kind == 0) watching_code_ = true;
    if (b.kind == 1 || b.kind == 3) watching = true;
  }
  if (watching || watching_data_) flush_tlb(true);
  watching_data_ = watching;
}

bool Cpu::page_watched(u64 linear_page) const {
  if (!watching_data_) return false;
  for (unsigned i = 0; i < 4; ++i) {
    const Breakpoint b = breakpoint(state, i);
    if (b.enabled && b.kind != 0 && b.address >> kPageShift == linear_page) return true;
  }
  return false;
}

u32 Cpu::matching_breakpoints(u64 address, unsigned size, unsigned kinds) const {
  u32 hits = 0;
  bool any_enabled = false;
  for (unsigned i = 0; i < 4; ++i) {
    const Breakpoint b = breakpoint(state, i);
    if (!((kinds >> b.kind) & 1)) continue;
    if (address < b.address + b.length && b.address < address + size) {
      hits |= 1u << i;
      any_enabled = any_enabled || b.enabled;
    }
  }
  return any_enabled ? hits : 0;
}

void Cpu::check_data_breakpoints(u64 linear, unsigned size, AccessType type) {
  const unsigned kinds = type == AccessType::kWrite ? (1u << 1 | 1u << 3) : 1u << 3;
  const u32 hits = matching_breakpoints(linear, size, kinds);
  if (hits != 0) {
    note_debug_trap(hits);
    set_attention_check();
  }
}

void Cpu::before_port_access(u16 port, unsigned size, bool write) {
  if (observer != nullptr) observer->port_accessed(port, size, write);
  if (!(state.cr4 & kCr4De)) return;
  const u32 hits = matching_breakpoints(port, size, 1u << 2);
  if (hits != 0) {
    note_debug_trap(hits);
    set_attention_check();
  }
}

}  // namespace dragoman
