#include "bios/dsdt.h"

#include <fmt/format.h>

#include <string>

#include "bios/aml.h"

namespace dragoman {
namespace {

using aml::ResourceTemplate;

constexpr std::array<std::string_view, 8> kLinkNames = {"LNKA", "LNKB", "LNKC", "LNKD",
                                                        "LNKE", "LNKF", "LNKG", "LNKH"};
constexpr std::array<std::string_view, 8> kRouteNames = {"PRQA", "PRQB", "PRQC", "PRQD",
                                                         "PRQE", "PRQF", "PRQG", "PRQH"};
/// Interrupts a PCI link may be routed to: those no ISA device of a PC claims.
const std::vector<u32> kLinkChoices = {5, 10, 11};
constexpr u64 kStatusPresent = 0x0f;

Bytes hid(std::string_view id) { return aml::name("_HID", aml::eisa_id(id)); }
Bytes uid(u64 value) { return aml::name("_UID", aml::integer(value)); }
Bytes status(u64 value) { return aml::name("_STA", aml::integer(value)); }
Bytes crs(const ResourceTemplate& resources) { return aml::name("_CRS", resources.buffer()); }

Bytes simple_device(std::string_view name, std::string_view id, const ResourceTemplate& resources) {
  return aml::device(name, aml::list({hid(id), status(kStatusPresent), crs(resources)}));
}

/// Interrupt link over one route register: bit 7 set is "not routed", bits 3:0 the IRQ (82371SB
/// datasheet, PIRQRC[A:D]; ICH9 datasheet, 13.1.15 and 13.1.17).
Bytes link_device(unsigned n) {
  const Bytes route = aml::name_string(kRouteNames[n]);
  const Bytes interrupt = aml::name_string("INTR");
  const Bytes unrouted = aml::and_(route, aml::integer(0x80));
  // The interrupt number is byte 5 of an extended interrupt descriptor with one interrupt.
  const Bytes status_method =
      aml::method("_STA", 0,
                  aml::list({aml::if_(unrouted, aml::return_(aml::integer(0x09))),
                             aml::return_(aml::integer(0x0b))}));
  const Bytes current =
      aml::method("_CRS", 0,
                  aml::list({aml::create_dword_field(aml::name_string("BUFF"), 5, "INTR"),
                             aml::store(aml::and_(route, aml::integer(0x0f)), interrupt),
                             aml::if_(unrouted, aml::store(aml::integer(0), interrupt)),
                             aml::return_(aml::name_string("BUFF"))}));
  const Bytes set = aml::method(
      "_SRS", 1,
      aml::list({aml::create_dword_field(aml::arg(0), 5, "INTR"), aml::store(interrupt, route)}));
  const Bytes disable = aml::method("_DIS", 0, aml::or_into(route, aml::integer(0x80), route));
  return aml::device(
      kLinkNames[n],
      aml::list({hid("PNP0C0F"), uid(n + 1),
                 aml::name("_PRS", ResourceTemplate().level_interrupts(kLinkChoices).buffer()),
                 aml::name("BUFF", ResourceTemplate().level_interrupts({0}).buffer()),
                 status_method, current, set, disable}));
}

/// The SCI as a link that cannot be moved: the PIIX4 wires its power management function to
/// ISA IRQ 9 whatever the PCI routes say.
Bytes sci_link(const BoardDescription& board) {
  const Bytes resources = ResourceTemplate().level_interrupts({board.sci_irq}).buffer();
  return aml::device("LNKS", aml::list({hid("PNP0C0F"), uid(9), status(0x0b),
                                        aml::name("_PRS", resources), aml::name("_CRS", resources),
                                        aml::method("_DIS", 0, {}), aml::method("_SRS", 1, {})}));
}

/// Entries for all slots: through the links, or the inputs of the I/O APIC.
Bytes routing_entries(const BoardDescription& board, bool inputs) {
  std::vector<Bytes> entries;
  for (unsigned slot = 1; slot < 32; ++slot) {
    for (unsigned pin = 0; pin < 4; ++pin) {
      const bool sci = board.sci_is_inta_of_slot1 && slot == 1 && pin == 0;
      const std::string_view link = sci ? "LNKS" : kLinkNames[board.pirq_wiring(slot, pin)];
      const Bytes source = inputs ? aml::integer(0) : aml::name_string(link);
      const Bytes index = aml::integer(inputs ? io_apic_input(board, slot, pin) : 0);
      entries.push_back(
          aml::package({aml::integer(u64{slot} << 16 | 0xffff), aml::integer(pin), source, index}));
    }
  }
  return aml::package(entries);
}

/// With inputs of their own the PIRQs bypass the links as soon as the system uses the I/O APIC,
/// which it says by _PIC (ACPI 6.4, 5.8.1).
Bytes routing_table(const BoardDescription& board) {
  if (board.pirq_input == 0) return aml::name("_PRT", routing_entries(board, false));
  return aml::list({aml::name("PRTL", routing_entries(board, false)),
                    aml::name("PRTI", routing_entries(board, true)),
                    aml::method("_PRT", 0,
                                aml::list({aml::if_(aml::name_string("\\PICM"),
                                                    aml::return_(aml::name_string("PRTI"))),
                                           aml::return_(aml::name_string("PRTL"))}))});
}

ResourceTemplate bridge_windows(const BoardDescription& board) {
  ResourceTemplate windows;
  windows.bus_numbers(0, 0xff)
      .io(0xcf8, 8)
      .io_window(0x0000, 0x0cf7)
      .io_window(0x0d00, 0xffff)
      .memory_window32(0xa0000, 0xbffff, true)
      .memory_window32(board.pci_window_first, board.pci_window_last, false);
  if (board.pci_window64_size != 0) {
    windows.memory_window64(board.pci_window64_first,
                            board.pci_window64_first + board.pci_window64_size - 1);
  }
  return windows;
}

/// Ports of the chip set that belong to no other device.
ResourceTemplate motherboard_ports(const BoardDescription& board) {
  ResourceTemplate ports;
  ports.io(0x80, 1).io(0x92, 1).io(0xb2, 2);
  ports.io(board.pm_base, static_cast<u8>(board.pm_bytes));
  if (board.smbus_base != 0) ports.io(board.smbus_base, 0x10);
  const bool outside_pm =
      board.gpe0_block < board.pm_base || board.gpe0_block >= board.pm_base + board.pm_bytes;
  if (board.gpe0_length != 0 && outside_pm) ports.io(board.gpe0_block, board.gpe0_length);
  if (board.configuration_space != 0) {
    ports.fixed_memory32(board.configuration_space, 256 * kMiB, false);
  }
  if (board.chipset_register_bytes != 0) {
    ports.fixed_memory32(board.chipset_registers, board.chipset_register_bytes, true);
  }
  return ports;
}

Bytes serial_port(u16 port, unsigned number) {
  const unsigned irq = port == 0x3f8 || port == 0x3e8 ? 4 : 3;
  return aml::device(fmt::format("COM{}", number),
                     aml::list({hid("PNP0501"), uid(number), status(kStatusPresent),
                                crs(ResourceTemplate().io(port, 8).irq(irq))}));
}

Bytes parallel_port(u16 port, unsigned number) {
  return aml::device(fmt::format("LPT{}", number),
                     aml::list({hid("PNP0400"), uid(number), status(kStatusPresent),
                                crs(ResourceTemplate().io(port, 8).irq(port == 0x378 ? 7 : 5))}));
}

Bytes isa_devices(const BoardDescription& board) {
  Bytes devices = aml::list({
      aml::operation_region("PIRQ", aml::Space::kPciConfig, 0x60, 4),
      simple_device("DMAC", "PNP0200",
                    ResourceTemplate().io(0x00, 16).io(0x81, 15).io(0xc0, 32).dma(4)),
      simple_device("PIC", "PNP0000",
                    ResourceTemplate().io(0x20, 2).io(0xa0, 2).io(0x4d0, 2).irq(2)),
      simple_device("TIMR", "PNP0100", ResourceTemplate().io(0x40, 4).irq(0)),
      simple_device("SPKR", "PNP0800", ResourceTemplate().io(0x61, 1)),
      simple_device("FPU", "PNP0C04", ResourceTemplate().io(0xf0, 16).irq(13)),
      simple_device("MBRD", "PNP0C02", motherboard_ports(board)),
  });
  if (board.pirqs > 4) {
    append(devices, aml::operation_region("PIR2", aml::Space::kPciConfig, 0x68, 4));
  }
  if (board.rtc)
    append(devices, simple_device("RTC", "PNP0B00", ResourceTemplate().io(0x70, 2).irq(8)));
  if (board.ps2_keyboard) {
    append(devices,
           simple_device("KBD", "PNP0303", ResourceTemplate().io(0x60, 1).io(0x64, 1).irq(1)));
  }
  if (board.ps2_mouse) append(devices, simple_device("MOU", "PNP0F13", ResourceTemplate().irq(12)));
  if (board.floppy) {
    append(devices, simple_device("FDC0", "PNP0700",
                                  ResourceTemplate().io(0x3f2, 4).io(0x3f7, 1).irq(6).dma(2)));
  }
  unsigned number = 1;
  for (u16 port : board.serial_ports) append(devices, serial_port(port, number++));
  number = 1;
  for (u16 port : board.parallel_ports) append(devices, parallel_port(port, number++));
  return devices;
}

Bytes system_bus(const BoardDescription& board) {
  const Bytes isa = aml::device(
      "ISA", aml::list({aml::name("_ADR", aml::integer(board.isa_bridge)), isa_devices(board)}));
  // A PCI Express root, where configuration space is memory-mapped, and compatible with PCI.
  const Bytes identity =
      board.configuration_space == 0
          ? hid("PNP0A03")
          : aml::list({hid("PNP0A08"), aml::name("_CID", aml::eisa_id("PNP0A03"))});
  Bytes body =
      aml::device("PCI0", aml::list({identity, uid(0), aml::name("_BBN", aml::integer(0)),
                                     crs(bridge_windows(board)), routing_table(board), isa}));
  for (unsigned first = 0; first < board.pirqs; first += 4) {
    std::vector<aml::FieldUnit> routes;
    for (unsigned n = first; n < first + 4; ++n) routes.push_back({kRouteNames[n], 8});
    append(body, aml::byte_field(first == 0 ? "PCI0.ISA.PIRQ" : "PCI0.ISA.PIR2", routes));
  }
  for (unsigned n = 0; n < board.pirqs; ++n) append(body, link_device(n));
  if (board.sci_is_inta_of_slot1) append(body, sci_link(board));
  if (board.hpet) {
    append(body,
           simple_device("HPET", "PNP0103",
                         ResourceTemplate().fixed_memory32(board.hpet_address, 0x400, false)));
  }
  if (board.fw_cfg) {
    append(body, aml::device("FWCF", aml::list({aml::name("_HID", aml::string("QEMU0002")),
                                                status(0x0b),  // present, but not shown to users
                                                crs(ResourceTemplate().io(0x510, 12))})));
  }
  for (std::size_t n = 0; n < board.apic_ids.size(); ++n) {
    append(body, aml::device(fmt::format("C{:03X}", n),
                             aml::list({aml::name("_HID", aml::string("ACPI0007")), uid(n),
                                        status(kStatusPresent)})));
  }
  return body;
}

}  // namespace

Bytes dsdt_aml(const BoardDescription& board) {
  const auto sleep_type = [](u64 type) {
    return aml::package({aml::integer(type), aml::integer(type), aml::integer(0), aml::integer(0)});
  };
  Bytes block;
  if (board.pirq_input != 0) {
    const Bytes mode = aml::name_string("\\PICM");
    append(block, aml::name("\\PICM", aml::integer(0)));
    append(block, aml::method("\\_PIC", 1, aml::store(aml::arg(0), mode)));
  }
  append(block, aml::list({
                    aml::scope("\\_SB", system_bus(board)),
                    aml::name("\\_S0", sleep_type(board.working_type)),
                    aml::name("\\_S5", sleep_type(board.soft_off_type)),
                }));
  return block;
}

}  // namespace dragoman
