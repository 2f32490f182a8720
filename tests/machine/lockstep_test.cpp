// Two machines side by side: what is equal stays unnoticed, what differs is found and narrowed.
#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

#include "cpu/execute/host/executable_arena.h"
#include "cpu/isa/rows.h"
#include "devices/block/memory_image.h"
#include "machine/clock.h"
#include "machine/lockstep.h"

namespace dragoman {
namespace {

using Code = std::vector<u8>;

/// A firmware that starts with `code` at F000:F000.
RomImage firmware(const Code& code) {
  RomImage rom{"test", Bytes(64 * kKiB)};
  std::copy(code.begin(), code.end(), rom.bytes.begin() + 0xf000);
  rom.bytes[0xfff0] = 0xe9;  // jmp F000h
  rom.bytes[0xfff1] = 0x0d;
  rom.bytes[0xfff2] = 0xf0;
  return rom;
}

Code operator+(Code first, const Code& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

const Code kCount = {
    0x31, 0xdb,                    // xor bx, bx
    0xba, 0x34, 0x12,              // mov dx, 1234h
    0xbf, 0x14, 0x00,              // mov di, 20
    0xb9, 0xe8, 0x03,              // outer: mov cx, 1000
    0x43, 0x01, 0xd8, 0xe2, 0xfb,  // inner: inc bx; add ax, bx; loop inner
    0x4f, 0x75, 0xf5,              // dec di; jnz outer
};
const Code kWork = {
    0xf9, 0xd1, 0xd2,        // stc; rcl dx, 1
    0xf7, 0xd2,              // not dx
    0x89, 0x16, 0x00, 0x05,  // mov [500h], dx
};
const Code kWait = {0xb9, 0xe8, 0x03, 0xe2, 0xfe};             // mov cx, 1000; loop $
const Code kEnd = {0xba, 0x01, 0x05, 0xb0, 0x2a, 0xee, 0xf4};  // out 501h, 42; hlt
constexpr u64 kCounted = 4 + 20 * (1 + 3 * 1000 + 2);          // the jump is the first

enum class Fault : u8 {
  kNone,
  kRegister,  ///< NOT gives a wrong result
  kPair,      ///< RCL does, when STC stands before it in the block
  kMemory,    ///< MOV to memory does
};

/// Stands in for the translator: runs blocks of simple instructions by their handlers, and some of
/// them wrongly.
class FaultyTranslation final : public Translation {
 public:
  FaultyTranslation(Cpu& cpu, const TranslatorOptions& options, Fault fault)
      : cpu_(cpu), fault_(options.strings ? fault : Fault::kNone) {
    cpu.set_translation(this, options.runs_before_translation);
  }
  ~FaultyTranslation() override { cpu_.set_translation(nullptr); }

  void translate(Cpu&, Block& block, u64) override {
    const auto simple = [](const Instruction& insn) {
      switch (row(insn.row).operation) {
        case Operation::kInc:
        case Operation::kDec:
        case Operation::kAdd:
        case Operation::kXor:
        case Operation::kMov:
        case Operation::kNot:
        case Operation::kStc:
        case Operation::kRcl:
        case Operation::kJcc:
        case Operation::kLoop:
          return true;
        default:
          return false;
      }
    };
    if (std::all_of(block.instructions, block.instructions + block.count, simple)) {
      block.translated = this;
    }
  }
  bool run(Cpu& cpu, Block& block, u64 budget) override {
    if (budget < block.count) return false;
    Operation before = Operation::kInvalid;
    for (unsigned i = 0; i < block.count; ++i) {
      const Instruction& insn = block.instructions[i];
      const Operation operation = row(insn.row).operation;
      cpu.state.rip() += insn.length;
      const bool goes_on = insn.handler(cpu, insn);
      ++cpu.state.instructions;
      const bool store = operation == Operation::kMov && insn.length == 4;
      if (fault_ == Fault::kRegister && operation == Operation::kNot) cpu.state.regs[kRdx] ^= 8;
      if (fault_ == Fault::kPair && operation == Operation::kRcl && before == Operation::kStc) {
        cpu.state.regs[kRdx] ^= 16;
      }
      if (fault_ == Fault::kMemory && store) cpu.memory().memory().ram()[0x501] ^= 1;
      before = operation;
      if (!goes_on) break;
    }
    return true;
  }
  void forget(Block& block) override { block.translated = nullptr; }
  void forget_all() override {}

 private:
  Cpu& cpu_;
  Fault fault_;
};

/// Remembers what is sent, and has something to receive.
class Terminal final : public CharacterBackend {
 public:
  void send(std::span<const u8> bytes) override { sent.append(bytes.begin(), bytes.end()); }
  void set_receiver(CharacterReceiver* receiver) override { receiver_ = receiver; }
  void receiver_ready() override {
    while (!typed.empty() && receiver_ != nullptr && receiver_->can_receive() > 0) {
      const u8 byte = static_cast<u8>(typed.front());
      typed.erase(0, 1);
      receiver_->receive({&byte, 1});
    }
  }

  std::string sent;
  std::string typed;

 private:
  CharacterReceiver* receiver_ = nullptr;
};

class LockstepTest : public testing::Test {
 protected:
  LockstepTest() {
    config_.has_vga = false;
    config_.ram_bytes = 1 * kMiB;
    config_.debug_exit = DebugExitConfig{};
    config_.translator.runs_before_translation = 1;
    options_.step = 1000;
    options_.check = 20'000;
  }

  StopReason run(const Code& code, std::optional<Fault> fault = {}) {
    config_.firmware = firmware(code);
    if (fault) {
      config_.make_translation = [fault = *fault](Cpu& cpu, const TranslatorOptions& options) {
        return std::make_unique<FaultyTranslation>(cpu, options, fault);
      };
    }
    auto lockstep = Lockstep::create(config_, options_, log_);
    if (!lockstep) {
      ADD_FAILURE() << lockstep.error().message;
      return {};
    }
    lockstep.value()->set_host_deadline(host_time_ns() + 60'000'000'000);
    return lockstep.value()->run();
  }

  MachineConfig config_;
  LockstepOptions options_;
  Log log_;
};

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST_F(LockstepTest, EqualMachinesRunToTheirEnd) {
  for (const std::optional<Fault> fault : {std::optional<Fault>{}, std::optional{Fault::kNone}}) {
    const StopReason reason = run(kCount + kWork + kWait + kEnd, fault);
    EXPECT_EQ(reason.cause, StopCause::kDebugExit) << reason.message;
    EXPECT_EQ(reason.status, 85);
  }
}

TEST_F(LockstepTest, ChangedRegisterIsFoundAtItsInstruction) {
  options_.flip_at = 54'322;  // four before the outer loop, then 18 times 3003 instructions
  const StopReason reason = run(kCount + kWork + kWait + kEnd);
  EXPECT_EQ(reason.cause, StopCause::kDifference);
  EXPECT_TRUE(has(reason.message, "differ after 54322 instructions")) << reason.message;
  EXPECT_TRUE(has(reason.message, "rbx ")) << reason.message;
  EXPECT_TRUE(has(reason.message, ">        54321  f000:000000000000f00c  01 d8"))
      << reason.message;
}

TEST_F(LockstepTest, WrongInstructionIsNamed) {
  const StopReason reason = run(kCount + kWork + kWait + kEnd, Fault::kRegister);
  EXPECT_EQ(reason.cause, StopCause::kDifference);
  EXPECT_TRUE(has(reason.message, "rdx ")) << reason.message;
  EXPECT_TRUE(has(reason.message, "interpreter 000000000000db96  translator 000000000000db9e"))
      << reason.message;
  EXPECT_TRUE(has(reason.message, "translated for itself alone")) << reason.message;
  EXPECT_TRUE(
      has(reason.message, fmt::format("> {:>12}  f000:000000000000f016  f7 d2", kCounted + 2)))
      << reason.message;
  EXPECT_TRUE(has(reason.message, "It does not show with: strings=off\n")) << reason.message;
}

TEST_F(LockstepTest, WrongPairOfInstructionsIsNamed) {
  const StopReason reason = run(kCount + kWork + kWait + kEnd, Fault::kPair);
  EXPECT_EQ(reason.cause, StopCause::kDifference);
  EXPECT_TRUE(has(reason.message, "The 2 instructions marked >")) << reason.message;
  EXPECT_TRUE(has(reason.message, fmt::format("> {:>12}  f000:000000000000f013  f9", kCounted)))
      << reason.message;
  EXPECT_TRUE(
      has(reason.message, fmt::format("> {:>12}  f000:000000000000f014  d1 d2", kCounted + 1)))
      << reason.message;
}

TEST_F(LockstepTest, WrongMemoryIsFoundWithoutAnyRegister) {
  const StopReason reason = run(kCount + kWork + kWait + kWait + kEnd, Fault::kMemory);
  EXPECT_EQ(reason.cause, StopCause::kDifference);
  EXPECT_TRUE(has(reason.message, "memory at 0x500")) << reason.message;
  EXPECT_TRUE(has(reason.message,
                  fmt::format("> {:>12}  f000:000000000000f018  89 16 00 05", kCounted + 3)))
      << reason.message;
}

TEST_F(LockstepTest, ConsoleIsSharedAndInputReachesBothAtOnce) {
  Terminal terminal;
  terminal.typed = "to both machines.";
  config_.serial[0] = &terminal;
  // Echo, counting the rounds of waiting into bx; a full stop ends it.
  const StopReason reason = run({
      0x43, 0xba, 0xfd, 0x03, 0xec,  // wait: inc bx; mov dx, 3FDh; in al, dx
      0xa8, 0x01, 0x74, 0xf7,        // test al, 1; jz wait
      0xba, 0xf8, 0x03, 0xec, 0xee,  // mov dx, 3F8h; in al, dx; out dx, al
      0x3c, 0x2e, 0x75, 0xee,        // cmp al, '.'; jne wait
      0xba, 0x01, 0x05, 0xb0, 0x2a, 0xee, 0xf4,
  });
  EXPECT_EQ(reason.cause, StopCause::kDebugExit) << reason.message;
  EXPECT_EQ(terminal.sent, "to both machines.");
}

TEST_F(LockstepTest, ADifferenceAfterInputIsFoundAgain) {
  Terminal terminal;
  terminal.typed = "x";
  config_.serial[0] = &terminal;
  const Code code = {
      0xba, 0xfd, 0x03, 0xec,        // wait: mov dx, 3FDh; in al, dx
      0xa8, 0x01, 0x74, 0xf8,        // test al, 1; jz wait
      0xba, 0xf8, 0x03, 0xec, 0xee,  // mov dx, 3F8h; in al, dx; out dx, al
  };
  const StopReason reason = run(code + kWork + kWait + kEnd, Fault::kRegister);
  EXPECT_EQ(reason.cause, StopCause::kDifference);
  EXPECT_TRUE(has(reason.message, "translated for itself alone")) << reason.message;
  EXPECT_EQ(terminal.sent, "x") << "copies of the process say nothing";
}

TEST_F(LockstepTest, UndefinedFlagsMayDifferWhereAllowed) {
  constexpr Exactness kAll{true}, kDefined{false};
  config_.firmware = firmware(kEnd);
  auto left = Machine::create(config_, log_);
  auto right = Machine::create(config_, log_);
  ASSERT_TRUE(left.ok() && right.ok());
  Cpu& l = left.value()->board().cpu();
  Cpu& r = right.value()->board().cpu();
  EXPECT_TRUE(processors_equal(l, r, kAll));
  r.set_rflags(r.rflags() ^ kFlagAf);
  EXPECT_FALSE(processors_equal(l, r, kAll));
  EXPECT_TRUE(processors_equal(l, r, kDefined));
  EXPECT_TRUE(processor_differences(l, r, kDefined).empty());
  ASSERT_EQ(processor_differences(l, r, kAll).size(), 1u);
  EXPECT_EQ(processor_differences(l, r, kAll)[0].name, "rflags");
  l.state.regs[kRcx] = 0x202;  // as PUSHF saves them
  r.state.regs[kRcx] = 0x212;
  EXPECT_TRUE(processors_equal(l, r, kDefined));
  r.state.regs[kRcx] = 0x602;  // DF is no arithmetic flag
  EXPECT_FALSE(processors_equal(l, r, kDefined));

  GuestMemory& here = left.value()->board().memory();
  GuestMemory& there = right.value()->board().memory();
  EXPECT_TRUE(memories_equal(here, there, kAll));
  const u64 flags[] = {0x246, 0x0202'1234'0056'7890};  // 64 bits wide, and 16 bits of a word
  std::memcpy(here.ram() + 0x7000, flags, sizeof(flags));
  std::memcpy(there.ram() + 0x7000, flags, sizeof(flags));
  there.ram()[0x7000] ^= 0x44;
  there.ram()[0x700e] ^= 0x01;
  EXPECT_FALSE(memories_equal(here, there, kAll));
  EXPECT_EQ(memory_differences(here, there, kAll, 10).size(), 2u);
  EXPECT_TRUE(memories_equal(here, there, kDefined));
  there.ram()[0x700c] ^= 1;
  EXPECT_FALSE(memories_equal(here, there, kDefined));
}

TEST(SharedCharacter, OutputIsSentOnceAndCompared) {
  Terminal terminal;
  SharedCharacter shared(terminal);
  const std::array<u8, 3> abc = {'a', 'b', 'c'};
  shared.end(0).send(abc);
  EXPECT_FALSE(shared.outputs_equal());
  shared.end(1).send(std::span(abc).first(2));
  EXPECT_FALSE(shared.outputs_equal());
  EXPECT_EQ(shared.describe_difference(), "the interpreter sent 63, the other machine did not");
  shared.end(1).send(std::span(abc).last(1));
  EXPECT_TRUE(shared.outputs_equal());
  EXPECT_EQ(terminal.sent, "abc");
  shared.end(1).send(std::span(abc).first(1));
  shared.end(0).send(std::span(abc).last(1));
  EXPECT_FALSE(shared.outputs_equal());
}

TEST(SharedImage, WritesReachTheImageWhenCommitted) {
  auto below = std::make_shared<MemoryImage>(std::vector<u8>(9 * 512, 1));
  SharedImage shared(below);
  const std::vector<u8> data(1024, 2);
  std::vector<u8> seen(9 * 512);
  ASSERT_TRUE(shared.view(0)->write(7 * 512, data).ok());
  EXPECT_EQ(below->bytes()[7 * 512], 1);
  ASSERT_TRUE(shared.view(0)->read(0, seen).ok());
  EXPECT_EQ(seen[7 * 512 - 1], 1);
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 2), 1024);
  ASSERT_TRUE(shared.view(1)->read(0, seen).ok());
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 2), 0);
  auto equal = shared.equal();
  ASSERT_TRUE(equal.ok());
  EXPECT_FALSE(*equal);

