// SeaBIOS on the board: which drive it boots, what it shows, and the ways to reset a PC.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "devices/block/memory_image.h"
#include "devices/vga/vga_renderer.h"
#include "machine/clock.h"
#include "machine/machine.h"

namespace dragoman {
namespace {

using Code = std::vector<u8>;

constexpr u64 kMs = 1'000'000;
constexpr u64 kMostGuestNs = 300'000 * kMs;  // counted by instructions; SeaBIOS waits for 60 s
constexpr u64 kHangNs = 600'000 * kMs;       // of the host: something does not come back at all
constexpr u64 kWatchNs = 20 * kMs;

Code operator+(Code first, const Code& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

const Code kHang = {0xf4, 0xeb, 0xfd};  // hlt; jmp back

/// Ends the run through isa-debug-exit with status (value << 1) | 1.
Code report(u8 value) {
  return Code{0xba, 0x01, 0x05, 0xb0, value, 0xee} + kHang;  // mov dx, 501h; mov al, n; out dx, al
}

/// At the first boot runs `action`, at the second reports 42. A CMOS byte remembers.
Code report_second_boot(const Code& action) {
  const Code remember = {0xb0, 0x72, 0xe6, 0x70, 0xb0, 0x5a, 0xe6, 0x71};  // CMOS 72h := 5Ah
  const Code first = remember + action + kHang;
  return Code{0xb0, 0x72, 0xe6, 0x70, 0xe4,
              0x71, 0x3c, 0x5a, 0x74, static_cast<u8>(first.size())} +  // CMOS 72h == 5Ah?
         first +
         report(42);
}

/// Prints through the video BIOS and waits for ever.
Code print(std::string_view text) {
  Code code = {0x31, 0xc0, 0x8e, 0xd8, 0xbe, 0x00, 0x00,  // ds := 0; si := text
               0xfc, 0xac, 0x84, 0xc0, 0x74, 0x09,        // lodsb; end at zero
               0xb4, 0x0e, 0xbb, 0x07, 0x00, 0xcd, 0x10,  // int 10h, teletype
               0xeb, 0xf2};
  code = code + kHang;
  const auto address = static_cast<u16>(0x7c00 + code.size());
  code[5] = static_cast<u8>(address);
  code[6] = static_cast<u8>(address >> 8);
  code.insert(code.end(), text.begin(), text.end());
  code.push_back(0);
  return code;
}

const Code kResetByCf9 = {0xba, 0xf9, 0x0c, 0xb0, 0x02, 0xee, 0xb0, 0x06, 0xee};
const Code kResetByKeyboardController = {0xb0, 0xfe, 0xe6, 0x64};
const Code kResetByPort92 = {0xe4, 0x92, 0x0c, 0x01, 0xe6, 0x92};
/// lidt with a limit of zero (zeros near the end of the sector), int3.
const Code kTripleFault = {0x31, 0xc0, 0x8e, 0xd8, 0x0f, 0x01, 0x1e, 0xf0, 0x7d, 0xcc};

std::shared_ptr<BlockImage> boot_sector(Code code, std::size_t size) {
  code.resize(size);
  code[510] = 0x55;
  code[511] = 0xaa;
  return std::make_shared<MemoryImage>(std::move(code));
}

/// An ISO 9660 volume that holds nothing but an El Torito boot image (El Torito 1.0, section 2).
std::shared_ptr<BlockImage> boot_cd(const Code& code) {
  Code iso(24 * 2048);
  const auto text = [&](std::size_t at, std::string_view value) {
    std::copy(value.begin(), value.end(), iso.begin() + static_cast<std::ptrdiff_t>(at));
  };
  iso[16 * 2048] = 1;  // primary volume descriptor
  text(16 * 2048 + 1, "CD001\x01");
  text(17 * 2048 + 1,
       "CD001\x01"
       "EL TORITO SPECIFICATION");  // boot record: type 0
  iso[17 * 2048 + 0x47] = 19;       // sector of the boot catalog
  iso[18 * 2048] = 255;             // terminator
  text(18 * 2048 + 1, "CD001\x01");
  const std::size_t catalog = 19 * 2048;
  iso[catalog] = 1;  // validation entry; its words sum up to zero
  iso[catalog + 0x1c] = 0xaa;
  iso[catalog + 0x1d] = 0x55;
  iso[catalog + 0x1e] = 0x55;
  iso[catalog + 0x1f] = 0xaa;
  iso[catalog + 0x20] = 0x88;  // bootable, no emulation
  iso[catalog + 0x26] = 4;     // virtual sectors
  iso[catalog + 0x28] = 20;    // first sector
  std::copy(code.begin(), code.end(), iso.begin() + 20 * 2048);
  return std::make_shared<MemoryImage>(std::move(iso), true);
}

class FirmwareBoot : public testing::Test {
 protected:
  void SetUp() override {
    auto firmware = load_firmware(kDefaultFirmware);
    auto vga = load_option_rom(kDefaultVgaRom);
    if (!firmware || !vga) GTEST_SKIP() << "SeaBIOS is not installed";
    config.firmware = firmware.take();
    config.vga_rom = vga.take();
    auto cpu = parse_cpu_model("");
    ASSERT_TRUE(cpu.ok());
    config.cpu = cpu.take();
    config.ram_bytes = 32 * kMiB;
    config.icount_shift = 3;  // waiting takes no time
    config.debug_exit = DebugExitConfig{};
  }

  void add(DriveInterface interface, unsigned index, std::shared_ptr<BlockImage> image,
           std::optional<unsigned> boot_index = std::nullopt) {
    DriveConfig drive;
    drive.interface = interface;
    drive.index = index;
    drive.image = std::move(image);
    drive.boot_index = boot_index;
    config.drives.push_back(std::move(drive));
  }
  void add_disk(const Code& code, std::optional<unsigned> boot_index = std::nullopt) {
    add(DriveInterface::kIde, 0, boot_sector(code, 1 * kMiB), boot_index);
  }
  void add_virtio(const Code& code, std::optional<unsigned> boot_index = std::nullopt) {
    add(DriveInterface::kVirtio, 0, boot_sector(code, 1 * kMiB), boot_index);
  }
  void add_floppy(const Code& code, std::optional<unsigned> boot_index = std::nullopt) {
    add(DriveInterface::kFloppy, 0, boot_sector(code, 1440 * kKiB), boot_index);
  }
  void add_cd(const Code& code, std::optional<unsigned> boot_index = std::nullopt) {
    add(DriveInterface::kIde, 2, boot_cd(code), boot_index);
    config.drives.back().cdrom = true;
  }

  /// Runs until something ends the machine, or for minutes of the guest's time; `watch` sees the
  /// screen every 20 ms of it.
  StopReason run(std::function<void(Machine&)> watch = {}) {
    auto created = Machine::create(config, log);
    EXPECT_TRUE(created.ok());
    if (!created) return {};
    machine = created.take();
    machine->set_host_deadline(host_time_ns() + kHangNs);
    Scheduler& scheduler = machine->board().scheduler();
    Timer limit(scheduler, "limit", [this] {
      machine->stop({StopCause::kTimeout, 0, "the guest's time is over"});
    });
    limit.arm_at(kMostGuestNs);
    Timer eye(scheduler, "eye", [&] {
      watch(*machine);
      eye.arm_at(scheduler.now() + kWatchNs);
    });
    if (watch) eye.arm_at(kWatchNs);
    return machine->run();
  }

  /// The text screen, lines joined.
  std::string screen() {
    const auto text = machine->board().vga()->renderer().text_screen();
    std::string all;
    if (!text) return all;
    for (unsigned row = 0; row < text->rows; ++row) all += text->line(row) + "\n";
    return all;
  }
  bool shows(std::string_view text) { return screen().find(text) != std::string::npos; }
  void press(Key key) {
    machine->board().keyboard().key(key, true);
    machine->board().keyboard().key(key, false);
  }

  void expect_report(u8 value) {
    const StopReason reason = run();
    EXPECT_EQ(reason.cause, StopCause::kDebugExit) << screen();
    EXPECT_EQ(reason.status, value << 1 | 1) << screen();
  }

  Log log;
  MachineConfig config;
  std::unique_ptr<Machine> machine;
};

TEST_F(FirmwareBoot, IdeDisk) {
  add_disk(report(1));
  expect_report(1);
}

TEST_F(FirmwareBoot, VirtioDisk) {
  add_virtio(report(2));
  expect_report(2);
}

TEST_F(FirmwareBoot, SataDisk) {
  config.ahci_adapters = 2;
  add(DriveInterface::kSata, 3, boot_sector(report(6), 1 * kMiB));
  config.drives.back().controller = 1;
  expect_report(6);
}

TEST_F(FirmwareBoot, NvmeDisk) {
  add(DriveInterface::kNvme, 0, boot_sector(report(7), 1 * kMiB));
  expect_report(7);
}

TEST_F(FirmwareBoot, DiskOfTheBoardQ35) {
  config.board = BoardType::kQ35;
  add(DriveInterface::kIde, 5, boot_sector(report(8), 1 * kMiB));
  expect_report(8);
}

TEST_F(FirmwareBoot, CdRomOfTheBoardQ35) {
  config.board = BoardType::kQ35;
  config.ram_bytes = 3 * kGiB;  // more than fits below memory-mapped configuration space
  add_cd(report(9));
  expect_report(9);
}

TEST_F(FirmwareBoot, Floppy) {
  add_floppy(report(3));
  expect_report(3);
}

TEST_F(FirmwareBoot, CdRom) {
  add_cd(report(4));
  expect_report(4);
}

TEST_F(FirmwareBoot, LowestBootIndexWins) {
  for (unsigned winner = 0; winner < 4; ++winner) {
    config.drives.clear();
    const auto index = [&](unsigned drive) { return (drive + 4 - winner) % 4; };
    add_disk(report(0), index(0));
    add_virtio(report(1), index(1));
    add_floppy(report(2), index(2));
    add_cd(report(3), index(3));
    expect_report(static_cast<u8>(winner));
  }
}

TEST_F(FirmwareBoot, LowestBootIndexWinsOnQ35) {
  config.board = BoardType::kQ35;
  config.ahci_adapters = 1;
  for (unsigned winner = 0; winner < 5; ++winner) {
    config.drives.clear();
    const auto index = [&](unsigned drive) { return (drive + 5 - winner) % 5; };
    add_disk(report(0), index(0));
    add(DriveInterface::kSata, 1, boot_sector(report(1), 1 * kMiB), index(1));
    add_floppy(report(2), index(2));
    add_cd(report(3), index(3));
    add(DriveInterface::kNvme, 0, boot_sector(report(4), 1 * kMiB), index(4));
    expect_report(static_cast<u8>(winner));
  }
}

TEST_F(FirmwareBoot, DriveWithoutSystemIsPassedOver) {
  add(DriveInterface::kIde, 0, std::make_shared<MemoryImage>(std::vector<u8>(kMiB)), 0);
  add_cd(report(5), 1);
  expect_report(5);
}

TEST_F(FirmwareBoot, TextScreenShowsFirmwareAndGuest) {
  add_disk(print("Good morning from a boot sector."));
  bool seen = false;
  run([&](Machine& m) {
    if (!shows("Good morning from a boot sector.")) return;
    seen = true;
    m.stop({});
  });
  ASSERT_TRUE(seen) << screen();
  const auto text = machine->board().vga()->renderer().text_screen();
  ASSERT_TRUE(text.has_value());
  EXPECT_EQ(text->columns, 80u);
  EXPECT_EQ(text->rows, 25u);
  EXPECT_TRUE(text->line(0).starts_with("SeaBIOS (version")) << screen();
  EXPECT_TRUE(shows("Booting from Hard Disk...\nGood morning from a boot sector.\n")) << screen();
  EXPECT_TRUE(text->cursor_visible);
}

TEST_F(FirmwareBoot, MenuBootsTheChosenDrive) {
  config.boot_menu = true;
  add_disk(report(1), 0);
  add_virtio(report(2), 1);
  unsigned step = 0;
  std::string menu;
  const StopReason reason = run([&](Machine&) {
    if (step == 0 && shows("Press ESC for boot menu")) {
      press(Key::kEscape);
      step = 1;
    } else if (step == 1 && shows("Select boot device") && shows("\n2. ")) {
      menu = screen();
      press(Key::k2);
      step = 2;
    }
  });
  EXPECT_EQ(reason.cause, StopCause::kDebugExit) << screen();
  EXPECT_EQ(reason.status, 2 << 1 | 1) << menu;
  EXPECT_EQ(menu.find("Floppy"), std::string::npos) << "no floppy drive is attached\n" << menu;
}

struct ResetCase {
  const char* name;
  const Code* code;
  StopCause cause_without_reboot;
};
void PrintTo(const ResetCase& reset, std::ostream* out) { *out << reset.name; }

class FirmwareReset : public FirmwareBoot, public testing::WithParamInterface<ResetCase> {};

TEST_P(FirmwareReset, BootsAgain) {
  add_disk(report_second_boot(*GetParam().code));
  expect_report(42);
}

TEST_P(FirmwareReset, BootsAgainOnQ35) {
  config.board = BoardType::kQ35;
  add_disk(report_second_boot(*GetParam().code));
  expect_report(42);
}

TEST_P(FirmwareReset, EndsTheRunWithoutReboot) {
  config.reboot = false;
  add_disk(report_second_boot(*GetParam().code));
  EXPECT_EQ(run().cause, GetParam().cause_without_reboot) << screen();
}

INSTANTIATE_TEST_SUITE_P(
    Ways, FirmwareReset,
    testing::Values(ResetCase{"Cf9", &kResetByCf9, StopCause::kReset},
                    ResetCase{"KeyboardController", &kResetByKeyboardController, StopCause::kReset},
                    ResetCase{"Port92", &kResetByPort92, StopCause::kReset},
                    ResetCase{"TripleFault", &kTripleFault, StopCause::kTripleFault}),
    [](const auto& parameter) { return parameter.param.name; });

}  // namespace
}  // namespace dragoman
