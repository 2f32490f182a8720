// Going back in the past of a run: every state is met again, in reverse order, on both engines.
#include "machine/history.h"

#include <gtest/gtest.h>
#include <xxhash.h>

#include <algorithm>
#include <deque>

#include "devices/block/memory_image.h"
#include "machine/machine.h"

namespace dragoman {
namespace {

// In real mode at F000:F000. IRQ 0 comes every 128 clocks of the PIT and counts at 804h. A loop
// counts at 800h, fills 20 bytes at 2000h with REP STOSB, adds what came by the serial port at 808h
// and what the keyboard controller has at 80Ah; every 16th time it sends a byte and waits by HLT.
// clang-format off
const std::vector<u8> kProgram = {
    0xfa, 0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, 0xbc, 0x00, 0x70, 0x66, 0xb9, 0x1b, 0x00,
    0x00, 0x00, 0x66, 0xb8, 0x00, 0x01, 0xe0, 0xfe, 0x66, 0x31, 0xd2, 0x0f, 0x30, 0xc7, 0x06, 0x20,
    0x00, 0x8c, 0xf0, 0xc7, 0x06, 0x22, 0x00, 0x00, 0xf0, 0xb0, 0x11, 0xe6, 0x20, 0xb0, 0x08, 0xe6,
    0x21, 0xb0, 0x04, 0xe6, 0x21, 0xb0, 0x01, 0xe6, 0x21, 0xb0, 0xfe, 0xe6, 0x21, 0xb0, 0x34, 0xe6,
    0x43, 0xb0, 0x80, 0xe6, 0x40, 0xb0, 0x00, 0xe6, 0x40, 0xfb, 0x66, 0xff, 0x06, 0x00, 0x08, 0xbf,
    0x00, 0x20, 0xb9, 0x14, 0x00, 0xa0, 0x00, 0x08, 0xfc, 0xf3, 0xaa, 0xba, 0xfd, 0x03, 0xec, 0xa8,
    0x01, 0x74, 0x0a, 0xba, 0xf8, 0x03, 0xec, 0x30, 0xe4, 0x01, 0x06, 0x08, 0x08, 0xe4, 0x64, 0xa8,
    0x01, 0x74, 0x08, 0xe4, 0x60, 0x30, 0xe4, 0x01, 0x06, 0x0a, 0x08, 0xf6, 0x06, 0x00, 0x08, 0x0f,
    0x75, 0xc8, 0xba, 0xf8, 0x03, 0xa0, 0x01, 0x08, 0xee, 0xf4, 0xeb, 0xbe, 0x50, 0x66, 0xff, 0x06,
    0x04, 0x08, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf,
};
// clang-format on
constexpr u64 kAgain = 0xff04a, kFill = 0xff059, kHalt = 0xff089, kTick = 0xff08c;
static_assert(kHalt < kTick);

/// A serial port of the test: what the guest sent, and what it is to be given.
class TestPort final : public CharacterBackend {
 public:
  void send(std::span<const u8> bytes) override {
    sent.insert(sent.end(), bytes.begin(), bytes.end());
  }
  void set_receiver(CharacterReceiver* receiver) override { receiver_ = receiver; }
  void receiver_ready() override {
    while (!waiting.empty() && receiver_ != nullptr && receiver_->can_receive() > 0) {
      const u8 byte = waiting.front();
      waiting.pop_front();
      receiver_->receive({&byte, 1});
    }
  }
  std::vector<u8> sent;
  std::deque<u8> waiting;

