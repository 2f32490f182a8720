// Guests of ours with a mouse and with floppy disks (roms/tests/mouse.asm, floppy.asm), through the
// BIOS as programs of the time did it.
#include <cstring>

#include "tests/frontends/guest_machine.h"

namespace dragoman {
namespace {

void add_drive(GuestMachine& guest, DriveInterface interface, unsigned index,
               std::shared_ptr<BlockImage> image) {
  DriveConfig drive;
  drive.interface = interface;
  drive.index = index;
  drive.image = std::move(image);
  guest.config.drives.push_back(std::move(drive));
}

/// The sixteen colours of a CGA.
u32 rgbi(unsigned colour) {
  const unsigned bright = colour & 8 ? 0x55 : 0;
  const unsigned green = colour == 6 ? 0x55 : (colour & 2 ? 0xaa : 0) + bright;
  return ((colour & 4 ? 0xaa : 0) + bright) << 16 | green << 8 | ((colour & 1 ? 0xaa : 0) + bright);
}

void expect_pointer(GuestMachine& guest, int left, int top, unsigned buttons) {
  const Picture picture = guest.picture();
  ASSERT_EQ(picture.size.width, 320u);
  ASSERT_EQ(picture.size.height, 200u);
  for (int y = 0; y < 200; ++y) {
    for (int x = 0; x < 320; ++x) {
      const bool pointer = std::abs(x - left) <= 2 && std::abs(y - top) <= 2;
      const u32 wanted = rgbi(pointer ? 8 + buttons : static_cast<unsigned>(y) & 7);
      ASSERT_EQ(picture.at(static_cast<unsigned>(x), static_cast<unsigned>(y)), wanted)
          << x << ", " << y;
    }
  }
}

TEST(MouseGuest, ThePointerFollows) {
  GuestMachine guest;
  const auto program = GuestMachine::program("mouse");
  ASSERT_FALSE(program.empty()) << "build the target test_roms";
  add_drive(guest, DriveInterface::kIde, 0, std::make_shared<MemoryImage>(program));
  if (!guest.start()) GTEST_SKIP() << "SeaBIOS is not installed (package seabios)";
  MouseInput& mouse = guest.machine().board().mouse();
  ASSERT_EQ(guest.next_line(), "ready");
  expect_pointer(guest, 160, 100, 0);
  mouse.move(20, 0, 0);
  EXPECT_EQ(guest.next_line(), "180 100 0");
  expect_pointer(guest, 180, 100, 0);
  mouse.move(-100, 30, 0);
  EXPECT_EQ(guest.next_line(), "80 130 0");
  mouse.buttons(1);
  EXPECT_EQ(guest.next_line(), "80 130 1");
  expect_pointer(guest, 80, 130, 1);
  mouse.buttons(6);
  EXPECT_EQ(guest.next_line(), "80 130 6");
  mouse.buttons(0);
  EXPECT_EQ(guest.next_line(), "80 130 0");
  mouse.move(-200, -200, 0);  // against the corner
  EXPECT_EQ(guest.next_line(), "2 2 0");
  expect_pointer(guest, 2, 2, 0);
}

TEST(MouseGuest, ADriverOfASerialMouseFindsIt) {
  GuestMachine guest;
  const auto program = GuestMachine::program("serial_mouse");
  ASSERT_FALSE(program.empty()) << "build the target test_roms";
  add_drive(guest, DriveInterface::kIde, 0, std::make_shared<MemoryImage>(program));
  guest.config.serial_mouse = 1;
  if (!guest.start()) GTEST_SKIP() << "SeaBIOS is not installed (package seabios)";
  MouseInput& mouse = guest.machine().board().mouse();
  ASSERT_EQ(guest.next_line(), "mouse MZ");
  mouse.move(12, -3, 0);
  EXPECT_EQ(guest.next_line(), "12 65533 0 0");
  mouse.move(-128, 127, 0);
  EXPECT_EQ(guest.next_line(), "65408 127 0 0");
  mouse.buttons(1);
  EXPECT_EQ(guest.next_line(), "0 0 2 0");
  mouse.buttons(6);  // right and middle
  EXPECT_EQ(guest.next_line(), "0 0 1 16");
  mouse.move(0, 0, -1);  // the wheel away from the user
  EXPECT_EQ(guest.next_line(), "0 0 1 31");
}

struct Format {
  unsigned kib;
  u8 cylinders, heads, sectors;
};

class FloppyGuest : public testing::TestWithParam<Format> {};

TEST_P(FloppyGuest, FormatsWritesAndReads) {
  const Format format = GetParam();
  GuestMachine guest;
  const auto program = GuestMachine::program("floppy");
  ASSERT_FALSE(program.empty()) << "build the target test_roms";
  auto disk = std::make_shared<MemoryImage>(std::vector<u8>(format.kib * kKiB, 0xaa));
  add_drive(guest, DriveInterface::kFloppy, 0, std::make_shared<MemoryImage>(program));
  add_drive(guest, DriveInterface::kFloppy, 1, disk);
  if (!guest.start()) GTEST_SKIP() << "SeaBIOS is not installed (package seabios)";

  ASSERT_EQ(guest.next_line(), "ready");
  for (const u8 byte : {format.cylinders, format.heads, format.sectors}) guest.send_byte(byte);
  EXPECT_EQ(guest.next_line(), "formatted");
  EXPECT_EQ(guest.next_line(), "written");
  EXPECT_EQ(guest.next_line(), "refused");

  // On the image: the last cylinder and nothing else.
  const u64 track = u64{512} * format.sectors;
  const u64 last = track * format.heads * (format.cylinders - 1u);
  ASSERT_EQ(last + track * format.heads, disk->size());
  std::vector<u8> wanted(disk->size(), 0xaa);
  std::memset(&wanted[last + track * (format.heads - 1u)], 0xf6, track);
  for (u64 i = 0; i < track; ++i) {
    wanted[last + i] = static_cast<u8>(7 * (i % 512) + 31 * (i / 512 + 1));
  }
  std::vector<u8> found(disk->size());
  ASSERT_TRUE(disk->read(0, found).ok());
  EXPECT_EQ(std::mismatch(found.begin(), found.end(), wanted.begin()).first - found.begin(),
            static_cast<std::ptrdiff_t>(found.size()));

  // Another disk of the same kind: the change line tells, until the heads have moved.
  auto other = std::make_shared<MemoryImage>(std::vector<u8>(format.kib * kKiB, 0x33));
  guest.machine().board().floppy()->set_media(1, other.get());
  guest.send_byte(0);
  EXPECT_EQ(guest.next_line(), "1 51");
  guest.send_byte(0);
  EXPECT_EQ(guest.next_line(), "0 51");
}

INSTANTIATE_TEST_SUITE_P(AllFormats, FloppyGuest,
                         testing::Values(Format{160, 40, 1, 8}, Format{180, 40, 1, 9},
                                         Format{320, 40, 2, 8}, Format{360, 40, 2, 9},
                                         Format{720, 80, 2, 9}, Format{1200, 80, 2, 15},
                                         Format{1440, 80, 2, 18}, Format{2880, 80, 2, 36}),
                         [](const auto& format) { return fmt::format("{}K", format.param.kib); });

}  // namespace
}  // namespace dragoman
