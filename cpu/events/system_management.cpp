// SMI# entry and RSM (SDM vol. 3, chapter 34; AMD APM vol. 2, chapter 10). Models with long mode
// use the AMD64 save map (revision 20064h), the others the 32-bit map (revision 20000h), whose
// hidden segment fields are in the reserved part.
#include <array>
#include <cstring>
#include <span>

#include "cpu/events/event_support.h"

namespace dragoman {
namespace {

constexpr u64 kSaveFirst = 0xfe00;  ///< from SMBASE
constexpr u32 kRevision32 = 0x00020000;
constexpr u32 kRevision64 = 0x00020064;

/// The upper 512 bytes of the SMRAM segment; offsets are the manuals', FE00h..FFFFh.
class SaveArea {
 public:
  void load(Cpu& cpu) { cpu.memory().read_bytes(address(cpu), bytes_); }
  void store(Cpu& cpu) const { cpu.memory().write_bytes(address(cpu), bytes_); }

  template <class T>
  T get(unsigned offset) const {
    T value;
    std::memcpy(&value, &bytes_[offset - kSaveFirst], sizeof(T));
    return value;
  }
  template <class T>
  void put(unsigned offset, u64 value) {
    std::memcpy(&bytes_[offset - kSaveFirst], &value, sizeof(T));
  }

