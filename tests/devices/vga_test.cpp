// Std VGA: registers, legacy window, DISPI, BAR 2, and what the renderer makes of them.
#include <gtest/gtest.h>

#include <numeric>

#include "base/log.h"
#include "devices/vga/edid.h"
#include "devices/vga/std_vga.h"
#include "tests/devices/state_test_helper.h"

namespace dragoman {
namespace {

class Clock : public VirtualClock {
 public:
  u64 now_ns() override { return now; }
  u64 now = 0;
};

/// Register values of a standard mode (IBM VGA BIOS parameter tables).
struct Mode {
  u8 misc;
  std::array<u8, 5> sequencer;
  std::array<u8, 25> crtc;
  std::array<u8, 9> graphics;
  std::array<u8, 21> attribute;
};

constexpr Mode kText80x25 = {
    0x67,
    {0x03, 0x00, 0x03, 0x00, 0x02},
    {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00,
     0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff},
    {0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x0f, 0xff},
    {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a,
     0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c, 0x00, 0x0f, 0x08, 0x00}};

constexpr Mode kPlanar640x480 = {
    0xe3,
    {0x03, 0x01, 0x0f, 0x00, 0x06},
    {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0x00, 0x40, 0x00, 0x00, 0x00,
     0x00, 0x00, 0x00, 0xea, 0x8c, 0xdf, 0x28, 0x00, 0xe7, 0x04, 0xe3, 0xff},
    {0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x0f, 0xff},
    {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a,
     0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x01, 0x00, 0x0f, 0x00, 0x00}};

constexpr Mode k320x200x256 = {
    0x63,
    {0x03, 0x01, 0x0f, 0x00, 0x0e},
    {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00, 0x41, 0x00, 0x00, 0x00,
     0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x40, 0x96, 0xb9, 0xa3, 0xff},
    {0x00, 0x00, 0x00, 0x00, 0x00, 0x40, 0x05, 0x0f, 0xff},
    {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a,
     0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x41, 0x00, 0x0f, 0x00, 0x00}};

constexpr Mode kCga320x200x4 = {
    0x63,
    {0x03, 0x09, 0x03, 0x00, 0x02},
    {0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0x00, 0xc1, 0x00, 0x00, 0x00,
     0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x14, 0x00, 0x96, 0xb9, 0xa2, 0xff},
    {0x00, 0x00, 0x00, 0x00, 0x00, 0x30, 0x0f, 0x0f, 0xff},
    {0x00, 0x13, 0x15, 0x17, 0x02, 0x04, 0x06, 0x07, 0x10, 0x11, 0x12,
     0x13, 0x14, 0x15, 0x16, 0x17, 0x01, 0x00, 0x03, 0x00, 0x00}};

constexpr Mode kCga640x200x2 = {
    0x63,
    {0x03, 0x01, 0x01, 0x00, 0x06},
    {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00, 0xc1, 0x00, 0x00, 0x00,
     0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x00, 0x96, 0xb9, 0xc2, 0xff},
    {0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0d, 0x0f, 0xff},
    {0x00, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17,
     0x17, 0x17, 0x17, 0x17, 0x17, 0x01, 0x00, 0x01, 0x00, 0x00}};

class Vga : public testing::Test {
 protected:
  Vga() : pool(GuestMemory::create(4 * kMiB).take()) {
    memory.add_memory("ram", PhysicalAddress(0), 4 * kMiB, pool->ram(), true, true,
                      MemoryMap::kPriorityRam);
    vga.config_write(PciRegister::kBar0, 4, kFrameBuffer);
    vga.config_write(PciRegister::kBar0 + 8, 4, kRegisters);
    vga.config_write(PciRegister::kCommand, 2, 3);
  }
  void out(u16 port, u32 value, unsigned size = 1) { ports.write(Port(port), size, value); }
  u32 in(u16 port, unsigned size = 1) { return ports.read(Port(port), size); }
  void indexed(u16 port, unsigned index, unsigned value) { out(port, index | value << 8, 2); }
  u32 indexed(u16 port, u8 index) {
    out(port, index);
    return in(static_cast<u16>(port + 1));
  }
  void poke(u64 address, u64 value, unsigned size = 1) {
    memory.write(PhysicalAddress(address), size, value);
  }
  u64 peek(u64 address, unsigned size = 1) { return memory.read(PhysicalAddress(address), size); }
  void attribute(u8 index, u8 value) {
    in(0x3da);
    out(0x3c0, index);
    out(0x3c0, value);
    out(0x3c0, 0x20);
  }
  void dispi(u16 index, u16 value) {
    out(0x1ce, index, 2);
    out(0x1cf, value, 2);
  }
  u32 dispi(u16 index) {
    out(0x1ce, index, 2);
    return in(0x1cf, 2);
  }
  /// DAC entry i becomes red i, green 0, blue 63 - i (6 bits).
  void set(const Mode& mode) {
    out(0x3c2, mode.misc);
    for (unsigned i = 0; i < mode.sequencer.size(); ++i) indexed(0x3c4, i, mode.sequencer[i]);
    indexed(0x3d4, 0x11, 0);
    for (unsigned i = 0; i < mode.crtc.size(); ++i) indexed(0x3d4, i, mode.crtc[i]);
    for (unsigned i = 0; i < mode.graphics.size(); ++i) indexed(0x3ce, i, mode.graphics[i]);
    in(0x3da);
    for (unsigned i = 0; i < mode.attribute.size(); ++i) {
      out(0x3c0, i);
      out(0x3c0, mode.attribute[i]);
    }
    out(0x3c0, 0x20);
    out(0x3c6, 0xff);
    out(0x3c8, 0);
    for (unsigned i = 0; i < 256; ++i) {
      out(0x3c9, i & 63);
      out(0x3c9, i >> 6);
      out(0x3c9, 63 - (i & 63));
    }
  }
  static u32 colour(unsigned index) {
    const auto wide = [](u32 v) { return v << 2 | v >> 4; };
    return wide(index & 63) << 16 | wide(index >> 6) << 8 | wide(63 - (index & 63));
  }
  std::vector<u32> draw(u64 now = 0) {
    const Size size = vga.renderer().size();
    std::vector<u32> pixels(u64{size.width} * size.height, 0xdeadbeef);
    vga.renderer().draw(pixels, size.width, now);
    return pixels;
  }

