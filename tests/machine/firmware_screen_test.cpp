// The text screen that a kernel started without firmware finds.
#include "machine/firmware_screen.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "machine/machine.h"

namespace dragoman {
namespace {

/// A multiboot 1 kernel that halts (specification 0.6.96, section 3.1: flags bit 16, addresses
/// here).
Bytes halting_kernel() {
  constexpr u32 kAt = 0x100000;
  const std::array<u32, 8> header = {0x1badb002,   0x10000,   0u - 0x1badb002 - 0x10000,
                                     kAt,          kAt,       kAt + 0x1000,
                                     kAt + 0x1000, kAt + 0x20};
  Bytes kernel(0x1000);
  std::memcpy(kernel.data(), header.data(), sizeof(header));
  kernel[0x20] = 0xf4;  // hlt
  kernel[0x21] = 0xeb;  // jmp back
  kernel[0x22] = 0xfd;
  return kernel;
}

MachineConfig small_machine() {
  MachineConfig config;
  config.cpu = parse_cpu_model("").take();
  config.ram_bytes = 32 * kMiB;
  config.icount_shift = 3;
  return config;
}

class FirmwareScreen : public testing::Test {
 protected:
  void SetUp() override {
    auto firmware = load_firmware(kDefaultFirmware);
    auto rom = load_option_rom(kDefaultVgaRom);
    if (!firmware || !rom) GTEST_SKIP() << "SeaBIOS is not installed";
    screen = firmware_screen(*firmware, *rom);
    ASSERT_NE(screen, nullptr);
  }
  std::shared_ptr<const VgaScreen> screen;
};

TEST_F(FirmwareScreen, IsAClearedTextModeWithAFont) {
  std::vector<u8> memory = screen->memory;
  const VgaRenderer renderer(screen->registers, memory);
  EXPECT_EQ(renderer.size(), (Size{720, 400}));
  const auto text = renderer.text_screen();
  ASSERT_TRUE(text.has_value());
  EXPECT_EQ(text->columns, 80u);
  EXPECT_EQ(text->rows, 25u);
  for (const auto& cell : text->cells) {
    ASSERT_EQ(cell.character, ' ');
    ASSERT_EQ(cell.attribute, 7);
  }
  EXPECT_TRUE(text->cursor_visible);
  EXPECT_EQ(text->cursor_row, 0u);
  EXPECT_EQ(text->cursor_column, 0u);
  // A letter that a kernel writes there is one that can be read: grey dots, more in the middle
  // rows of an A than above and below it.
  memory[0] = 'A';
  std::vector<u32> pixels(720 * 400);
  renderer.draw(pixels, 720, 0);
  const auto dots = [&](unsigned first, unsigned last) {
    unsigned count = 0;
    for (unsigned y = first; y < last; ++y) {
      for (unsigned x = 0; x < 9; ++x) count += pixels[720 * y + x] == 0xaaaaaa ? 1 : 0;
    }
    return count;
  };
  EXPECT_GT(dots(4, 12), 15u);
  EXPECT_EQ(dots(0, 1), 0u);
}

TEST_F(FirmwareScreen, IsThereAtTheStartAndAfterAReset) {
  MachineConfig config = small_machine();
  KernelConfig kernel;
  kernel.kernel = BootModule(halting_kernel(), "").contents;
  kernel.name = "halting";
  kernel.screen = screen;
  config.kernel = std::make_shared<const KernelConfig>(kernel);
  Log log;
  auto machine = Machine::create(config, log);
  ASSERT_TRUE(machine.ok());
  StdVga& card = *machine.value()->board().vga();
  EXPECT_EQ(card.renderer().size(), (Size{720, 400}));
  EXPECT_TRUE(card.renderer().text_screen().has_value());
  std::fill(card.video_memory().begin(), card.video_memory().end(), u8{0x55});
  ASSERT_TRUE(machine.value()->board().reset().ok());
  const auto text = card.renderer().text_screen();
  ASSERT_TRUE(text.has_value());
  EXPECT_EQ(text->at(40, 12).character, ' ');
}

TEST_F(FirmwareScreen, AKernelWithoutOneFindsADarkCard) {
  MachineConfig config = small_machine();
  KernelConfig kernel;
  kernel.kernel = BootModule(halting_kernel(), "").contents;
  config.kernel = std::make_shared<const KernelConfig>(kernel);
  Log log;
  auto machine = Machine::create(config, log);
  ASSERT_TRUE(machine.ok());
  EXPECT_NE(machine.value()->board().vga()->renderer().size(), (Size{720, 400}));
}

}  // namespace
}  // namespace dragoman
