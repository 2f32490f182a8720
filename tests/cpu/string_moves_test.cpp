// REP MOVS and REP STOS, many elements at a time, beside the host processor: both directions,
// sources and targets that overlap at all distances, pages that end in between.
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

#include "tests/cpu/event_machine.h"

namespace dragoman {
namespace {

struct Registers {
  u64 source, target, count, value;
};

/// On the host. Addresses are its own.
#define DRAGOMAN_STRING(name)                                    \
  if (down) {                                                    \
    asm volatile("std; rep " name "; cld"                        \
                 : "+S"(r.source), "+D"(r.target), "+c"(r.count) \
                 : "a"(r.value)                                  \
                 : "memory", "cc");                              \
  } else {                                                       \
    asm volatile("rep " name                                     \
                 : "+S"(r.source), "+D"(r.target), "+c"(r.count) \
                 : "a"(r.value)                                  \
                 : "memory", "cc");                              \
  }
void run_on_host(bool stores, unsigned bytes, bool down, Registers& r) {
  switch (bytes * 2 + (stores ? 1 : 0)) {
    case 2:
      DRAGOMAN_STRING("movsb");
      break;
    case 3:
      DRAGOMAN_STRING("stosb");
      break;
    case 4:
      DRAGOMAN_STRING("movsw");
      break;
    case 5:
      DRAGOMAN_STRING("stosw");
      break;
    case 8:
      DRAGOMAN_STRING("movsl");
      break;
    case 9:
      DRAGOMAN_STRING("stosl");
      break;
    case 16:
      DRAGOMAN_STRING("movsq");
      break;
    default:
      DRAGOMAN_STRING("stosq");
      break;
  }
}
#undef DRAGOMAN_STRING

TEST(StringMoves, AsOnTheHost) {
  constexpr u64 kFirst = 0x100000, kBytes = 0x8000;
  EventMachine m;
  std::mt19937 random(7);
  std::vector<u8> host(kBytes);
  for (unsigned round = 0; round < 4000; ++round) {
    const unsigned bytes = 1u << random() % 4;
    const bool stores = random() % 4 == 0, down = random() % 2 == 0;
    const u64 count = random() % (round % 16 == 0 ? 1200 : 90);
    // Far from the ends, whichever way it goes.
    const u64 target = 0x3000 + random() % 0x1800;
    const u64 source = round % 4 == 0 ? 0x3000 + random() % 0x1800 : target + random() % 81 - 40;

    m.long_mode(0);
    const u8 opcode = static_cast<u8>((stores ? 0xaa : 0xa4) | (bytes == 1 ? 0 : 1));
    m.code(EventMachine::kCode0, bytes == 2   ? std::initializer_list<int>{0x66, 0xf3, opcode, 0xf4}
                                 : bytes == 8 ? std::initializer_list<int>{0xf3, 0x48, opcode, 0xf4}
                                              : std::initializer_list<int>{0xf3, opcode, 0xf4});
    for (u64 i = 0; i < kBytes; i += 4) {
      const u32 v = static_cast<u32>(random());
      std::memcpy(&host[i], &v, 4);
      std::memcpy(m.memory->ram() + kFirst + i, &v, 4);
    }
    m.reg(kRsi) = kFirst + source;
    m.reg(kRdi) = kFirst + target;
    m.reg(kRcx) = count;
    m.reg(kRax) = 0x1122334455667788;
    m.state().activity = Activity::kRunning;
    m.cpu->set_rflags(kFlagFixed | (down ? u32{kFlagDf} : 0));
    m.cpu->run(100'000);
    ASSERT_EQ(m.state().activity, Activity::kHalted);

    const u64 base = reinterpret_cast<u64>(host.data());
    Registers r{base + source, base + target, count, 0x1122334455667788};
    run_on_host(stores, bytes, down, r);
    const std::string what =
        fmt::format("{} of {} bytes, {} times {}, from {:x} to {:x}", stores ? "STOS" : "MOVS",
                    bytes, count, down ? "down" : "up", source, target);
    ASSERT_EQ(std::memcmp(host.data(), m.memory->ram() + kFirst, kBytes), 0) << what;
    ASSERT_EQ(m.reg(kRsi) - kFirst, r.source - base) << what;
    ASSERT_EQ(m.reg(kRdi) - kFirst, r.target - base) << what;
    ASSERT_EQ(m.reg(kRcx), 0u) << what;
  }
}

// Offsets wrap at 16 bits, inside an element too.
TEST(StringMoves, WrapDownwards) {
  EventMachine m;
  m.real_mode();
  m.code(0x500, {0xf3, 0xa5, 0xf4});  // rep movsw
  for (u64 i = 0; i < 0x10000; ++i) m.put<u8>(0x10000 + i, static_cast<u8>(i * 7 >> 3));
  m.state().segments[kDs] = {0x10000, 0xffff, 0x1000, 0x93};
  m.state().segments[kEs] = {0x20000, 0xffff, 0x2000, 0x93};
  m.cpu->state_replaced();
  m.cpu->set_rflags(kFlagFixed | kFlagDf);
  m.reg(kRsi) = 0x20;
  m.reg(kRdi) = 0x30;
  m.reg(kRcx) = 40;
  m.cpu->run(1000);
  EXPECT_EQ(m.state().activity, Activity::kHalted);
  EXPECT_EQ(m.reg(kRsi), 0xffd0u);
  EXPECT_EQ(m.reg(kRdi), 0xffe0u);
  for (unsigned i = 0; i < 40; ++i) {
    const u64 from = (0x20 - 2 * i) & 0xffff, to = (0x30 - 2 * i) & 0xffff;
    EXPECT_EQ(m.get<u16>(0x20000 + to), m.get<u16>(0x10000 + from)) << i;
  }
}

}  // namespace
}  // namespace dragoman
