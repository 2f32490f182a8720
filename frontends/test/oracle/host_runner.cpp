#include "frontends/test/oracle/host_runner.h"

#include <asm/ldt.h>
#include <asm/prctl.h>
#include <cpuid.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <initializer_list>

namespace dragoman {
namespace {

using L = CaseLayout;

constexpr u64 kControl = 0x60100000;  ///< Control, readable and writable
constexpr u64 kStubs = 0x60101000;    ///< entry and exit code
constexpr u64 kEntry = kStubs;        ///< one per mode, 200h apart
constexpr u64 kExitNext = kStubs + 0x600, kExitBranch = kStubs + 0x640;
constexpr u64 kLeave = kStubs + 0x680, kRecover = kStubs + 0x900;
/// For an instruction, the way to a branch target, and a far jump.
constexpr u64 kCodeRoom = 0x60;
constexpr std::size_t kSignalStack = 128 * kKiB;  // frames hold the state of AVX-512 and beyond

/// XSAVE area, standard format, components x87, SSE and AVX.
struct alignas(64) SaveArea {
  u16 control, status;
  u8 tag, reserved;
  u16 opcode;
  u64 fip, fdp;
  u32 mxcsr, mxcsr_mask;
  std::array<std::array<u8, 16>, 8> st;  // ST(0) first
  std::array<std::array<u8, 16>, 16> xmm;
  std::array<u8, 96> unused;
  std::array<u64, 8> header;
  std::array<std::array<u8, 16>, 16> upper;
};
static_assert(sizeof(SaveArea) == 832);

/// Shared with the stubs and the signal handlers by its fixed address.
struct Control {
  SaveArea area;
  u64 regs[16];
  u64 flags;
  u64 host_rsp;
  u64 exit;  // 0: behind the instruction, 1: at the branch target, 2: fault
  u64 entry_far_offset_and_selector;
  u64 selectors[6];  // before
  u16 after[8];      // selectors after
  u64 fs_base, gs_base, host_fs_base, host_gs_base;
  u64 host_selectors[6];
  u64 fault, error, cr2, rip;
  u32 default_mxcsr;
  u32 running;
};
static_assert(sizeof(Control) <= 4096);
Control& control() { return *reinterpret_cast<Control*>(kControl); }

u32 field(std::size_t offset) { return static_cast<u32>(kControl + offset); }
constexpr std::size_t reg_offset(unsigned i) { return offsetof(Control, regs) + 8 * i; }

/// Writes stub code: 64-bit, memory operands by absolute address.
class Assembler {
 public:
  explicit Assembler(u8* at) : start_(at), at_(at) {}
  Assembler& bytes(std::initializer_list<int> list) {
    for (const int b : list) *at_++ = static_cast<u8>(b);
    return *this;
  }
  Assembler& dword(u32 value) {
    std::memcpy(at_, &value, 4);
    at_ += 4;
    return *this;
  }
  /// Opcode bytes, then ModRM with `reg` and [address].
  Assembler& absolute(std::initializer_list<int> opcode, unsigned reg, u32 address) {
    return bytes(opcode).bytes({static_cast<int>((reg & 7) << 3 | 4), 0x25}).dword(address);
  }
  /// MOV between a 64-bit register and memory.
  Assembler& move(int opcode, unsigned reg, u32 address) {
    return absolute({0x48 | static_cast<int>(reg >> 3) << 2, opcode}, reg, address);
  }
  /// JMP rel32; this code runs at `base`.
  Assembler& jump(u64 base, u64 target) {
    const u64 next = base + static_cast<u64>(at_ - start_) + 5;
    return bytes({0xe9}).dword(static_cast<u32>(target - next));
  }

