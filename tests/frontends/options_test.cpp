// The command line: spellings, values, what is refused and how.
#include <gtest/gtest.h>

#include "frontends/cli/options.h"

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

TEST(Options, OneDashTwoDashesAndEqualsSignMeanTheSame) {
  for (const auto& words : std::vector<std::vector<const char*>>{{"-kernel", "k", "-m", "64"},
                                                                 {"--kernel", "k", "-m=64"},
                                                                 {"-kernel=k", "--memory", "64M"},
                                                                 {"--kernel=k", "-m", "size=64"}}) {
    const Options o = options(words);
    EXPECT_EQ(o.kernel, "k");
    EXPECT_EQ(o.ram_bytes, 64 * kMiB);
  }
}

TEST(Options, ValuesMayBeginWithADash) {
  EXPECT_EQ(options({"-append", "-s single"}).append, "-s single");
  EXPECT_EQ(options({"-append", "--foo"}).append, "--foo");
  EXPECT_EQ(options({"-append", "-"}).append, "-");
  EXPECT_EQ(options({"-append", "root=/dev/sda ro"}).append, "root=/dev/sda ro");
  EXPECT_EQ(options({"-append", ""}).append, "");
  EXPECT_EQ(options({"-expect", "-nographic"}).expect, "-nographic");
  EXPECT_FALSE(options({"-expect", "-nographic"}).nographic);
}

TEST(Options, TheImageFileMayStandAnywhere) {
  EXPECT_EQ(options({"disk.img"}).file, "disk.img");
  EXPECT_EQ(options({"-nographic", "disk.img"}).file, "disk.img");
  EXPECT_EQ(options({"-serial", "null", "disk.img", "-m", "64"}).file, "disk.img");
  EXPECT_EQ(options({"--", "-odd-name"}).file, "-odd-name");
  EXPECT_TRUE(has(complaint({"a.img", "b.img"}), "'b.img'"));
}

TEST(Options, RepeatedOptions) {
  const Options o = options({"-serial", "null", "-serial", "pty", "-name", "a", "-name", "b"});
  EXPECT_EQ(o.serial, (std::vector<std::string>{"null", "pty"}));
  EXPECT_EQ(o.name, "b");
}

TEST(Options, DrivesWithTheirProperties) {
  const Options o = options({"-drive", "file=a,,b.img,format=raw,if=virtio,readonly=on,snapshot=on",
                             "-cdrom", "c.iso", "-hdb", "d.img", "-fda", "f.img", "-drive",
                             "file=e.iso,media=cdrom,index=3"});
  ASSERT_EQ(o.drives.size(), 5u);
  const auto find = [&](const char* file) {
    for (const DriveOption& d : o.drives) {
      if (d.file == file) return d;
    }
    ADD_FAILURE() << file;
    return DriveOption{};
  };
  EXPECT_EQ(find("a,b.img").interface, "virtio");
  EXPECT_TRUE(find("a,b.img").read_only);
  EXPECT_TRUE(find("a,b.img").snapshot);
  EXPECT_TRUE(find("c.iso").cdrom);
  EXPECT_EQ(find("d.img").index, 1u);
  EXPECT_EQ(find("f.img").interface, "floppy");
  EXPECT_TRUE(find("e.iso").cdrom);
  EXPECT_EQ(find("e.iso").index, 3u);
}

