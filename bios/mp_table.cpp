#include "bios/mp_table.h"

#include <algorithm>

namespace dragoman {
namespace {

constexpr u8 kPciBus = 0;
constexpr u8 kIsaBus = 1;
enum InterruptType : u8 { kInt = 0, kNmi = 1, kExtInt = 3 };
constexpr u16 kConforms = 0;
constexpr u16 kLevelActiveHigh = 0x000d;

class Entries {
 public:
  void processor(u8 apic_id, bool boot, const BoardDescription& board) {
    append8(bytes, 0);
    append8(bytes, apic_id);
    append8(bytes, 0x14);                // local APIC version
    append8(bytes, boot ? 0x03 : 0x01);  // enabled, boot processor
    append32(bytes, board.cpu_signature);
    append32(bytes, board.cpu_features);
    append64(bytes, 0);
    ++count;
  }
  void bus(u8 id, std::string_view type) {
    append8(bytes, 1);
    append8(bytes, id);
    append_text(bytes, type, 6);
    ++count;
  }
  void io_apic(const BoardDescription& board) {
    append8(bytes, 2);
    append8(bytes, board.io_apic_id);
    append8(bytes, 0x11);  // version
    append8(bytes, 1);     // usable
    append32(bytes, board.io_apic_address);
    ++count;
  }
  /// Entry 3 (to an I/O APIC input) or 4 (to a local APIC pin).
  void interrupt(u8 entry, InterruptType type, u16 flags, u8 bus, u8 source, u8 apic, u8 pin) {
    append8(bytes, entry);
    append8(bytes, type);
    append16(bytes, flags);
    append8(bytes, bus);
    append8(bytes, source);
    append8(bytes, apic);
    append8(bytes, pin);
    ++count;
  }

  Bytes bytes;
  u16 count = 0;
};

void io_interrupts(Entries& e, const BoardDescription& board) {
  constexpr u8 kToIoApic = 3;
  for (u8 slot = 1; slot < 32; ++slot) {
    for (u8 pin = 0; pin < 4; ++pin) {
      const bool sci = board.sci_is_inta_of_slot1 && slot == 1 && pin == 0;
      const u8 irq = sci ? board.sci_irq : io_apic_input(board, slot, pin);
      e.interrupt(kToIoApic, kInt, kLevelActiveHigh, kPciBus, static_cast<u8>(slot << 2 | pin),
                  board.io_apic_id, irq);
    }
  }
  for (u8 irq = 0; irq < 16; ++irq) {
    const bool pci =
        board.pirq_input == 0 &&
        std::find(board.pirq_irq.begin(), board.pirq_irq.end(), irq) != board.pirq_irq.end();
    if (irq == 2 || pci) continue;  // the cascade, and what PCI uses
    e.interrupt(kToIoApic, kInt, irq == board.sci_irq ? kLevelActiveHigh : kConforms, kIsaBus, irq,
                board.io_apic_id, irq == 0 ? 2 : irq);
  }
}

}  // namespace

Bytes build_mp_table(const BoardDescription& board, u32 address) {
  Entries e;
  for (std::size_t n = 0; n < board.apic_ids.size(); ++n) {
    e.processor(board.apic_ids[n], n == 0, board);
  }
  e.bus(kPciBus, "PCI");
  e.bus(kIsaBus, "ISA");
  if (board.io_apic) {
    e.io_apic(board);
    io_interrupts(e, board);
  }
  constexpr u8 kToLocalApic = 4;
  constexpr u8 kAllApics = 0xff;
  e.interrupt(kToLocalApic, kExtInt, kConforms, kIsaBus, 0, kAllApics, 0);
  e.interrupt(kToLocalApic, kNmi, kConforms, kIsaBus, 0, kAllApics, 1);

  Bytes out;
  append_text(out, "_MP_", 4);
  append32(out, address + 16);
  append8(out, 1);   // length in paragraphs
  append8(out, 4);   // MP 1.4
  append8(out, 0);   // checksum
  append8(out, 0);   // a configuration table is present
  append32(out, 0);  // no IMCR: virtual wire mode
  patch(out, 10, 0u - byte_sum(out), 1);

  Bytes table;
  append_text(table, "PCMP", 4);
  append16(table, 44 + e.bytes.size());
  append8(table, 4);
  append8(table, 0);
  append_text(table, "DRAGOMAN", 8);
  append_text(table, "PC", 12);
  append32(table, 0);
  append16(table, 0);
  append16(table, e.count);
  append32(table, board.local_apic_address);
  append32(table, 0);
  append(table, e.bytes);
  patch(table, 7, 0u - byte_sum(table), 1);
  append(out, table);
  return out;
}

}  // namespace dragoman