 private:
  u8* start_;
  u8* at_;
};

constexpr int kLoad = 0x8b, kStore = 0x89;

void load_bases(Assembler& a, std::size_t fs, std::size_t gs) {
  a.move(kLoad, kRax, field(fs)).bytes({0xf3, 0x48, 0x0f, 0xae, 0xd0});  // wrfsbase rax
  a.move(kLoad, kRax, field(gs)).bytes({0xf3, 0x48, 0x0f, 0xae, 0xd8});  // wrgsbase rax
}

void load_selectors(Assembler& a, std::size_t offset, bool bases) {
  for (const unsigned s : {kEs, kSs, kDs, kFs, kGs}) {
    if ((s == kFs || s == kGs) && !bases) continue;
    a.absolute({0x8e}, s, field(offset + 8 * s));
  }
}

/// `far`: 32- or 16-bit code, where FS and GS are as their descriptors say.
void write_entry(u8* stub, bool far, bool bases) {
  Assembler a(stub);
  a.bytes({0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57});  // push callee-saved
  a.move(kStore, kRsp, field(offsetof(Control, host_rsp)));
  a.bytes({0xb8}).dword(7).bytes({0x31, 0xd2});                       // mov eax,7
  a.absolute({0x48, 0x0f, 0xae}, 5, field(offsetof(Control, area)));  // xrstor64
  load_selectors(a, offsetof(Control, selectors), bases);
  if (bases && !far) load_bases(a, offsetof(Control, fs_base), offsetof(Control, gs_base));
  a.absolute({0xff}, 6, field(offsetof(Control, flags))).bytes({0x9d});  // push; popfq
  for (unsigned i = 0; i < 16; ++i) a.move(kLoad, i, field(reg_offset(i)));
  // jmp far m16:32, or jmp m64
  a.absolute({0xff}, far ? 5 : 4, field(offsetof(Control, entry_far_offset_and_selector)));
}

void write_exit(u8* stub, u64 address, u32 value) {
  Assembler a(stub);
  a.absolute({0xc7}, 0, field(offsetof(Control, exit))).dword(value);
  a.jump(address, kLeave);
}

void write_leave(u8* leave, u8* recover, bool bases) {
  Assembler a(leave);
  a.move(kStore, kRsp, field(reg_offset(kRsp)));
  a.move(kLoad, kRsp, field(offsetof(Control, host_rsp)));
  a.bytes({0x9c}).absolute({0x8f}, 0, field(offsetof(Control, flags)));  // pushfq; pop
  a.bytes({0x6a, 0x02, 0x9d});  // push 2; popfq: no alignment checks in what follows
  for (unsigned i = 0; i < 16; ++i) {
    if (i != kRsp) a.move(kStore, i, field(reg_offset(i)));
  }
  for (unsigned s = 0; s < 6; ++s) {
    a.absolute({0x8c}, s, field(offsetof(Control, after) + 2 * s));
  }
  a.bytes({0xb8}).dword(7).bytes({0x31, 0xd2});
  a.absolute({0x48, 0x0f, 0xae}, 4, field(offsetof(Control, area)));  // xsave64
  a.jump(kLeave, kRecover);

  Assembler b(recover);
  b.bytes({0xdb, 0xe3, 0xc5, 0xf8, 0x77});                               // fninit, vzeroupper
  b.absolute({0x0f, 0xae}, 2, field(offsetof(Control, default_mxcsr)));  // ldmxcsr
  load_selectors(b, offsetof(Control, host_selectors), bases);
  if (bases) load_bases(b, offsetof(Control, host_fs_base), offsetof(Control, host_gs_base));
  b.move(kLoad, kRsp, field(offsetof(Control, host_rsp)));
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
  k.running = 0;
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
  // The frame's image is an XSAVE area in the standard format.
  std::memcpy(&k.area, c->uc_mcontext.fpregs, sizeof(k.area));
  asm volatile("movw %%es, %0" : "=m"(k.after[kEs]));
  asm volatile("movw %%ds, %0" : "=m"(k.after[kDs]));
  asm volatile("movw %%fs, %0" : "=m"(k.after[kFs]));
  asm volatile("movw %%gs, %0" : "=m"(k.after[kGs]));
  k.after[kCs] = static_cast<u16>(g[REG_CSGSFS]);
  k.after[kSs] = static_cast<u16>(static_cast<u64>(g[REG_CSGSFS]) >> 48);
  g[REG_RIP] = static_cast<greg_t>(kRecover);
  g[REG_EFL] = 0x202;
  g[REG_CSGSFS] = static_cast<greg_t>(L::kCode64 | u64{L::kFlatData} << 48);
}

u8* at(u64 address) { return reinterpret_cast<u8*>(address); }

u8* map_fixed(u64 address, u64 size, int protection, int file, u64 offset) {
  void* p = mmap(at(address), size, protection,
                 MAP_FIXED_NOREPLACE | (file < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED), file,
                 static_cast<off_t>(offset));
  if (p != MAP_FAILED && p != at(address)) munmap(p, size);  // a kernel that takes it as a hint
  return p == at(address) ? static_cast<u8*>(p) : nullptr;
}

/// The processor itself finds a segment there; what the kernel answered need not be true.
bool segment_exists(u32 selector) {
  u32 access;
  bool found;
  asm("larl %2, %0" : "=r"(access), "=@ccz"(found) : "r"(selector));
  return found;
}

bool local_segment(unsigned entry, u64 base, bool code) {
  user_desc d{};
  d.entry_number = entry;
  d.base_addr = static_cast<unsigned>(base);
  d.limit = 0xffff;
  d.contents = code ? MODIFY_LDT_CONTENTS_CODE : MODIFY_LDT_CONTENTS_DATA;
  return syscall(SYS_modify_ldt, 0x11, &d, sizeof(d)) == 0 && segment_exists(entry << 3 | 7);
}

void to_area(const FpuState& fpu, SaveArea& area) {
  area.control = fpu.control;
  area.status = fpu.status;
  area.tag = fpu.tag;
  area.reserved = 0;
  area.opcode = 0;
  area.fip = area.fdp = 0;
  area.mxcsr = fpu.mxcsr;
  area.mxcsr_mask = 0;
  const unsigned top = (fpu.status >> 11) & 7;
  for (unsigned i = 0; i < 8; ++i) area.st[i] = fpu.st[(top + i) & 7];
  for (unsigned i = 0; i < 16; ++i) {
    std::memcpy(area.xmm[i].data(), fpu.ymm[i].data(), 16);
    std::memcpy(area.upper[i].data(), fpu.ymm[i].data() + 16, 16);
  }
  area.header = {7};
}

void from_area(const SaveArea& area, FpuState& fpu) {
  fpu = FpuState{};
  fpu.control = area.control;
  fpu.status = area.status;
  fpu.tag = area.tag;
  fpu.mxcsr = area.mxcsr;
  const unsigned top = (area.status >> 11) & 7;
  for (unsigned i = 0; i < 8; ++i) {
    std::memcpy(fpu.st[(top + i) & 7].data(), area.st[i].data(), 10);
  }
  for (unsigned i = 0; i < 16; ++i) {
    std::memcpy(fpu.ymm[i].data(), area.xmm[i].data(), 16);
    std::memcpy(fpu.ymm[i].data() + 16, area.upper[i].data(), 16);
  }
}

constexpr int kSignals[] = {SIGFPE, SIGSEGV, SIGBUS, SIGILL, SIGTRAP};

}  // namespace

/// Tries in another process whether faults are taken while RSP is not canonical.
bool HostRunner::bears_bad_stacks() {
  const pid_t child = fork();
  if (child < 0) return false;
  if (child == 0) {
    CpuOutcome out;
    for (const std::vector<u8>& bytes : {std::vector<u8>{0x0f, 0x0b},           // ud2
                                         std::vector<u8>{0x8a, 0x04, 0x24},     // mov al, [rsp]
                                         std::vector<u8>{0x67, 0x8a, 0x03}}) {  // mov al, [ebx]
      CpuCase test;
      test.mode = CaseMode::k64;
      test.bytes = bytes;
      test.before.regs[kRsp] = 0xb1008e6400100a6d;
      run(test, out);
    }
    _exit(0);
  }
  int status = 0;
  return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool HostRunner::bears(const CpuCase& test) const {
  const u64 rsp = test.before.regs[kRsp];
  return bears_any_stack_ || case_bits(test.mode) != 64 || sign_extend(rsp, 48) == rsp;
}

HostRunner::HostRunner() {
  constexpr unsigned kOsxsaveAndAvx = 1u << 27 | 1u << 28;
  u32 a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & kOsxsaveAndAvx) != kOsxsaveAndAvx) {
    problem_ = "the host processor has no AVX, or its kernel does not save it";
    return;
  }
  has_bases_ = (getauxval(AT_HWCAP2) & 2) != 0;
  map_pages();
  if (!mapped_) {
    problem_ = "addresses from 10000h on, or 60100000h, are taken in this process";
    return;
  }
  Control& k = control();
  k.default_mxcsr = 0x1f80;
  k.host_selectors[kEs] = k.host_selectors[kDs] = k.host_selectors[kSs] = L::kFlatData;
  syscall(SYS_arch_prctl, ARCH_GET_GS, &saved_gs_);
  syscall(SYS_arch_prctl, ARCH_GET_FS, &saved_fs_);
  k.host_fs_base = saved_fs_;
  k.host_gs_base = saved_gs_;
  k.fs_base = L::kFsBase;
  k.gs_base = L::kGsBase;
  has_32_bit_ = segment_exists(L::kCode32);
  has_16_bit_ = local_segment(0, L::kCodeBase16, true) && local_segment(1, L::kDataBase16, false) &&
                local_segment(2, L::kStackBase16, false);
  __get_cpuid_count(7, 0, &a, &b, &c, &d);
  if ((c >> 4) & 1) {                                                        // OSPKE
    asm volatile(".byte 0x0f, 0x01, 0xee" : "=a"(pkru_), "=d"(d) : "c"(0));  // rdpkru
  }