 private:
  static PhysicalAddress address(const Cpu& cpu) {
    return PhysicalAddress((cpu.state.msr.smbase + kSaveFirst) & 0xffffffff & cpu.a20_mask());
  }
  std::array<u8, 512> bytes_{};
};

/// Access rights as the AMD map has them: the upper four bits right above the lower eight.
u16 pack_attributes(u16 a) { return static_cast<u16>((a & 0xff) | ((a >> 4) & 0xf00)); }
u16 unpack_attributes(u16 a) { return static_cast<u16>((a & 0xff) | ((a & 0xf00) << 4)); }

/// Walks the 64-bit map; `Visit` gets (register reference, offset, width in bytes) of each field.
template <class State, class Visit>
void fields_64(State& s, Visit&& visit) {
  for (unsigned i = 0; i < 16; ++i) visit(s.regs[i], 0xfff8 - 8 * i, 8u);
  visit(s.regs[kRip], 0xff78, 8u);
  visit(s.dr[6], 0xff68, 8u);
  visit(s.dr[7], 0xff60, 8u);
  visit(s.cr0, 0xff58, 8u);
  visit(s.cr3, 0xff50, 8u);
  visit(s.cr4, 0xff48, 8u);
  visit(s.efer, 0xfed0, 8u);
  visit(s.gdtr.limit, 0xfe64, 2u);
  visit(s.gdtr.base, 0xfe68, 8u);
  visit(s.idtr.limit, 0xfe84, 2u);
  visit(s.idtr.base, 0xfe88, 8u);
}

/// The same for the 32-bit map.
template <class State, class Visit>
void fields_32(State& s, Visit&& visit) {
  for (unsigned i = 0; i < 8; ++i) visit(s.regs[i], 0xffd0 + 4 * i, 4u);
  visit(s.regs[kRip], 0xfff0, 4u);
  visit(s.dr[6], 0xffcc, 4u);
  visit(s.dr[7], 0xffc8, 4u);
  visit(s.cr0, 0xfffc, 4u);
  visit(s.cr3, 0xfff8, 4u);
  visit(s.cr4, 0xff14, 4u);
  visit(s.gdtr.limit, 0xff70, 4u);
  visit(s.gdtr.base, 0xff74, 4u);
  visit(s.idtr.limit, 0xff54, 4u);
  visit(s.idtr.base, 0xff58, 4u);
}

constexpr std::array<unsigned, kSegmentCount> kSegments64 = {0xfe00, 0xfe10, 0xfe20, 0xfe30,
                                                             0xfe40, 0xfe50, 0xfe70, 0xfe90};
/// Selector and hidden part (attributes, limit, base) in the 32-bit map.
struct Place32 {
  unsigned selector, hidden;
};
constexpr std::array<Place32, kSegmentCount> kSegments32 = {{{0xffa8, 0xff84},
                                                             {0xffac, 0xff90},
                                                             {0xffb0, 0xff9c},
                                                             {0xffb4, 0xff2c},
                                                             {0xffb8, 0xff38},
                                                             {0xffbc, 0xff44},
                                                             {0xffc0, 0xff78},
                                                             {0xffc4, 0xff5c}}};

/// Places that differ between the maps.
struct Layout {
  unsigned rflags, rflags_bytes, smbase, auto_halt, nmi_mask, cpl, pending_debug;
};
constexpr Layout kLayout64 = {0xff70, 8, 0xff00, 0xfec9, 0xfeca, 0xfecb, 0xfecc};
constexpr Layout kLayout32 = {0xfff4, 4, 0xfef8, 0xff02, 0xff04, 0xff05, 0xff08};
constexpr unsigned kRevisionOffset = 0xfefc;

struct Put {
  SaveArea& area;
  void operator()(const u64& value, unsigned offset, unsigned bytes) const {
    if (bytes == 8) {
      area.put<u64>(offset, value);
    } else if (bytes == 4) {
      area.put<u32>(offset, value);
    } else {
      area.put<u16>(offset, value);
    }
  }
};
struct Get {
  const SaveArea& area;
  void operator()(u64& value, unsigned offset, unsigned bytes) const {
    value = bytes == 8   ? area.get<u64>(offset)
            : bytes == 4 ? area.get<u32>(offset)
                         : area.get<u16>(offset);
  }
};

void save_segments(SaveArea& area, const CpuState& s, bool wide) {
  for (unsigned i = 0; i < kSegmentCount; ++i) {
    const Segment& segment = s.segments[i];
    if (wide) {
      area.put<u16>(kSegments64[i], segment.selector);
      area.put<u16>(kSegments64[i] + 2, pack_attributes(segment.attributes));
      area.put<u32>(kSegments64[i] + 4, segment.limit);
      area.put<u64>(kSegments64[i] + 8, segment.base);
    } else {
      area.put<u32>(kSegments32[i].selector, segment.selector);
      area.put<u32>(kSegments32[i].hidden, segment.attributes);
      area.put<u32>(kSegments32[i].hidden + 4, segment.limit);
      area.put<u32>(kSegments32[i].hidden + 8, segment.base);
    }
  }
}

void restore_segments(const SaveArea& area, CpuState& s, bool wide) {
  for (unsigned i = 0; i < kSegmentCount; ++i) {
    Segment& segment = s.segments[i];
    if (wide) {
      segment.selector = area.get<u16>(kSegments64[i]);
      segment.attributes = unpack_attributes(area.get<u16>(kSegments64[i] + 2));
      segment.limit = area.get<u32>(kSegments64[i] + 4);
      segment.base = area.get<u64>(kSegments64[i] + 8);
    } else {
      segment.selector = area.get<u16>(kSegments32[i].selector);
      segment.attributes = area.get<u16>(kSegments32[i].hidden);
      segment.limit = area.get<u32>(kSegments32[i].hidden + 4);
      segment.base = area.get<u32>(kSegments32[i].hidden + 8);
    }
  }
}

void set_smram_visible(Cpu& cpu, bool visible) {
  if (cpu.wiring().smm_changed) cpu.wiring().smm_changed(visible);
}

/// 34.4.1: states that make RSM enter shutdown.
bool resumable(const CpuState& s) {
  const bool paging = s.cr0 & kCr0Pg;
  if (paging && !(s.cr0 & kCr0Pe)) return false;
  if ((s.cr0 & kCr0Nw) && !(s.cr0 & kCr0Cd)) return false;
  if (s.cr4 & ~u64{0x770fff}) return false;
  const bool lma = s.efer & kEferLma;
  if (lma && (!paging || !(s.cr4 & kCr4Pae) || !(s.efer & kEferLme))) return false;
  return true;
}

}  // namespace

void enter_smm(Cpu& cpu) {
  CpuState& s = cpu.state;
  const bool wide = cpu.has(Feature::kLm);
  const Layout& layout = wide ? kLayout64 : kLayout32;
  s.in_smm = 1;
  set_smram_visible(cpu, true);

  SaveArea area;
  area.load(cpu);  // reserved fields keep what they hold
  if (wide) {
    fields_64(s, Put{area});
  } else {
    fields_32(s, Put{area});
  }
  save_segments(area, s, wide);
  Put{area}(cpu.rflags(), layout.rflags, layout.rflags_bytes);
  area.put<u32>(kRevisionOffset, wide ? kRevision64 : kRevision32);
  area.put<u32>(layout.smbase, s.msr.smbase);
  area.put<u8>(layout.auto_halt, s.activity == Activity::kHalted ? 1 : 0);
  area.put<u8>(layout.nmi_mask, s.nmi_blocked);
  area.put<u8>(layout.cpl, s.cpl);
  area.put<u32>(layout.pending_debug, s.pending_debug);  // a trap not taken yet waits for RSM
  area.store(cpu);

  // 34.5: the environment of the handler.
  s.cr0 &= ~(kCr0Pe | kCr0Em | kCr0Ts | kCr0Pg);
  s.cr4 = 0;
  s.efer = 0;
  s.dr[7] = 0x400;
  s.cpl = 0;
  s.nmi_blocked = 1;
  s.interrupt_shadow = 0;
  s.pending_debug = 0;
  s.activity = Activity::kRunning;
  for (unsigned i = kEs; i <= kGs; ++i) s.segments[i] = {0, 0xffffffff, 0, 0x8093};
  s.segments[kCs].base = s.msr.smbase;
  s.segments[kCs].selector = static_cast<u16>(s.msr.smbase >> 4);
  s.rip() = 0x8000;
  cpu.set_rflags(kFlagFixed);
  cpu.state_replaced();
}

bool resume_from_smm(Cpu& cpu) {
  if (!cpu.state.in_smm) return cpu.raise(kVectorUd);
  CpuState& s = cpu.state;
  const bool wide = cpu.has(Feature::kLm);
  const Layout& layout = wide ? kLayout64 : kLayout32;
  SaveArea area;
  area.load(cpu);
  CpuState next = s;
  if (wide) {
    fields_64(next, Get{area});
  } else {
    fields_32(next, Get{area});
  }
  if (!resumable(next)) {
    cpu.log().once("rsm-invalid",
                   "RSM found an invalid saved state (cr0={:#x} cr4={:#x} efer={:#x}): shutdown",
                   next.cr0, next.cr4, next.efer);
    enter_shutdown(cpu);
    return true;
  }
  restore_segments(area, next, wide);
  next.cpl = area.get<u8>(layout.cpl) & 3;
  next.nmi_blocked = area.get<u8>(layout.nmi_mask) & 1;
  next.msr.smbase = area.get<u32>(layout.smbase);
  next.activity = (area.get<u8>(layout.auto_halt) & 1) ? Activity::kHalted : Activity::kRunning;
  next.pending_debug = area.get<u32>(layout.pending_debug) & 0xe00f;
  next.in_smm = 0;
  next.interrupt_shadow = 0;
  const u32 rflags = area.get<u32>(layout.rflags);
  s = next;
  set_smram_visible(cpu, false);
  cpu.set_rflags(rflags);
  cpu.state_replaced();
  if ((s.cr0 & kCr0Pg) && (s.cr4 & kCr4Pae) && !(s.efer & kEferLma) && !cpu.load_pdptes(s.cr3)) {
    cpu.clear_fault();
    enter_shutdown(cpu);
  }
  return true;
}

}  // namespace dragoman
