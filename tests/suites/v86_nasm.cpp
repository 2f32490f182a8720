// Runs the programs of v86's tests/nasm, 32-bit ELF files that end with HLT, on the host processor
// and on both engines, and compares registers, x87, SSE and memory.
//
//     v86_nasm FILE.img...        built as the suite's create_tests.js does it
//
// Exit status: 0 no difference, 1 differences, 2 cannot be run.
#include <elf.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "tests/suites/user_process.h"

namespace dragoman {
namespace {

constexpr u64 kMemory = 0x100000, kMemoryBytes = 0x2000;  // the programs' .bss
constexpr u64 kInstructions = 10'000'000;

/// How a program ended.
struct End {
  std::array<u32, 8> regs{};
  u32 eip = 0, flags = 0, mxcsr = 0;
  u16 control = 0, status = 0;
  u8 tag = 0;
  int signal = 0;
  std::array<std::array<u8, 10>, 8> st{};
  std::array<std::array<u8, 16>, 8> xmm{};
  std::array<u8, kMemoryBytes> memory{};
};

int signal_of(u8 vector) {
  switch (vector) {
    case kVectorDe:
    case kVectorMf:
    case kVectorXm:
      return SIGFPE;
    case kVectorUd:
      return SIGILL;
    case kVectorDb:
    case kVectorBp:
      return SIGTRAP;
    case kVectorAc:
      return SIGBUS;
    default:
      return SIGSEGV;
  }
}

/// Calls `load(address, bytes in memory, contents)` for each segment; the entry point, or 0 when
/// the file is no such program.
template <class Load>
u32 for_each_segment(const std::vector<u8>& file, Load&& load) {
  Elf32_Ehdr header{};
  if (file.size() < sizeof(header)) return 0;
  std::memcpy(&header, file.data(), sizeof(header));
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_machine != EM_386) return 0;
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    Elf32_Phdr segment{};
    const u64 at = u64{header.e_phoff} + i * sizeof(segment);
    if (at + sizeof(segment) > file.size()) return 0;
    std::memcpy(&segment, file.data() + at, sizeof(segment));
    if (segment.p_type != PT_LOAD) continue;
    if (u64{segment.p_offset} + segment.p_filesz > file.size()) return 0;
    load(u64{segment.p_vaddr}, u64{segment.p_memsz},
         std::span(file).subspan(segment.p_offset, segment.p_filesz));
  }
  return header.e_entry;
}

