// The remote protocol of GDB: running, stopping, registers, memory, and whatever else may come.
#include "frontends/gdb/gdb_server.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/frontends/debug_machine.h"

namespace dragoman {
namespace {

class Gdb : public testing::TestWithParam<bool> {
 protected:
  Gdb() : Gdb(false) {}
  explicit Gdb(bool history)
      : pc_(kModesProgram, GetParam(), history),
        server_(
            pc_.debugger(), [this](std::string_view text) { out_ += text; },
            [](const std::string& line) { return "did " + line + "\n"; }) {
    server_.connected();
    EXPECT_EQ(ask("QStartNoAckMode"), "OK");
    raw("+");
  }

  void raw(std::string_view bytes) {
    server_.receive({reinterpret_cast<const u8*>(bytes.data()), bytes.size()});
  }
  void send(const std::string& packet) {
    unsigned sum = 0;
    for (const char c : packet) sum += static_cast<u8>(c);
    raw(fmt::format("${}#{:02x}", packet, sum & 0xff));
  }
  /// The contents of the last packet that came.
  std::string last() {
    const std::size_t begin = out_.rfind('$');
    const std::size_t end = out_.find('#', begin == std::string::npos ? 0 : begin);
    if (begin == std::string::npos || end == std::string::npos) return "(none)";
    return out_.substr(begin + 1, end - begin - 1);
  }
  std::string ask(const std::string& packet) {
    out_.clear();
    send(packet);
    return last();
  }
  /// Sends `packet`, runs the machine until it is held, and gives the stop reply.
  std::string go(const std::string& packet) {
    out_.clear();
    send(packet);
    EXPECT_TRUE(pc_.run_until_held());
    return last();
  }
  u64 pc() { return pc_.debugger().pc(); }
  u64 quad(u64 address) {
    u64 value = 0;
    pc_.debugger().read_physical(address, {reinterpret_cast<u8*>(&value), 8});
    return value;
  }
  u64 count() { return pc_.debugger().cpu().state.regs[kRcx]; }

