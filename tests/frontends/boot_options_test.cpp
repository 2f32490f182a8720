// Options that say what to boot from.
#include <gtest/gtest.h>

#include <vector>

#include "frontends/cli/options.h"

namespace dragoman {
namespace {

Result<ParsedCommand> parse(std::vector<const char*> words) {
  words.insert(words.begin(), "dragoman");
  return parse_options(static_cast<int>(words.size()), words.data());
}

TEST(BootOptions, ImageMayFollowAnOptionThatRepeats) {
  auto command = parse({"-m", "64", "-device", "virtio-rng-pci", "-serial", "null", "disk.img"});
  ASSERT_TRUE(command.ok()) << command.error().message;
  EXPECT_EQ(command->options.file, "disk.img");
  ASSERT_EQ(command->options.devices.size(), 1u);
  EXPECT_EQ(command->options.serial, std::vector<std::string>{"null"});
}

TEST(BootOptions, RepeatedOptionsKeepTheirOrder) {
  auto command = parse({"-serial", "null", "-hda", "a.img", "-serial", "stdio"});
  ASSERT_TRUE(command.ok()) << command.error().message;
  EXPECT_EQ(command->options.serial, (std::vector<std::string>{"null", "stdio"}));
  EXPECT_FALSE(command->options.file.has_value());
}

TEST(BootOptions, OrderAndMenu) {
  auto command = parse({"-boot", "order=dc,menu=on", "-cdrom", "a.iso"});
  ASSERT_TRUE(command.ok()) << command.error().message;
  EXPECT_EQ(command->options.boot_order, "dc");
  EXPECT_TRUE(command->options.boot_menu);
  command = parse({"-boot", "a"});
  ASSERT_TRUE(command.ok());
  EXPECT_EQ(command->options.boot_order, "a");
  EXPECT_FALSE(command->options.boot_menu);
}

}  // namespace
}  // namespace dragoman
