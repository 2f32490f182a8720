// -audiodev and its relatives.
#include "frontends/cli/audio_options.h"

#include <gtest/gtest.h>

#include "frontends/cli/audio_outputs.h"
#include "frontends/cli/device_options.h"
#include "tests/frontends/process.h"

namespace dragoman {
namespace {

Result<ParsedCommand> parse(std::vector<const char*> words) {
  words.insert(words.begin(), "dragoman");
  return parse_options(static_cast<int>(words.size()), words.data());
}

Options options(std::vector<const char*> words) {
  auto command = parse(std::move(words));
  EXPECT_TRUE(command.ok()) << command.error().message;
  return command.ok() ? command->options : Options{};
}

std::string complaint(std::vector<const char*> words) {
  auto command = parse(std::move(words));
  EXPECT_FALSE(command.ok());
  return command.ok() ? "" : command.error().message;
}

bool has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

TEST(AudioOptions, SpellingsOfQemu) {
  const Options o = options({"-audiodev", "wav,id=a0,path=x.wav,out.frequency=44100", "-audiodev",
                             "driver=sdl,id=a1,timer-period=1000", "-device", "sb16,audiodev=a0",
                             "-machine", "pc,pcspk-audiodev=a1"});
  ASSERT_EQ(o.audiodevs.size(), 2u);
  EXPECT_EQ(o.audiodevs[0].driver, "wav");
  EXPECT_EQ(o.audiodevs[0].id, "a0");
  EXPECT_EQ(o.audiodevs[0].path, "x.wav");
  EXPECT_EQ(o.audiodevs[0].rate, 44100u);
  EXPECT_EQ(o.audiodevs[1].driver, "sdl");
  EXPECT_EQ(o.audiodevs[1].rate, 48000u);
  EXPECT_EQ(o.speaker_audiodev, "a1");
  ASSERT_EQ(o.devices.size(), 1u);
  EXPECT_EQ(o.devices[0].driver, "sb16");
}

TEST(AudioOptions, Shorthands) {
  Options o = options({"-audio", "none,model=ac97"});
  ASSERT_EQ(o.audiodevs.size(), 1u);
  EXPECT_EQ(o.audiodevs[0].id, "audio");
  ASSERT_EQ(o.devices.size(), 1u);
  EXPECT_EQ(o.devices[0].driver, "AC97");
  EXPECT_EQ(o.devices[0].properties.take("audiodev"), "audio");
  o = options({"-audio", "model=pcspk,driver=wav,id=w,path=a,,b.wav"});
  EXPECT_EQ(o.speaker_audiodev, "w");
  EXPECT_EQ(o.audiodevs[0].path, "a,b.wav");
  o = options({"-soundhw", "sb16,adlib"});
  ASSERT_EQ(o.devices.size(), 2u);
  EXPECT_TRUE(o.devices[0].properties.empty());
  EXPECT_EQ(options({"-soundhw", "all"}).devices.size(), 2u);
}

TEST(AudioOptions, RefusesWhatCannotBe) {
  EXPECT_TRUE(has(complaint({"-audiodev", "alsa,id=a"}), "'alsa'"));
  EXPECT_TRUE(has(complaint({"-audiodev", "wave,path=x"}), "did you mean 'wav'"));
  EXPECT_TRUE(has(complaint({"-audiodev", "wav,id=a"}), "path=FILE"));
  EXPECT_TRUE(has(complaint({"-audiodev", "sdl,path=x"}), "path=x"));
  EXPECT_TRUE(has(complaint({"-audiodev", "sdl,out.frequency=7"}), "out.frequency=7"));
  EXPECT_TRUE(has(complaint({"-audiodev", "sdl,out.channels=6"}), "out.channels=6"));
  EXPECT_TRUE(has(complaint({"-audiodev", "sdl,volume=3"}), "volume=3"));
  EXPECT_TRUE(has(complaint({"-audio", "sdl,model=hda"}), "'hda'"));
  EXPECT_TRUE(has(complaint({"-soundhw", "sb"}), "'sb'"));
  EXPECT_TRUE(has(complaint({"-accel", "lockstep", "-audiodev", "sdl"}), "lockstep"));
}

TEST(AudioOptions, OutputsAreFoundById) {
  AudioOutputs outputs;
  ASSERT_TRUE(outputs.open({{"none", "quiet", "", 48000}}).ok());
  EXPECT_EQ(*outputs.find("quiet"), nullptr);
  EXPECT_EQ(*outputs.find(std::nullopt), nullptr);
  auto missing = outputs.find("loud");
  ASSERT_FALSE(missing.ok());
  EXPECT_TRUE(has(missing.error().message, "id=loud"));
  EXPECT_FALSE(AudioOutputs().open({{"wav", "a", "/nowhere/x.wav", 48000}}).ok());
}

TEST(AudioOptions, DevicesRefuseLinesTheyDoNotHave) {
  const auto add = [](std::string driver, const char* properties) -> std::string {
    Options o;
    MachineConfig config;
    std::vector<std::string> ahci_ids;
    DeviceContext context{o,
                          config,
                          ahci_ids,
                          nullptr,
                          nullptr,
                          [](const std::optional<std::string>&) -> Result<AudioBackend*> {
                            return static_cast<AudioBackend*>(nullptr);
                          },
                          [](const std::string& path) -> Result<MidiOutput*> {
                            return error("no place for '{}'", path);
                          }};
    DeviceOption option{std::move(driver), KeyValues::parse(properties, "")};
    auto done = add_device_option(option, context);
    return done.ok() ? "" : done.error().message;
  };
  EXPECT_EQ(add("sb16", "iobase=0x240,irq=7,dma=3,dma16=6"), "");
  EXPECT_TRUE(has(add("sb16", "irq=11"), "irq=11"));
  EXPECT_TRUE(has(add("sb16", "dma=2"), "dma=2"));
  EXPECT_TRUE(has(add("sb16", "iobase=0x300"), "iobase=0x300"));
  EXPECT_TRUE(has(add("sb16", "colour=red"), "colour=red"));
  EXPECT_TRUE(has(add("sb16", "midi=/tune.mid"), "/tune.mid"));
  EXPECT_EQ(add("AC97", "id=x,addr=5"), "");
  EXPECT_EQ(add("ac97", ""), "");
  EXPECT_EQ(add("adlib", ""), "");
}

TEST(AudioOptions, ErrorsHaveTheirExitCodes) {
  EXPECT_EQ(run_dragoman({"-audiodev", "wav,path=/nowhere/x.wav"}).code, 1);
  EXPECT_EQ(run_dragoman({"-device", "sb16,audiodev=a"}).code, 2);
  EXPECT_EQ(run_dragoman({"-machine", "pcspk-audiodev=a"}).code, 2);
  EXPECT_EQ(run_dragoman({"-device", "sb16,midi=/nowhere/x.mid"}).code, 1);
  EXPECT_EQ(run_dragoman({"-accel", "lockstep", "-device", "sb16,midi=x.mid"}).code, 2);
  const Finished help = run_dragoman({"-audiodev", "help"});
  EXPECT_EQ(help.code, 0);
  EXPECT_TRUE(has(help.out, "wav"));
}

}  // namespace
}  // namespace dragoman
