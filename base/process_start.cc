// Where programs begin that show guests their memory in the upper half of the process's address
// space (base/upper_half.h). Linux puts the program, its stack, the vDSO and every library there,
// and none of them can be moved later. So these programs name no dynamic linker (no PT_INTERP):
// Linux starts them here, and this code does what Linux would have done next, at other addresses.
// It maps the program once more, the dynamic linker, the initial stack and the vDSO in the lower
// half, takes all of the upper one, and goes on in the dynamic linker. Where that cannot be done
// the program runs all the same, and guests' memory is looked up. With DRAGOMAN_START=plain
// everything stays where Linux put it, for debuggers that set breakpoints before the program
// begins.
//
// Nothing is linked or relocated yet: no library function, no table of pointers, no thread-local,
// no stack protector.
#include <elf.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <initializer_list>

#include "base/upper_half.h"

// Addresses of these need no table where they are known to be in the program.
extern "C" __attribute__((visibility("hidden"))) void _start();
extern "C" __attribute__((visibility("hidden"))) void dragoman_start_below();

// RSP is the initial stack, RDX 0 or what _start is to have called at the end. The functions return
// what to go on with: a stack, and an address.
asm(R"(
  .text
  .globl dragoman_start
dragoman_start:
  xor %ebp, %ebp
  mov %rdx, %r12
  mov %rsp, %rdi
  mov %rdx, %rsi
  and $-16, %rsp
  call dragoman_map_program
  mov %rax, %rsp
  mov %rdx, %r11
  mov %r12, %rdx
  jmp *%r11

  .globl dragoman_start_below
dragoman_start_below:
  mov %rsp, %rbx
  mov %rsp, %rdi
  and $-16, %rsp
  call dragoman_take_upper_half
  mov %rbx, %rsp
  xor %edx, %edx
  jmp *%rax
)");