TEST(Options, WrongValuesAreNamedWithARemedy) {
  struct Case {
    std::vector<const char*> words;
    const char* value;
    const char* remedy;
  };
  const std::vector<Case> cases = {
      {{"-kernal", "x"}, "'-kernal'", "did you mean '-kernel'"},
      {{"--nograpic"}, "'--nograpic'", "'-nographic'"},
      {{"-m", "0"}, "'0'", "-m 512"},
      {{"-m", "-5"}, "'-5'", "-m 512"},
      {{"-m", "-50"}, "'-50'", "-m 512"},
      {{"-m", "12x"}, "'12x'", "-m 512"},
      {{"-m", "100000G"}, "'100000G'", "smaller -m"},
      {{"-m"}, "'-m'", "needs a value"},
      {{"-kernel", ""}, "'-kernel'", "-h"},
      {{"-nographic=on"}, "'=on'", "no value"},
      {{"-smp", "4"}, "4", "-smp 1"},
      {{"-M", "isapc"}, "'isapc'", "pc or q35"},
      {{"-accel", "kvm"}, "'kvm'", "-accel interp"},
      {{"-accel", "jitt"}, "'jitt'", "did you mean 'jit'"},
      {{"-accel", "jit,chache=4M"}, "'chache'", "did you mean 'cache'"},
      {{"-accel", "jit,cache=1T"}, "'cache=1T'", "64M"},
      {{"-accel", "jit,superblocks=maybe"}, "'superblocks=maybe'", "on or off"},
      {{"-accel", "jit,step=5"}, "'step'", "-accel help"},
      {{"-accel", "interp,cache=4M"}, "'cache'", "-accel help"},
      {{"-accel", "lockstep,step=0"}, "'step=0'", "1 to 100M"},
      {{"-accel", "lockstep,check=5T"}, "'check=5T'", "64M"},
      {{"-accel", "lockstep,flags=some"}, "'flags=some'", "flags=defined"},
      {{"-accel", "lockstep", "-display", "sdl"}, "'-display sdl'", "-display none"},
      {{"-display", "curses", "-accel", "lockstep"}, "'-display curses'", "-display none"},
      {{"-boot", "order=x"}, "'x'", "(floppy)"},
      {{"-drive", "file=a,format=qed"}, "'qed'", "qemu-img convert"},
      {{"-vnc", "host"}, "'host'", ":0"},
      {{"-drive", "file=a,if=scsi"}, "'if=scsi'", "virtio"},
      {{"-drive", "file=a,colour=red"}, "'colour=red'", "known are"},
      {{"-drive", "file=a,index=two"}, "'index=two'", "not a number"},
      {{"-display", "gtk"}, "'gtk'", "use sdl"},
      {{"-display", "sdl", "-nographic"}, "'-display sdl'", "leave out"},
      {{"-display", "sdl", "-vga", "none"}, "'-display sdl'", "-vga none"},
      {{"-display", "curses", "-serial", "stdio"}, "curses", "file:PATH"},
      {{"-timeout", "-1"}, "-1", "positive"},
      {{"-timeout", "soon"}, "soon", "-h"},
  };
  for (const Case& c : cases) {
    const std::string text = complaint(c.words);
    EXPECT_TRUE(has(text, c.value)) << text;
    EXPECT_TRUE(has(text, c.remedy)) << text;
  }
}

TEST(Options, AcceleratorsAndTheirOptions) {
  EXPECT_EQ(options({}).accel, "jit");
  const Options jit = options({"-accel", "jit,cache=32M,superblocks=off,perfmap=on,threshold=5"});
  EXPECT_EQ(jit.accel, "jit");
  EXPECT_EQ(jit.translator.cache_bytes, 32 * kMiB);
  EXPECT_EQ(jit.translator.runs_before_translation, 5u);
  EXPECT_FALSE(jit.translator.superblocks);
  EXPECT_TRUE(jit.translator.perfmap);
  EXPECT_TRUE(jit.translator.links);
  EXPECT_EQ(options({"-accel", "interp"}).accel, "interp");
  const Options lockstep =
      options({"-accel", "lockstep,step=2k,check=3M,flags=defined,links=off", "-nographic"});
  EXPECT_EQ(lockstep.accel, "lockstep");
  EXPECT_EQ(lockstep.lockstep.step, 2000u);
  EXPECT_EQ(lockstep.lockstep.check, 3'000'000u);
  EXPECT_FALSE(lockstep.lockstep.all_flags);
  EXPECT_FALSE(lockstep.translator.links);
  EXPECT_TRUE(options({"-accel", "lockstep"}).lockstep.all_flags);
}

TEST(Options, AcceleratorHelpNamesEveryOption) {
  auto command = parse({"-accel", "help"});
  ASSERT_TRUE(command.ok() && command->text);
  for (const char* name : {"jit ", "interp ", "lockstep ", "cache ", "superblocks ", "step "}) {
    EXPECT_TRUE(has(*command->text, name)) << name;
  }
  for (const auto& info : translator_option_infos()) {
    EXPECT_TRUE(has(*command->text, std::string(info.help).c_str())) << info.name;
  }
}

TEST(Options, HelpNamesEveryOptionOfTheManual) {
  auto command = parse({"-h"});
  ASSERT_TRUE(command.ok() && command->text);
  for (const char* name :
       {"-m,",        "--smp",       "--cpu",     "-M,",        "--accel",     "--kernel",
        "--initrd",   "--append",    "--bios",    "--drive",    "--hda",       "--hdd",
        "--cdrom",    "--fda",       "--boot",    "--snapshot", "--serial",    "--parallel",
        "--debugcon", "--nographic", "--display", "--vga",      "--no-reboot", "--no-shutdown",
        "--device",   "--rtc",       "--uuid",    "--name",     "-d,",         "-D,",
        "--version",  "--icount",    "--timeout", "--expect",   "Exit codes",  "Ctrl+Alt+G"}) {
    EXPECT_TRUE(has(*command->text, name)) << name;
  }
  EXPECT_TRUE(has(*parse({"-version"})->text, "dragoman "));
  EXPECT_TRUE(has(*parse({"-cpu", "help"})->text, "max"));
}

}  // namespace
}  // namespace dragoman