/// In the child: the segments where they belong. Kernels that do not start 32-bit programs still
/// have the code segment for them.
u32 map_in_place(const std::vector<u8>& file) {
  return for_each_segment(file, [](u64 at, u64 bytes, std::span<const u8> contents) {
    const u64 first = at & ~u64{kPageMask};
    void* const wanted = reinterpret_cast<void*>(first);
    if (mmap(wanted, at + bytes - first, PROT_READ | PROT_WRITE | PROT_EXEC,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != wanted) {
      _exit(1);
    }
    std::memcpy(reinterpret_cast<void*>(at), contents.data(), contents.size());
  });
}

std::optional<End> run_on_host(const std::vector<u8>& file) {
  constexpr u16 kUserCode32 = 0x23, kUserData = 0x2b;
  const pid_t child = fork();
  if (child == 0) {
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    if (map_in_place(file) == 0) _exit(1);
    raise(SIGSTOP);
    _exit(1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (!WIFSTOPPED(status)) return std::nullopt;
  user_regs_struct r{};
  user_fpregs_struct f{};
  r.rip = for_each_segment(file, [](u64, u64, std::span<const u8>) {});
  r.cs = kUserCode32;
  r.ss = r.ds = r.es = kUserData;
  r.eflags = 0x202;
  r.orig_rax = ~0ull;
  f.cwd = 0x37f;
  f.mxcsr = 0x1f80;
  ptrace(PTRACE_SETREGS, child, nullptr, &r);
  ptrace(PTRACE_SETFPREGS, child, nullptr, &f);
  ptrace(PTRACE_CONT, child, nullptr, nullptr);
  waitpid(child, &status, 0);
  if (!WIFSTOPPED(status)) return std::nullopt;
  End end;
  end.signal = WSTOPSIG(status);
  ptrace(PTRACE_GETREGS, child, nullptr, &r);
  ptrace(PTRACE_GETFPREGS, child, nullptr, &f);
  const auto low = [](unsigned long long value) { return static_cast<u32>(value); };
  end.regs = {low(r.rax), low(r.rcx), low(r.rdx), low(r.rbx),
              low(r.rsp), low(r.rbp), low(r.rsi), low(r.rdi)};
  end.eip = low(r.rip);
  end.flags = low(r.eflags);
  end.mxcsr = f.mxcsr;
  end.control = f.cwd;
  end.status = f.swd;
  end.tag = static_cast<u8>(f.ftw);
  const u8* const st = reinterpret_cast<const u8*>(f.st_space);
  const u8* const xmm = reinterpret_cast<const u8*>(f.xmm_space);
  for (unsigned i = 0; i < 8; ++i) {
    std::memcpy(end.st[i].data(), st + 16 * i, 10);
    std::memcpy(end.xmm[i].data(), xmm + 16 * i, 16);
  }
  for (u64 at = 0; at < kMemoryBytes; at += sizeof(long)) {
    const long word = ptrace(PTRACE_PEEKDATA, child, kMemory + at, nullptr);
    std::memcpy(&end.memory[at], &word, sizeof(word));
  }
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  return end;
}

std::optional<End> run_on(UserProcess& process, const std::vector<u8>& file) {
  process.start(true);
  const u32 entry = for_each_segment(file, [&](u64 at, u64 bytes, std::span<const u8> contents) {
    process.map(at, bytes);
    process.store(at, contents);
  });
  if (entry == 0) return std::nullopt;
  process.state().rip() = entry;
  process.changed();
  if (!process.run(kInstructions)) return std::nullopt;
  const CpuState& s = process.state();
  End end;
  for (unsigned i = 0; i < 8; ++i) end.regs[i] = static_cast<u32>(s.regs[i]);
  end.regs[kRsp] = static_cast<u32>(process.rsp());
  end.eip = static_cast<u32>(process.rip());
  end.flags = process.flags();
  end.mxcsr = s.fpu.mxcsr;
  end.control = s.fpu.control;
  end.status = s.fpu.status;
  end.tag = s.fpu.tag;
  end.signal = signal_of(process.vector());
  for (unsigned i = 0; i < 8; ++i) {
    std::memcpy(end.st[i].data(), s.fpu.st[((s.fpu.status >> 11) + i) & 7].data(), 10);
    std::memcpy(end.xmm[i].data(), s.fpu.ymm[i].data(), 16);
  }
  process.load(kMemory, end.memory);
  return end;
}

std::string differences(const End& host, const End& guest) {
  static constexpr std::array kNames = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};
  std::string text;
  const auto check = [&](const std::string& name, u64 want, u64 got) {
    if (want != got) text += fmt::format(" {} {:x}, host {:x}", name, got, want);
  };
  for (unsigned i = 0; i < 8; ++i) check(kNames[i], host.regs[i], guest.regs[i]);
  check("signal", static_cast<u64>(host.signal), static_cast<u64>(guest.signal));
  check("eip", host.eip, guest.eip);
  // The host's IF is set; RF is saved by faults on both.
  constexpr u32 kFlags = kArithmeticFlags | kFlagDf | kFlagAc | kFlagId | kFlagNt | kFlagTf;
  check("flags", host.flags & kFlags, guest.flags & kFlags);
  check("control", host.control, guest.control);
  check("status", host.status, guest.status);
  check("tag", host.tag, guest.tag);
  check("mxcsr", host.mxcsr, guest.mxcsr);
  for (unsigned i = 0; i < 8; ++i) {
    if (host.st[i] != guest.st[i]) text += fmt::format(" st{}", i);
    if (host.xmm[i] != guest.xmm[i]) text += fmt::format(" xmm{}", i);
  }
  for (unsigned i = 0; i < kMemoryBytes; ++i) {
    if (host.memory[i] == guest.memory[i]) continue;
    check(fmt::format("[{:x}]", kMemory + i), host.memory[i], guest.memory[i]);
    break;
  }
  return text;
}

int run(const std::vector<std::string>& paths) {
  if (paths.empty()) {
    std::fprintf(stderr, "v86_nasm: no files; give those of tests/nasm/build\n");
    return 2;
  }
  std::array engines = {UserProcess(BenchEngine::kInterpreter),
                        UserProcess(BenchEngine::kTranslator)};
  static constexpr std::array kEngineNames = {"interpreter", "translator"};
  std::array<unsigned, 2> good{};
  unsigned ran = 0;
  for (const std::string& path : paths) {
    std::ifstream in(path, std::ios::binary);
    const std::vector<u8> file{std::istreambuf_iterator<char>(in), {}};
    const auto host = run_on_host(file);
    if (!host) {
      std::printf("%s: cannot be run on the host\n", path.c_str());
      continue;
    }
    ++ran;
    for (unsigned i = 0; i < engines.size(); ++i) {
      const auto guest = run_on(engines[i], file);
      const std::string text = guest ? differences(*host, *guest) : " does not end";
      if (text.empty()) {
        ++good[i];
      } else {
        std::printf("%s %s:%s\n", kEngineNames[i], path.c_str(), text.c_str());
      }
    }
  }
  for (unsigned i = 0; i < good.size(); ++i) {
    std::printf("%s: %u of %u equal\n", kEngineNames[i], good[i], ran);
  }
  return good[0] == ran && good[1] == ran ? 0 : 1;
}

}  // namespace
}  // namespace dragoman

int main(int count, char** arguments) { return dragoman::run({arguments + 1, arguments + count}); }