namespace dragoman {
namespace {

constexpr u64 kStackBytes = 16 * kMiB, kVdsoRoom = 256 * kKiB;
constexpr u64 kNothing = 0;
/// Where program headers are, from where the program was linked to be: the ELF header is there.
constexpr u64 kHeaders = sizeof(Elf64_Ehdr);

long call(long number, u64 a = 0, u64 b = 0, u64 c = 0, u64 d = 0, u64 e = 0, u64 f = 0) {
  long result = number;
  register u64 r10 asm("r10") = d;
  register u64 r8 asm("r8") = e;
  register u64 r9 asm("r9") = f;
  asm volatile("syscall"
               : "+a"(result)
               : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}
bool failed(long result) { return result < 0 && result > -4096; }
u64 address(const void* p) { return reinterpret_cast<u64>(p); }

bool begins(const char* text, const char* with) {
  while (*with != 0) {
    if (*text++ != *with++) return false;
  }
  return true;
}

[[noreturn]] void stop(const char* why) {
  u64 length = 0;
  while (why[length] != 0) ++length;
  call(SYS_write, 2, address(why), length);
  for (;;) call(SYS_exit_group, 127);
}

/// Maps memory without contents, near `at` unless `flags` say more. kNothing when that fails.
u64 map(u64 at, u64 bytes, u64 protection, u64 flags = 0) {
  const long result = call(SYS_mmap, at, bytes, protection,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, ~u64{0}, 0);
  return failed(result) ? kNothing : static_cast<u64>(result);
}

u64 random_number() {
  u64 value = 0;
  if (call(SYS_getrandom, address(&value), sizeof value, 1 /* GRND_NONBLOCK */) == sizeof value)
    return value;
  return __builtin_ia32_rdtsc() * 0x9e3779b97f4a7c15;
}
/// An address `part` TiB up, and as much further as Linux moves things: 28 bits of pages.
u64 somewhere(u64 part) { return (part << 40) + (random_number() >> 20 & 0xfffffff) * kPageSize; }

/// What Linux puts on the stack of a new program (System V ABI, AMD64 supplement, 3.4.1).
struct InitialStack {
  u64* first;  ///< argc
  u64 *arguments, *environment;
  Elf64_auxv_t* auxiliary;
  u64 auxiliary_bytes = sizeof(Elf64_auxv_t);

  explicit InitialStack(u64* at) : first(at), arguments(at + 1), environment(at + *at + 2) {
    u64* p = environment;
    while (*p != 0) ++p;
    auxiliary = reinterpret_cast<Elf64_auxv_t*>(p + 1);
    for (auto* a = auxiliary; a->a_type != AT_NULL; ++a) auxiliary_bytes += sizeof *a;
  }
  Elf64_auxv_t* find(u64 type) const {
    for (auto* a = auxiliary; a->a_type != AT_NULL; ++a) {
      if (a->a_type == type) return a;
    }
    return nullptr;
  }
  u64 value(u64 type) const {
    const auto* const a = find(type);
    return a != nullptr ? a->a_un.a_val : 0;
  }
  void set(u64 type, u64 value) const {
    if (auto* const a = find(type)) a->a_un.a_val = value;
  }
  bool asks_for_plain_start() const {
    for (const u64* p = environment; *p != 0; ++p) {
      if (begins(reinterpret_cast<const char*>(*p), "DRAGOMAN_START=plain")) return true;
    }
    return false;
  }
};

/// A file of position-independent code, mapped as Linux does it.
struct Image {
  u64 base = kNothing, entry = 0, end = 0;
};
Image load(const char* path, u64 near) {
  const long file = call(SYS_open, address(path), O_RDONLY | O_CLOEXEC);
  if (failed(file)) return {};
  alignas(16) unsigned char head[2048];
  const long got = call(SYS_read, static_cast<u64>(file), address(head), sizeof head);
  const auto& elf = *reinterpret_cast<const Elf64_Ehdr*>(head);
  const bool known = got >= static_cast<long>(sizeof elf) && elf.e_type == ET_DYN &&
                     elf.e_phoff + elf.e_phnum * sizeof(Elf64_Phdr) <= static_cast<u64>(got);
  const auto* const segments = reinterpret_cast<const Elf64_Phdr*>(head + elf.e_phoff);
  u64 end = 0;
  for (unsigned i = 0; known && i < elf.e_phnum; ++i) {
    const u64 last = segments[i].p_vaddr + segments[i].p_memsz;
    if (segments[i].p_type == PT_LOAD && last > end) end = last;
  }
  end = (end + kPageSize - 1) & ~(kPageSize - 1);
  const u64 base = end != 0 ? map(near, end, PROT_NONE) : kNothing;
  bool good = base != kNothing;
  for (unsigned i = 0; good && i < elf.e_phnum; ++i) {
    const Elf64_Phdr& s = segments[i];
    if (s.p_type != PT_LOAD) continue;
    const u64 protection = ((s.p_flags & PF_R) != 0 ? PROT_READ : 0u) |
                           ((s.p_flags & PF_W) != 0 ? PROT_WRITE : 0u) |
                           ((s.p_flags & PF_X) != 0 ? PROT_EXEC : 0u);
    const u64 skip = s.p_vaddr & (kPageSize - 1), first = base + s.p_vaddr - skip;
    const u64 file_end = base + s.p_vaddr + s.p_filesz, memory_end = base + s.p_vaddr + s.p_memsz;
    if (s.p_filesz != 0) {
      good = !failed(call(SYS_mmap, first, skip + s.p_filesz, protection, MAP_PRIVATE | MAP_FIXED,
                          static_cast<u64>(file), s.p_offset - skip));
    }
    if (!good || memory_end == file_end) continue;
    const u64 whole = (file_end + kPageSize - 1) & ~(kPageSize - 1);
    for (u64 p = file_end; p < whole; ++p) *reinterpret_cast<volatile unsigned char*>(p) = 0;
    if (memory_end > whole) good = map(whole, memory_end - whole, protection, MAP_FIXED) == whole;
  }
  call(SYS_close, static_cast<u64>(file));
  if (!good) return {};
  return {base, base + elf.e_entry, base + end};
}

u64 hexadecimal(const char*& p) {
  u64 value = 0;
  for (;; ++p) {
    const unsigned digit = static_cast<unsigned char>(*p);
    if (digit - '0' < 10) {
      value = value << 4 | (digit - '0');
    } else if (digit - 'a' < 6) {
      value = value << 4 | (digit - 'a' + 10);
    } else {
      return value;
    }
  }
}

/// Moves the vDSO, and the variables it reads beside it. Its new address, or kNothing: then it has
/// to be given up.
u64 move_vdso(u64 vdso, u64 near) {
  char text[16 * kKiB];
  const u64 room = vdso != 0 ? map(near, kVdsoRoom, PROT_NONE) : kNothing;
  const long file = call(SYS_open, address("/proc/self/maps"), O_RDONLY | O_CLOEXEC);
  if (room == kNothing || failed(file)) return kNothing;
  u64 length = 0;
  for (long got = 1; got > 0 && length < sizeof text - 1; length += static_cast<u64>(got)) {
    got = call(SYS_read, static_cast<u64>(file), address(text + length), sizeof text - 1 - length);
    if (got < 0) got = 0;
  }
  text[length] = 0;
  call(SYS_close, static_cast<u64>(file));
  const u64 first_of_room = vdso - kVdsoRoom / 2;  // what the room stands for
  bool moved = false;
  for (const char* p = text; *p != 0;) {
    const u64 first = hexadecimal(p);
    if (*p == '-') ++p;
    const u64 end = hexadecimal(p);
    while (*p != '\n' && *p != '[' && *p != '/' && *p != 0) ++p;
    if (begins(p, "[vvar") || begins(p, "[vdso]")) {
      if (first < first_of_room || end > first_of_room + kVdsoRoom) return kNothing;
      if (failed(call(SYS_mremap, first, end - first, end - first, MREMAP_MAYMOVE | MREMAP_FIXED,
                      room + (first - first_of_room))))
        return kNothing;
      moved |= first == vdso;
    }
    while (*p != '\n' && *p != 0) ++p;
    if (*p == '\n') ++p;
  }
  return moved ? room + (vdso - first_of_room) : kNothing;
}

/// Copies the initial stack with all its strings; what points into it points into the copy.
u64* move_stack(const InitialStack& old, u64 near) {
  u64 last = old.value(AT_EXECFN);  // the string on top
  if (last == 0) return nullptr;
  while (*reinterpret_cast<const char*>(last) != 0) ++last;
  const u64 top = (last + kPageSize) & ~(kPageSize - 1), first = address(old.first);
  const u64 room = map(near, kStackBytes, PROT_NONE);
  const u64 guard = 1 * kMiB;
  if (room == kNothing || top - first > kStackBytes / 2 ||
      map(room + guard, kStackBytes - guard, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_STACK) ==
          kNothing)
    return nullptr;
  const u64 distance = room + kStackBytes - top;
  for (u64 p = first; p < top; p += sizeof p) {
    *reinterpret_cast<u64*>(p + distance) = *reinterpret_cast<const u64*>(p);
  }
  const InitialStack moved(reinterpret_cast<u64*>(first + distance));
  const auto move = [&](u64& pointer) {
    if (pointer >= first && pointer < top) pointer += distance;
  };
  for (u64* p = moved.arguments; *p != 0; ++p) move(*p);
  for (u64* p = moved.environment; *p != 0; ++p) move(*p);
  for (const u64 type : {u64{AT_PLATFORM}, u64{AT_BASE_PLATFORM}, u64{AT_EXECFN}, u64{AT_RANDOM}}) {
    if (auto* const a = moved.find(type)) move(a->a_un.a_val);
  }
  return moved.first;
}

/// Tells Linux where things are now, for `ps` and debuggers. It may refuse.
void tell_kernel(const InitialStack& stack, u64 image, u64 image_end) {
  const auto end_of = [](u64* pointers) {
    u64 last = 0;
    for (; *pointers != 0; ++pointers) last = *pointers;
    while (last != 0 && *reinterpret_cast<const char*>(last) != 0) ++last;
    return last + 1;
  };
  struct prctl_mm_map m = {};
  m.start_code = image;
  m.end_code = m.start_data = m.end_data = m.start_brk = m.brk = image_end;
  m.start_stack = address(stack.first);
  m.arg_start = stack.arguments[0];
  m.arg_end = end_of(stack.arguments);
  m.env_start = m.arg_end;
  m.env_end = stack.environment[0] != 0 ? end_of(stack.environment) : m.env_start;
  m.auxv = reinterpret_cast<decltype(m.auxv)>(stack.auxiliary);
  m.auxv_size = static_cast<u32>(stack.auxiliary_bytes);
  m.exe_fd = ~0u;
  if (m.arg_start != 0) call(SYS_prctl, PR_SET_MM, PR_SET_MM_MAP, address(&m), sizeof m);
}

/// Loads the dynamic linker, and tells it of the program. It takes the distance of the program from
/// where it was linked to be from a PT_PHDR header, which linkers make only beside a PT_INTERP: it
/// is shown copies of the headers, with both.
u64 dynamic_linker(const InitialStack& stack) {
  static constexpr char kPath[] = "/lib64/ld-linux-x86-64.so.2";  // by the ABI's supplement, 5.2.1
  static Elf64_Phdr headers[64];
  const Image linker = load(kPath, kNothing);
  if (linker.base == kNothing) {
    stop(
        "dragoman: The dynamic linker /lib64/ld-linux-x86-64.so.2 cannot be loaded; "
        "install glibc for x86-64.\n");
  }
  const u64 count = stack.value(AT_PHNUM);
  const auto* const own = reinterpret_cast<const Elf64_Phdr*>(stack.value(AT_PHDR));
  if (count + 2 > sizeof headers / sizeof *headers) stop("dragoman: too many program headers\n");
  const u64 distance = address(own) - kHeaders;
  headers[0] = {PT_PHDR, PF_R, 0, address(headers) - distance, 0, 0, 0, 8};
  headers[1] = {PT_INTERP, PF_R, 0, address(kPath) - distance, 0, sizeof kPath, sizeof kPath, 1};
  for (u64 i = 0; i < count; ++i) headers[i + 2] = own[i];
  stack.set(AT_PHDR, address(headers));
  stack.set(AT_PHNUM, count + 2);
  stack.set(AT_BASE, linker.base);
  stack.set(AT_ENTRY, address(reinterpret_cast<const void*>(&_start)));
  return linker.entry;
}

}  // namespace
}  // namespace dragoman

using namespace dragoman;

/// What the code above goes on with.
struct Next {
  u64 rsp, rip;
};

/// In the program as Linux mapped it: maps it once more, and a stack, and goes on there.
extern "C" Next dragoman_map_program(u64* initial, u64 at_end) {
  const InitialStack stack(initial);
  const u64 entry = stack.value(AT_ENTRY);
  // Linux has nothing called at the end; but the dynamic linker, when somebody called it with this
  // program's name, and then all is linked.
  if (at_end != 0) return {address(initial), address(reinterpret_cast<const void*>(&_start))};
  const auto plain = [&]() -> Next { return {address(initial), dynamic_linker(stack)}; };
  if (stack.asks_for_plain_start()) return plain();
  u64* const moved = move_stack(stack, somewhere(0x28));
  const Image image = moved != nullptr ? load("/proc/self/exe", somewhere(0x18)) : Image{};
  if (image.base == kNothing || image.end >= UpperHalf::kFirst ||
      address(moved) >= UpperHalf::kFirst)
    return plain();
  const u64 distance = image.entry - entry;
  const InitialStack below(moved);
  below.set(AT_PHDR, stack.value(AT_PHDR) + distance);
  below.set(AT_ENTRY, image.entry);  // of the file, which is what debuggers know
  const u64 vdso = move_vdso(stack.value(AT_SYSINFO_EHDR), somewhere(0x2a));
  if (vdso != kNothing) {
    below.set(AT_SYSINFO_EHDR, vdso);
  } else if (auto* const a = below.find(AT_SYSINFO_EHDR)) {
    a->a_type = AT_IGNORE;
  }
  tell_kernel(below, image.base, image.end);
  return {address(moved), address(reinterpret_cast<const void*>(&dragoman_start_below)) + distance};
}

/// In the new place: nothing of the old one is used any more.
extern "C" u64 dragoman_take_upper_half(u64* initial) {
  const InitialStack stack(initial);
  // The linker's and the libraries' places are the next below. (Not by AT_RANDOM: that is to be the
  // C library's secret.)
  const u64 first = UpperHalf::kFirst - somewhere(0);
  if (map(first, UpperHalf::kEnd - first, PROT_NONE, MAP_FIXED) == first)
    dragoman_upper_half = kFreeUpperHalf;
  return dynamic_linker(stack);
}
