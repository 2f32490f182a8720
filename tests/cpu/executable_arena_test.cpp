// Code memory: runnable, never writable where it runs, bounded.
#include "cpu/execute/host/executable_arena.h"

#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <string>

namespace dragoman {
namespace {

// mov eax, imm32; ret
std::array<u8, 6> returning(u8 value) { return {0xb8, value, 0, 0, 0, 0xc3}; }
int call(const void* code) { return reinterpret_cast<int (*)()>(reinterpret_cast<u64>(code))(); }

TEST(ExecutableArena, RunsWhatWasAdded) {
  ExecutableArena arena(64 * kKiB);
  const void* seven = arena.add(returning(7));
  const void* nine = arena.add(returning(9));
  ASSERT_NE(seven, nullptr);
  ASSERT_NE(nine, nullptr);
  EXPECT_EQ(call(seven), 7);
  EXPECT_EQ(call(nine), 9);
}

TEST(ExecutableArena, IsReusedAfterClear) {
  ExecutableArena arena(64 * kKiB);
  const void* first = arena.add(returning(1));
  EXPECT_EQ(call(first), 1);
  arena.clear();
  const void* second = arena.add(returning(2));
  EXPECT_EQ(first, second);
  EXPECT_EQ(call(second), 2);
}

TEST(ExecutableArena, KeepsItsBound) {
  ExecutableArena arena(kPageSize);
  unsigned count = 0;
  while (arena.add(returning(1)) != nullptr) ++count;
  EXPECT_EQ(count, kPageSize / 16);
  EXPECT_TRUE(arena.usable());
}

TEST(ExecutableArena, NoMappingIsWritableAndExecutable) {
  ExecutableArena arena(64 * kKiB);
  ASSERT_NE(arena.add(returning(1)), nullptr);
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const std::string permissions = line.substr(line.find(' ') + 1, 3);
    EXPECT_NE(permissions, "rwx") << line;
  }
}

}  // namespace
}  // namespace dragoman