  ASSERT_TRUE(shared.view(1)->write(7 * 512, data).ok());
  equal = shared.equal();
  ASSERT_TRUE(equal.ok());
  EXPECT_TRUE(*equal);
  ASSERT_TRUE(shared.commit().ok());
  EXPECT_EQ(std::count(below->bytes().begin(), below->bytes().end(), 2), 1024);
  EXPECT_FALSE(shared.view(1)->write(9 * 512, data).ok());
}

TEST(Checkpoint, CopyHasCodeOfItsOwn) {
  ExecutableArena arena(64 * kKiB);
  const std::array<u8, 6> one = {0xb8, 1, 0, 0, 0, 0xc3};  // mov eax, 1; ret
  const std::array<u8, 6> two = {0xb8, 2, 0, 0, 0, 0xc3};
  const void* code = arena.add(one);
  if (code == nullptr) GTEST_SKIP() << "the host gives no executable memory";
  const auto call = [&] { return reinterpret_cast<int (*)()>(reinterpret_cast<u64>(code))(); };
  auto checkpoint = Checkpoint::make([&](const std::string& message) {
    const std::string before = std::to_string(call());
    arena.patch(code, two);
    return message + before + std::to_string(call());
  });
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
  const std::array<u8, 6> three = {0xb8, 3, 0, 0, 0, 0xc3};
  arena.patch(code, three);
  EXPECT_EQ((*checkpoint)->wake("copy "), "copy 12");
  EXPECT_EQ(call(), 3);
  EXPECT_EQ(ask_copy([&] { return call() == 3; }), true);
  EXPECT_EQ(ask_copy([&] { return call() == 1; }), false);
  EXPECT_EQ(ask_copy([]() -> bool { _exit(5); }), std::nullopt);
}

}  // namespace
}  // namespace dragoman
