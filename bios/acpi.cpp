#include "bios/acpi.h"

#include <algorithm>

#include "bios/dsdt.h"

namespace dragoman {
namespace {

constexpr u32 kHeaderSize = 36;
constexpr u32 kChecksumOffset = 9;  // inside a table header

/// Collects tables and the fixups between them.
class Builder {
 public:
  explicit Builder(AcpiTables& out) : out_(out) {}

  /// Starts a table with a standard header (ACPI 6.5, 5.2.6); returns its offset.
  u32 begin(std::string_view signature, u8 revision) {
    align(8);
    start_ = size();
    Bytes& t = out_.tables;
    append_text(t, signature, 4);
    append32(t, 0);  // length, known at end()
    append8(t, revision);
    append8(t, 0);  // checksum
    append_text(t, "DRAGON", 6);
    append_text(t, "DRAGOMAN", 8);
    append32(t, 1);
    append_text(t, "DRGM", 4);
    append32(t, 1);
    return start_;
  }
  void end() {
    const u32 length = size() - start_;
    patch(out_.tables, start_ + 4, length, 4);
    out_.checksums.push_back({AcpiBlob::kTables, start_ + kChecksumOffset, start_, length});
  }
  void pointer(u32 target, u8 bytes) {
    out_.pointers.push_back({AcpiBlob::kTables, size(), bytes});
    append(out_.tables, target, bytes);
  }
  void zeros(u32 count) { out_.tables.resize(out_.tables.size() + count); }
  void align(u32 alignment) {
    while (size() % alignment != 0) out_.tables.push_back(0);
  }
  u32 size() const { return static_cast<u32>(out_.tables.size()); }
  Bytes& bytes() { return out_.tables; }