  DebugMachine pc_;
  std::string out_;
  GdbServer server_;
};

TEST_P(Gdb, BreaksInEveryMode) {
  ASSERT_EQ(ask(fmt::format("Z1,{:x},1", kProtected)), "OK");
  ASSERT_EQ(ask(fmt::format("Z0,{:x},1", kLong)), "OK");
  EXPECT_TRUE(go("c").starts_with("T05"));
  EXPECT_EQ(pc(), kProtected);
  EXPECT_EQ(pc_.debugger().cpu().decode_mode().code_bits, 32);
  EXPECT_TRUE(go("vCont;c").starts_with("T05"));
  EXPECT_EQ(pc(), kLong);
  EXPECT_EQ(pc_.debugger().cpu().decode_mode().code_bits, 64);
}

TEST_P(Gdb, StopsInTheMiddleOfHotCode) {
  ASSERT_EQ(ask(fmt::format("Z1,{:x},1", kWriteQuad)), "OK");
  EXPECT_TRUE(go("c").starts_with("T05"));
  EXPECT_EQ(pc(), kWriteQuad);
  EXPECT_EQ(quad(0x800), 100'000u);
  EXPECT_EQ(quad(0x808), 0u);
}

TEST_P(Gdb, SetsAndRemovesBreakpointsInHotCode) {
  // Stop somewhere in the loop, when it has long been translated.
  ASSERT_EQ(ask(fmt::format("Z1,{:x},1", kLoop)), "OK");
  EXPECT_TRUE(go("c").starts_with("T05"));
  EXPECT_EQ(ask(fmt::format("z1,{:x},1", kLoop)), "OK");
  pc_.debugger().add_watch({0x800, 8, false, true});
  for (unsigned i = 1; i <= 3; ++i) {
    go("c");
    EXPECT_EQ(quad(0x800), i);
    EXPECT_EQ(pc(), kLoop + 8);
  }
  pc_.debugger().clear_points();
  pc_.debugger().resume();
  pc_.machine().set_host_deadline(host_time_ns() + 10'000'000'000);
  while (pc_.machine().instructions() < 100'000) {
    if (pc_.machine().run_to(100'000) != Machine::Pause::kReached) break;
  }
  pc_.debugger().pause();
  (void)pc_.machine().take_stop_reason();
  ASSERT_EQ(ask(fmt::format("Z1,{:x},1", kLoop)), "OK");
  go("c");
  const u64 first = quad(0x800);
  EXPECT_GT(first, 10'000u);
  EXPECT_EQ(pc(), kLoop);
  go("c");
  EXPECT_EQ(quad(0x800), first + 1);
  EXPECT_EQ(pc(), kLoop);
  ASSERT_EQ(ask(fmt::format("z1,{:x},1", kLoop)), "OK");
  ASSERT_EQ(ask(fmt::format("Z1,{:x},1", kWriteQuad)), "OK");
  go("c");
  EXPECT_EQ(pc(), kWriteQuad);
  EXPECT_EQ(quad(0x800), 100'000u);
}

TEST_P(Gdb, WatchesBehindTheAccess) {
  ASSERT_EQ(ask("Z2,700,2"), "OK");
  EXPECT_NE(go("c").find("watch:700;"), std::string::npos);
  EXPECT_EQ(pc(), kAfterWriteWord);
  ASSERT_EQ(ask("z2,700,2"), "OK");
  ASSERT_EQ(ask("Z2,808,8"), "OK");
  EXPECT_NE(go("c").find("watch:808;"), std::string::npos);
  EXPECT_EQ(pc(), kUd2);
  EXPECT_EQ(quad(0x808), 1u);
}

TEST_P(Gdb, ReadsStayFastWhereWritesAreWatched) {
  for (const bool reads : {false, true}) {
    const char* const watch = reads ? "3,810,8" : "2,810,8";  // in the page of the loop's counter
    ASSERT_EQ(ask(fmt::format("Z{}", watch)), "OK");
    ASSERT_EQ(ask(fmt::format("Z1,{:x},1", kWriteQuad)), "OK");
    go("c");
    EXPECT_EQ(pc(), kWriteQuad);
    const ShadowTable::Entry& entry = pc_.debugger().cpu().frame.shadow->entry(0);
    EXPECT_EQ(entry.readable(0x800, 8), !reads);
    EXPECT_FALSE(entry.writable(0x800, 8));
    ASSERT_EQ(ask(fmt::format("z{}", watch)), "OK");
    pc_.debugger().cpu().state.rip() = kLoop;  // once more
    pc_.debugger().cpu().state.regs[kRcx] = 1000;
    pc_.debugger().registers_changed();
    ASSERT_EQ(ask(fmt::format("z1,{:x},1", kWriteQuad)), "OK");
  }
}

TEST_P(Gdb, WritesBesideAWatchStayInHostCode) {
  for (const char* const watch : {"2,810,8", "3,810,8", "4,7f8,8"}) {
    ASSERT_EQ(ask(fmt::format("Z{}", watch)), "OK");
    ASSERT_EQ(ask(fmt::format("Z1,{:x},1", kWriteQuad)), "OK");
    go("c");
    EXPECT_EQ(pc(), kWriteQuad) << watch;
    EXPECT_TRUE(pc_.debugger().cpu().frame.shadow->entry(0).writable_but_watched(0x800, 8));
    if (GetParam()) {
      const std::string counts = pc_.machine().translator_statistics();
      const std::size_t at = counts.find("handlers called from host code: ");
      ASSERT_NE(at, std::string::npos) << counts;
      EXPECT_LT(std::stoul(counts.substr(at + 32)), 10'000u) << watch;
    }
    ASSERT_EQ(ask(fmt::format("z{}", watch)), "OK");
    pc_.debugger().cpu().state.rip() = kLoop;  // once more
    pc_.debugger().cpu().state.regs[kRcx] = 100'000;
    pc_.debugger().registers_changed();
    ASSERT_EQ(ask(fmt::format("z1,{:x},1", kWriteQuad)), "OK");
  }
}

TEST_P(Gdb, WatchesVariablesBesideCode) {
  ASSERT_EQ(ask(fmt::format("Z1,{:x},1", kLoop)), "OK");
  go("c");
  ASSERT_EQ(ask(fmt::format("z1,{:x},1", kLoop)), "OK");
  // 5000h: inc qword [5800h]; mov [5810h], rcx; dec rcx; jnz 5000h; ud2
  ASSERT_EQ(ask("M5000,17:48ff04250058000048890c251058000048ffc975eb0f0b"), "OK");
  const auto again = [&](u64 turns) {
    pc_.debugger().cpu().state.rip() = 0x5000;
    pc_.debugger().cpu().state.regs[kRcx] = turns;
    pc_.debugger().registers_changed();
  };
  again(10'000);
  ASSERT_EQ(ask("Z1,5015,1"), "OK");
  go("c");
  EXPECT_EQ(pc(), 0x5015u);
  EXPECT_EQ(quad(0x5800), 10'000u);
  for (const char* const watch : {"2,5814,1", "4,5810,8"}) {
    ASSERT_EQ(ask(fmt::format("Z{}", watch)), "OK");
    again(3);
    for (u64 left = 3; left >= 1; --left) {
      EXPECT_NE(go("c").find("watch:581"), std::string::npos) << watch << " " << left;
      EXPECT_EQ(quad(0x5810), left);
    }
    EXPECT_EQ(go("c").find("watch"), std::string::npos);
    EXPECT_EQ(pc(), 0x5015u);
    ASSERT_EQ(ask(fmt::format("z{}", watch)), "OK");
  }
}

TEST_P(Gdb, StepsOneIterationOfARepeatedInstruction) {
  ASSERT_EQ(ask(fmt::format("Z1,{:x},1", kRepMovs)), "OK");
  go("c");
  ASSERT_EQ(ask(fmt::format("z1,{:x},1", kRepMovs)), "OK");
  for (u64 left = 4; left >= 1; --left) {
    EXPECT_TRUE(go("s").starts_with("T05"));
    EXPECT_EQ(count(), left);
    EXPECT_EQ(pc(), kRepMovs);
  }
  go("vCont;s:1");
  EXPECT_EQ(count(), 0u);
  if (pc() == kRepMovs) go("s");  // the step that finds nothing left to do
  EXPECT_EQ(pc(), kWriteWord);
  go("s");
  EXPECT_EQ(pc(), kAfterWriteWord);
}

TEST_P(Gdb, CatchesExceptionsBeforeTheyAreDelivered) {
  pc_.debugger().catch_vectors(1u << kVectorUd);
  EXPECT_TRUE(go("c").starts_with("T04"));
  EXPECT_EQ(pc(), kUd2);
  EXPECT_EQ(pc_.debugger().stop().vector, kVectorUd);
}

TEST_P(Gdb, ReadsAndWritesRegistersAndMemory) {
  const std::string all = ask("g");
  std::size_t bytes = 0;
  for (unsigned i = 0; i < GdbRegisters::count(); ++i) bytes += GdbRegisters::size(i);
  EXPECT_EQ(all.size(), 2 * bytes);
  EXPECT_EQ(ask("P0=8877665544332211"), "OK");
  EXPECT_EQ(pc_.debugger().cpu().state.regs[kRax], 0x1122334455667788u);
  EXPECT_EQ(ask("p0"), "8877665544332211");
  EXPECT_EQ(ask("M1000,4:deadbeef"), "OK");
  EXPECT_EQ(ask("m1000,4"), "deadbeef");
  EXPECT_EQ(ask(std::string("X1004,2:}\x03z")), "OK");  // an escaped '#'
  EXPECT_EQ(ask("m1004,2"), "237a");
  EXPECT_EQ(ask("Qqemu.PhyMemMode:1"), "OK");
  EXPECT_EQ(ask("m1000,4"), "deadbeef");
  // All registers written back as they were read change nothing.
  const std::string now = ask("g");
  EXPECT_EQ(ask("G" + now), "OK");
  EXPECT_EQ(ask("g"), now);
}

TEST_P(Gdb, AnswersQueries) {
  EXPECT_NE(ask("qSupported:swbreak+;hwbreak+").find("PacketSize="), std::string::npos);
  EXPECT_EQ(ask("qAttached"), "1");
  EXPECT_EQ(ask("vMustReplyEmpty"), "");
  EXPECT_EQ(ask("?").substr(0, 3), "T05");
  EXPECT_NE(ask("qXfer:features:read:target.xml:0,1000").find("<architecture>i8086"),
            std::string::npos);
  out_.clear();
  send("qRcmd,6869");                                                    // hi
  EXPECT_NE(out_.find("$O6469642068690a#"), std::string::npos) << out_;  // did hi
  EXPECT_EQ(last(), "OK");
}

TEST_P(Gdb, RefusesWhatItDoesNotUnderstand) {
  for (const char* packet : {"m",
                             "mzz,4",
                             "m0",
                             "M0,4:12",
                             "M0,zz",
                             "P",
                             "P9999=00",
                             "P0=1",
                             "p9999",
                             "pzz",
                             "Z0",
                             "Z0,",
                             "Z0,0",
                             "Z2,0,0",
                             "Z2,ffffffffffffffff,10",
                             "Gzz",
                             "C",
                             "vCont;x",
                             "vCont;",
                             "X0,5:abc",
                             "qXfer:features:read:target.xml:zz",
                             "qRcmd,6",
                             "Qqemu.PhyMemMode:2"}) {
    EXPECT_EQ(ask(packet).substr(0, 1), "E") << packet;
  }
  for (const char* packet : {"", "!", "b", "Z9,0,1", "QUnknown", "qUnknown", "vFile:open", "_M"}) {
    EXPECT_EQ(ask(packet), "") << packet;
  }
  EXPECT_TRUE(pc_.debugger().paused());
}

TEST_P(Gdb, SurvivesRandomBytes) {
  std::mt19937 random(7);
  static constexpr std::string_view kParts[] = {"$",
                                                "#",
                                                "}",
                                                "*",
                                                ",",
                                                ":",
                                                ";",
                                                "=",
                                                "m",
                                                "M",
                                                "X",
                                                "g",
                                                "G",
                                                "p",
                                                "P",
                                                "Z0",
                                                "z1",
                                                "Z2",
                                                "qXfer:features:read:target.xml:",
                                                "qRcmd,",
                                                "vCont",
                                                "ffffffffffffffff",
                                                "0",
                                                "1000",
                                                "H",
                                                "?",
                                                "Qqemu.PhyMemMode:",
                                                "7fffffff",
                                                "D",
                                                "bs",
                                                "bc",
                                                "s",
                                                "c"};
  for (unsigned round = 0; round < 4000; ++round) {
    std::string packet;
    for (unsigned n = static_cast<unsigned>(random() % 6); n > 0; --n) {
      if (random() % 4 == 0) {
        packet += static_cast<char>(random());
      } else {
        packet += kParts[random() % std::size(kParts)];
      }
    }
    if (random() % 3 == 0) {
      raw(packet);
    } else {
      send(packet);
    }
    (void)pc_.machine().take_stop_reason();
    out_.clear();
    pc_.debugger().pause();
  }
  raw("#00");  // whatever was under way ends
  EXPECT_EQ(ask("Qqemu.PhyMemMode:0"), "OK");
}

TEST_P(Gdb, RunsOnWhenTheDebuggerGoes) {
  ASSERT_EQ(ask(fmt::format("Z0,{:x},1", kProtected)), "OK");
  server_.disconnected();
  EXPECT_FALSE(pc_.debugger().paused());
  EXPECT_TRUE(pc_.debugger().points().breakpoints.empty());
}

TEST_P(Gdb, DoesNotGoBackWithoutHistory) {
  EXPECT_EQ(ask("qSupported:swbreak+").find("Reverse"), std::string::npos);
  EXPECT_TRUE(ask("bs").starts_with("E."));
  EXPECT_NE(ask("bc").find("-icount"), std::string::npos);
}

class GdbBack : public Gdb {
 protected:
  GdbBack() : Gdb(true) {}
};

TEST_P(GdbBack, FindsWritersAndTheBeginning) {
  const std::string supported = ask("qSupported:swbreak+");
  EXPECT_NE(supported.find(";ReverseStep+;ReverseContinue+"), std::string::npos);
  ASSERT_EQ(ask(fmt::format("Z1,{:x},1", kUd2)), "OK");
  EXPECT_TRUE(go("c").starts_with("T05"));
  EXPECT_EQ(quad(0x800), 100'000u);
  EXPECT_EQ(quad(0x808), 1u);
  ASSERT_EQ(ask("Z2,808,8"), "OK");
  EXPECT_NE(go("bc").find("watch:808;"), std::string::npos);
  EXPECT_EQ(pc(), kWriteQuad);
  EXPECT_EQ(quad(0x808), 0u);
  ASSERT_EQ(ask("z2,808,8"), "OK");
  EXPECT_TRUE(go("bs").starts_with("T05"));
  EXPECT_EQ(pc(), kWriteQuad - 2);  // the JNZ that was not taken
  // The count of the loop, a step at a time: INC, DEC and JNZ.
  for (int i = 0; i < 30; ++i) go("bs");
  EXPECT_EQ(pc(), kWriteQuad - 2);
  EXPECT_EQ(quad(0x800), 100'000u - 10);
  EXPECT_EQ(count(), 10u);
  ASSERT_EQ(ask(fmt::format("Z1,{:x},1", kProtected)), "OK");
  EXPECT_NE(go("bc").find("hwbreak"), std::string::npos);
  EXPECT_EQ(pc(), kProtected);
  EXPECT_EQ(pc_.debugger().cpu().decode_mode().code_bits, 32);
  ASSERT_EQ(ask("Z3,500,1"), "OK");  // read by REP MOVS in real mode, by its first iteration
  EXPECT_NE(go("bc").find("rwatch:500;"), std::string::npos);
  EXPECT_EQ(pc(), kRepMovs);
  EXPECT_EQ(count(), 5u);
  ASSERT_EQ(ask("z3,500,1"), "OK");
  const std::string begin = go("bc");
  EXPECT_NE(begin.find("replaylog:begin;"), std::string::npos) << begin;
  EXPECT_EQ(pc_.machine().instructions(), 0u);
  EXPECT_NE(go("bs").find("replaylog:begin;"), std::string::npos);
  // And forwards.
  EXPECT_TRUE(go("c").starts_with("T05"));
  EXPECT_EQ(pc(), kProtected);
  EXPECT_TRUE(go("c").starts_with("T05"));
  EXPECT_EQ(pc(), kUd2);
  EXPECT_EQ(quad(0x800), 100'000u);
}

TEST_P(GdbBack, WritingInThePastForgetsTheFuture) {
  ASSERT_EQ(ask(fmt::format("Z1,{:x},1", kUd2)), "OK");
  go("c");
  ASSERT_EQ(ask(fmt::format("Z1,{:x},1", kLoop)), "OK");
  go("bc");
  EXPECT_EQ(count(), 1u);
  ASSERT_EQ(ask("M808,1:07"), "OK");
  ASSERT_EQ(ask(fmt::format("z1,{:x},1", kLoop)), "OK");
  // The program stops again where it did, and what was written stays on the way back.
  go("c");
  EXPECT_EQ(pc(), kUd2);
  ASSERT_EQ(ask(fmt::format("Z1,{:x},1", kWriteQuad)), "OK");
  go("bc");
  EXPECT_EQ(quad(0x808), 7u);
}

TEST_P(GdbBack, SurvivesAnyOrderOfPackets) {
  std::mt19937 random(11);
  static constexpr std::string_view kPackets[] = {
      "bs",
      "bc",
      "c",
      "s",
      "\x03",
      "M700,2:1234",
      "P0=0000000000000000",
      "D",
      "?",
      "Z2,800,8",
      "z2,800,8",
      "Z1,ff0a6,1",
      "z1,ff0a6,1",
      "Z3,500,4",
      "z3,500,4",
      "qRcmd,73797374656d5f7265736574",  // system_reset: the test has no monitor
      "vCont;s",
      "vCont;c",
      "m800,10",
      "g"};
  for (unsigned round = 0; round < 400; ++round) {
    const std::string packet(kPackets[random() % std::size(kPackets)]);
    packet == "\x03" ? raw(packet) : send(packet);
    if (random() % 2 == 0) {
      pc_.machine().set_host_deadline(host_time_ns() + 500'000);
      (void)pc_.machine().run();
    }
    if (random() % 20 == 0) pc_.machine().request_reset();
    if (random() % 50 == 0) {
      server_.disconnected();
      server_.connected();
    }
    out_.clear();
  }
  raw("\x03");
  pc_.machine().set_host_deadline(host_time_ns() + 5'000'000'000);
  (void)pc_.machine().run();
  EXPECT_TRUE(pc_.debugger().paused());
}

INSTANTIATE_TEST_SUITE_P(Engines, GdbBack, testing::Bool(),
                         [](const auto& engine) { return engine.param ? "jit" : "interp"; });
INSTANTIATE_TEST_SUITE_P(Engines, Gdb, testing::Bool(),
                         [](const auto& p) { return p.param ? "Translator" : "Interpreter"; });

}  // namespace
}  // namespace dragoman