 private:
  CharacterReceiver* receiver_ = nullptr;
};

class HistoryTest : public testing::TestWithParam<bool> {
 protected:
  HistoryTest() {
    RomImage rom{"test", Bytes(64 * kKiB)};
    std::copy(kProgram.begin(), kProgram.end(), rom.bytes.begin() + 0xf000);
    const u8 jump[] = {0xea, 0x00, 0xf0, 0x00, 0xf0};  // jmp F000:F000
    std::copy(std::begin(jump), std::end(jump), rom.bytes.begin() + 0xfff0);
    config_.firmware = std::move(rom);
    config_.has_vga = false;
    config_.jit = GetParam();
    config_.translator.runs_before_translation = 2;
    config_.icount_shift = 3;
    config_.ram_bytes = 4 * kMiB;
    config_.cpu = parse_cpu_model("max").take();
    config_.serial[0] = &port_;
    config_.history = HistoryConfig{64 * kMiB, 20'000};
    build();
  }

  void build() {
    machine_ = Machine::create(config_, log_).take();
    debugger().add_listener([this](MachineEvent event) {
      if (event == MachineEvent::kStop) machine_->stop({StopCause::kRequested, 0, "held"});
    });
    debugger().pause();
    (void)machine_->take_stop_reason();
  }
  Debugger& debugger() { return machine_->debugger(); }
  u64 pc() { return debugger().pc(); }
  u64 count() { return machine_->instructions(); }
  void until_held() {
    machine_->set_host_deadline(host_time_ns() + 60'000'000'000);
    ASSERT_EQ(machine_->run().cause, StopCause::kRequested);
  }
  /// Runs on to the `times`th time that `address` is executed.
  void run_to(u64 address, unsigned times = 1) {
    debugger().add_breakpoint(address);
    for (unsigned i = 0; i < times; ++i) {
      debugger().resume();
      until_held();
    }
    EXPECT_EQ(pc(), address);
    debugger().remove_breakpoint(address);
  }
  void resume() {
    debugger().resume();
    until_held();
  }
  void step() {
    debugger().step();
    until_held();
  }
  DebugPoints::Cause back(bool step) {
    auto ok = debugger().reverse(step);
    EXPECT_TRUE(ok);
    until_held();
    return debugger().stop().cause;
  }
  u32 word(u64 address) {
    u32 value = 0;
    debugger().read_physical(address, {reinterpret_cast<u8*>(&value), 4});
    return value;
  }
  /// All that the guest could ever see.
  u64 state() {
    PcBoard& board = machine_->board();
    PcBoard::Saved saved = board.save();
    CpuState s = board.cpu().state;
    s.flags |= board.cpu().rflags();
    s.lazy = {};  // a form of flags, not a state
    save_fields(s, saved.devices);
    u64 hash = XXH3_64bits(saved.devices.data(), saved.devices.size());
    hash = XXH3_64bits_withSeed(board.memory().base(), board.memory().used(), hash);
    for (const auto& entry : saved.timers.armed) hash = hash * 31 + entry.deadline;
    return hash * 31 + board.clock().now_ns() + s.instructions + saved.random.next() +
           saved.pins.requests + saved.pins.interrupt_request;
  }

  TestPort port_;
  MachineConfig config_;
  Log log_;
  std::unique_ptr<Machine> machine_;
};

TEST_P(HistoryTest, StepsBackThroughWhatWasStepped) {
  run_to(kAgain, 3000);
  std::vector<u64> states;
  std::vector<u64> places;
  for (int i = 0; i < 150; ++i) {
    states.push_back(state());
    places.push_back(pc());
    step();
  }
  // A step is an iteration of REP STOSB.
  EXPECT_GT(std::count(places.begin(), places.end(), kFill), 40);
  while (!states.empty()) {
    EXPECT_EQ(back(true), DebugPoints::Cause::kStep);
    ASSERT_EQ(pc(), places.back()) << states.size();
    ASSERT_EQ(state(), states.back()) << states.size();
    states.pop_back();
    places.pop_back();
  }
}

TEST_P(HistoryTest, StepsBackThroughWhatRanFreely) {
  run_to(kAgain, 3000);
  const u64 last = state();
  const u64 instructions = count();
  std::vector<u64> states, places;
  bool handler = false, halted = false;
  for (int i = 0; i < 400; ++i) {
    back(true);
    states.push_back(state());
    places.push_back(pc());
    handler = handler || pc() == kTick;
    halted = halted || pc() == kHalt;
  }
  EXPECT_TRUE(handler);  // interrupts are where they were
  EXPECT_TRUE(halted);
  EXPECT_LT(count(), instructions);
  // The way back is the way there.
  while (states.size() > 1) {
    states.pop_back();
    places.pop_back();
    step();
    ASSERT_EQ(pc(), places.back()) << states.size();
  }
  debugger().add_breakpoint(kAgain);
  for (int i = 0; count() < instructions && i < 100; ++i) resume();
  EXPECT_EQ(count(), instructions);
  EXPECT_EQ(state(), last);
}

TEST_P(HistoryTest, ContinuesBackToBreakpoints) {
  run_to(kHalt, 20);
  run_to(kAgain, 5);
  std::vector<u64> visits;
  const u64 end = count();
  debugger().add_breakpoint(kHalt);
  while (back(false) == DebugPoints::Cause::kBreakpoint) {
    EXPECT_EQ(pc(), kHalt);
    visits.push_back(count());
  }
  EXPECT_EQ(debugger().stop().cause, DebugPoints::Cause::kBegin);
  EXPECT_EQ(count(), 0u);
  ASSERT_EQ(visits.size(), 20u);
  EXPECT_TRUE(std::is_sorted(visits.rbegin(), visits.rend()));
  EXPECT_LT(visits.front(), end);
  // And forwards the same ones.
  while (!visits.empty()) {
    resume();
    EXPECT_EQ(count(), visits.back());
    visits.pop_back();
  }
  EXPECT_EQ(back(true), DebugPoints::Cause::kStep);
}

TEST_P(HistoryTest, FindsTheWriter) {
  run_to(kAgain, 2000);
  const u32 ticks = word(0x804);
  ASSERT_GT(ticks, 3u);
  debugger().add_watch({0x804, 4, false, true});
  EXPECT_EQ(back(false), DebugPoints::Cause::kWatch);
  EXPECT_EQ(pc(), kTick + 1);  // the INC, which is still to come
  EXPECT_EQ(word(0x804), ticks - 1);
  EXPECT_EQ(back(false), DebugPoints::Cause::kWatch);
  EXPECT_EQ(pc(), kTick + 1);
  EXPECT_EQ(word(0x804), ticks - 2);
  debugger().clear_points();
  // Of a repeated instruction the iteration.
  debugger().add_watch({0x2005, 1, false, true});
  EXPECT_EQ(back(false), DebugPoints::Cause::kWatch);
  EXPECT_EQ(pc(), kFill);
  EXPECT_EQ(machine_->board().cpu().state.regs[kRdi], 0x2005u);
  // What the processor itself writes: the frame of an interrupt.
  debugger().clear_points();
  debugger().add_watch({0x6ffe, 1, false, true});
  EXPECT_EQ(back(false), DebugPoints::Cause::kWatch);
  debugger().clear_points();
  step();
  EXPECT_EQ(pc(), kTick);
  debugger().clear_points();
}

TEST_P(HistoryTest, GivesInputAgain) {
  run_to(kAgain, 500);
  port_.waiting = {1, 2, 3, 4};
  for (int i = 0; i < 4; ++i) {  // without a FIFO there is room for one
    machine_->history()->look();
    run_to(kAgain, 50);
  }
  debugger().write_port(0x64, 1, 0xae);  // the keyboard's line is on
  debugger().write_port(0x60, 1, 0xf4);  // it scans
  run_to(kAgain, 300);
  machine_->board().keyboard().key(Key::kA, true);
  run_to(kAgain, 300);
  machine_->board().keyboard().key(Key::kA, false);
  debugger().write_physical(0x900, std::array<u8, 2>{0x34, 0x12});
  run_to(kAgain, 300);
  ASSERT_EQ(word(0x808) & 0xffff, 10u);  // the port's bytes
  ASSERT_NE(word(0x808) >> 16, 0u);      // the keyboard's
  const u64 last = state();
  const u64 end = count();
  const std::vector<u8> sent = port_.sent;
  ASSERT_FALSE(sent.empty());
  EXPECT_EQ(back(false), DebugPoints::Cause::kBegin);
  EXPECT_EQ(word(0x808), 0u);
  EXPECT_EQ(word(0x900), 0u);
  port_.waiting = {5};  // has to wait for the present
  machine_->history()->look();
  debugger().add_breakpoint(kAgain);
  for (int i = 0; count() < end && i < 3000; ++i) resume();
  EXPECT_EQ(count(), end);
  EXPECT_EQ(state(), last);
  EXPECT_EQ(word(0x900), 0x1234u);
  EXPECT_EQ(port_.sent, sent);  // said once
  EXPECT_EQ(port_.waiting.size(), 1u);
  resume();
  machine_->history()->look();
  for (int i = 0; i < 100; ++i) resume();
  EXPECT_EQ(word(0x808) & 0xffff, 15u);
  EXPECT_GT(port_.sent.size(), sent.size());
}

TEST_P(HistoryTest, InputInThePastBeginsAnotherFuture) {
  run_to(kAgain, 1000);
  const u64 end = count();
  for (int i = 0; i < 100; ++i) back(true);
  debugger().cpu().state.regs[kRbx] = 0x4711;
  debugger().registers_changed();
  EXPECT_FALSE(machine_->history()->in_past());
  run_to(kAgain, 10);
  EXPECT_EQ(debugger().cpu().state.regs[kRbx], 0x4711u);
  EXPECT_LT(count(), end + 5000);
  back(false);
  EXPECT_EQ(debugger().cpu().state.regs[kRbx], 0u);
  run_to(kAgain, 1200);
  EXPECT_EQ(debugger().cpu().state.regs[kRbx], 0x4711u);
}

TEST_P(HistoryTest, KeepsToItsMemory) {
  config_.history = HistoryConfig{600 * kKiB, 2'000};
  build();
  run_to(kAgain, 3000);
  const std::string text = machine_->history()->describe();
  EXPECT_NE(text.find("of at most 0 MiB"), std::string::npos) << text;
  const u64 last = state();
  const u64 end = count();
  EXPECT_EQ(back(false), DebugPoints::Cause::kBegin);
  EXPECT_EQ(count(), 0u);  // less moments, but the beginning is there
  debugger().add_breakpoint(kAgain);
  for (int i = 0; count() < end && i < 3100; ++i) resume();
  EXPECT_EQ(state(), last);
}

TEST(History, PutsDisksBack) {
  auto disk = std::make_shared<MemoryImage>(std::vector<u8>(10'240, u8{7}));
  RecordedImage recorded(disk);
  DiskPieces first, second;
  recorded.keep_in(&first);
  std::vector<u8> bytes(512, u8{1});
  ASSERT_TRUE(recorded.write(512, bytes));
  ASSERT_TRUE(recorded.write(9'728, bytes));
  recorded.keep_in(&second);
  std::fill(bytes.begin(), bytes.end(), u8{2});
  ASSERT_TRUE(recorded.write(512, bytes));
  recorded.keep_in(nullptr);
  std::vector<u8> all(10'240);
  ASSERT_TRUE(recorded.put_back(second));
  ASSERT_TRUE(disk->read(0, all));
  EXPECT_EQ(all[512], 1);
  EXPECT_EQ(all[10'239], 1);
  ASSERT_TRUE(recorded.put_back(first));
  ASSERT_TRUE(disk->read(0, all));
  EXPECT_EQ(std::count(all.begin(), all.end(), 7), 10'240);
}

TEST(History, NeedsTimeByInstructions) {
  MachineConfig config;
  Log log;
  config.history = HistoryConfig{};
  const auto machine = Machine::create(config, log);
  ASSERT_FALSE(machine);
  EXPECT_NE(machine.error().message.find("-icount"), std::string::npos);
}

TEST(History, GoesWithoutATabletWhichItDoesNotRecord) {
  MachineConfig config;
  Log log;
  config.icount_shift = 3;
  config.history = HistoryConfig{};
  config.virtio_tablet = true;
  const auto machine = Machine::create(config, log);
  ASSERT_FALSE(machine);
  EXPECT_NE(machine.error().message.find("-rewind off"), std::string::npos);
}

TEST_P(HistoryTest, TranslatedInstructionsAreThoseOfTheTranslator) {
  EXPECT_EQ(machine_->translated_instructions(), 0u);
  run_to(kAgain, 300);
  EXPECT_EQ(machine_->translated_instructions() > 0, GetParam());
  EXPECT_LE(machine_->translated_instructions(), machine_->instructions());
}

INSTANTIATE_TEST_SUITE_P(Engines, HistoryTest, testing::Bool(),
                         [](const testing::TestParamInfo<bool>& engine) {
                           return engine.param ? "Translated" : "Interpreted";
                         });

}  // namespace
}  // namespace dragoman
