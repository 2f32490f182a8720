#include "devices/i8042.h"

#include "devices/ps2_keyboard.h"
#include "devices/ps2_mouse.h"
#include "tests/devices/isa_test_bench.h"
#include "tests/devices/state_test_helper.h"

namespace dragoman {
namespace {

using Bytes = std::vector<u8>;

struct I8042Test : ::testing::Test, IsaTestBench {
  Ps2Keyboard keyboard{scheduler, log};
  Ps2Mouse mouse{scheduler, log};
  I8042 controller{scheduler,
                   log,
                   ports,
                   keyboard,
                   mouse,
                   IrqLine(wires, 1),
                   IrqLine(wires, 12),
                   IrqLine(wires, 20),
                   IrqLine(wires, 21)};

  /// Everything that arrives while the wires have time.
  Bytes drain() {
    Bytes bytes;
    for (int i = 0; i < 64; ++i) {
      run_for(2'000'000);
      if ((in(0x64) & 1) == 0) break;
      bytes.push_back(in(0x60));
    }
    return bytes;
  }
  void command_byte(u8 value) {
    out(0x64, 0x60);
    out(0x60, value);
  }
  Bytes to_mouse(u8 value) {
    out(0x64, 0xd4);
    out(0x60, value);
    return drain();
  }
  Bytes to_keyboard(u8 value) {
    out(0x60, value);
    return drain();
  }
};

TEST_F(I8042Test, StateListsAreComplete) {
  check_state_list<I8042State>();
  check_state_list<Ps2KeyboardState>();
  check_state_list<Ps2MouseState>();
}

TEST_F(I8042Test, SelfTestsAndCommandByte) {
  out(0x64, 0xaa);
  EXPECT_EQ(drain(), Bytes{0x55});
  EXPECT_NE(in(0x64) & 0x04, 0);
  out(0x64, 0xab);
  EXPECT_EQ(drain(), Bytes{0x00});
  out(0x64, 0xa9);
  EXPECT_EQ(drain(), Bytes{0x00});
  command_byte(0x47);
  out(0x64, 0xa7);
  out(0x64, 0xad);
  out(0x64, 0x20);
  EXPECT_EQ(drain(), Bytes{0x77});
  out(0x64, 0xa8);
  out(0x64, 0xae);
  out(0x64, 0x20);
  EXPECT_EQ(drain(), Bytes{0x47});
  EXPECT_NE(in(0x64) & 0x08, 0);  // the last write was a command
}

TEST_F(I8042Test, OutputPortDrivesA20AndReset) {
  out(0x64, 0xd1);
  out(0x60, 0xdf);
  EXPECT_TRUE(wires.level[20]);
  out(0x64, 0xd0);
  EXPECT_EQ(drain(), Bytes{0xcf});
  out(0x64, 0xd1);
  out(0x60, 0xdd);
  EXPECT_FALSE(wires.level[20]);
  out(0x64, 0xff);
  EXPECT_EQ(wires.rises[21], 0);
  out(0x64, 0xfe);
  EXPECT_EQ(wires.rises[21], 1);
}

TEST_F(I8042Test, LoopbackCommandsFillTheOutputBuffer) {
  command_byte(0x03);
  out(0x64, 0xd2);
  out(0x60, 0x12);
  EXPECT_EQ(in(0x64) & 0x21, 0x01);
  EXPECT_TRUE(wires.level[1]);
  EXPECT_EQ(in(0x60), 0x12);
  EXPECT_FALSE(wires.level[1]);
  out(0x64, 0xd3);
  out(0x60, 0x34);
  EXPECT_EQ(in(0x64) & 0x21, 0x21);
  EXPECT_TRUE(wires.level[12]);
  EXPECT_EQ(in(0x60), 0x34);
}

TEST_F(I8042Test, KeyboardIdWithAndWithoutTranslation) {
  command_byte(0x01);
  EXPECT_EQ(to_keyboard(0xf2), (Bytes{0xfa, 0xab, 0x83}));
  command_byte(0x41);
  EXPECT_EQ(to_keyboard(0xf2), (Bytes{0xfa, 0xab, 0x41}));
  EXPECT_EQ(to_keyboard(0xff), (Bytes{0xfa, 0xaa}));
  EXPECT_EQ(to_keyboard(0xee), Bytes{0xee});
}

TEST_F(I8042Test, KeysInEverySet) {
  command_byte(0x41);
  keyboard.key(Key::kA, true);
  keyboard.key(Key::kA, false);
  keyboard.key(Key::kUp, true);
  keyboard.key(Key::kUp, false);
  EXPECT_EQ(drain(), (Bytes{0x1e, 0x9e, 0xe0, 0x48, 0xe0, 0xc8}));
  keyboard.key(Key::kF7, true);  // set 2: 83h
  keyboard.key(Key::kF7, false);
  EXPECT_EQ(drain(), (Bytes{0x41, 0xc1}));
  keyboard.key(Key::kPause, true);
  keyboard.key(Key::kPause, false);
  EXPECT_EQ(drain(), (Bytes{0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5}));
  keyboard.key(Key::kPrintScreen, true);
  EXPECT_EQ(drain(), (Bytes{0xe0, 0x2a, 0xe0, 0x37}));
  keyboard.key(Key::kPrintScreen, false);
  EXPECT_EQ(drain(), (Bytes{0xe0, 0xb7, 0xe0, 0xaa}));
  command_byte(0x01);
  keyboard.key(Key::kRightCtrl, true);
  keyboard.key(Key::kRightCtrl, false);
  EXPECT_EQ(drain(), (Bytes{0xe0, 0x14, 0xe0, 0xf0, 0x14}));
  to_keyboard(0xf0);
  EXPECT_EQ(to_keyboard(1), Bytes{0xfa});
  keyboard.key(Key::kEnter, true);
  keyboard.key(Key::kEnter, false);
  EXPECT_EQ(drain(), (Bytes{0x1c, 0x9c}));
  to_keyboard(0xf0);
  to_keyboard(3);
  to_keyboard(0xf0);
  EXPECT_EQ(to_keyboard(0), (Bytes{0xfa, 0x03}));
  keyboard.key(Key::kUp, true);
  keyboard.key(Key::kUp, false);
  keyboard.key(Key::kLeftShift, true);
  keyboard.key(Key::kLeftShift, false);
  EXPECT_EQ(drain(), (Bytes{0x63, 0x12, 0xf0, 0x12}));
  to_keyboard(0xf8);  // all keys make/break
  keyboard.key(Key::kUp, true);
  keyboard.key(Key::kUp, false);
  EXPECT_EQ(drain(), (Bytes{0x63, 0xf0, 0x63}));
}

TEST_F(I8042Test, TranslationIsTheInverseOfTheTwoSets) {
  // Every key must give the same bytes untranslated in set 1 and translated from set 2.
  std::vector<Bytes> native;
  command_byte(0x01);
  to_keyboard(0xf0);
  to_keyboard(1);
  for (u8 i = 0; i < static_cast<u8>(Key::kCount); ++i) {
    keyboard.key(static_cast<Key>(i), true);
    keyboard.key(static_cast<Key>(i), false);
    native.push_back(drain());
  }
  to_keyboard(0xf0);
  to_keyboard(2);
  command_byte(0x41);
  for (u8 i = 0; i < static_cast<u8>(Key::kCount); ++i) {
    keyboard.key(static_cast<Key>(i), true);
    keyboard.key(static_cast<Key>(i), false);
    EXPECT_EQ(drain(), native[i]) << "key " << int{i};
  }
}

TEST_F(I8042Test, TheSameByteIsReadTwiceBeforeTheNextArrives) {
  command_byte(0x41);
  keyboard.key(Key::kA, true);
  keyboard.key(Key::kB, true);
  run_for(1'000'000);
  EXPECT_TRUE(wires.level[1]);
  EXPECT_EQ(in(0x60), 0x1e);
  EXPECT_EQ(in(0x60), 0x1e);
  run_for(1'000'000);
  EXPECT_EQ(in(0x60), 0x30);
  EXPECT_EQ(wires.rises[1], 2);
}

TEST_F(I8042Test, DisabledPortsHoldTheirBytes) {
  command_byte(0x11);
  keyboard.key(Key::kA, true);
  EXPECT_EQ(drain(), Bytes{});
  out(0x64, 0xae);
  EXPECT_EQ(drain(), Bytes{0x1c});
}

TEST_F(I8042Test, FullKeyboardBufferEndsWithTheOverrunCode) {
  command_byte(0x01);
  for (int i = 0; i < 40; ++i) keyboard.key(Key::kA, true);
  const Bytes bytes = drain();
  ASSERT_EQ(bytes.size(), 16u);
  EXPECT_EQ(bytes.back(), 0x00);
  keyboard.key(Key::kA, true);
  EXPECT_EQ(drain(), Bytes{0x1c});
}

TEST_F(I8042Test, TypesText) {
  command_byte(0x41);
  keyboard.type_text("a!\n");
  Bytes all;
  for (int i = 0; i < 100; ++i) {
    run_for(5'000'000);
    if ((in(0x64) & 1) != 0) all.push_back(in(0x60));
  }
  EXPECT_EQ(all, (Bytes{0x1e, 0x9e, 0x2a, 0x02, 0x82, 0xaa, 0x1c, 0x9c}));
}

TEST_F(I8042Test, LedsAndBadParameters) {
  command_byte(0x01);
  to_keyboard(0xed);
  EXPECT_EQ(to_keyboard(0x05), Bytes{0xfa});
  EXPECT_EQ(keyboard.leds(), 5);
  EXPECT_EQ(to_keyboard(0xef), Bytes{0xfe});
  EXPECT_EQ(to_keyboard(0xfe), Bytes{0xfe});  // resend
}

TEST_F(I8042Test, MouseStream) {
  command_byte(0x03);
  EXPECT_EQ(to_mouse(0xff), (Bytes{0xfa, 0xaa, 0x00}));
  mouse.move(1, 1, 0);
  EXPECT_EQ(drain(), Bytes{});  // not enabled yet
  EXPECT_EQ(to_mouse(0xf4), Bytes{0xfa});
  mouse.move(5, 3, 0);
  run_for(1'000'000);
  EXPECT_TRUE(wires.level[12]);
  EXPECT_EQ(in(0x64) & 0x20, 0x20);
  EXPECT_EQ(drain(), (Bytes{0x28, 0x05, 0xfd}));
  run_for(20'000'000);
  mouse.buttons(0x03);
  EXPECT_EQ(drain(), (Bytes{0x0b, 0x00, 0x00}));
  EXPECT_EQ(to_mouse(0xe9), (Bytes{0xfa, 0x25, 0x02, 0x64}));
}

TEST_F(I8042Test, MouseWheelKnock) {
  command_byte(0x03);
  for (const u8 rate : {200, 100, 80}) {
    to_mouse(0xf3);
    EXPECT_EQ(to_mouse(rate), Bytes{0xfa});
  }
  EXPECT_EQ(to_mouse(0xf2), (Bytes{0xfa, 0x03}));
  to_mouse(0xf4);
  mouse.move(0, 0, -1);
  EXPECT_EQ(drain(), (Bytes{0x08, 0x00, 0x00, 0xff}));
  for (const u8 rate : {200, 200, 80}) {
    to_mouse(0xf3);
    to_mouse(rate);
  }
  EXPECT_EQ(to_mouse(0xf2), (Bytes{0xfa, 0x04}));
  mouse.buttons(0x10);
  EXPECT_EQ(drain(), (Bytes{0x08, 0x00, 0x00, 0x20}));
}

TEST_F(I8042Test, MouseRemoteWrapAndErrors) {
  command_byte(0x03);
  to_mouse(0xf0);
  mouse.move(-2, 0, 0);
  EXPECT_EQ(drain(), Bytes{});
  EXPECT_EQ(to_mouse(0xeb), (Bytes{0xfa, 0x18, 0xfe, 0x00}));
  to_mouse(0xee);
  EXPECT_EQ(to_mouse(0xf2), Bytes{0xf2});
  EXPECT_EQ(to_mouse(0xec), Bytes{0xfa});
  EXPECT_EQ(to_mouse(0x33), Bytes{0xfe});
  to_mouse(0xe8);
  EXPECT_EQ(to_mouse(4), Bytes{0xfe});
  // Large movement is reported in pieces, none is lost.
  to_mouse(0xea);
  to_mouse(0xf4);
  mouse.move(300, 0, 0);
  EXPECT_EQ(drain(), (Bytes{0x08, 0xff, 0x00}));
  run_for(20'000'000);
  EXPECT_EQ(drain(), (Bytes{0x08, 45, 0x00}));
}

}  // namespace
}  // namespace dragoman
