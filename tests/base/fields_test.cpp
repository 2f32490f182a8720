#include "base/fields.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

namespace dragoman {
namespace {

enum class Phase : u8 { kIdle, kBusy };

struct Channel {
  u16 count = 0x1234;
  u8 mode = 7;
  bool running = false;
  static constexpr auto fields() {
    return std::tuple{Field{"count", &Channel::count}, Field{"mode", &Channel::mode},
                      Field{"running", &Channel::running}};
  }
  bool operator==(const Channel&) const = default;
};

struct Chip {
  u32 control = 0xa5a5;
  std::array<Channel, 2> channels{};
  std::array<u8, 3> buffer{1, 2, 3};
  Phase phase = Phase::kBusy;
  i64 offset = -2;
  static constexpr auto fields() {
    return std::tuple{Field{"control", &Chip::control}, Field{"channels", &Chip::channels},
                      Field{"buffer", &Chip::buffer}, Field{"phase", &Chip::phase},
                      Field{"offset", &Chip::offset}};
  }
  bool operator==(const Chip&) const = default;
};

struct Forgetful {
  u32 listed = 0;
  u32 forgotten = 0;
  static constexpr auto fields() { return std::tuple{Field{"listed", &Forgetful::listed}}; }
};

TEST(Fields, VisitsLeavesInOrderWithTheirPaths) {
  const Chip chip;
  std::vector<std::string> paths;
  visit_fields(chip, "", [&](const std::string& path, const auto&) { paths.push_back(path); });
  EXPECT_EQ(paths, (std::vector<std::string>{"control", "channels[0].count", "channels[0].mode",
                                             "channels[0].running", "channels[1].count",
                                             "channels[1].mode", "channels[1].running", "buffer",
                                             "phase", "offset"}));
}

TEST(Fields, CountsTheListedBytes) {
  EXPECT_EQ(field_bytes<Chip>(), sizeof(Chip));
  EXPECT_EQ(field_bytes<Forgetful>(), 4u);
  EXPECT_LT(field_bytes<Forgetful>(), sizeof(Forgetful));  // how an incomplete list is found out
}

TEST(Fields, SavesLittleEndian) {
  Channel channel;
  channel.running = true;
  std::vector<u8> bytes{0xee};  // appends
  save_fields(channel, bytes);
  EXPECT_EQ(bytes, (std::vector<u8>{0xee, 0x34, 0x12, 7, 1}));
}

TEST(Fields, LoadsWhatWasSavedAndLeavesTheRest) {
  Chip chip;
  chip.control = 0xdeadbeef;
  chip.channels[1] = {9, 8, true};
  chip.buffer = {4, 5, 6};
  chip.phase = Phase::kIdle;
  chip.offset = -1'000'000'000'000;
  std::vector<u8> bytes;
  save_fields(chip, bytes);
  bytes.push_back(0x77);
  Chip loaded;
  std::span<const u8> in = bytes;
  ASSERT_TRUE(load_fields(loaded, in).ok());
  EXPECT_EQ(loaded, chip);
  ASSERT_EQ(in.size(), 1u);
  EXPECT_EQ(in[0], 0x77);
}

TEST(Fields, RefusesShortInputOfAnyLength) {
  std::vector<u8> bytes;
  save_fields(Chip{}, bytes);
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    Chip loaded;
    std::span<const u8> in(bytes.data(), length);
    const auto result = load_fields(loaded, in);
    ASSERT_FALSE(result.ok()) << length;
    EXPECT_NE(result.error().message.find("too short"), std::string::npos);
  }
}

TEST(Fields, ABoolIsOneOrZeroWhateverTheBytesSay) {
  const std::vector<u8> bytes{0, 0, 0, 0xfe};
  Channel channel;
  std::span<const u8> in = bytes;
  ASSERT_TRUE(load_fields(channel, in).ok());
  std::vector<u8> again;
  save_fields(channel, again);
  EXPECT_EQ(again.back(), 1);
}

TEST(Fields, PrintsOneLinePerLeaf) {
  const std::string text = print_fields(Chip{});
  EXPECT_NE(text.find("control = 0xa5a5\n"), std::string::npos) << text;
  EXPECT_NE(text.find("channels[1].count = 0x1234\n"), std::string::npos) << text;
  EXPECT_NE(text.find("buffer = <3 bytes>\n"), std::string::npos) << text;
  EXPECT_NE(text.find("phase = 0x1\n"), std::string::npos) << text;
}

}  // namespace
}  // namespace dragoman
