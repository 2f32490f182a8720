#include "bios/dsdt.h"

#include <fmt/format.h>

#include <string>

#include "bios/aml.h"

namespace dragoman {
namespace {

using aml::ResourceTemplate;

constexpr std::array<std::string_view, 4> kLinkNames = {"LNKA", "LNKB", "LNKC", "LNKD"};
constexpr std::array<std::string_view, 4> kRouteNames = {"PRQA", "PRQB", "PRQC", "PRQD"};
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

/// Interrupt link over one PIIX3 route register: bit 7 set is "not routed", bits 3:0 the IRQ
/// (82371SB datasheet, PIRQRC[A:D]).
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
  return aml::device("LNKS", aml::list({hid("PNP0C0F"), uid(5), status(0x0b),
                                        aml::name("_PRS", resources), aml::name("_CRS", resources),
                                        aml::method("_DIS", 0, {}), aml::method("_SRS", 1, {})}));
}

Bytes routing_table() {
  std::vector<Bytes> entries;
  for (unsigned slot = 1; slot < 32; ++slot) {
    for (unsigned pin = 0; pin < 4; ++pin) {
      // INTA# of the PIIX (slot 1) is the power management function's, that is the SCI.
      const std::string_view link =
          slot == 1 && pin == 0 ? "LNKS" : kLinkNames[pirq_of_slot(slot, pin)];
      entries.push_back(aml::package({aml::integer(u64{slot} << 16 | 0xffff), aml::integer(pin),
                                      aml::name_string(link), aml::integer(0)}));
    }
  }
  return aml::name("_PRT", aml::package(entries));
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
  ports.io(board.pm_base, 0x40);
  if (board.smbus_base != 0) ports.io(board.smbus_base, 0x10);
  const bool outside_pm =
      board.gpe0_block < board.pm_base || board.gpe0_block >= board.pm_base + 0x40;
  if (board.gpe0_length != 0 && outside_pm) ports.io(board.gpe0_block, board.gpe0_length);
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
      "ISA", aml::list({aml::name("_ADR", aml::integer(0x00010000)), isa_devices(board)}));
  Bytes body =
      aml::device("PCI0", aml::list({hid("PNP0A03"), uid(0), aml::name("_BBN", aml::integer(0)),
                                     crs(bridge_windows(board)), routing_table(), isa}));
  std::vector<aml::FieldUnit> routes;
  for (std::string_view route : kRouteNames) routes.push_back({route, 8});
  append(body, aml::byte_field("PCI0.ISA.PIRQ", routes));
  for (unsigned n = 0; n < 4; ++n) append(body, link_device(n));
  append(body, sci_link(board));
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
  // PIIX4 PMCNTRL: SUS_TYP 0 is soft off, 5 is working (82371AB datasheet, 7.1.3).
  const auto sleep_type = [](u64 type) {
    return aml::package({aml::integer(type), aml::integer(type), aml::integer(0), aml::integer(0)});
  };
  return aml::list({
      aml::scope("\\_SB", system_bus(board)),
      aml::name("\\_S0", sleep_type(5)),
      aml::name("\\_S5", sleep_type(0)),
  });
}

}  // namespace dragoman
