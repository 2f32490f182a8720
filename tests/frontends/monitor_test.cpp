// The human monitor: commands, expressions, the terminal it sits on, and nonsense.
#include "frontends/monitor/monitor.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <random>

#include "devices/block/memory_image.h"
#include "frontends/media.h"
#include "frontends/monitor/expression.h"
#include "frontends/monitor/key_names.h"
#include "frontends/monitor/monitor_terminal.h"
#include "frontends/monitor/screen_file.h"
#include "tests/frontends/debug_machine.h"
#include "tests/frontends/process.h"

namespace dragoman {
namespace {

class MonitorTest : public testing::Test {
 protected:
  MonitorTest() : pc_(kModesProgram, false), monitor_(pc_.debugger(), MonitorHost{}) {}

  std::string say(const std::string& line) { return monitor_.execute(line); }

  DebugMachine pc_;
  Monitor monitor_;
};

TEST_F(MonitorTest, HelpHasOneLineForEveryCommand) {
  const std::string text = say("help");
  for (const char* name : {"info", "stop", "cont", "step", "system_reset", "system_powerdown", "x",
                           "xp", "print", "memsave", "pmemsave", "sendkey", "mouse_move",
                           "mouse_button", "screendump", "change", "eject", "quit"}) {
    EXPECT_NE(("\n" + text).find("\n" + std::string(name)), std::string::npos) << name;
  }
  EXPECT_NE(say("help x").find("linear"), std::string::npos);
  EXPECT_NE(say("contt").find("did you mean 'cont'"), std::string::npos);
}

TEST_F(MonitorTest, ShowsMemory) {
  const std::vector<u8> bytes = {0x78, 0x56, 0x34, 0x12, 0xff, 'A', '\'', 0};
  pc_.debugger().write_physical(0x1000, bytes);
  EXPECT_EQ(say("x /2xw 0x1000"), "0000000000001000: 0x12345678 0x002741ff\n");
  EXPECT_EQ(say("xp /1xg 0x1000"), "0000000000001000: 0x002741ff12345678\n");
  EXPECT_EQ(say("x /2db 0x1003"), "0000000000001003: 18 -1\n");
  EXPECT_EQ(say("x /3cb 0x1004"), "0000000000001004: '\\xff' 'A' '\\''\n");
  EXPECT_EQ(say("x /9xb 0x1000").find('\n'), 17 + 8 * 5u);
  EXPECT_EQ(say("x /1xw 0x1000+4*(3-2)"), "0000000000001004: 0x002741ff\n");
  EXPECT_NE(say("x /2i 0xff000").find("mov ax"), std::string::npos);
}

TEST_F(MonitorTest, EvaluatesExpressions) {
  pc_.debugger().cpu().state.regs[kRbx] = 0x1234;
  EXPECT_EQ(say("p $rbx+1"), "0x1235\n");
  EXPECT_EQ(say("print /d 2+3*4-(1|2)"), "11\n");
  EXPECT_EQ(say("p $cs_base"), "0xffff0000\n");
  EXPECT_EQ(say("p ~0"), "0xffffffffffffffff\n");
  for (const char* bad :
       {"p 1/0", "p $nothing", "p (1", "p 1+", "p 0x", "p 12z", "p 99999999999999999999"}) {
    EXPECT_NE(say(bad).find_first_not_of("0x123456789"), std::string::npos) << bad;
    EXPECT_GT(say(bad).size(), 10u) << bad;
  }
  EXPECT_FALSE(evaluate(std::string(100'000, '('), pc_.debugger().cpu()));
  EXPECT_FALSE(evaluate(std::string(100'000, '-'), pc_.debugger().cpu()));
}

TEST_F(MonitorTest, TakesAFormatThatClingsToItsCommand) {
  EXPECT_NE(say("xp/2xb 0xff000"), "");
  EXPECT_EQ(say("xp/2xb 0xff000"), say("xp /2xb 0xff000"));
  EXPECT_EQ(say("x/3i 0xff000"), say("x /3i 0xff000"));
  EXPECT_EQ(say("p/d 0-7"), "-7\n");
  EXPECT_EQ(say("print/x 16"), "0x10\n");
  for (const char* bad : {"stop/2", "/2x 0", "quit/", "info/x status", "xq/2x 0", "/", "//"})
    EXPECT_EQ(say(bad).find("unknown command"), 0u) << bad << ": " << say(bad);
}

TEST_F(MonitorTest, StopsStepsAndGoesOn) {
  EXPECT_EQ(say("info status"), "VM status: paused (prelaunch)\n");
  say("step");
  EXPECT_TRUE(pc_.run_until_held());
  EXPECT_EQ(pc_.debugger().pc(), 0xff000u);
  EXPECT_NE(say("info status").find("stepped"), std::string::npos);
  say("cont");
  EXPECT_FALSE(pc_.debugger().paused());
  say("stop");
  EXPECT_TRUE(pc_.debugger().paused());
}

TEST_F(MonitorTest, InfoAnswersEveryTopic) {
  for (const char* topic : {"registers", "cpus", "status", "version", "mtree", "qtree", "qtree -v",
                            "pic", "lapic", "jit", "mem", "tlb", "break"}) {
    const std::string text = say(std::string("info ") + topic);
    EXPECT_FALSE(text.empty()) << topic;
    EXPECT_EQ(text.find("info knows nothing"), std::string::npos) << topic;
  }
  EXPECT_EQ(say("info mem"), "PG disabled\n");
  EXPECT_NE(say("info mtree").find("ram"), std::string::npos);
}

TEST_F(MonitorTest, ShowsPageTables) {
  pc_.debugger().add_breakpoint(kLong);
  pc_.debugger().resume();
  ASSERT_TRUE(pc_.run_until_held());
  EXPECT_EQ(say("info mem"), "0000000000000000-0000000000200000 0000000000200000 -rwx\n");
  EXPECT_EQ(say("info tlb"), "0000000000000000: 0000000000000000 --PDA-W\n");
  EXPECT_EQ(say("info mem 0x1ff000"), say("info mem"));
  EXPECT_EQ(say("info mem 0x200000"), "");
  EXPECT_EQ(say("info tlb 0x200000"), "");
  EXPECT_EQ(say("gva2gpa 0x123456"), "gpa: 0x123456\n");
  EXPECT_EQ(say("gva2gpa 0x200000"), "not mapped\n");
  EXPECT_EQ(say("x 0x200000"), "cannot access memory at 0x200000\n");
}

TEST_F(MonitorTest, LongTablesAreShownInPieces) {
  pc_.debugger().add_breakpoint(kLong);
  pc_.debugger().resume();
  ASSERT_TRUE(pc_.run_until_held());
  // From 2 MiB on the odd pages of 64 MiB, each a range of its own.
  const auto put = [&](u64 at, u64 value) {
    pc_.debugger().write_physical(at, {reinterpret_cast<const u8*>(&value), 8});
  };
  for (u64 table = 0; table < 32; ++table) {
    put(0x12000 + 8 * (table + 1), 0x200003 + table * kPageSize);
    for (u64 i = 1; i < 512; i += 2) put(0x200000 + table * kPageSize + 8 * i, 3);
  }
  for (const std::string topic : {"mem", "tlb"}) {
    std::string ask = "info " + topic;
    std::size_t lines = 0;
    unsigned pieces = 0;
    for (; !ask.empty() && pieces < 10; ++pieces) {
      std::string text = say(ask);
      EXPECT_LT(text.size(), 400'000u);  // what a terminal may hold back
      const std::size_t more = text.rfind("more: ");
      ask = more == std::string::npos ? "" : text.substr(more + 6, text.size() - more - 7);
      if (more != std::string::npos) text.resize(more);
      lines += static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
    }
    EXPECT_EQ(lines, 1 + 32 * 256u) << topic;
    EXPECT_EQ(pieces, 3u) << topic;
  }
}

TEST_F(MonitorTest, SaysWhatInterruptControllersAreSetTo) {
  pc_.debugger().write_port(0x20, 1, 0x11);  // ICW1 to ICW4: vectors from 20h on
  for (const u32 value : {0x20u, 0x04u, 0x01u, 0xfbu}) pc_.debugger().write_port(0x21, 1, value);
  EXPECT_NE(say("info pic").find("i8259 master: irr=00 imr=fb isr=00 elcr=00 vectors from 0x20"),
            std::string::npos)
      << say("info pic");
  EXPECT_NE(say("info pic").find("  pin  4: masked\n"), std::string::npos);
  pc_.debugger().write_physical(0xfec00000, std::vector<u8>{0x18});
  const auto window = [&](u32 value) {
    pc_.debugger().cpu().memory().write(PhysicalAddress(0xfec00010), 4, value);
  };
  window(0xa931);  // redirection of pin 4
  pc_.debugger().cpu().memory().write(PhysicalAddress(0xfec00000), 4, 0x19);
  window(0x02000000);
  EXPECT_NE(
      say("info pic")
          .find("  pin  4: vector 0x31 lowest priority, level, active low, to logical 0x02\n"),
      std::string::npos)
      << say("info pic");
  const auto local = [&](u64 at, u32 value) {
    pc_.debugger().cpu().memory().write(PhysicalAddress(0xfee00000 + at), 4, value);
  };
  local(0xf0, 0x1ff);
  local(0x320, 0x200ec);
  local(0x360, 0x400);
  const std::string text = say("info lapic");
  EXPECT_NE(text.find("timer       vector 0xec periodic\n"), std::string::npos) << text;
  EXPECT_NE(text.find("LINT1       NMI\n"), std::string::npos) << text;
  EXPECT_NE(text.find("error       masked\n"), std::string::npos) << text;
  EXPECT_NE(text.find("requested: none\n"), std::string::npos) << text;
}

TEST_F(MonitorTest, CompletesNamesOfKeysAndDrives) {
  const std::vector<std::string> drives = {"ide0-hd0", "ide1-cd0"};
  EXPECT_EQ(Monitor::complete("sendkey ctrl-del", drives), std::vector<std::string>{"ctrl-delete"});
  EXPECT_EQ(Monitor::complete("eject ide1", drives), std::vector<std::string>{"ide1-cd0"});
  EXPECT_EQ(Monitor::complete("catch a", drives), std::vector<std::string>{"all"});
  EXPECT_EQ(Monitor::complete("info hist", drives), std::vector<std::string>{"history"});
}

TEST_F(MonitorTest, ACommandThatFailsChangesNothing) {
  say("cont");
  for (const char* way : {"reverse_step", "reverse_continue"}) {
    EXPECT_NE(say(way).find("-icount"), std::string::npos);
    EXPECT_FALSE(pc_.debugger().paused());
  }
  for (const char* name :
       {"memsave", "pmemsave", "rdmsr", "wrmsr", "mouse_move", "mouse_button", "i", "o"}) {
    EXPECT_TRUE(say(name).starts_with("usage: " + std::string(name))) << name;
  }
}

TEST_F(MonitorTest, ShowsX87AndVectorRegisters) {
  CpuState& s = pc_.debugger().cpu().state;
  s.fpu.ymm[3] = {0x11, 0x22};
  s.fpu.st[1] = {0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x3f};
  EXPECT_EQ(say("info registers").find("ymm3"), std::string::npos);
  const std::string text = say("info registers -a");
  EXPECT_NE(text.find("st1=3fff8000000000000000\n"), std::string::npos) << text;
  EXPECT_NE(text.find("ymm3 =" + std::string(60, '0') + "2211\n"), std::string::npos) << text;
}

TEST_F(MonitorTest, SavesMemory) {
  TemporaryDirectory directory;
  pc_.debugger().write_physical(0x2000, std::vector<u8>{1, 2, 3, 4});
  EXPECT_EQ(say("pmemsave 0x2000 4 \"" + directory.file("a b") + "\""), "");
  EXPECT_EQ(read_file(directory.file("a b")), std::string("\1\2\3\4"));
  EXPECT_NE(say("memsave 0 16 /nowhere/file").find("cannot write"), std::string::npos);
}

TEST_F(MonitorTest, StrikesKeys) {
  EXPECT_EQ(say("sendkey ctrl-alt-delete"), "");
  EXPECT_NE(say("sendkey crtl").find("did you mean 'ctrl'"), std::string::npos);
  EXPECT_FALSE(say("sendkey " + std::string(1000, '-')).empty());
  for (const std::string_view name : key_names()) EXPECT_TRUE(key_by_name(name)) << name;
}

TEST_F(MonitorTest, WritesPictures) {
  TemporaryDirectory directory;
  const std::vector<u32> pixels = {0xff0000, 0x00ff00, 0x0000ff, 0xffffff};
  ASSERT_TRUE(write_picture(directory.file("a.ppm"), false, {2, 2}, pixels));
  EXPECT_EQ(read_file(directory.file("a.ppm")),
            std::string("P6\n2 2\n255\n\xff\0\0\0\xff\0\0\0\xff\xff\xff\xff", 23));
  ASSERT_TRUE(write_picture(directory.file("a.png"), true, {2, 2}, pixels));
  EXPECT_EQ(read_file(directory.file("a.png")).substr(1, 3), "PNG");
  EXPECT_FALSE(write_picture("/nowhere/a.png", true, {2, 2}, pixels));
  EXPECT_NE(say("screendump x.ppm").find("no graphics card"), std::string::npos);
}

/// Files that grow larger than `bytes` fail, as on a disk that is full.
class SmallFiles {
 public:
  explicit SmallFiles(rlim_t bytes) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit small{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    handler_ = signal(SIGXFSZ, SIG_IGN);
  }
  ~SmallFiles() {
    setrlimit(RLIMIT_FSIZE, &before_);
    signal(SIGXFSZ, handler_);
  }
  SmallFiles(const SmallFiles&) = delete;
  SmallFiles& operator=(const SmallFiles&) = delete;

 private:
  rlimit before_{};
  sighandler_t handler_ = nullptr;
};

unsigned files_in(const TemporaryDirectory& directory) {
  const std::filesystem::directory_iterator list(directory.file(""));
  return static_cast<unsigned>(std::distance(begin(list), end(list)));
}

TEST_F(MonitorTest, FilesAreWrittenWholeOrNotAtAll) {
  const TemporaryDirectory directory;
  const std::string old = directory.write("old.ppm", "as it was");
  const std::string fresh = directory.file("fresh.ppm");
  const std::vector<u32> pixels(40'000, 0x123456);
  {
    const SmallFiles small(8192);
    for (const std::string& path : {old, fresh}) {
      const auto done = write_picture(path, false, {200, 200}, pixels);
      ASSERT_FALSE(done);
      EXPECT_NE(done.error().message.find("File too large"), std::string::npos);
      EXPECT_NE(say("pmemsave 0 0x10000 " + path).find("File too large"), std::string::npos);
    }
  }
  EXPECT_EQ(read_file(old), "as it was");
  // Not even half of what is asked for is mapped.
  pc_.debugger().add_breakpoint(kLong);
  pc_.debugger().resume();
  ASSERT_TRUE(pc_.run_until_held());
  for (const std::string& path : {old, fresh}) {
    EXPECT_NE(say("memsave 0x1f0000 0x20000 " + path).find("was not written"), std::string::npos);
    EXPECT_NE(say("screendump " + path).find("no graphics card"), std::string::npos);
  }
  EXPECT_EQ(read_file(old), "as it was");
  EXPECT_EQ(files_in(directory), 1u);
  EXPECT_FALSE(write_picture(directory.file("no/folder.png"), true, {1, 1}, pixels));
  EXPECT_FALSE(write_picture(directory.file(""), true, {1, 1}, pixels));
  EXPECT_FALSE(write_picture("/dev/full", false, {200, 200}, pixels));
  EXPECT_EQ(files_in(directory), 1u);
  // A link and its target's rights stay; the new contents are shorter than the old ones.
  std::filesystem::permissions(
      old, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  std::filesystem::create_symlink("old.ppm", directory.file("link"));
  ASSERT_TRUE(write_picture(directory.file("link"), false, {1, 1}, {pixels.data(), 1}));
  EXPECT_EQ(read_file(old), "P6\n1 1\n255\n\x12\x34\x56");
  EXPECT_TRUE(std::filesystem::is_symlink(directory.file("link")));
  EXPECT_EQ(std::filesystem::status(old).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  EXPECT_EQ(files_in(directory), 2u);
  EXPECT_TRUE(write_picture("/dev/null", false, {200, 200}, pixels));
}

TEST_F(MonitorTest, SurvivesNonsense) {
  std::mt19937 random(3);
  static constexpr std::string_view kWords[] = {"x",
                                                "xp",
                                                "/4xw",
                                                "/9999999999i",
                                                "/i",
                                                "/zz",
                                                "0x7c00",
                                                "$rip",
                                                "info",
                                                "mem",
                                                "print",
                                                "p",
                                                "step",
                                                "stop",
                                                "cont",
                                                "memsave",
                                                "sendkey",
                                                "mouse_move",
                                                "mouse_button",
                                                "screendump",
                                                "change",
                                                "eject",
                                                "-f",
                                                "catch",
                                                "all",
                                                "33",
                                                "rdmsr",
                                                "0x10",
                                                "gva2gpa",
                                                "0xffffffffffffffff",
                                                "(",
                                                ")",
                                                "\"",
                                                "'",
                                                "registers",
                                                "help",
                                                "ide1-cd0",
                                                "-1",
                                                "system_reset",
                                                "nmi"};
  for (unsigned round = 0; round < 3000; ++round) {
    std::string line;
    for (unsigned n = static_cast<unsigned>(random() % 5); n > 0; --n) {
      line += std::string(kWords[random() % std::size(kWords)]) + " ";
      if (random() % 8 == 0) line += static_cast<char>(random());
    }
    if (line.starts_with("memsave") || line.starts_with("screendump")) continue;
    (void)say(line);
    (void)Monitor::complete(line);
    (void)pc_.machine().take_stop_reason();
  }
  EXPECT_EQ(say("p 1"), "0x1\n");
}

TEST_F(MonitorTest, TerminalEditsCompletesAndRemembers) {
  std::string out;
  MonitorTerminal terminal(monitor_, [&](std::string_view text) { out += text; });
  const auto type = [&](std::string_view keys) {
    out.clear();
    terminal.receive({reinterpret_cast<const u8*>(keys.data()), keys.size()});
  };
  terminal.greet();
  EXPECT_NE(out.find("(dragoman) "), std::string::npos);
  type("p 1x\x7f+1\r\n");
  EXPECT_NE(out.find("0x2\r\n(dragoman) "), std::string::npos) << out;
  type("\x1b[A\r");
  EXPECT_NE(out.find("0x2\r\n"), std::string::npos);
  type("info sta\t\r");
  EXPECT_NE(out.find("VM status"), std::string::npos);
  type("system_\t");
  EXPECT_NE(out.find("system_powerdown"), std::string::npos);
  type("\x15p 3\r");
  EXPECT_NE(out.find("0x3"), std::string::npos);
  std::mt19937 random(5);
  for (unsigned i = 0; i < 20'000; ++i) {
    const char c = static_cast<char>(random() % 128);
    terminal.receive({reinterpret_cast<const u8*>(&c), 1});
  }
}

TEST(Media, ChangesAndEjectsRemovableOnes) {
  TemporaryDirectory directory;
  Log log;
  MachineConfig config;
  config.cpu = parse_cpu_model("max").take();
  config.firmware = RomImage{"test", Bytes(64 * kKiB)};
  config.has_vga = false;
  config.drives.resize(2);
  config.drives[0].image = std::make_shared<MemoryImage>(std::vector<u8>(1 << 20), false, "disk");
  config.drives[1].index = 2;
  config.drives[1].cdrom = true;
  MediaBay::count(config);
  auto machine = Machine::create(config, log);
  ASSERT_TRUE(machine);
  MediaBay bay(**machine, config);
  Monitor monitor((*machine)->debugger(), bay.host());
  const std::string iso = directory.write("a.iso", std::string(64 * 2048, 'x'));
  EXPECT_EQ(monitor.execute("change ide1-cd0 " + iso), "");
  EXPECT_NE(monitor.execute("info block").find(iso), std::string::npos);
  EXPECT_EQ(monitor.execute("eject ide1-cd0"), "");
  EXPECT_EQ(monitor.execute("info block").find(iso), std::string::npos);
  // The guest locks the tray: PREVENT ALLOW MEDIUM REMOVAL to the drive at 170h.
  ASSERT_EQ(monitor.execute("change ide1-cd0 " + iso), "");
  PortMap& ports = (*machine)->board().cpu().ports();
  // What the firmware does: the IDE function (00:01.1) answers at the legacy ports.
  for (const auto& [where, value] : {std::pair{0x80000904u, 5u}, {0x80000940u, 0x80008000u}}) {
    ports.write(Port(0xcf8), 4, where);
    ports.write(Port(0xcfc), 4, value);
  }
  const auto command = [&](const std::array<u16, 6>& packet) {
    ports.write(Port(0x176), 1, 0xa0);
    ports.write(Port(0x177), 1, 0xa0);
    for (unsigned i = 0; i < 1000000 && (ports.read(Port(0x177), 1) & 0x88) != 0x08; ++i) {
      (*machine)->board().scheduler().run_due();
    }
    for (const u16 word : packet) ports.write(Port(0x170), 2, word);
    for (unsigned i = 0; i < 1000000 && (ports.read(Port(0x177), 1) & 0x88) != 0; ++i) {
      (*machine)->board().scheduler().run_due();
    }
  };
  for (unsigned i = 0; i < 3; ++i) command({0x00});  // takes the unit attentions
  command({0x1e, 0, 1});
  EXPECT_NE(monitor.execute("info block").find("Removable device: locked, tray closed"),
            std::string::npos);
  EXPECT_NE(monitor.execute("eject ide1-cd0").find("is locked"), std::string::npos);
  EXPECT_NE(monitor.execute("change ide1-cd0 " + iso).find("is locked"), std::string::npos);
  EXPECT_NE(monitor.execute("info block").find(iso), std::string::npos);
  EXPECT_EQ(monitor.execute("change -f ide1-cd0 " + iso), "");
  command({0x00});
  command({0x1e, 0, 0});
  std::vector<bool> trays;
  bay.host().watch_trays([&](const std::string&, bool open) { trays.push_back(open); });
  command({0x1b, 0, 2});
  EXPECT_EQ(trays, std::vector<bool>{true}) << "the guest opens the tray itself";
  EXPECT_NE(monitor.execute("info block").find("not locked, tray open"), std::string::npos);
  EXPECT_EQ(monitor.execute("eject ide0-hd0"), "Device 'ide0-hd0' is not removable\n");
  EXPECT_EQ(monitor.execute("eject nothing"), "Device 'nothing' not found\n");
  EXPECT_EQ(monitor.execute("change floppy0 " + directory.write("f", std::string(1474560, 0))), "");
  EXPECT_FALSE(monitor.execute("change floppy0 /nowhere/x").empty());
  EXPECT_EQ(monitor.execute("change floppy0 " + directory.file("f")), "")
      << "the same file once more";
  EXPECT_NE(monitor.execute("info block").find("/f\n"), std::string::npos) << "not read-only";
  std::vector<u8> bytes(1024);
  ASSERT_TRUE(config.drives[0].image->read(0, bytes));
  ASSERT_TRUE(config.drives[0].image->write(512, bytes));
  EXPECT_NE(monitor.execute("info blockstats")
                .find("ide0-hd0: rd_bytes=1024 wr_bytes=1024 rd_operations=1 wr_operations=1"),
            std::string::npos);
}

TEST(Media, StaysWhileThePastIsRecorded) {
  TemporaryDirectory directory;
  Log log;
  MachineConfig config;
  config.cpu = parse_cpu_model("max").take();
  config.firmware = RomImage{"test", Bytes(64 * kKiB)};
  config.has_vga = false;
  config.icount_shift = 3;
  config.history = HistoryConfig{};
  auto machine = Machine::create(config, log);
  ASSERT_TRUE(machine);
  MediaBay bay(**machine, config);
  const auto changed = bay.change("floppy0", directory.write("f", std::string(1474560, 0)), false);
  ASSERT_FALSE(changed);
  EXPECT_NE(changed.error().message.find("-rewind off"), std::string::npos);
}

}  // namespace
}  // namespace dragoman