  const auto stub = [&](u64 address) { return stub_alias_ + (address - kStubs); };
  for (unsigned mode = 0; mode < kCaseModes; ++mode) {
    write_entry(stub(kEntry + 0x200 * mode), mode != 0, has_bases_);
  }
  write_exit(stub(kExitNext), kExitNext, 0);
  write_exit(stub(kExitBranch), kExitBranch, 1);
  write_leave(stub(kLeave), stub(kRecover), has_bases_);

  signal_stack_ = std::make_unique<u8[]>(kSignalStack);
  stack_t alternative{};
  alternative.ss_sp = signal_stack_.get();
  alternative.ss_size = kSignalStack;
  sigaltstack(&alternative, nullptr);
  struct sigaction action {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  for (const int s : kSignals) sigaction(s, &action, nullptr);
  // Flat DS and ES for 32-bit code; loading GS may clear its base, so it comes first.
  asm volatile("movw %0, %%ds\n\tmovw %0, %%es" ::"r"(L::kFlatData));
  if (!has_bases_) syscall(SYS_arch_prctl, ARCH_SET_GS, L::kGsBase);
  bears_any_stack_ = bears_bad_stacks();
}

void HostRunner::map_pages() {
  const int file = memfd_create("runner", 0);
  if (file < 0) return;
  const int rw = PROT_READ | PROT_WRITE;
  const int rx = PROT_READ | PROT_EXEC;
  if (ftruncate(file, 2 * kPageSize) == 0) {
    mapped_ = map_fixed(L::kCode, kPageSize, rx, file, 0) &&
              map_fixed(kStubs, kPageSize, rx, file, kPageSize) &&
              map_fixed(L::kData, L::kDataBytes, rw, -1, 0) &&
              map_fixed(L::kStack, L::kStackBytes, rw, -1, 0) &&
              map_fixed(kControl, kPageSize, rw, -1, 0);
    code_alias_ = static_cast<u8*>(mmap(nullptr, 2 * kPageSize, rw, MAP_SHARED, file, 0));
    stub_alias_ = code_alias_ + kPageSize;
  }
  close(file);
}

HostRunner::~HostRunner() {
  if (code_alias_ == nullptr) return;
  if (problem_.empty()) {
    if (!has_bases_) syscall(SYS_arch_prctl, ARCH_SET_GS, saved_gs_);
    asm volatile("movw %0, %%ds\n\tmovw %0, %%es" ::"r"(u16{0}));
    for (const int s : kSignals) signal(s, SIG_DFL);
    stack_t none{};
    none.ss_flags = SS_DISABLE;
    sigaltstack(&none, nullptr);
    munmap(at(L::kCode), kPageSize);
    munmap(at(kStubs), kPageSize);
    munmap(at(L::kData), L::kDataBytes);
    munmap(at(L::kStack), L::kStackBytes);
    munmap(at(kControl), kPageSize);
  }
  munmap(code_alias_, 2 * kPageSize);
}

void HostRunner::run(const CpuCase& test, CpuOutcome& out) {
  test.fill(out.memory);
  std::memcpy(at(L::kData), out.memory.data(), L::kDataBytes);
  std::memcpy(at(L::kStack), out.memory.data() + L::kDataBytes, L::kStackBytes);
  run_in_place(test, out);
  std::memcpy(out.memory.data(), at(L::kData), L::kDataBytes);
  std::memcpy(out.memory.data() + L::kDataBytes, at(L::kStack), L::kStackBytes);
}

void HostRunner::run_in_place(const CpuCase& test, CpuOutcome& out) {
  Control& k = control();
  const unsigned bits = case_bits(test.mode);
  u8* code = code_alias_ + (test.linear_start() - L::kCode);
  const u64 room = test.cut == 0 ? kCodeRoom : test.cut;
  std::memset(code, 0xcc, room);
  std::memcpy(code, test.bytes.data(), std::min<u64>(test.bytes.size(), room));
  const u64 next = L::kInstruction + test.bytes.size();
  const auto leave = [&](u64 from, u64 to) {
    Assembler a(code_alias_ + (from - L::kCode));
    if (bits == 64) {
      a.jump(from, to);
      return;
    }
    if (bits == 16) a.bytes({0x66});
    a.bytes({0xea}).dword(static_cast<u32>(to)).bytes({L::kCode64, 0});  // jmp far 33h:to
  };
  if (test.cut == 0) {
    leave(next, kExitNext);
    leave(next + L::kBranch, kExitBranch);
  }

  const CaseRegisters& before = test.before;
  to_area(before.fpu, k.area);
  std::memcpy(k.regs, before.regs.data(), sizeof(k.regs));
  k.flags = before.flags;
  const bool small = bits == 16;
  k.selectors[kEs] = k.selectors[kDs] = small ? L::kData16 : L::kFlatData;
  k.selectors[kSs] = small ? L::kStack16 : L::kFlatData;
  k.selectors[kFs] = 0;
  k.selectors[kGs] = bits == 64 ? 0 : k.selectors[kDs];
  const u64 start = test.start();
  const u16 selector = bits == 64 ? 0 : bits == 32 ? L::kCode32 : L::kCode16;
  k.entry_far_offset_and_selector = start | u64{selector} << 32;
  const u64 entry = kEntry + 0x200 * static_cast<u64>(test.mode);
  k.running = 1;
  reinterpret_cast<void (*)()>(entry)();
  k.running = 0;

  std::memcpy(out.after.regs.data(), k.regs, sizeof(k.regs));
  out.after.flags = k.flags;
  from_area(k.area, out.after.fpu);
  std::copy_n(k.after, 6, out.after.selectors.begin());
  if (k.exit != 2) out.after.selectors[kCs] = selector != 0 ? selector : L::kCode64;
  out.fault = -1;
  out.error = 0;
  out.cr2 = 0;
  out.finished = true;
  out.rip = start + test.bytes.size() + (k.exit == 1 ? L::kBranch : 0);
  if (k.exit == 2) {
    out.rip = k.rip;
    out.fault = static_cast<int>(k.fault);
    out.error = static_cast<u32>(k.error);
    out.cr2 = k.fault == kVectorPf ? k.cr2 : 0;
  }
}

}  // namespace dragoman
