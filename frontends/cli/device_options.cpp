#include "frontends/cli/device_options.h"

#include <algorithm>
#include <charconv>

#include "frontends/cli/nearest.h"

namespace dragoman {
namespace {

using Add = Result<void> (*)(KeyValues& properties, DeviceContext& context);

Result<u16> parse_port(std::string_view key, std::string text) {
  int base = 10;
  std::string_view digits = text;
  if (digits.starts_with("0x")) {
    digits.remove_prefix(2);
    base = 16;
  }
  u16 port = 0;
  const auto [end, status] =
      std::from_chars(digits.data(), digits.data() + digits.size(), port, base);
  if (status != std::errc() || end != digits.data() + digits.size()) {
    return error("'{}={}' in -device is not a port number such as 0x501", key, text);
  }
  return port;
}

/// Properties QEMU has that change nothing here.
void drop_placement(KeyValues& properties) {
  for (const char* key : {"id", "bus", "addr", "disable-legacy", "disable-modern"}) {
    (void)properties.take(key);
  }
}

Result<void> debug_exit(KeyValues& properties, DeviceContext& context) {
  DebugExitConfig config;
  if (auto v = properties.take("iobase")) {
    auto port = parse_port("iobase", *v);
    if (!port) return port.error();
    config.port = *port;
  }
  if (auto v = properties.take("iosize")) {
    auto size = parse_port("iosize", *v);
    if (!size) return size.error();
    config.ports = *size;
  }
  if (config.ports == 0 || config.ports > 8) {
    return error("'iosize={}' in -device isa-debug-exit: use 1 to 8", config.ports);
  }
  context.config.debug_exit = config;
  return properties.expect_empty("-device isa-debug-exit", "iobase, iosize");
}

Result<void> pc_testdev(KeyValues& properties, DeviceContext& context) {
  drop_placement(properties);
  context.config.pc_testdev = true;
  return properties.expect_empty("-device pc-testdev", "id");
}

Result<void> virtio_rng(KeyValues& properties, DeviceContext& context) {
  drop_placement(properties);
  (void)properties.take("rng");
  ++context.config.virtio_rngs;
  return properties.expect_empty("-device virtio-rng-pci", "id");
}

Result<void> virtio_tablet(KeyValues& properties, DeviceContext& context) {
  drop_placement(properties);
  if (context.config.virtio_tablet) return error("-device virtio-tablet-pci: there can be one");
  context.config.virtio_tablet = true;
  return properties.expect_empty("-device virtio-tablet-pci", "id");
}

Result<void> usb_controller(KeyValues& properties, DeviceContext& context) {
  drop_placement(properties);
  context.config.usb = true;
  return properties.expect_empty("-device piix3-usb-uhci", "id");
}

Result<void> usb_tablet(KeyValues& properties, DeviceContext& context) {
  drop_placement(properties);
  (void)properties.take("port");
  if (context.config.usb_tablet) return error("-device usb-tablet: there can be one");
  context.config.usb_tablet = true;
  return properties.expect_empty("-device usb-tablet", "id");
}

/// "bus=ahci0.3" names a port of the adapter with that id, "bus=ide.1" a channel of the board
/// (unit= says which of its drives).
Result<void> take_bus(KeyValues& properties, const DeviceContext& context, DriveOption& drive) {
  const auto bus = properties.take("bus");
  if (!bus || drive.interface != "ide") return {};
  const std::size_t dot = bus->rfind('.');
  unsigned number = 0;
  const char* const end = bus->data() + bus->size();
  const bool numbered = dot != std::string::npos &&
                        std::from_chars(bus->data() + dot + 1, end, number).ptr == end &&
                        dot + 1 < bus->size();
  const std::string id = bus->substr(0, dot);
  const auto adapter = std::find(context.ahci_ids.begin(), context.ahci_ids.end(), id);
  if (numbered && adapter != context.ahci_ids.end()) {
    drive.interface = "sata";
    drive.controller = static_cast<unsigned>(adapter - context.ahci_ids.begin());
    drive.index = number;
    return {};
  }
  const unsigned units = ide_units_per_bus(context.config.board);
  const unsigned buses = ide_drives(context.config.board) / units;
  if (numbered && id == "ide" && number < buses) {
    drive.index = units * number + drive.index.value_or(0) % units;
    return {};
  }
  return error(
      "'bus={}' in -device is no bus; use ide.0 to ide.{}, or ID.PORT of a -device ahci,id=ID",
      *bus, buses - 1);
}

Result<void> ahci(KeyValues& properties, DeviceContext& context) {
  context.ahci_ids.push_back(
      properties.take("id").value_or(fmt::format("ahci{}", context.ahci_ids.size())));
  ++context.config.ahci_adapters;
  drop_placement(properties);
  return properties.expect_empty("-device ahci", "id");
}

/// Finds the -drive ...,if=none,id=ID that drive=ID names and attaches it.
Result<void> attach(KeyValues& properties, DeviceContext& context, const char* driver,
                    const char* interface, bool cdrom) {
  const auto id = properties.take("drive");
  if (!id && !cdrom) {
    return error("-device {} needs drive=ID, the id of a -drive with if=none", driver);
  }
  DriveOption drive;
  if (id) {
    const DriveOption* found = nullptr;
    for (const DriveOption& d : context.options.drives) {
      if (d.id == *id && d.interface == "none") found = &d;
    }
    if (found == nullptr) {
      return error("-device {},drive={}: there is no -drive with if=none and id={}", driver, *id,
                   *id);
    }
    drive = *found;
  }
  drive.interface = interface;
  drive.cdrom = drive.cdrom || cdrom;
  for (const auto& [key, target] :
       {std::pair{"bootindex", &drive.boot_index}, std::pair{"unit", &drive.index}}) {
    if (auto v = properties.take(key)) {
      auto number = parse_port(key, *v);
      if (!number) return number.error();
      *target = *number;
    }
  }
  if (auto v = properties.take("serial")) drive.serial = *v;
  if (auto ok = take_bus(properties, context, drive); !ok) return ok;
  drop_placement(properties);
  auto config = context.open_drive(drive);
  if (!config) return config.error();
  context.config.drives.push_back(config.take());
  return properties.expect_empty(fmt::format("-device {}", driver),
                                 "drive, bus, bootindex, serial, unit");
}

Result<void> virtio_blk(KeyValues& p, DeviceContext& c) {
  return attach(p, c, "virtio-blk-pci", "virtio", false);
}
Result<void> ide_hd(KeyValues& p, DeviceContext& c) { return attach(p, c, "ide-hd", "ide", false); }
Result<void> ide_cd(KeyValues& p, DeviceContext& c) { return attach(p, c, "ide-cd", "ide", true); }
Result<void> nvme(KeyValues& p, DeviceContext& c) { return attach(p, c, "nvme", "nvme", false); }
Result<void> floppy(KeyValues& p, DeviceContext& c) {
  return attach(p, c, "floppy", "floppy", false);
}

Result<void> virtio_console(KeyValues& properties, DeviceContext& context) {
  drop_placement(properties);
  const std::string spec = properties.take("chardev").value_or("null");
  auto backend = context.open_character(spec);
  if (!backend) return backend.error();
  if (*backend == nullptr)
    return error("-device virtio-console needs chardev=SPEC, such as chardev=pty");
  context.config.virtio_consoles.push_back(*backend);
  return properties.expect_empty("-device virtio-console", "chardev");
}

Result<void> debugcon(KeyValues& properties, DeviceContext& context) {
  drop_placement(properties);
  u16 port = 0xe9;
  if (auto v = properties.take("iobase")) {
    auto parsed = parse_port("iobase", *v);
    if (!parsed) return parsed.error();
    port = *parsed;
  }
  auto backend = context.open_character(properties.take("chardev").value_or("null"));
  if (!backend) return backend.error();
  if (port == 0x402) {
    context.config.firmware_log = *backend;
  } else {
    context.config.debug_console = *backend;
    context.config.debug_console_port = port;
  }
  return properties.expect_empty("-device isa-debugcon", "iobase, chardev");
}

Result<u8> parse_line(std::string_view key, const std::string& text,
                      std::initializer_list<u16> choices) {
  auto number = parse_port(key, text);
  if (!number) return number.error();
  std::string list;
  for (const u16 choice : choices) {
    if (*number == choice) return static_cast<u8>(choice);
    list += (list.empty() ? "" : ", ") + std::to_string(choice);
  }
  return error("'{}={}' in -device: the card has {}", key, text, list);
}

Result<void> sb16(KeyValues& properties, DeviceContext& context) {
  drop_placement(properties);
  (void)properties.take("version");
  if (context.config.sound.sb16) return error("there is one sb16; leave out the second -device");
  Sb16Config card;
  if (auto v = properties.take("iobase")) {
    auto port = parse_port("iobase", *v);
    if (!port) return port.error();
    if (*port != 0x220 && *port != 0x240 && *port != 0x260 && *port != 0x280) {
      return error("'iobase={}' in -device sb16: use 0x220, 0x240, 0x260 or 0x280", *v);
    }
    card.port = *port;
  }
  const auto line = [&](const char* key, std::initializer_list<u16> choices,
                        u8& target) -> Result<void> {
    const auto v = properties.take(key);
    if (!v) return {};
    auto number = parse_line(key, *v, choices);
    if (!number) return number.error();
    target = *number;
    return {};
  };
  if (auto ok = line("irq", {2, 5, 7, 9, 10}, card.jumpers.irq); !ok) return ok;
  if (auto ok = line("dma", {0, 1, 3}, card.jumpers.dma8); !ok) return ok;
  if (auto ok = line("dma16", {5, 6, 7}, card.jumpers.dma16); !ok) return ok;
  auto audio = context.find_audio(properties.take("audiodev"));
  if (!audio) return audio.error();
  card.audio = *audio;
  if (const auto path = properties.take("midi")) {
    auto midi = context.record_midi(*path);
    if (!midi) return midi.error();
    card.midi = *midi;
  }
  context.config.sound.sb16 = card;
  return properties.expect_empty("-device sb16", "audiodev, midi, iobase, irq, dma, dma16");
}

Result<void> adlib(KeyValues& properties, DeviceContext& context) {
  drop_placement(properties);
  if (auto v = properties.take("iobase"); v && *v != "0x388" && *v != "0x220") {
    return error("'iobase={}' in -device adlib: it is found at 0x388; leave it out", *v);
  }
  (void)properties.take("freq");
  auto audio = context.find_audio(properties.take("audiodev"));
  if (!audio) return audio.error();
  context.config.sound.adlib = AdlibConfig{*audio};
  return properties.expect_empty("-device adlib", "audiodev");
}

Result<void> ac97(KeyValues& properties, DeviceContext& context) {
  drop_placement(properties);
  auto audio = context.find_audio(properties.take("audiodev"));
  if (!audio) return audio.error();
  context.config.sound.ac97.push_back(*audio);
  return properties.expect_empty("-device AC97", "audiodev");
}

struct Driver {
  std::string_view name;
  std::string_view summary;
  Add add;
};
constexpr Driver kDrivers[] = {
    {"isa-debug-exit", "a port whose write ends the program; iobase=, iosize=", debug_exit},
    {"pc-testdev", "echoing ports and memory, interrupt lines by port, for test programs",
     pc_testdev},
    {"isa-debugcon", "a one-byte output port; iobase=, chardev=SPEC as in -serial", debugcon},
    {"virtio-blk-pci", "virtio disk; drive=ID, bootindex=", virtio_blk},
    {"virtio-blk", "the same", virtio_blk},
    {"virtio-tablet-pci", "a pointer that need not be captured", virtio_tablet},
    {"virtio-tablet", "the same", virtio_tablet},
    {"usb-tablet", "the same on USB, which most systems know how to drive", usb_tablet},
    {"piix3-usb-uhci", "the USB controller alone, also with -usb", usb_controller},
    {"ich9-usb-uhci1", "the same", usb_controller},
    {"virtio-rng-pci", "random numbers", virtio_rng},
    {"virtio-rng", "the same", virtio_rng},
    {"virtio-console-pci", "virtio console; chardev=SPEC as in -serial", virtio_console},
    {"virtio-console", "the same", virtio_console},
    {"virtconsole", "the same", virtio_console},
    {"ahci", "AHCI adapter with six SATA ports; id=", ahci},
    {"ich9-ahci", "the same", ahci},
    {"ide-hd", "ATA disk; drive=ID, bus=, unit=, bootindex=", ide_hd},
    {"ide-cd", "ATAPI CD-ROM; drive=ID, bus=, unit=, bootindex=", ide_cd},
    {"nvme", "NVMe disk; drive=ID, serial=, bootindex=", nvme},
    {"floppy", "floppy drive; drive=ID, unit=", floppy},
    {"sb16",
     "Sound Blaster 16 with OPL3; audiodev=ID, midi=FILE, iobase=, irq=, dma=, dma16=", sb16},
    {"adlib", "OPL3 synthesizer at port 388h; audiodev=ID", adlib},
    {"AC97", "Intel 82801AA sound, a PCI function; audiodev=ID", ac97},
    {"ac97", "the same", ac97},
};

}  // namespace

std::string device_help() {
  std::string text = "Devices for -device:\n";
  for (const Driver& driver : kDrivers)
    text += fmt::format("  {:<20}{}\n", driver.name, driver.summary);
  return text;
}

Result<void> add_device_option(DeviceOption& option, DeviceContext& context) {
  std::vector<std::string> known;
  for (const Driver& driver : kDrivers) {
    if (driver.name == option.driver) return driver.add(option.properties, context);
    known.emplace_back(driver.name);
  }
  const std::string nearest = nearest_word(option.driver, known);
  return error("unknown device '{}' in -device{}; '-device help' lists all", option.driver,
               nearest.empty() ? "" : fmt::format(", did you mean '{}'?", nearest));
}

}  // namespace dragoman
