#include "tests/cpu/host_runner.h"

#include <asm/prctl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <initializer_list>

namespace dragoman {
namespace {

constexpr u64 kControl = 0x60100000;  ///< Control, readable and writable
constexpr u64 kStubs = 0x60101000;    ///< entry and exit code
constexpr u64 kEntry64 = kStubs, kEntry32 = kStubs + 0x200;
constexpr u64 kExitNext = kStubs + 0x400, kExitBranch = kStubs + 0x440;
constexpr u64 kExitNext32 = kStubs + 0x480, kExitBranch32 = kStubs + 0x4c0;
constexpr u64 kLeave = kStubs + 0x500, kRecover = kStubs + 0x600;

/// Shared with the stubs and the signal handlers by its fixed address.
struct Control {
  u64 regs[16];
  u64 flags;
  u64 host_rsp;
  u64 exit;  // 0: behind the instruction, 1: at the branch target, 2: fault
  u64 entry_far_offset_and_selector;
  u64 leave_far;
  u64 fault, error, cr2, rip;
  u32 running;
};
Control& control() { return *reinterpret_cast<Control*>(kControl); }

u32 field(std::size_t offset) { return static_cast<u32>(kControl + offset); }
constexpr std::size_t reg_offset(unsigned i) { return offsetof(Control, regs) + 8 * i; }

/// Writes stub code.
class Assembler {
 public:
  explicit Assembler(u8* at) : at_(at) {}
  Assembler& bytes(std::initializer_list<int> list) {
    for (const int b : list) *at_++ = static_cast<u8>(b);
    return *this;
  }
  Assembler& dword(u32 value) {
    std::memcpy(at_, &value, 4);
    at_ += 4;
    return *this;
  }
  /// opcode reg, [absolute] with REX.W, in 64-bit code.
  Assembler& absolute(int opcode, unsigned reg, u32 address) {
    bytes({0x48 | static_cast<int>(reg >> 3) << 2, opcode, static_cast<int>((reg & 7) << 3 | 4),
           0x25});
    return dword(address);
  }

 private:
  u8* at_;
};

constexpr int kLoad = 0x8b, kStore = 0x89;
constexpr unsigned kStackPointer = 4;

void write_entry(u8* stub, bool code32) {
  Assembler a(stub);
  a.bytes({0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57});  // push callee-saved
  a.absolute(kStore, kStackPointer, field(offsetof(Control, host_rsp)));
  a.bytes({0xff, 0x34, 0x25}).dword(field(offsetof(Control, flags)));  // push flags
  a.bytes({0x9d});                                                     // popfq
  for (unsigned i = 0; i < 16; ++i) a.absolute(kLoad, i, field(reg_offset(i)));
  if (code32) {  // jmp far m16:32
    a.bytes({0xff, 0x2c, 0x25}).dword(field(offsetof(Control, entry_far_offset_and_selector)));
  } else {  // jmp m64
    a.bytes({0xff, 0x24, 0x25}).dword(field(offsetof(Control, entry_far_offset_and_selector)));
  }
}

void write_exit(u8* stub, u64 address, u32 value, bool code32) {
  Assembler a(stub);
  if (code32) {
    a.bytes({0xc7, 0x05}).dword(field(offsetof(Control, exit))).dword(value);
    a.bytes({0xea}).dword(static_cast<u32>(kLeave));
    a.bytes({RunnerLayout::kCode64, 0});
  } else {
    a.bytes({0xc7, 0x04, 0x25}).dword(field(offsetof(Control, exit))).dword(value);
    a.bytes({0xe9}).dword(static_cast<u32>(kLeave - (address + 16)));
  }
}

void write_leave(u8* leave, u8* recover) {
  Assembler a(leave);
  a.absolute(kStore, kStackPointer, field(reg_offset(kStackPointer)));
  a.absolute(kLoad, kStackPointer, field(offsetof(Control, host_rsp)));
  a.bytes({0x9c, 0x8f, 0x04, 0x25}).dword(field(offsetof(Control, flags)));  // pushfq; pop
  a.bytes({0x6a, 0x02, 0x9d});  // push 2; popfq: no alignment checks in what follows
  for (unsigned i = 0; i < 16; ++i) {
    if (i != kStackPointer) a.absolute(kStore, i, field(reg_offset(i)));
  }
  a.bytes({0xe9}).dword(static_cast<u32>(kRecover - (kLeave + 8 + 8 + 8 + 3 + 15 * 8 + 5)));
  Assembler b(recover);
  b.absolute(kLoad, kStackPointer, field(offsetof(Control, host_rsp)));
  b.bytes({0xfc, 0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b, 0xc3});
}

void on_fault(int number, siginfo_t*, void* context) {
  // The kernel leaves AC as the instruction had it; compiled code is not aligned that well.
  constexpr unsigned long long kAlignmentCheck = 1 << 18;
  __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() & ~kAlignmentCheck);
  auto* c = static_cast<ucontext_t*>(context);
  greg_t* g = c->uc_mcontext.gregs;
  Control& k = control();
  if (!k.running) {
    signal(number, SIG_DFL);  // not ours: happens again and ends the program
    return;
  }
  static constexpr int kOrder[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                     REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                     REG_R12, REG_R13, REG_R14, REG_R15};
  for (unsigned i = 0; i < 16; ++i) k.regs[i] = static_cast<u64>(g[kOrder[i]]);
  k.flags = static_cast<u64>(g[REG_EFL]);
  k.exit = 2;
  k.fault = static_cast<u64>(g[REG_TRAPNO]);
  k.error = static_cast<u64>(g[REG_ERR]);
  k.cr2 = static_cast<u64>(g[REG_CR2]);
  k.rip = static_cast<u64>(g[REG_RIP]);
  g[REG_RIP] = static_cast<greg_t>(kRecover);
  g[REG_EFL] = 0x202;
  g[REG_CSGSFS] = (g[REG_CSGSFS] & ~greg_t{0xffff}) | RunnerLayout::kCode64;
}

u8* map_fixed(u64 address, u64 size, int protection, int file, u64 offset) {
  void* p = mmap(reinterpret_cast<void*>(address), size, protection,
                 MAP_FIXED_NOREPLACE | (file < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED), file,
                 static_cast<off_t>(offset));
  return p == reinterpret_cast<void*>(address) ? static_cast<u8*>(p) : nullptr;
}

constexpr int kSignals[] = {SIGFPE, SIGSEGV, SIGBUS, SIGILL, SIGTRAP};

}  // namespace

