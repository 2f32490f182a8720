// The terminal display: keys from escape sequences, VGA text to ANSI.
#include <gtest/gtest.h>

#include "frontends/terminal/terminal_keys.h"
#include "frontends/terminal/terminal_screen.h"

namespace dragoman {
namespace {

std::vector<KeyStroke> strokes(std::string_view text, bool* quit = nullptr) {
  TerminalKeys keys([&] {
    if (quit != nullptr) *quit = true;
  });
  for (const char c : text) {  // byte by byte, as a slow line sends them
    const u8 byte = static_cast<u8>(c);
    keys.feed({&byte, 1});
  }
  keys.pause();
  return {keys.strokes().begin(), keys.strokes().end()};
}

using Strokes = std::vector<KeyStroke>;

TEST(TerminalKeys, Characters) {
  EXPECT_EQ(strokes("a"), (Strokes{{Key::kA}}));
  EXPECT_EQ(strokes("A"), (Strokes{{Key::kA, true}}));
  EXPECT_EQ(strokes("?/"), (Strokes{{Key::kSlash, true}, {Key::kSlash}}));
  EXPECT_EQ(strokes("\"' "), (Strokes{{Key::kQuote, true}, {Key::kQuote}, {Key::kSpace}}));
  EXPECT_EQ(strokes("\r\x7f\t"), (Strokes{{Key::kEnter}, {Key::kBackspace}, {Key::kTab}}));
  EXPECT_EQ(strokes("\x03"), (Strokes{{Key::kC, false, true}}));
  EXPECT_TRUE(strokes("\xc3\xa4").empty());
  for (int c = 0x20; c < 0x7f; ++c)
    EXPECT_EQ(strokes(std::string(1, static_cast<char>(c))).size(), 1u) << c;
}

TEST(TerminalKeys, EscapeSequences) {
  EXPECT_EQ(strokes("\x1b[A"), (Strokes{{Key::kUp}}));
  EXPECT_EQ(strokes("\x1bOD"), (Strokes{{Key::kLeft}}));
  EXPECT_EQ(strokes("\x1bOP\x1b[[E\x1b[24~"), (Strokes{{Key::kF1}, {Key::kF5}, {Key::kF12}}));
  EXPECT_EQ(strokes("\x1b[3~\x1b[5~"), (Strokes{{Key::kDelete}, {Key::kPageUp}}));
  EXPECT_EQ(strokes("\x1b[1;5C"), (Strokes{{Key::kRight, false, true}}));
  EXPECT_EQ(strokes("\x1b[15;2~"), (Strokes{{Key::kF5, true}}));
  EXPECT_EQ(strokes("\x1b[Z"), (Strokes{{Key::kTab, true}}));
  EXPECT_EQ(strokes("\x1bx"), (Strokes{{Key::kX, false, false, true}}));
  EXPECT_EQ(strokes("\x1b"), (Strokes{{Key::kEscape}}));
  EXPECT_EQ(strokes("\x1b[99~a"), (Strokes{{Key::kA}}));  // unknown: swallowed as a whole
  const std::string endless = "\x1b[" + std::string(1000, '1');
  EXPECT_LE(strokes(endless).size(), 1000u);
}

TEST(TerminalKeys, ControlAIsTheProgramsOwn) {
  bool quit = false;
  EXPECT_EQ(strokes("\x01\x01", &quit), (Strokes{{Key::kA, false, true}}));
  EXPECT_FALSE(quit);
  EXPECT_TRUE(strokes("\x01x", &quit).empty());
  EXPECT_TRUE(quit);
}

TextScreen screen_of(unsigned columns, unsigned rows, std::string_view first_line) {
  TextScreen screen;
  screen.columns = columns;
  screen.rows = rows;
  screen.cells.assign(u64{columns} * rows, {' ', 0x07});
  for (std::size_t i = 0; i < first_line.size(); ++i) {
    screen.cells[i].character = static_cast<u8>(first_line[i]);
  }
  return screen;
}

TEST(TerminalScreen, ShowsTextAndThenOnlyWhatChanged) {
  TerminalScreen terminal;
  TextScreen screen = screen_of(80, 25, "Hello");
  EXPECT_NE(terminal.show_text(screen, {80, 25}).find("Hello"), std::string::npos);
  EXPECT_EQ(terminal.show_text(screen, {80, 25}), "\x1b[?25l");
  screen.cells[80 + 4] = {'X', 0x1c};  // bright red on blue
  EXPECT_EQ(terminal.show_text(screen, {80, 25}), "\x1b[2;5H\x1b[0;91;44mX\x1b[?25l");
}

TEST(TerminalScreen, CodePage437AndCursor) {
  TerminalScreen terminal;
  TextScreen screen = screen_of(4, 2, "\xc9\x01\xe1\xff");
  screen.cursor_visible = true;
  screen.cursor_column = 2;
  screen.cursor_row = 1;
  const std::string out = terminal.show_text(screen, {80, 25});
  EXPECT_NE(out.find("╔☺ß"), std::string::npos);
  EXPECT_TRUE(out.ends_with("\x1b[2;3H\x1b[?25h"));
  EXPECT_EQ(utf8_of_cp437('~'), "~");
  EXPECT_EQ(utf8_of_cp437(0xb0), "░");
  EXPECT_EQ(utf8_of_cp437(0x7f), "⌂");
}

TEST(TerminalScreen, SmallTerminalFollowsTheCursor) {
  TerminalScreen terminal;
  TextScreen screen = screen_of(10, 25, "top");
  screen.cells[24 * 10] = {'B', 0x07};
  screen.cursor_row = 24;
  const std::string out = terminal.show_text(screen, {5, 10});
  EXPECT_EQ(out.find("top"), std::string::npos);
  EXPECT_NE(out.find("\x1b[10;1H"), std::string::npos);
  EXPECT_NE(out.find('B'), std::string::npos);
}

TEST(TerminalScreen, GraphicsModesAreNamedOnce) {
  TerminalScreen terminal;
  EXPECT_NE(terminal.show_notice({640, 480}, {80, 25}).find("640 x 480"), std::string::npos);
  EXPECT_TRUE(terminal.show_notice({640, 480}, {80, 25}).empty());
  const std::string back = terminal.show_text(screen_of(80, 25, "text"), {80, 25});
  EXPECT_NE(back.find("\x1b[2J"), std::string::npos);
  EXPECT_NE(back.find("text"), std::string::npos);
}

}  // namespace
}  // namespace dragoman
