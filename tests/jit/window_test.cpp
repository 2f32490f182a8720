// User code that reaches memory through a LinearWindow, beside the interpreter: what the host's
// page tables must not change about faults, flags, A and D bits, other mappings and code that is
// written.
#include <gtest/gtest.h>

#include <array>

#include "base/upper_half.h"
#include "tests/jit/translator_bench.h"

namespace dragoman {
namespace {

using L = BenchLayout;

/// All of memory once more at addresses of the window's high part.
constexpr u64 kHigh = LinearWindow::kHighFirst;
constexpr u64 kUserStack = L::kData + 0x8000;
constexpr u64 kTss = 0xf000, kKernelStack = 0x1f000;
/// INT 80h: the word at kData + 0xff00 goes to the page table entry whose address is in RBX, and
/// the page at RDI is invalidated.
constexpr u64 kSystemCall = L::kHandler + 0x300;

class UserPair : public LockstepPair {
 public:
  static constexpr u64 kNoWindow = ~u64{0};
  UserPair() {
    put(kPml4 + (kHigh >> 39) * 8, kPdpt | 7);
    put(kGdt + 24, 0x00affb000000ffff);
    put(kGdt + 32, 0x00cff3000000ffff);
    put(kGdt + 40, u64{0x0000890000000067} << 0 | (kTss & 0xffffff) << 16);
    put(kGdt + 48, 0);
    put(kTss + 4, kKernelStack);
    put(kIdt + 0x80 * 16, (kSystemCall & 0xffff) | u64{8} << 16 | u64{0xee} << 40);
    Bytes call;
    call({0x50, 0x48, 0xa1}).number(kData + 0xff00, 8);  // push rax; mov rax, [..]
    call({0x48, 0x89, 0x03, 0x0f, 0x01, 0x3f});          // mov [rbx], rax; invlpg [rdi]
    call({0x58, 0x48, 0xcf});                            // pop rax; iretq
    code(kSystemCall, call);
    both([](BenchMachine& m) {
      CpuState& s = m.cpu->state;
      s.gdtr.limit = 0x37;
      s.cr4 |= kCr4Osfxsr | kCr4Osxmmexcpt;
      s.segments[kTr] = {kTss, 0x67, 0x28, 0x8b};
      m.cpu->state_replaced();
    });
  }
  /// From here on at CPL 3.
  void user(u64 rip, u64 high = kHigh) {
    both([&](BenchMachine& m) {
      CpuState& s = m.cpu->state;
      for (unsigned i = kEs; i <= kGs; ++i) s.segments[i] = {0, 0xffffffff, 0x23, 0xc0f3};
      s.segments[kCs] = {0, 0xffffffff, 0x1b, 0xa0fb};
      s.cpl = 3;
      s.rip() = rip;
      s.regs[kRsp] = kUserStack + high;
      s.activity = Activity::kRunning;
      m.cpu->state_replaced();
    });
  }
  /// Runs `body` so often that it is a superblock, then HLT, which user code may not.
  void loop(const std::vector<u8>& body, u64 rounds = 200, u64 rip = kCode) {
    Bytes all;
    all({0x41, 0xbb}).number(rounds, 4);  // mov r11d, rounds
    const u64 start = all.size();
    for (const u8 byte : body) all({byte});
    all({0x41, 0xff, 0xcb}).branch({0x0f, 0x85}, start)({0xf4});  // dec r11d; jnz
    code(kCode, all);
    user(rip);
    expect_halt(*this);
  }
  /// Times pages were shown.
  u64 fills() const {
    const LinearWindow* const window = translated.translator->window();
    // Without address space of the host for it, there is none; then only the results are compared.
    return window != nullptr ? window->fills() : kNoWindow;
  }
  u64 refusals() const { return translated.translator->window_refusals(); }
};

#define NEEDS_WINDOW(pair)                                                                  \
  do {                                                                                      \
    if (!UpperHalf::exists()) GTEST_SKIP() << "no upper half of the address space is free"; \
  } while (false)

TEST(Window, AccessesOfAllForms) {
  UserPair pair;
  NEEDS_WINDOW(pair);
  pair.set(kRbx, kHigh + L::kData);
  pair.set(kRsi, kHigh + L::kData + 0x1000);
  pair.set(kR14, kHigh + L::kData + 0x2000);
  pair.set(kRdi, 8);
  pair.set(kR15, 16);
  Bytes body;
  body({0x48, 0x01, 0x03, 0x48, 0x83, 0x53, 0x08, 0x01});  // add [rbx], rax; adc [rbx+8], 1
  body({0x48, 0x11, 0x44, 0x3b, 0x08});                    // adc [rbx+rdi+8], rax
  body({0x48, 0x13, 0x84, 0xfe, 0x00, 0x01, 0x00, 0x00});  // adc rax, [rsi+rdi*8+0x100]
  body({0x4b, 0x89, 0x44, 0xfe, 0x10});                    // mov [r14+r15*8+0x10], rax
  body({0x4d, 0x03, 0x6e, 0x10});                          // add r13, [r14+0x10]
  body({0x50, 0xff, 0x33, 0x58, 0x5a});                    // push rax; push [rbx]; pop rax, rdx
  body(
      {0x0f, 0x10, 0x03, 0x66, 0x0f, 0xfe, 0x06, 0x0f, 0x11, 0x46, 0x40});  // movups, paddd, movups
  body({0xc8, 0x10, 0x00, 0x00, 0x89, 0x45, 0xf8, 0xc9});  // enter; mov [rbp-8], eax; leave
  body({0x66, 0xff, 0x03, 0xf6, 0x13, 0x00, 0x63, 0x01});  // inc word; not byte; add [rbx+1], ah
  body({0xf0, 0x48, 0xff, 0x43, 0x18, 0x87, 0x43, 0x20});  // lock inc [rbx+24]; xchg
  body({0x8b, 0x05, 0x00, 0x00, 0x01, 0x00});              // mov eax, [rip+0x10000]
  body({0x8b, 0x04, 0x25}).number(L::kData + 0x100, 4);    // mov eax, [kData + 0x100]
  pair.loop(body);
  EXPECT_GE(pair.fills(), 3u);
}

TEST(Window, CallsAndReturns) {
  UserPair pair;
  NEEDS_WINDOW(pair);
  Bytes body;
  body({0xe8, 0x02, 0, 0, 0, 0xeb, 0x06});           // call over; jmp out
  body({0x51, 0xff, 0xc0, 0x59, 0xc3, 0x90});        // push rcx; inc eax; pop rcx; ret
  body({0x48, 0x8d, 0x0d, 0x06, 0, 0, 0, 0x51});     // lea rcx, [rip+6]; push rcx
  body({0xff, 0x24, 0x24, 0x90, 0x90, 0x90, 0x58});  // jmp [rsp]; nop; pop rax
  pair.loop(body);
}

/// The host faults: registers, flags and the frame pushed are those of the guest's instruction.
void faulting(std::initializer_list<int> access, u64 address, unsigned vector, u32 error) {
  for (const bool at_once : {true, false}) {
    UserPair pair;
    NEEDS_WINDOW(pair);
    pair.set(kRbx, kHigh + L::kData);
    pair.set(kRsi, address);
    pair.set(kRdi, kHigh + L::kData);
    Bytes body;
    body({0x48, 0x81, 0xc7, 1, 0, 0, 0});                 // add rdi, 1
    body({0x41, 0x83, 0xfb, at_once ? 0x7f : 2});         // cmp r11d, ..
    body({0x48, 0x0f, 0x46, 0xde, 0x48, 0x83, 0xe9, 3});  // cmovbe rbx, rsi; sub rcx, 3
    body(access)({0x0f, 0x92, 0xc2});                     // ..; setc dl
    pair.loop(body);
    EXPECT_EQ(pair.fault().vector, vector);
    EXPECT_EQ(pair.fault().error_code, error);
  }
}

TEST(Window, FaultsAreTheGuests) {
  faulting({0x48, 0x8b, 0x03}, kHigh + L::kAbsent, kVectorPf, 4);  // mov rax, [rbx]
  faulting({0x48, 0x19, 0x03}, kHigh + L::kAbsent, kVectorPf, 6);  // sbb [rbx], rax
  faulting({0x48, 0x8b, 0x03}, L::kAbsent, kVectorPf, 4);
  faulting({0x48, 0x8b, 0x03}, 0x0000123456789000, kVectorPf, 4);
  faulting({0x48, 0x8b, 0x03}, 0xffff888000000000, kVectorPf, 4);
  faulting({0x48, 0x8b, 0x03}, 0x0000c00000000000, kVectorGp, 0);  // not canonical
  faulting({0x48, 0x8b, 0x03}, 0x0000800000000000, kVectorGp, 0);
  faulting({0x0f, 0x28, 0x03}, kHigh + L::kData + 8, kVectorGp, 0);       // movaps
  faulting({0x48, 0x89, 0x03}, kHigh + L::kAlias * 2 - 4, kVectorPf, 6);  // over the end
}

TEST(Window, ReadOnlyAndSupervisorPages) {
  for (const u64 rights : {u64{5}, u64{3}, u64{0}}) {
    UserPair pair;
    NEEDS_WINDOW(pair);
    pair.put(L::kTable0 + (L::kData + 0x3000) / kPageSize * 8, (L::kData + 0x3000) | rights);
    pair.set(kRbx, kHigh + L::kData + 0x2000);
    Bytes body;  // mov rax, [rbx]; add [rbx], eax; add rbx, 64
    body({0x48, 0x8b, 0x03, 0x01, 0x03, 0x48, 0x83, 0xc3, 0x40});
    pair.loop(body);
    EXPECT_EQ(pair.fault().vector, kVectorPf);
    EXPECT_EQ(pair.fault().error_code, rights == 5 ? 7u : rights == 3 ? 5u : 4u);
  }
}

// The pages' entries are part of memory, which is compared.
TEST(Window, AccessedAndDirtyBits) {
  UserPair pair;
  NEEDS_WINDOW(pair);
  pair.set(kRbx, kHigh + L::kData);
  Bytes body;
  body({0x8b, 0x03, 0x8b, 0x8b, 0x00, 0x10, 0x00, 0x00});  // mov eax, [rbx]; mov ecx, [rbx+0x1000]
  body({0x41, 0xf6, 0xc3, 0x3f, 0x75, 0x06});              // test r11b, 63; jnz over
  body({0x89, 0x83, 0x00, 0x10, 0x00, 0x00});              // mov [rbx+0x1000], eax
  body({0x48, 0x81, 0xc3, 0x00, 0x01, 0x00, 0x00});        // add rbx, 0x100
  pair.loop(body);
}

TEST(Window, PagesChangedByTheKernel) {
  UserPair pair;
  NEEDS_WINDOW(pair);
  for (u64 i = 0; i < 2; ++i) pair.put(L::kData + 0x4000 + i * 0x1000, 0x1111 * (i + 1));
  pair.set(kRsi, kHigh + L::kData + 0x4000);
  pair.set(kRdi, kHigh + L::kData + 0x4000);
  pair.set(kRbx, L::kTable0 + (L::kData + 0x4000) / kPageSize * 8);
  pair.set(kRbp, kHigh + L::kData + 0xff00);
  pair.set(kRdx, (L::kData + 0x4000) | 7);
  Bytes body;
  body({0x48, 0x03, 0x06, 0x48, 0xff, 0x46, 0x08});  // add rax, [rsi]; inc qword [rsi+8]
  body({0x41, 0xf6, 0xc3, 0x0f, 0x75, 0x0d});        // test r11b, 15; jnz over
  body({0x48, 0x81, 0xf2, 0x00, 0x10, 0x00, 0x00});  // xor rdx, 0x1000: the other page
  body({0x48, 0x89, 0x55, 0x00, 0xcd, 0x80});        // mov [rbp], rdx; int 80h
  pair.loop(body, 400);
  EXPECT_GE(pair.fills(), 2u);
  // Without the bit that admits writes, then without the page.
  for (const u64 rights : {u64{5}, u64{0}}) {
    pair.put(L::kData + 0xff00, (L::kData + 0x4000) | rights);
    Bytes once;
    once({0xcd, 0x80, 0x48, 0x03, 0x06, 0x48, 0xff, 0x46, 0x08, 0xf4});
    pair.code(0x60000, once);
    pair.user(0x60000);
    expect_halt(pair);
    EXPECT_EQ(pair.fault().vector, kVectorPf);
    EXPECT_EQ(pair.fault().error_code, rights == 5 ? 7u : 4u);
  }
}

TEST(Window, CodeIsWritten) {
  UserPair pair;
  NEEDS_WINDOW(pair);
  pair.set(kRbx, kHigh + L::kCode);
  Bytes body;  // add eax, imm32, whose bytes are written through the other mapping
  body({0x05, 0, 0, 0, 0, 0x44, 0x89, 0x5b, 0x07, 0xff, 0x83, 0x00, 0x08, 0x00, 0x00});
  pair.loop(body);
}

TEST(Window, DevicesAndOtherAddressSpaces) {
  UserPair pair;
  NEEDS_WINDOW(pair);
  pair.put(L::kOtherPml4 + (kHigh >> 39) * 8, L::kOtherPdpt | 7);
  pair.put(L::kOtherTable + (L::kData / kPageSize) * 8, (L::kData + 0x6000) | 7);
  for (unsigned i = 0; i < 4; ++i) {
    pair.both([&](BenchMachine& m) { m.cpu->state.cr3 = i % 2 == 0 ? L::kPml4 : L::kOtherPml4; });
    pair.set(kRbx, kHigh + L::kAlias + L::kData);
    pair.set(kRsi, kHigh + L::kDevice);
    Bytes body;
    body(
        {0xff, 0x03, 0x8b, 0x0e, 0x89, 0x46, 0x08});  // inc [rbx]; mov ecx, [rsi]; mov [rsi+8], eax
    pair.loop(body);
  }
}

TEST(Window, ProtectionKeys) {
  UserPair pair;
  NEEDS_WINDOW(pair);
  pair.both([](BenchMachine& m) { m.cpu->state.cr4 |= kCr4Pke; });
  pair.put(L::kTable0 + (L::kData / kPageSize) * 8, L::kData | 7 | u64{3} << 59);
  pair.set(kRbx, kHigh + L::kData);
  Bytes body;
  body({0xff, 0x03, 0x31, 0xc9, 0x31, 0xd2, 0x31, 0xc0});  // inc [rbx]; xor ecx, edx, eax
  body({0x41, 0x83, 0xfb, 0x05, 0x75, 0x05});              // cmp r11d, 5; jne over
  body({0xb8, 0x80, 0x00, 0x00, 0x00, 0x0f, 0x01, 0xef});  // mov eax, 80h; wrpkru
  pair.loop(body);
  EXPECT_EQ(pair.fault().vector, kVectorPf);
  EXPECT_EQ(pair.fault().error_code, 0x27u);  // present, write, user, protection key
}

/// Code whose base is now here, now there.
u64 refusals_of(std::array<u64, 4> bases) {
  UserPair pair;
  if (!UpperHalf::exists()) return 0;
  constexpr u64 kTable = L::kData + 0x3000;
  for (unsigned i = 0; i < bases.size(); ++i) {
    pair.put(L::kPml4 + (bases[i] >> 39 & 511) * 8, L::kPdpt | 7);
    pair.put(kTable + 8 * i, bases[i]);
  }
  pair.set(kRsi, kHigh + kTable);
  Bytes body;
  body({0xff, 0xc7, 0x83, 0xe7, 0x03});              // inc edi; and edi, 3
  body({0x48, 0x8b, 0x04, 0xfe, 0x49, 0x89, 0xc7});  // mov rax, [rsi+rdi*8]; mov r15, rax
  body({0x83, 0xc1, 0x03, 0xff, 0x40, 0x08});        // add ecx, 3; inc dword [rax+8]
  body({0x13, 0x4c, 0xb8, 0x10, 0x11, 0x08});        // adc ecx, [rax+rdi*4+16]; adc [rax], ecx
  body({0x41, 0x03, 0x57, 0x18});                    // add edx, [r15+24]
  body({0x41, 0x01, 0x54, 0xbf, 0x20});              // add [r15+rdi*4+32], edx
  pair.loop(body, 4000);
  return pair.refusals();
}

TEST(Window, BasesInBothParts) {
  const u64 refusals = refusals_of(
      {L::kData, kHigh + L::kData + 0x1000, kHigh + L::kData + 0x1800, L::kData + 0x2000});
  EXPECT_LT(refusals, 60u);
}

TEST(Window, BasesAnywhere) {
  constexpr u64 kBetween = u64{1} << 44, kNegative = 0xffffff8000000000;
  const u64 refusals = refusals_of({L::kData, kHigh + L::kData + 0x1000,
                                    kBetween + L::kData + 0x1800, kNegative + L::kData + 0x2000});
  EXPECT_LT(refusals, 200u);  // each page comes to be looked up
}

// Where flags that nothing can make again are live, the look leaves them alone; so does what comes
// of it when the base is somewhere else.
TEST(Window, FlagsStayWhereTheyAre) {
  constexpr u64 kBetween = u64{1} << 44, kNegative = 0xffffff8000000000;
  for (const u64 other : {L::kData + 0x1000, kBetween + L::kData, kNegative + L::kData,
                          kHigh + L::kData + 0x2000, kHigh + L::kAbsent}) {
    UserPair pair;
    NEEDS_WINDOW(pair);
    pair.put(L::kPml4 + (other >> 39 & 511) * 8, L::kPdpt | 7);
    pair.set(kRbx, kHigh + L::kData);
    pair.set(kR13, kHigh + L::kData + 0x800);
    pair.set(kRdi, other);
    pair.set(kRdx, 0xe000000000000001);
    pair.set(kRsi, 8);
    Bytes body;
    body({0x41, 0x83, 0xfb, 0x50, 0x48, 0x0f, 0x44, 0xdf});  // cmp r11d, 80; cmove rbx, rdi
    body({0x4c, 0x0f, 0x44, 0xef, 0x4c, 0x8d, 0x3b});        // cmove r13, rdi; lea r15, [rbx]
    body({0x48, 0x11, 0xd0, 0x4c, 0x8b, 0x43, 0x08});        // adc rax, rdx; mov r8, [rbx+8]
    body({0x4c, 0x11, 0xc1, 0x48, 0x11, 0x4b, 0x10});        // adc rcx, r8; adc [rbx+16], rcx
    body({0x48, 0x11, 0xd0, 0x4d, 0x8b, 0x4d, 0x08});        // adc rax, rdx; mov r9, [r13+8]
    body({0x4c, 0x11, 0xc9, 0x48, 0x11, 0xd0});              // adc rcx, r9; adc rax, rdx
    body({0x4d, 0x8b, 0x4c, 0xf7, 0x20, 0x0f, 0x92, 0xc1});  // mov r9, [r15+rsi*8+32]; setc cl
    pair.loop(body, 200, kHigh + L::kCode);
  }
}

// A sum that wraps round to low addresses is none of the high part.
TEST(Window, BasesBelowZero) {
  for (const u64 shown : {L::kData, L::kData + 0x1000}) {
    UserPair pair;
    NEEDS_WINDOW(pair);
    pair.put(L::kData + 0x1000, 17);
    pair.set(kRbx, kHigh);
    pair.set(kRdi, ~u64{0xfff});
    pair.set(kRsi, shown);
    Bytes body;
    body({0x41, 0x83, 0xfb, 0x50, 0x48, 0x0f, 0x44, 0xdf});  // cmp r11d, 80; cmove rbx, rdi
    body({0xff, 0x06, 0x8b, 0x06});                          // inc, mov eax, [rsi]
    body({0x01, 0x83}).number(shown + 0x1000, 4);            // add [rbx+...], eax
    body({0x8b, 0x8b}).number(shown + 0x1000, 4);            // mov ecx, [rbx+...]
    pair.loop(body);
  }
}

// The host reports these as #SS, by another signal.
TEST(Window, StackAddressesThatAreNotCanonical) {
  for (const u64 base : {u64{0x900000000000}, u64{0x7fffffffffff0000}}) {
    UserPair pair;
    NEEDS_WINDOW(pair);
    pair.set(kRbp, kHigh + L::kData);
    pair.set(kRsi, base);
    Bytes body;
    body({0x41, 0x83, 0xfb, 0x50, 0x48, 0x0f, 0x44, 0xee});  // cmp r11d, 80; cmove rbp, rsi
    body({0xff, 0x45, 0x08, 0x8b, 0x45, 0x10});              // inc [rbp+8]; mov eax, [rbp+16]
    pair.loop(body);
  }
}

// Code behind an access outside the window may not take its base for one inside.
TEST(Window, OthersOffTheSameBaseAfterOneOutside) {
  for (const u64 base : {L::kData, LinearWindow::kHighEnd - L::kData}) {
    UserPair pair;
    NEEDS_WINDOW(pair);
    pair.put(L::kPml4 + 255 * 8, L::kPdpt | 7);
    pair.put(L::kPdpt + 511 * 8, L::kPd | 7);
    pair.put(L::kPd + 511 * 8, L::kTable0 | 7);
    pair.set(kRbx, kHigh + L::kData);
    pair.set(kRsi, base);
    Bytes body;
    body({0x41, 0x83, 0xfb, 0x50, 0x48, 0x0f, 0x44, 0xde});  // cmp r11d, 80; cmove rbx, rsi
    body(
        {0xff, 0x03, 0xff, 0x43, 0x08, 0x8b, 0x43, 0x10});  // inc [rbx], [rbx+8]; mov eax, [rbx+16]
    pair.loop(body);
  }
}

// Round such a loop flags are not saved; the frame of the fault shows them.
TEST(Window, FlagsOfALoopThatFaults) {
  for (const u64 rights : {u64{0}, u64{5}}) {
    UserPair pair;
    NEEDS_WINDOW(pair);
    pair.put(L::kTable0 + (L::kData + 0x3000) / kPageSize * 8, (L::kData + 0x3000) | rights);
    pair.set(kRbx, kHigh + L::kData + 0x2000);
    pair.set(kRsi, kHigh + L::kData + 0x4000);
    Bytes body;
    body({0x48, 0x89, 0x03, 0x48, 0x83, 0xc3, 0x10});          // mov [rbx], rax; add rbx, 16
    body({0x48, 0x39, 0xf3}).branch({0x0f, 0x85}, 0)({0x90});  // cmp rbx, rsi; jne
    pair.loop(body, 2);
    EXPECT_EQ(pair.fault().vector, kVectorPf);
  }
}

// Indexes that are small, that come from 32 bits, and that are not: negative, and as wide as
// pointers.
TEST(Window, Indexes) {
  for (const u64 index : {u64{0x40}, ~u64{0x3f}, u64{0x100000000}, kHigh, u64{1} << 62}) {
    for (const u64 base : {kHigh + L::kData + 0x1000, L::kData + 0x1000}) {
      UserPair pair;
      NEEDS_WINDOW(pair);
      pair.set(kRbx, base);
      pair.set(kRsi, 0x20);
      pair.set(kRdi, index);
      pair.set(kR14, base);
      Bytes body;
      body({0x41, 0x83, 0xfb, 0x40, 0x48, 0x0f, 0x44, 0xf7});  // cmp r11d, 64; cmove rsi, rdi
      body({0x01, 0x04, 0x1e, 0x89, 0xf1});                    // add [rsi+rbx], eax; mov ecx, esi
      body({0x03, 0x44, 0x8b, 0x10, 0x43, 0x8b, 0x14,
            0x3e});  // add eax, [rbx+rcx*4+16]; mov edx, [r14+r15]
      body({0x48, 0x63, 0xce, 0x01, 0x44, 0xcb, 0x08});  // movsxd rcx, esi; add [rbx+rcx*8+8], eax
      pair.loop(body);
    }
  }
}

// BSF of 0 may leave all of its register: an index from there can be anything.
TEST(Window, IndexThatStaysWide) {
  UserPair pair;
  NEEDS_WINDOW(pair);
  pair.set(kRbx, kHigh + L::kData + 0x1000);
  pair.set(kRdi, u64{0x4e} << 40);
  Bytes body;
  body({0x31, 0xd2, 0x31, 0xc0, 0x41, 0x83, 0xfb,
        0x50});                                // xor edx, edx; xor eax, eax; cmp r11d, 80
  body({0x48, 0x0f, 0x44, 0xc7});              // cmove rax, rdi
  body({0x0f, 0xbc, 0xc2, 0x01, 0x0c, 0x03});  // bsf eax, edx; add [rbx+rax], ecx
  pair.loop(body);
}

// What was so as a program began need not stay so: a superblock tries again.
TEST(Window, OutsideAtFirst) {
  UserPair pair;
  NEEDS_WINDOW(pair);
  constexpr u64 kBetween = u64{1} << 44;
  pair.put(L::kPml4 + (kBetween >> 39 & 511) * 8, L::kPdpt | 7);
  pair.set(kRbx, kBetween + L::kData);
  pair.set(kRdi, kHigh + L::kData);
  Bytes body;
  body({0x41, 0x81, 0xfb}).number(200 - 40, 4)({0x48, 0x0f, 0x44, 0xdf});  // cmp r11d; cmove rbx
  body({0xff, 0x43, 0x08});                                                // inc dword [rbx+8]
  pair.loop(body);
  EXPECT_GE(pair.refusals(), 8u);
  EXPECT_GE(pair.fills(), 1u);
}

// FS and GS in 64-bit code are bases like others, which WRFSBASE moves.
TEST(Window, SegmentBases) {
  constexpr u64 kBetween = u64{1} << 44;
  for (const u64 other : {L::kData + 0x1000, kBetween + L::kData, ~u64{0xfff}, u64{1} << 63}) {
    UserPair pair;
    NEEDS_WINDOW(pair);
    pair.put(L::kPml4 + (kBetween >> 39 & 511) * 8, L::kPdpt | 7);
    pair.set(kRax, kHigh + L::kData);
    pair.set(kRdi, other);
    pair.set(kRbx, 0x20);
    pair.set(kRsi, L::kData + 0x2000);
    pair.both([](BenchMachine& m) { m.cpu->state.cr4 |= kCr4Fsgsbase; });
    Bytes body;
    body({0x41, 0x83, 0xfb, 0x50, 0x48, 0x0f, 0x44, 0xc7});        // cmp r11d, 80; cmove rax, rdi
    body({0xf3, 0x48, 0x0f, 0xae, 0xd0});                          // wrfsbase rax
    body({0xf3, 0x48, 0x0f, 0xae, 0xde});                          // wrgsbase rsi
    body({0x64, 0x8b, 0x0c, 0x25}).number(0x10, 4);                // mov ecx, fs:[16]
    body({0x64, 0x83, 0x14, 0x25}).number(0x18, 4)({0x03});        // adc dword fs:[24], 3
    body({0x64, 0x01, 0x4b, 0x08, 0x64, 0x11, 0x4c, 0x1b, 0x10});  // add/adc fs:[rbx..], ecx
    body({0x65, 0xff, 0x43, 0xf8, 0x65, 0x03, 0x0b});         // inc gs:[rbx-8]; add ecx, gs:[rbx]
    body({0x65, 0x48, 0xa1}).number(0x3000, 8);               // mov rax, gs:[0x3000]
    body({0xb8}).number(0, 4)({0x48, 0x0f, 0xba, 0xe8, 46});  // mov eax, 0; bts rax, 46
    body({0x48, 0x05}).number(L::kData, 4);                   // add rax, kData
    pair.loop(body);
  }
}

}  // namespace
}  // namespace dragoman