HostRunner::HostRunner() {
  const int file = memfd_create("runner", 0);
  if (file < 0 || ftruncate(file, 2 * 4096) != 0) return;
  const int rw = PROT_READ | PROT_WRITE;
  const int rx = PROT_READ | PROT_EXEC;
  ready_ = map_fixed(kCode, 4096, rx, file, 0) && map_fixed(kStubs, 4096, rx, file, 4096) &&
           map_fixed(kData, kDataBytes, rw, -1, 0) && map_fixed(kStack, kStackBytes, rw, -1, 0) &&
           map_fixed(kControl, 4096, rw, -1, 0);
  if (!ready_) {
    close(file);
    return;
  }
  code_alias_ = static_cast<u8*>(mmap(nullptr, 2 * 4096, rw, MAP_SHARED, file, 0));
  stub_alias_ = code_alias_ + 4096;
  close(file);
  const auto stub = [&](u64 address) { return stub_alias_ + (address - kStubs); };
  write_entry(stub(kEntry64), false);
  write_entry(stub(kEntry32), true);
  write_exit(stub(kExitNext), kExitNext, 0, false);
  write_exit(stub(kExitBranch), kExitBranch, 1, false);
  write_exit(stub(kExitNext32), kExitNext32, 0, true);
  write_exit(stub(kExitBranch32), kExitBranch32, 1, true);
  write_leave(stub(kLeave), stub(kRecover));

  stack_t alternative{};
  alternative.ss_sp = signal_stack_.data();
  alternative.ss_size = signal_stack_.size();
  sigaltstack(&alternative, nullptr);
  struct sigaction action {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  for (const int s : kSignals) sigaction(s, &action, nullptr);
  // Flat DS and ES for 32-bit code; loading GS may clear its base, so it comes first.
  asm volatile("movw %0, %%ds\n\tmovw %0, %%es" ::"r"(kFlatData));
  syscall(SYS_arch_prctl, ARCH_GET_GS, &saved_gs_);
  syscall(SYS_arch_prctl, ARCH_SET_GS, kGsBase);
}

HostRunner::~HostRunner() {
  if (!ready_) return;
  syscall(SYS_arch_prctl, ARCH_SET_GS, saved_gs_);
  asm volatile("movw %0, %%ds\n\tmovw %0, %%es" ::"r"(u16{0}));
  for (const int s : kSignals) signal(s, SIG_DFL);
  stack_t none{};
  none.ss_flags = SS_DISABLE;
  sigaltstack(&none, nullptr);
  munmap(code_alias_, 2 * 4096);
  munmap(at(kCode), 4096);
  munmap(at(kStubs), 4096);
  munmap(at(kData), kDataBytes);
  munmap(at(kStack), kStackBytes);
  munmap(at(kControl), 4096);
}

void HostRunner::run(std::span<const u8> instruction, bool code32, RunnerState& state) {
  Control& k = control();
  u8* code = code_alias_ + (kInstruction - kCode);
  std::memset(code, 0xcc, 0x60);
  std::memcpy(code, instruction.data(), instruction.size());
  const auto jump = [&](u64 from, u64 to) {
    u8* at_code = code_alias_ + (from - kCode);
    const u32 distance = static_cast<u32>(to - (from + 5));
    *at_code = 0xe9;
    std::memcpy(at_code + 1, &distance, 4);
  };
  const u64 next = kInstruction + instruction.size();
  jump(next, code32 ? kExitNext32 : kExitNext);
  jump(next + kBranch, code32 ? kExitBranch32 : kExitBranch);

  std::memcpy(k.regs, state.regs.data(), sizeof(k.regs));
  k.flags = state.flags;
  k.entry_far_offset_and_selector = kInstruction | (code32 ? u64{kCode32} << 32 : 0);
  k.running = 1;
  reinterpret_cast<void (*)()>(code32 ? kEntry32 : kEntry64)();
  k.running = 0;
  std::memcpy(state.regs.data(), k.regs, sizeof(k.regs));
  state.flags = k.flags;
  state.fault = -1;
  state.error = state.cr2 = 0;
  switch (k.exit) {
    case 0:
      state.rip = next;
      break;
    case 1:
      state.rip = next + kBranch;
      break;
    default:
      state.rip = k.rip;
      state.fault = static_cast<int>(k.fault);
      state.error = k.error;
      state.cr2 = k.cr2;
      break;
  }
}

}  // namespace dragoman