 private:
  AcpiTables& out_;
  u32 start_ = 0;
};

enum GasSpace : u8 { kGasMemory = 0, kGasIo = 1 };
enum GasAccess : u8 { kGasAny = 0, kGasByte = 1, kGasWord = 2, kGasDword = 3 };

/// Generic Address Structure (5.2.3.2); all zero for "absent".
void gas(Bytes& out, GasSpace space, unsigned bits, GasAccess access, u64 address) {
  append8(out, bits == 0 ? 0 : space);
  append8(out, bits);
  append8(out, 0);
  append8(out, bits == 0 ? 0 : access);
  append64(out, bits == 0 ? 0 : address);
}

u32 build_facs(Builder& b) {
  b.align(64);
  const u32 start = b.size();
  append_text(b.bytes(), "FACS", 4);
  append32(b.bytes(), 64);
  b.zeros(24);            // hardware signature, waking vector, global lock, flags, X vector
  append8(b.bytes(), 1);  // version of the ACPI 2.0 layout
  b.zeros(31);
  return start;
}

u32 build_dsdt(Builder& b, const BoardDescription& board) {
  // Revision 1: integers have 32 bits, which every interpreter supports.
  const u32 start = b.begin("DSDT", 1);
  append(b.bytes(), dsdt_aml(board));
  b.end();
  return start;
}

/// FADT, revision 3 (ACPI 2.0, 244 bytes; 5.2.9).
u32 build_fadt(Builder& b, const BoardDescription& board, u32 facs, u32 dsdt) {
  const u16 pm1_event = board.pm_base;
  const u16 pm1_control = static_cast<u16>(board.pm_base + 4);
  const u16 pm_timer = static_cast<u16>(board.pm_base + 8);
  const u32 start = b.begin("FACP", 3);
  Bytes& t = b.bytes();
  b.pointer(facs, 4);
  b.pointer(dsdt, 4);
  append8(t, 0);  // reserved (was: interrupt model)
  append8(t, 1);  // preferred profile: desktop
  append16(t, board.sci_irq);
  append32(t, 0xb2);  // SMI command port
  append8(t, 0xf1);   // ACPI enable
  append8(t, 0xf0);   // ACPI disable
  append8(t, 0);      // no S4BIOS
  append8(t, 0);      // no processor state control
  append32(t, pm1_event);
  append32(t, 0);
  append32(t, pm1_control);
  append32(t, 0);
  append32(t, 0);  // no PM2 control
  append32(t, pm_timer);
  append32(t, board.gpe0_length == 0 ? 0 : board.gpe0_block);
  append32(t, 0);
  append8(t, 4);  // PM1 event length
  append8(t, 2);  // PM1 control length
  append8(t, 0);
  append8(t, 4);  // PM timer length
  append8(t, board.gpe0_length);
  append8(t, 0);
  append8(t, 0);
  append8(t, 0);
  append16(t, 0x0fff);  // C2 latency: not supported
  append16(t, 0x0fff);  // C3 latency: not supported
  append16(t, 0);       // flush size, stride: WBINVD works instead
  append16(t, 0);
  append8(t, 0);  // duty offset, width: no clock throttling
  append8(t, 0);
  append8(t, 0x0d);                  // day alarm (RTC register of the chip)
  append8(t, 0);                     // no month alarm
  append8(t, board.rtc ? 0x32 : 0);  // century
  const bool i8042 = board.ps2_keyboard || board.ps2_mouse;
  append16(t, 0x0001u | (i8042 ? 0x0002u : 0) | (board.vga ? 0 : 0x0004u) |
                  (board.msi ? 0 : 0x0008u) | (board.rtc ? 0 : 0x0020u));
  append8(t, 0);
  // WBINVD; C1 on all processors; no sleep button; RTC wake is not a fixed event; reset register.
  append32(t, 0x01u | 0x04u | 0x20u | 0x40u | (board.reset_register ? 0x400u : 0));
  gas(t, kGasIo, board.reset_register ? 8 : 0, kGasByte, 0xcf9);
  append8(t, board.reset_register ? 0x06 : 0);
  append16(t, 0);  // ARM boot flags
  append8(t, 0);   // minor version
  append64(t, 0);  // X_FIRMWARE_CTRL: the 32-bit field is used
  b.pointer(dsdt, 8);
  gas(t, kGasIo, 32, kGasWord, pm1_event);
  gas(t, kGasIo, 0, kGasAny, 0);
  gas(t, kGasIo, 16, kGasWord, pm1_control);
  gas(t, kGasIo, 0, kGasAny, 0);
  gas(t, kGasIo, 0, kGasAny, 0);
  gas(t, kGasIo, 32, kGasDword, pm_timer);
  gas(t, kGasIo, board.gpe0_length * 8u, kGasByte, board.gpe0_block);
  gas(t, kGasIo, 0, kGasAny, 0);
  b.end();
  return start;
}

u32 build_madt(Builder& b, const BoardDescription& board) {
  const u32 start = b.begin("APIC", 1);
  Bytes& t = b.bytes();
  append32(t, board.local_apic_address);
  append32(t, 1);  // a PC-AT compatible pair of 8259s is present as well
  for (std::size_t n = 0; n < board.apic_ids.size(); ++n) {
    append16(t, 0x0800);  // type 0, length 8: processor local APIC
    append8(t, n);        // _UID of the processor device
    append8(t, board.apic_ids[n]);
    append32(t, 1);  // enabled
  }
  if (board.io_apic) {
    append16(t, 0x0c01);
    append8(t, board.io_apic_id);
    append8(t, 0);
    append32(t, board.io_apic_address);
    append32(t, 0);  // first global interrupt
    const auto override_irq = [&](u8 irq, u32 global, u16 flags) {
      append16(t, 0x0a02);
      append8(t, 0);  // ISA
      append8(t, irq);
      append32(t, global);
      append16(t, flags);
    };
    constexpr u16 kConforms = 0;
    constexpr u16 kLevelActiveHigh = 0x000d;
    override_irq(0, 2, kConforms);  // the PIT is wired to input 2
    for (u8 irq = 3; irq < 16; ++irq) {
      const bool pci =
          board.pirq_input == 0 &&
          std::find(board.pirq_irq.begin(), board.pirq_irq.end(), irq) != board.pirq_irq.end();
      if (irq == board.sci_irq || pci) override_irq(irq, irq, kLevelActiveHigh);
    }
  }
  append16(t, 0x0604);  // local APIC NMI
  append8(t, 0xff);     // of all processors
  append16(t, 0);       // conforms to the bus
  append8(t, 1);        // LINT1
  b.end();
  return start;
}

/// IA-PC HPET specification 1.0a, 3.2.4.
u32 build_hpet(Builder& b, const BoardDescription& board) {
  const u32 start = b.begin("HPET", 1);
  Bytes& t = b.bytes();
  append32(t, 0x8086a201);  // low half of the capabilities register: 3 timers, 64 bits, legacy
  gas(t, kGasMemory, 64, kGasAny, board.hpet_address);
  append8(t, 0);     // sequence number
  append16(t, 100);  // minimum tick in periodic mode
  append8(t, 0);     // no page protection
  b.end();
  return start;
}

/// Windows ACPI Emulated devices Table: RTC and PM timer need no workarounds for real chips.
u32 build_waet(Builder& b) {
  const u32 start = b.begin("WAET", 1);
  append32(b.bytes(), 3);
  b.end();
  return start;
}

/// PCI Firmware specification 3.0, 4.1.2.
u32 build_mcfg(Builder& b, const BoardDescription& board) {
  const u32 start = b.begin("MCFG", 1);
  Bytes& t = b.bytes();
  b.zeros(8);
  append64(t, board.configuration_space);
  append16(t, 0);  // segment
  append8(t, 0);   // first and last bus
  append8(t, 255);
  b.zeros(4);
  b.end();
  return start;
}

u32 build_root(Builder& b, std::string_view signature, u8 entry_size,
               const std::vector<u32>& tables) {
  const u32 start = b.begin(signature, 1);
  for (u32 table : tables) b.pointer(table, entry_size);
  b.end();
  return start;
}

Bytes& blob_of(AcpiTables& tables, AcpiBlob blob) {
  return blob == AcpiBlob::kRsdp ? tables.rsdp : tables.tables;
}

}  // namespace

AcpiTables build_acpi_tables(const BoardDescription& board) {
  AcpiTables out;
  Builder b(out);
  const u32 facs = build_facs(b);
  const u32 dsdt = build_dsdt(b, board);
  std::vector<u32> roots{build_fadt(b, board, facs, dsdt), build_madt(b, board)};
  if (board.hpet) roots.push_back(build_hpet(b, board));
  if (board.configuration_space != 0) roots.push_back(build_mcfg(b, board));
  roots.push_back(build_waet(b));
  const u32 rsdt = build_root(b, "RSDT", 4, roots);
  const u32 xsdt = build_root(b, "XSDT", 8, roots);

  append_text(out.rsdp, "RSD PTR ", 8);  // 5.2.5.3
  append8(out.rsdp, 0);
  append_text(out.rsdp, "DRAGON", 6);
  append8(out.rsdp, 2);
  append32(out.rsdp, rsdt);
  append32(out.rsdp, 36);
  append64(out.rsdp, xsdt);
  append32(out.rsdp, 0);  // extended checksum, reserved
  out.pointers.push_back({AcpiBlob::kRsdp, 16, 4});
  out.pointers.push_back({AcpiBlob::kRsdp, 24, 8});
  out.checksums.push_back({AcpiBlob::kRsdp, 8, 0, 20});
  out.checksums.push_back({AcpiBlob::kRsdp, 32, 0, 36});
  return out;
}

void relocate_acpi_tables(AcpiTables& tables, u64 tables_address) {
  for (const AcpiPointer& p : tables.pointers) {
    Bytes& blob = blob_of(tables, p.blob);
    patch(blob, p.offset, peek(blob, p.offset, p.size) + tables_address, p.size);
  }
  for (const AcpiChecksum& c : tables.checksums) {
    Bytes& blob = blob_of(tables, c.blob);
    patch(blob, c.offset, 0, 1);
    patch(blob, c.offset, 0u - byte_sum(std::span(blob).subspan(c.start, c.length)), 1);
  }
}

Bytes table_loader_script(const AcpiTables& tables, std::string_view rsdp_file,
                          std::string_view tables_file) {
  // Entries of 128 bytes, little endian; file names take 56 bytes (SeaBIOS, QEMU documentation
  // of the linker/loader).
  constexpr u32 kAllocate = 1;
  constexpr u32 kAddPointer = 2;
  constexpr u32 kAddChecksum = 3;
  constexpr u8 kZoneHigh = 1;
  constexpr u8 kZoneFSegment = 2;
  constexpr std::size_t kEntrySize = 128;
  constexpr std::size_t kNameSize = 56;

  Bytes script;
  const auto name = [&](std::string_view file) { append_text(script, file, kNameSize, '\0'); };
  const auto finish = [&] {
    script.resize((script.size() + kEntrySize - 1) / kEntrySize * kEntrySize);
  };
  const auto file_of = [&](AcpiBlob blob) {
    return blob == AcpiBlob::kRsdp ? rsdp_file : tables_file;
  };
  const auto allocate = [&](std::string_view file, u32 alignment, u8 zone) {
    append32(script, kAllocate);
    name(file);
    append32(script, alignment);
    append8(script, zone);
    finish();
  };
  allocate(rsdp_file, AcpiTables::kRsdpAlignment, kZoneFSegment);
  allocate(tables_file, AcpiTables::kAlignment, kZoneHigh);
  for (const AcpiPointer& p : tables.pointers) {
    append32(script, kAddPointer);
    name(file_of(p.blob));
    name(tables_file);
    append32(script, p.offset);
    append8(script, p.size);
    finish();
  }
  for (const AcpiChecksum& c : tables.checksums) {
    append32(script, kAddChecksum);
    name(file_of(c.blob));
    append32(script, c.offset);
    append32(script, c.start);
    append32(script, c.length);
    finish();
  }
  return script;
}

}  // namespace dragoman