  static constexpr u32 kFrameBuffer = 0xe0000000;
  static constexpr u32 kRegisters = 0xfebf0000;
  std::unique_ptr<GuestMemory> pool;
  Log log;
  MemoryMap memory{*pool, log};
  PortMap ports{log};
  Clock clock;
  Scheduler scheduler{clock};
  std::vector<u8> rom = std::vector<u8>(5000, 0x55);
  StdVga vga{"vga", PciSpaces{memory, ports}, scheduler, rom};
};

TEST_F(Vga, ListsItsWholeState) { check_state_list<VgaState>(); }

TEST_F(Vga, PciIdentityAndRanges) {
  EXPECT_EQ(vga.config_read(0, 4), 0x11111234u);
  EXPECT_EQ(vga.config_read(0x0a, 2), 0x0300u);
  EXPECT_EQ(vga.config_read(0x10, 4), kFrameBuffer | 8);
  vga.config_write(0x10, 4, 0xffffffff);
  EXPECT_EQ(vga.config_read(0x10, 4), 0xff000008u);
  vga.config_write(0x10, 4, kFrameBuffer);
  vga.config_write(0x30, 4, 0xfeb00001);
  EXPECT_EQ(peek(0xfeb00000, 2), 0x5555u);
  EXPECT_EQ(peek(0xfeb00000 + 5000), 0u);  // padded to a power of two
}

TEST_F(Vga, CommandRegisterGatesLegacyRanges) {
  set(k320x200x256);
  poke(0xa0000, 0x12);
  EXPECT_EQ(peek(0xa0000), 0x12u);
  vga.config_write(PciRegister::kCommand, 2, 0);
  EXPECT_EQ(in(0x3cc), 0xffu);
  poke(0xa0000, 0x34);  // RAM below
  vga.config_write(PciRegister::kCommand, 2, 3);
  EXPECT_EQ(peek(0xa0000), 0x12u);
}

TEST_F(Vga, RegistersReadBack) {
  set(kText80x25);
  EXPECT_EQ(in(0x3cc), 0x67u);
  EXPECT_EQ(indexed(0x3c4, 4), 0x02u);
  EXPECT_EQ(indexed(0x3ce, 6), 0x0eu);
  EXPECT_EQ(indexed(0x3d4, 0x13), 0x28u);
  in(0x3da);
  out(0x3c0, 0x30);
  EXPECT_EQ(in(0x3c1), 0x0cu);
  EXPECT_EQ(in(0x3b5), 0xffu);  // the monochrome address is not decoded now
  out(0x3c2, 0x66);
  EXPECT_EQ(indexed(0x3b4, 0x13), 0x28u);
  EXPECT_EQ(in(0x3d5), 0xffu);
}

TEST_F(Vga, CrtcProtectionSparesLineCompare) {
  set(kText80x25);
  indexed(0x3d4, 0x11, 0x8e);
  indexed(0x3d4, 0, 0x12);
  indexed(0x3d4, 7, 0x00);
  EXPECT_EQ(indexed(0x3d4, 0), 0x5fu);
  EXPECT_EQ(indexed(0x3d4, 7), 0x0fu);
}

TEST_F(Vga, DacTakesThreeWritesAndKeepsSixBits) {
  out(0x3c8, 5);
  out(0x3c9, 0xff);
  out(0x3c9, 2);
  EXPECT_EQ(vga.state().dac[15], 0);  // not before the third
  out(0x3c9, 3);
  out(0x3c7, 5);
  EXPECT_EQ(in(0x3c7), 3u);
  EXPECT_EQ(in(0x3c9), 0x3fu);
  EXPECT_EQ(in(0x3c9), 2u);
  EXPECT_EQ(in(0x3c9), 3u);
  EXPECT_EQ(in(0x3c8), 6u);
}

TEST_F(Vga, RetraceBitsFollowVirtualTime) {
  set(kText80x25);
  unsigned retrace = 0;
  unsigned visible = 0;
  unsigned edges = 0;
  u32 before = 0;
  constexpr unsigned kSamples = 100'000;  // of one second
  for (unsigned i = 0; i < kSamples; ++i) {
    clock.now += 10'000;
    const u32 status = in(0x3da);
    retrace += (status & 8) != 0;
    visible += (status & 1) == 0;
    edges += (status & 8) && !(before & 8);
    before = status;
  }
  EXPECT_EQ(edges, 70u);  // 70 Hz
  EXPECT_NEAR(retrace, kSamples * 2 / 449, 60);
  EXPECT_NEAR(visible, kSamples * 400 / 449 * 0.8, 1500);
}

TEST_F(Vga, TextScreenAndOddEvenAddressing) {
  set(kText80x25);
  const std::string text = "Hello";
  for (unsigned i = 0; i < text.size(); ++i) {
    poke(0xb8000 + 160 * 3 + 2 * i, static_cast<u8>(text[i]) | 0x1f00u, 2);
  }
  EXPECT_EQ(peek(0xb8000 + 160 * 3, 4), 0x1f651f48u);
  EXPECT_EQ(peek(0xa0000), 0xffu);  // not in this memory map
  indexed(0x3d4, 0x0e, 0);
  indexed(0x3d4, 0x0f, 3 * 80 + 5);
  const auto screen = vga.renderer().text_screen();
  ASSERT_TRUE(screen.has_value());
  EXPECT_EQ(screen->columns, 80u);
  EXPECT_EQ(screen->rows, 25u);
  EXPECT_EQ(screen->line(3), "Hello");
  EXPECT_EQ(screen->at(0, 3).attribute, 0x1f);
  EXPECT_TRUE(screen->cursor_visible);
  EXPECT_EQ(screen->cursor_column, 5u);
  EXPECT_EQ(screen->cursor_row, 3u);
  indexed(0x3d4, 0x0d, 80);  // scrolled by one row
  EXPECT_EQ(vga.renderer().text_screen()->line(2), "Hello");
}

TEST_F(Vga, DrawsTextWithFontCursorAndBlink) {
  set(kText80x25);
  // Load glyphs into plane 2 as a BIOS does.
  indexed(0x3c4, 2, 4);
  indexed(0x3c4, 4, 7);
  indexed(0x3ce, 5, 0);
  indexed(0x3ce, 6, 4);
  for (unsigned line = 0; line < 16; ++line) {
    poke(0xa0000 + 'A' * 32 + line, 0x81);
    poke(0xa0000 + 0xc4 * 32 + line, 0xff);
  }
  indexed(0x3c4, 2, 3);
  indexed(0x3c4, 4, 2);
  indexed(0x3ce, 5, 0x10);
  indexed(0x3ce, 6, 0x0e);
  indexed(0x3d4, 0x0f, 2);
  for (unsigned i = 0; i < 2000; ++i) poke(0xb8000 + 2 * i, 0x0720, 2);
  poke(0xb8000, 0x1f41, 2);
  poke(0xb8002, 0x1fc4, 2);
  EXPECT_EQ(vga.renderer().size(), (Size{720, 400}));
  auto pixels = draw();
  EXPECT_EQ(pixels[0], colour(0x3f));  // white
  EXPECT_EQ(pixels[1], colour(1));     // on blue
  EXPECT_EQ(pixels[7], colour(0x3f));
  EXPECT_EQ(pixels[8], colour(1));      // ninth dot of a letter: background
  EXPECT_EQ(pixels[17], colour(0x3f));  // of a line drawing character: repeated
  EXPECT_EQ(pixels[18], colour(0));
  EXPECT_EQ(pixels[720 * 13 + 18], colour(7));  // cursor, lines 13 and 14
  EXPECT_EQ(pixels[720 * 12 + 18], colour(0));
  EXPECT_EQ(draw(140'000'000)[720 * 13 + 18], colour(0));  // blinked away

  attribute(0x10, 0x0c);
  poke(0xb8000, 0x9f41, 2);
  EXPECT_EQ(draw(0)[0], colour(0x3f));
  EXPECT_EQ(draw(300'000'000)[0], colour(1));
  attribute(0x10, 0x04);  // bit 7 is intensity now
  EXPECT_EQ(draw(300'000'000)[0], colour(0x3f));
  EXPECT_EQ(draw(0)[1], colour(0x39));
  indexed(0x3c4, 1, 1);
  EXPECT_EQ(vga.renderer().size(), (Size{640, 400}));
}

TEST_F(Vga, BlankScreenWhilePaletteIsLoaded) {
  set(kText80x25);
  in(0x3da);
  out(0x3c0, 0x00);
  EXPECT_EQ(draw()[0], colour(0));
  EXPECT_EQ(draw()[720 * 400 - 1], colour(0));
}

TEST_F(Vga, PlanarWriteModes) {
  set(kPlanar640x480);
  EXPECT_EQ(vga.renderer().size(), (Size{640, 480}));
  // Write mode 2 with a bit mask: one pixel of colour 5.
  indexed(0x3ce, 5, 2);
  indexed(0x3ce, 8, 0x80);
  peek(0xa0000);
  poke(0xa0000, 5);
  // Write mode 0 with set/reset and rotate.
  indexed(0x3ce, 5, 0);
  indexed(0x3ce, 8, 0xff);
  indexed(0x3ce, 0, 0x0a);
  indexed(0x3ce, 1, 0x0f);
  poke(0xa0001, 0);
  indexed(0x3ce, 1, 0);
  indexed(0x3ce, 3, 4);
  poke(0xa0002, 0x12);  // rotated: 21h
  // XOR with the latches.
  indexed(0x3ce, 3, 0x18);
  peek(0xa0002);
  poke(0xa0002, 0x01);
  indexed(0x3ce, 3, 0);
  // Write mode 3: set/reset where the data has ones.
  indexed(0x3ce, 5, 3);
  indexed(0x3ce, 0, 9);
  peek(0xa0003);
  poke(0xa0003, 0x0f);
  // Write mode 1 copies the latches.
  indexed(0x3ce, 5, 1);
  peek(0xa0003);
  poke(0xa0004, 0);
  // Map mask.
  indexed(0x3ce, 5, 0);
  indexed(0x3c4, 2, 2);
  poke(0xa0005, 0xff);
  indexed(0x3c4, 2, 15);

  const auto pixels = draw();
  const auto attribute_colour = [](unsigned i) { return colour(kPlanar640x480.attribute[i]); };
  EXPECT_EQ(pixels[0], attribute_colour(5));
  EXPECT_EQ(pixels[1], attribute_colour(0));
  for (unsigned x = 8; x < 16; ++x) EXPECT_EQ(pixels[x], attribute_colour(10));
  EXPECT_EQ(pixels[16 + 2], attribute_colour(15));
  EXPECT_EQ(pixels[16 + 7], attribute_colour(0));
  EXPECT_EQ(pixels[24], attribute_colour(0));
  EXPECT_EQ(pixels[28], attribute_colour(9));
  EXPECT_EQ(pixels[32 + 4], attribute_colour(9));
  EXPECT_EQ(pixels[40], attribute_colour(2));

  // Read mode 0 by plane, read mode 1 by colour.
  indexed(0x3ce, 4, 3);
  EXPECT_EQ(peek(0xa0001), 0xffu);
  indexed(0x3ce, 4, 2);
  EXPECT_EQ(peek(0xa0001), 0x00u);
  indexed(0x3ce, 5, 8);
  indexed(0x3ce, 2, 9);
  EXPECT_EQ(peek(0xa0003), 0x0fu);
  indexed(0x3ce, 7, 0);
  EXPECT_EQ(peek(0xa0003), 0xffu);
}

TEST_F(Vga, ChainFourAndModeX) {
  set(k320x200x256);
  EXPECT_EQ(vga.renderer().size(), (Size{320, 200}));
  for (unsigned i = 0; i < 320; ++i) poke(0xa0000 + 320 * 199 + i, i & 0xff);
  auto pixels = draw();
  for (unsigned i = 0; i < 320; ++i) EXPECT_EQ(pixels[320 * 199 + i], colour(i & 0xff)) << i;
  EXPECT_EQ(peek(0xa0000 + 320 * 199 + 4, 4), 0x07060504u);

  // Mode X: unchained, byte addressing.
  indexed(0x3c4, 4, 6);
  indexed(0x3d4, 0x14, 0);
  indexed(0x3d4, 0x17, 0xe3);
  indexed(0x3c4, 2, 4);
  poke(0xa0000 + 80, 77);  // line 1, pixel 2
  indexed(0x3c4, 2, 15);
  pixels = draw();
  EXPECT_EQ(pixels[320 + 2], colour(77));
  indexed(0x3d4, 0x0d, 80);  // start address: one line further
  EXPECT_EQ(draw()[2], colour(77));
  // Line compare: the lower part of the screen begins with address 0 again.
  indexed(0x3d4, 0x18, 199);
  indexed(0x3d4, 0x07, 0x0f);
  indexed(0x3d4, 0x09, 0x01);
  EXPECT_EQ(draw()[320 * 101 + 2], colour(77));
}

TEST_F(Vga, CgaModes) {
  set(kCga320x200x4);
  EXPECT_EQ(vga.renderer().size(), (Size{320, 200}));
  poke(0xb8000, 0x1b);           // colours 0 1 2 3
  poke(0xb8001, 0xc0);           // the next byte: 3
  poke(0xb8000 + 0x2000, 0x80);  // line 1
  poke(0xb8000 + 80, 0x40);      // line 2
  auto pixels = draw();
  const auto four = [](unsigned i) { return colour(kCga320x200x4.attribute[i]); };
  for (unsigned i = 0; i < 4; ++i) EXPECT_EQ(pixels[i], four(i)) << i;
  EXPECT_EQ(pixels[4], four(3));
  EXPECT_EQ(pixels[320], four(2));
  EXPECT_EQ(pixels[640], four(1));

  set(kCga640x200x2);
  EXPECT_EQ(vga.renderer().size(), (Size{640, 200}));
  for (unsigned i = 0; i < 0x4000; ++i) poke(0xb8000 + i, 0);
  poke(0xb8000, 0x41);
  poke(0xb8000 + 0x2000 + 79, 0x01);
  pixels = draw();
  EXPECT_EQ(pixels[0], colour(0));
  EXPECT_EQ(pixels[1], colour(0x17));
  EXPECT_EQ(pixels[7], colour(0x17));
  EXPECT_EQ(pixels[640 + 639], colour(0x17));
}

TEST_F(Vga, DispiModesAndFrameBuffer) {
  out(0x3c2, 0x63);
  EXPECT_EQ(dispi(kDispiId), 0xb0c5u);
  EXPECT_EQ(dispi(kDispiMemory64K), 256u);
  dispi(kDispiEnable, kDispiGetCapabilities);
  EXPECT_GE(dispi(kDispiWidth), 1920u);
  dispi(kDispiEnable, 0);
  poke(kFrameBuffer, 0x11223344, 4);
  dispi(kDispiWidth, 1024);
  dispi(kDispiHeight, 768);
  dispi(kDispiDepth, 32);
  dispi(kDispiEnable, 0x41);
  out(0x3c0, 0x20);
  EXPECT_EQ(peek(kFrameBuffer, 4), 0u);  // cleared
  EXPECT_EQ(dispi(kDispiVirtualWidth), 1024u);
  EXPECT_EQ(dispi(kDispiVirtualHeight), 4096u);
  EXPECT_EQ(vga.renderer().size(), (Size{1024, 768}));
  EXPECT_FALSE(vga.renderer().text_screen().has_value());
  poke(kFrameBuffer + 4 * (1024 * 10 + 3), 0xff123456, 4);
  EXPECT_EQ(draw()[1024 * 10 + 3], 0x123456u);
  dispi(kDispiYOffset, 10);
  dispi(kDispiXOffset, 3);
  EXPECT_EQ(draw()[0], 0x123456u);
  in(0x3da);
  out(0x3c0, 0);  // blanked, as Linux's driver does it
  EXPECT_EQ(draw()[0], 0u);
  in(0x3da);
  out(0x3c0, 0x20);
  dispi(kDispiYOffset, 4000);  // the end of video memory: nothing below
  EXPECT_EQ(vga.renderer().size(), (Size{1024, 768}));
  EXPECT_EQ(draw()[1024 * 767], 0u);
  dispi(kDispiEnable, 0);
  dispi(kDispiDepth, 16);
  dispi(kDispiEnable, 0xc1);  // not cleared
  EXPECT_NE(peek(kFrameBuffer + 4 * (1024 * 10 + 3), 4), 0u);
  poke(kFrameBuffer, 0xf81f, 2);
  EXPECT_EQ(draw()[0], 0xff00ffu);
  dispi(kDispiDepth, 15);
  poke(kFrameBuffer, 0x03e0, 2);
  EXPECT_EQ(draw()[0], 0x00ff00u);
  dispi(kDispiDepth, 24);
  poke(kFrameBuffer, 0x332211, 4);
  EXPECT_EQ(draw()[0], 0x332211u);
}

TEST_F(Vga, DispiEightBitsWithBanksAndWideDac) {
  out(0x3c2, 0x63);
  indexed(0x3ce, 6, 5);
  dispi(kDispiWidth, 640);
  dispi(kDispiHeight, 480);
  dispi(kDispiDepth, 8);
  dispi(kDispiEnable, 0x61);
  out(0x3c8, 9);
  for (u8 level : {0xaa, 0xbb, 0xcc}) out(0x3c9, level);
  dispi(kDispiBank, 1);
  poke(0xa0000 + 4, 9);
  EXPECT_EQ(peek(kFrameBuffer + 0x10004), 9u);
  EXPECT_EQ(peek(0xa0004), 9u);
  out(0x3c0, 0x20);
  EXPECT_EQ(draw()[0x10004], 0xaabbccu);
}

TEST_F(Vga, DispiPlanar) {
  set(kPlanar640x480);
  dispi(kDispiWidth, 800);
  dispi(kDispiHeight, 600);
  dispi(kDispiDepth, 4);
  dispi(kDispiEnable, 1);
  indexed(0x3c4, 2, 6);
  poke(0xa0000 + 100 * 2, 0x01);  // 100 bytes per line and plane
  const auto pixels = draw();
  EXPECT_EQ(pixels[800 * 2 + 7], colour(kPlanar640x480.attribute[6]));
  EXPECT_EQ(pixels[800 * 2 + 6], colour(0));
  EXPECT_EQ(peek(kFrameBuffer + 800, 4), 0x00010100u);
}

TEST_F(Vga, RegisterWindow) {
  EXPECT_EQ(peek(kRegisters, 8), 0x00ffffffffffff00u);
  u8 sum = 0;
  for (unsigned i = 0; i < 128; ++i) sum = static_cast<u8>(sum + peek(kRegisters + i));
  EXPECT_EQ(sum, 0);
  EXPECT_EQ(peek(kRegisters + 0x500, 2), 0xb0c5u);
  poke(kRegisters + 0x502, 800, 2);
  EXPECT_EQ(dispi(kDispiWidth), 800u);
  EXPECT_EQ(peek(kRegisters + 0x600, 4), 8u);
  EXPECT_EQ(peek(kRegisters + 0x604, 4), 0x1e1e1e1eu);
  poke(kRegisters + 0x402, 0x67);
  EXPECT_EQ(in(0x3cc), 0x67u);
  EXPECT_EQ(peek(kRegisters + 0x40c), 0x67u);
}

TEST_F(Vga, NothingTheGuestProgramsLeavesVideoMemory) {
  // Pseudo-random registers, accesses and drawings; the sanitizers and page ends judge.
  u32 seed = 1;
  const auto random = [&] { return seed = seed * 1664525 + 1013904223, seed >> 8; };
  for (int round = 0; round < 300; ++round) {
    for (int i = 0; i < 40; ++i) out(static_cast<u16>(0x3b0 + random() % 48), random() & 0xff);
    for (u16 i = 0; i < 11; ++i) dispi(i, static_cast<u16>(random()));
    if (round % 3 == 0) dispi(kDispiEnable, 0);
    for (int i = 0; i < 20; ++i) {
      poke(0xa0000 + random() % 0x1fff8, random(), 1u << random() % 4);
      peek(0xa0000 + random() % 0x1fff8, 1u << random() % 4);
      poke(kRegisters + (random() % 0xff0), random(), 1u << random() % 4);
      peek(kRegisters + (random() % 0xff0), 1u << random() % 4);
    }
    in(0x3da);
    in(0x3ba);
    const Size size = vga.renderer().size();
    if (u64{size.width} * size.height < 2'000'000) draw(random());
    vga.renderer().text_screen();
  }
}

TEST_F(Vga, SaveAndLoadKeepTheMode) {
  set(k320x200x256);
  std::vector<u8> saved;
  vga.save(saved);
  vga.reset();
  EXPECT_EQ(in(0x3cc), 0xffu);  // the command register was reset too
  std::span<const u8> input(saved);
  ASSERT_TRUE(vga.load(input).ok());
  EXPECT_TRUE(input.empty());
  EXPECT_EQ(in(0x3cc), 0x63u);
  EXPECT_EQ(vga.renderer().size(), (Size{320, 200}));
}

TEST_F(Vga, DamagedStateDoesNoHarm) {
  std::vector<u8> saved;
  vga.save(saved);
  for (std::size_t i = 256; i < saved.size(); ++i) saved[i] = 0xff;
  std::span<const u8> input(saved);
  ASSERT_TRUE(vga.load(input).ok());
  for (u16 port = 0x3b0; port < 0x3e0; ++port) in(port);
  dispi(kDispiWidth);
  std::vector<u32> pixels(10'000'000);
  vga.renderer().draw(pixels, 16000, 0);
}

}  // namespace
}  // namespace dragoman
