// Hardware task switches and the I/O permission bitmap.
#include <gtest/gtest.h>

#include "tests/cpu/event_machine.h"

namespace dragoman {
namespace {

using M = EventMachine;

constexpr u32 kTaskCode = 0x16000;
constexpr u32 kTaskStack = 0xb000;

/// A 32-bit ring 0 task in the other TSS.
void make_task(EventMachine& m) {
  const u32 t = M::kOtherTss;
  m.put<u32>(t + 0x20, kTaskCode);
  m.put<u32>(t + 0x24, kFlagFixed);
  for (unsigned i = 0; i < 8; ++i) m.put<u32>(t + 0x28 + 4 * i, 0x100 + i);
  m.put<u32>(t + 0x28 + 4 * kRsp, kTaskStack);
  m.put<u16>(t + 0x48, M::kSelData0);
  m.put<u16>(t + 0x4c, M::kSelCode0);
  m.put<u16>(t + 0x50, M::kSelData0);
  m.put<u16>(t + 0x54, M::kSelData0);
  m.put<u16>(t + 0x58, 0);
  m.put<u16>(t + 0x5c, M::kSelData3);
  m.put<u16>(t + 0x60, M::kSelLdt);
  m.put<u16>(t + 0x64, 0);
}

TEST(TaskSwitch, TaskGateWithErrorCodeAndIretBack) {
  EventMachine m;
  m.protected_mode(3);
  make_task(m);
  m.gate(M::kIdt, kVectorGp, M::kSelOtherTss, 0, 0x85);
  m.code(M::kCode3, {0xfa});
  m.code(kTaskCode, {0xcf});
  m.reg(kRbx) = 0xbbbb;
  m.cpu->run(1);
  EXPECT_EQ(m.state().rip(), kTaskCode);
  EXPECT_EQ(m.state().cpl, 0);
  EXPECT_EQ(m.selector(kTr), M::kSelOtherTss);
  EXPECT_EQ(m.selector(kLdtr), M::kSelLdt);
  EXPECT_EQ(m.reg(kRax), 0x100u);
  EXPECT_EQ(m.selector(kGs), M::kSelData3);
  EXPECT_NE(m.cpu->rflags() & kFlagNt, 0u);
  EXPECT_NE(m.state().cr0 & kCr0Ts, 0u);
  EXPECT_EQ(m.reg(kRsp), kTaskStack - 4);
  EXPECT_EQ(m.stack32(0), 0u) << "the error code is on the new stack";
  EXPECT_EQ(m.get<u16>(M::kOtherTss), M::kSelTss) << "back link";
  EXPECT_EQ(m.gdt_type(M::kSelTss), 0x8b);
  EXPECT_EQ(m.gdt_type(M::kSelOtherTss), 0x8b);
  EXPECT_EQ(m.get<u32>(M::kTss + 0x20), M::kCode3);
  EXPECT_EQ(m.get<u32>(M::kTss + 0x24) & (kFlagRf | kFlagIf), u32{kFlagRf | kFlagIf});
  EXPECT_EQ(m.get<u32>(M::kTss + 0x28 + 4 * kRbx), 0xbbbbu);
  EXPECT_EQ(m.get<u16>(M::kTss + 0x4c), M::kSelCode3);

  m.cpu->run(1);  // IRET
  EXPECT_EQ(m.state().rip(), M::kCode3);
  EXPECT_EQ(m.state().cpl, 3);
  EXPECT_EQ(m.reg(kRbx), 0xbbbbu);
  EXPECT_EQ(m.selector(kTr), M::kSelTss);
  EXPECT_EQ(m.gdt_type(M::kSelTss), 0x8b);
  EXPECT_EQ(m.gdt_type(M::kSelOtherTss), 0x89);
  EXPECT_EQ(m.get<u32>(M::kOtherTss + 0x24) & kFlagNt, 0u);
  EXPECT_EQ(m.get<u32>(M::kOtherTss + 0x20), kTaskCode + 1);
}

TEST(TaskSwitch, JumpMovesBusyBitAndDoesNotNest) {
  EventMachine m;
  m.protected_mode(0);
  make_task(m);
  m.code(M::kCode0, {0xea, 0, 0, 0, 0, M::kSelOtherTss, 0});
  m.cpu->run(1);
  EXPECT_EQ(m.state().rip(), kTaskCode);
  EXPECT_EQ(m.gdt_type(M::kSelTss), 0x89);
  EXPECT_EQ(m.gdt_type(M::kSelOtherTss), 0x8b);
  EXPECT_EQ(m.cpu->rflags() & kFlagNt, 0u);
  EXPECT_EQ(m.get<u32>(M::kTss + 0x20), M::kCode0 + 7);
}

TEST(TaskSwitch, BusyTaskIsRefused) {
  EventMachine m;
  m.protected_mode(0);
  make_task(m);
  EXPECT_FALSE(task_switch(*m.cpu, M::kSelTss, TaskSwitchSource::kJump, false, 0));
  EXPECT_EQ(m.cpu->fault().vector, kVectorGp);
  EXPECT_EQ(m.cpu->fault().error_code, M::kSelTss);
  EXPECT_FALSE(task_switch(*m.cpu, M::kSelOtherTss, TaskSwitchSource::kIret, false, 0));
  EXPECT_EQ(m.cpu->fault().vector, kVectorTs);
  m.cpu->clear_fault();
}

TEST(TaskSwitch, TooSmallTssIsInvalid) {
  EventMachine m;
  m.protected_mode(0);
  m.gdt_entry(M::kSelOtherTss, M::kOtherTss, 0x66, 0x89);
  EXPECT_FALSE(task_switch(*m.cpu, M::kSelOtherTss, TaskSwitchSource::kCall, false, 0));
  EXPECT_EQ(m.cpu->fault().vector, kVectorTs);
  EXPECT_EQ(m.cpu->fault().error_code, M::kSelOtherTss);
  EXPECT_EQ(m.gdt_type(M::kSelOtherTss), 0x89);
  m.cpu->clear_fault();
}

TEST(TaskSwitch, BadSegmentFaultsInTheNewTask) {
  EventMachine m;
  m.protected_mode(0);
  make_task(m);
  m.put<u16>(M::kOtherTss + 0x54, M::kSelTss);  // DS
  m.code(M::kCode0, {0xea, 0, 0, 0, 0, M::kSelOtherTss, 0});
  m.cpu->run(1);
  EXPECT_EQ(m.state().rip(), M::kHandler + 16u * kVectorTs);
  EXPECT_EQ(m.selector(kTr), M::kSelOtherTss);
  EXPECT_EQ(m.reg(kRsp), kTaskStack - 16);
  EXPECT_EQ(m.stack32(0), M::kSelTss);
  EXPECT_EQ(m.stack32(1), kTaskCode);
}

TEST(TaskSwitch, TrapBitRaisesDebugException) {
  EventMachine m;
  m.protected_mode(0);
  make_task(m);
  m.put<u16>(M::kOtherTss + 0x64, 1);
  m.code(M::kCode0, {0xea, 0, 0, 0, 0, M::kSelOtherTss, 0});
  m.code(kTaskCode, {0x90, 0x90});
  m.cpu->run(2);
  EXPECT_EQ(m.state().rip(), M::kHandler + 16u * kVectorDb);
  EXPECT_NE(m.state().dr[6] & 0x8000, 0u);
  EXPECT_EQ(m.stack32(0), kTaskCode);
}

TEST(TaskSwitch, SixteenBitTss) {
  EventMachine m;
  m.protected_mode(0);
  m.gdt_entry(M::kSelOtherTss, M::kOtherTss, 0x2b, 0x81);
  m.put<u16>(M::kOtherTss + 0x0e, 0x6100);
  m.put<u16>(M::kOtherTss + 0x10, kFlagFixed | kFlagCf);
  m.put<u16>(M::kOtherTss + 0x12, 0xaaaa);
  m.put<u16>(M::kOtherTss + 0x1a, 0x7000);
  m.put<u16>(M::kOtherTss + 0x22, M::kSelData0);
  m.put<u16>(M::kOtherTss + 0x24, M::kSelCode0);
  m.put<u16>(M::kOtherTss + 0x26, M::kSelData0);
  m.put<u16>(M::kOtherTss + 0x28, M::kSelData0);
  m.put<u16>(M::kOtherTss + 0x2a, 0);
  ASSERT_TRUE(task_switch(*m.cpu, M::kSelOtherTss, TaskSwitchSource::kCall, false, 0));
  EXPECT_EQ(m.state().rip(), 0x6100u);
  EXPECT_EQ(m.reg(kRax) & 0xffff, 0xaaaau);
  EXPECT_NE(m.cpu->rflags() & kFlagCf, 0u);
  EXPECT_EQ(m.selector(kFs), 0);
  EXPECT_EQ(m.gdt_type(M::kSelOtherTss), 0x83);
  EXPECT_EQ(m.get<u16>(M::kOtherTss), M::kSelTss);
}

TEST(TaskSwitch, VirtualTaskFromTss) {
  EventMachine m;
  m.protected_mode(0);
  make_task(m);
  m.put<u32>(M::kOtherTss + 0x24, kFlagFixed | kFlagVm | kFlagIopl);
  m.put<u32>(M::kOtherTss + 0x20, 0x100);
  m.put<u16>(M::kOtherTss + 0x4c, 0x1234);
  ASSERT_TRUE(task_switch(*m.cpu, M::kSelOtherTss, TaskSwitchSource::kJump, false, 0));
  EXPECT_TRUE(m.cpu->v86());
  EXPECT_EQ(m.state().cpl, 3);
  EXPECT_EQ(m.state().segments[kCs].base, 0x12340u);
}

TEST(IoPermission, BitmapDecidesAboveIopl) {
  EventMachine m;
  m.protected_mode(3);
  m.put<u8>(M::kTss + 0x68 + 0x60 / 8, 0x10);  // port 64h denied
  EXPECT_TRUE(check_io_permission(*m.cpu, 0x60, 4));
  EXPECT_FALSE(check_io_permission(*m.cpu, 0x61, 4)) << "61h..64h touches a denied port";
  EXPECT_EQ(m.cpu->fault().vector, kVectorGp);
  m.cpu->clear_fault();
  m.state().segments[kTr].limit = 0x68 + 0x60 / 8;  // the second byte is beyond the limit
  EXPECT_FALSE(check_io_permission(*m.cpu, 0x60, 1));
  m.cpu->clear_fault();
  m.state().flags |= kFlagIopl;
  EXPECT_TRUE(check_io_permission(*m.cpu, 0x64, 1));
}

}  // namespace
}  // namespace dragoman
