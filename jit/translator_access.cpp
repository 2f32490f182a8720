// What the translator asks the processor about addresses, without faults and traces of its own.
#include "jit/translator.h"

namespace dragoman {

u8* TranslatorAccess::beside_code(Cpu& cpu, u64 linear, unsigned size) {
  // The page is readable in place and may be written: else direct() or the handler has to look.
  const ShadowTable::Entry& e = cpu.frame.shadow->entry(linear >> kPageShift);
  if (!e.readable(linear, size)) return nullptr;
  if (cpu.debug_ != nullptr && cpu.debug_->watches_bytes(linear, size)) return nullptr;
  u8* const host = reinterpret_cast<u8*>(linear + e.delta);
  const GuestMemory& pool = cpu.memory().memory();
  const u64 offset = pool.offset_of(host);
  const u8 flags = pool.flags(offset >> kPageShift);
  if (!(flags & kPageHasCode) || ((flags & kPageTracked) && !(flags & kPageDirty)) ||
      cpu.blocks_->may_hold_code(offset, size))
    return nullptr;
  Cpu::PageWalk walk;
  const bool pending = cpu.fault_pending_;
  const Fault fault = cpu.fault_;
  if (!cpu.translate(linear, AccessType::kWrite, Privilege::kCurrent, walk)) {
    cpu.fault_pending_ = pending;
    cpu.fault_ = fault;
    return nullptr;
  }
  const MemoryMap::PageView view = cpu.memory().page(PhysicalAddress(walk.physical));
  return view.write == host - (linear & kPageMask) ? host : nullptr;
}

const ShadowTable::Fetch* TranslatorAccess::fetch_quietly(Cpu& cpu, u64 linear) {
  if (const ShadowTable::Fetch* known = fetch(cpu, linear)) return known;
  // Breakpoints are put into blocks when find_block() meets their page for the first time.
  if (!cpu.code64()) return nullptr;
  if (cpu.debug_ != nullptr && cpu.debug_->breaks_in_page(linear >> kPageShift)) return nullptr;
  const bool pending = cpu.fault_pending_;
  const Fault fault = cpu.fault_;
  Cpu::PageWalk walk;
  const bool found = cpu.walk_tables(linear, AccessType::kExecute, Privilege::kCurrent, walk,
                                     /*write_intent=*/false, /*quiet=*/true);
  cpu.fault_pending_ = pending;
  cpu.fault_ = fault;
  if (!found) return nullptr;
  cpu.fill_shadow(*cpu.frame.shadow, linear, AccessType::kExecute, walk);
  return fetch(cpu, linear);
}

bool TranslatorAccess::faults(Cpu& cpu, u64 linear, AccessType type) {
  const bool pending = cpu.fault_pending_;
  const Fault fault = cpu.fault_;
  Cpu::PageWalk walk;
  const bool allowed = cpu.walk_tables(linear, type, Privilege::kCurrent, walk,
                                       /*write_intent=*/false, /*quiet=*/true);
  cpu.fault_pending_ = pending;
  cpu.fault_ = fault;
  return !allowed;
}

std::optional<LinearWindow::Page> TranslatorAccess::window_page(Cpu& cpu, u64 linear_page,
                                                                u64& page_bytes) {
  Cpu::PageWalk walk;
  Cpu::InPlace found;
  if (!cpu.in_place_quietly(linear_page << kPageShift, walk, found) || found.reads_watched)
    return std::nullopt;
  page_bytes = walk.page_bytes;
  const u64 offset = cpu.memory().memory().offset_of(found.host);
  return LinearWindow::Page{static_cast<u32>(offset >> kPageShift),
                            found.writable && !found.watched};
}

TranslatorAccess::WriteRights TranslatorAccess::prepare_write(Cpu& cpu, u64 linear, unsigned size) {
  const auto writable = [&] {
    const ShadowTable::Entry& e = cpu.frame.shadow->entry(linear >> kPageShift);
    return e.writable(linear, size) || cpu.beside_watches(e, linear, size, true);
  };
  if (writable()) return WriteRights::kReady;
  const bool pending = cpu.fault_pending_;
  const Fault fault = cpu.fault_;
  Cpu::PageWalk walk;
  const auto walk_quietly = [&](AccessType type) {
    return cpu.walk_tables(linear, type, Privilege::kCurrent, walk, /*write_intent=*/false,
                           /*quiet=*/true);
  };
  const bool dirty = walk_quietly(AccessType::kWrite);
  const bool allowed = dirty || (walk_quietly(AccessType::kRead) && walk.writable);
  cpu.fault_pending_ = pending;
  cpu.fault_ = fault;
  if (!allowed) return WriteRights::kRefused;
  if (!dirty) return WriteRights::kLater;
  (void)cpu.direct(linear, size, AccessType::kWrite);
  return writable() ? WriteRights::kReady : WriteRights::kRefused;
}

}  // namespace dragoman
