// Translated code in several address spaces: pages remapped, CR3 switched, links between pages.
#include <gtest/gtest.h>

#include "tests/jit/translator_bench.h"

namespace dragoman {
namespace {

using L = BenchLayout;

TEST(AddressSpaces, TheSameBytesAtTwoAddresses) {
  LockstepPair pair;
  Bytes code;
  code({0x48, 0x8d, 0x35, 0, 0, 0, 0, 0xff, 0xca});  // lea rsi, [rip]; dec edx
  code({0xe8, 0, 0, 0, 0, 0x5f});                    // call next; pop rdi
  code.branch({0x0f, 0x85}, 0)({0xf4});
  pair.code(L::kCode, code);
  for (int i = 0; i < 4; ++i) {
    for (const u64 base : {L::kCode, L::kCode + L::kAlias}) {
      pair.set(kRdx, 30);
      pair.start(base);
      expect_halt(pair);
      EXPECT_EQ(pair.reg(kRsi), base + 7);
      EXPECT_EQ(pair.reg(kRdi), base + 14);
    }
  }
}

/// Two pages with different code under one linear address; `change` switches between them.
template <class Change>
void remapped(Change&& change) {
  LockstepPair pair;
  Bytes one, two;
  one({0xff, 0xc1, 0xff, 0xca}).branch({0x0f, 0x85}, 0)({0xf4});
  two({0xff, 0xc6, 0xff, 0xca}).branch({0x0f, 0x85}, 0)({0xf4});
  pair.code(L::kCode, one);
  pair.code(L::kCode + kPageSize, two);
  pair.put(L::kOtherTable + (L::kCode >> 12) * 8, (L::kCode + kPageSize) | 7);
  for (u64 i = 0; i < 6; ++i) {
    pair.set(kRdx, 30);
    pair.start(L::kCode + L::kAlias);
    expect_halt(pair);
    EXPECT_EQ(pair.reg(kRcx), 30 * (i / 2 + 1));
    EXPECT_EQ(pair.reg(kRsi), 30 * ((i + 1) / 2));
    change(pair, i % 2 == 0);
  }
}

TEST(AddressSpaces, PageRemappedWithInvlpg) {
  remapped([](LockstepPair& pair, bool second) {
    pair.set(kRbx, L::kTable1 + (L::kCode >> 12) * 8);
    pair.set(kRax, (L::kCode + (second ? kPageSize : 0)) | 7);
    pair.set(kRdi, L::kCode + L::kAlias);
    run_once(pair, 0x60000, {0x48, 0x89, 0x03, 0x0f, 0x01, 0x3f, 0xf4});  // mov; invlpg [rdi]
  });
}

// A loop over two pages of which the second is remapped: branches between pages must look again.
TEST(AddressSpaces, TargetPageRemapped) {
  LockstepPair pair;
  Bytes first, one, two;
  first.branch({0xe9}, kPageSize)({0xf4});
  one({0xff, 0xc1, 0xff, 0xca}).branch({0x0f, 0x85}, u64{0} - kPageSize)({0xf4});
  two({0xff, 0xc6, 0xff, 0xca}).branch({0x0f, 0x85}, u64{0} - kPageSize)({0xf4});
  pair.code(L::kCode, first);
  pair.code(L::kCode + kPageSize, one);
  pair.code(L::kCode + 2 * kPageSize, two);
  for (u64 i = 0; i < 6; ++i) {
    pair.set(kRdx, 30);
    pair.start(L::kCode + L::kAlias);
    expect_halt(pair);
    EXPECT_EQ(pair.reg(kRcx), 30 * (i / 2 + 1));
    EXPECT_EQ(pair.reg(kRsi), 30 * ((i + 1) / 2));
    pair.set(kRbx, L::kTable1 + (L::kCode / kPageSize + 1) * 8);
    pair.set(kRax, (L::kCode + (i % 2 == 0 ? 2 : 1) * kPageSize) | 7);
    pair.set(kRdi, L::kCode + kPageSize + L::kAlias);
    run_once(pair, 0x60000, {0x48, 0x89, 0x03, 0x0f, 0x01, 0x3f, 0xf4});  // mov; invlpg [rdi]
  }
}

// A jump to another page that was linked before a flush is linked again behind it, not looked up
// for good; where that happens again and again it is.
TEST(AddressSpaces, LinksHealInANewContext) {
  LockstepPair pair;
  Bytes first, second;
  first.branch({0xe9}, kPageSize)({0xf4});
  second({0xff, 0xca}).branch({0x0f, 0x85}, u64{0} - kPageSize)({0xf4});  // dec edx; jnz
  pair.code(L::kCode, first);
  pair.code(L::kCode + kPageSize, second);
  const auto run = [&](u64 rounds) {
    const u64 before = pair.translated.translator->blocks_linked();
    pair.set(kRdx, rounds);
    pair.start(L::kCode);
    expect_halt(pair);
    return pair.translated.translator->blocks_linked() - before;
  };
  EXPECT_EQ(run(20), 2u);
  EXPECT_EQ(run(2), 0u);
  unsigned healed = 0;
  for (unsigned i = 0; i < 8; ++i) {
    pair.set(kRax, L::kPml4);
    run_once(pair, 0x60000, {0x0f, 0x22, 0xd8, 0xf4});  // mov cr3, rax
    const u64 links = run(3);
    EXPECT_TRUE(i == 0 ? links == 2 : true) << links;
    healed += links != 0;
  }
  EXPECT_GE(healed, 3u);
  EXPECT_LT(healed, 8u);
}

TEST(AddressSpaces, Cr3Switched) {
  remapped([](LockstepPair& pair, bool second) {
    pair.set(kRax, second ? L::kOtherPml4 : L::kPml4);
    run_once(pair, 0x60000, {0x0f, 0x22, 0xd8, 0xf4});  // mov cr3, rax
  });
}

// The switch happens in the middle of translated code that goes on by itself.
TEST(AddressSpaces, Cr3SwitchedInsideALoop) {
  LockstepPair pair;
  pair.put(L::kOtherTable + (L::kCode >> 12) * 8, (L::kCode + kPageSize) | 7);
  Bytes callee, other, loop;
  callee({0xff, 0xc1, 0xc3});  // inc ecx; ret
  other({0xff, 0xc6, 0xc3});   // inc esi; ret
  pair.code(L::kCode, callee);
  pair.code(L::kCode + kPageSize, other);
  // mov cr3, rax; xchg rax, rbx; call rdi; dec edx; jnz
  loop({0x0f, 0x22, 0xd8, 0x48, 0x93, 0xff, 0xd7, 0xff, 0xca}).branch({0x0f, 0x85}, 0)({0xf4});
  pair.code(0x60000, loop);
  pair.set(kRax, L::kOtherPml4);
  pair.set(kRbx, L::kPml4);
  pair.set(kRdi, L::kCode + L::kAlias);
  pair.set(kRdx, 60);
  pair.start(0x60000);
  expect_halt(pair);
  EXPECT_EQ(pair.reg(kRcx), 30u);
  EXPECT_EQ(pair.reg(kRsi), 30u);
}

}  // namespace
}  // namespace dragoman
