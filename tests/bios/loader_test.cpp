// Direct boot: Linux, multiboot, PVH and ELF images built here, good and bad ones.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>
#include <string>
#include <thread>

#include "bios/direct_boot.h"
#include "bios/file.h"
#include "bios/image_kind.h"
#include "bios/ram_loader.h"

namespace dragoman {
namespace {

constexpr u64 kRam = 64 * kMiB;

struct Machine {
  explicit Machine(u64 ram = kRam) : memory(GuestMemory::create(ram).take()) {
    split_ram(board, ram);
    boot.kernel_name = "test";
    boot.tables = place_tables(*memory, board).take();
  }
  u64 peek_ram(u64 address, unsigned size) { return peek(memory->ram_span(), address, size); }
  std::string text(u64 address) {
    std::string out;
    while (peek_ram(address, 1) != 0) out += static_cast<char>(peek_ram(address++, 1));
    return out;
  }
  void load(std::vector<BootModule> list) {
    modules = std::move(list);
    boot.modules = modules;
  }
  std::unique_ptr<GuestMemory> memory;
  BoardDescription board;
  std::vector<BootModule> modules;
  DirectBoot boot;
};

template <class T>
void expect_error(const Result<T>& result, const std::string& part) {
  ASSERT_FALSE(result.ok());
  EXPECT_NE(result.error().message.find(part), std::string::npos) << result.error().message;
}

/// A bzImage with protocol `version`; its code is `code_bytes` of C3h.
Bytes linux_image(u16 version, bool entry64, u64 code_bytes = 0x3000) {
  Bytes image(5 * 512);
  image[0x1f1] = 4;
  patch(image, 0x1f4, code_bytes / 16, 4);
  patch(image, 0x1fe, 0xaa55, 2);
  image[0x200] = 0xeb;
  image[0x201] = 0x66;
  patch(image, 0x202, 0x53726448, 4);
  patch(image, 0x206, version, 2);
  image[0x211] = 1;
  patch(image, 0x22c, 0x37ffffff, 4);
  patch(image, 0x230, 0x200000, 4);
  image[0x234] = 1;
  patch(image, 0x236, entry64 ? 1 : 0, 2);
  patch(image, 0x238, 255, 4);
  patch(image, 0x258, 0x1000000, 8);
  patch(image, 0x260, 0x800000, 4);
  image.resize(image.size() + code_bytes, 0xc3);
  return image;
}

TEST(Linux, ModernKernelStartsIn64BitMode) {
  Machine m;
  const Bytes image = linux_image(0x20f, true);
  m.boot.kernel = image;
  m.boot.command_line = "console=ttyS0";
  m.load({{Bytes(5000, 0x77), ""}});
  const auto state = boot_kernel(*m.memory, m.boot);
  ASSERT_TRUE(state.ok()) << state.error().message;
  EXPECT_EQ(state->mode, BootMode::kLong64);
  EXPECT_EQ(state->entry, 0x1000200u);
  EXPECT_EQ(m.peek_ram(0x1000000, 4), 0xc3c3c3c3u);
  const u64 zero_page = state->rsi;
  EXPECT_EQ(m.peek_ram(zero_page + 0x202, 4), 0x53726448u);
  EXPECT_EQ(m.peek_ram(zero_page + 0x210, 1), 0xffu);
  EXPECT_EQ(m.text(m.peek_ram(zero_page + 0x228, 4)), "console=ttyS0");
  EXPECT_EQ(m.peek_ram(zero_page + 0x70, 8), m.boot.tables.rsdp);
  EXPECT_EQ(m.peek_ram(zero_page + 0x1e8, 1), m.boot.tables.memory_map.size());
  EXPECT_EQ(m.peek_ram(zero_page + 0x2d0 + 8, 8), m.boot.tables.memory_map[0].bytes);
  EXPECT_EQ(m.peek_ram(zero_page + 0x07, 1), 80u);
  EXPECT_EQ(m.peek_ram(zero_page + 0x0f, 1), 1u);
  const u64 initrd = m.peek_ram(zero_page + 0x218, 4);
  EXPECT_EQ(m.peek_ram(zero_page + 0x21c, 4), 5000u);
  EXPECT_EQ(initrd % kPageSize, 0u);
  EXPECT_GE(initrd, 0x1800000u) << "behind the room the kernel unpacks into";
  EXPECT_LE(initrd + 5000, m.boot.tables.usable_top);
  EXPECT_EQ(m.peek_ram(initrd + 4999, 1), 0x77u);
  // Page tables map 4 GiB one to one.
  const u64 pdpt = m.peek_ram(state->cr3, 8) & ~kPageMask;
  const u64 directory = m.peek_ram(pdpt + 3 * 8, 8) & ~kPageMask;
  EXPECT_EQ(m.peek_ram(directory + 511 * 8, 8), 0xffe00083u);
  // The code segment is a 64-bit one.
  EXPECT_EQ(m.peek_ram(state->gdt_base + state->code_selector, 8), 0x00af9b000000ffffu);
  EXPECT_EQ(state->efer, 0x500u);
  EXPECT_EQ(state->cr0, 0x80000011u);
}

TEST(Linux, KernelWithout64BitEntryStartsIn32BitMode) {
  Machine m;
  const Bytes image = linux_image(0x20f, false);
  m.boot.kernel = image;
  const auto state = boot_kernel(*m.memory, m.boot);
  ASSERT_TRUE(state.ok()) << state.error().message;
  EXPECT_EQ(state->mode, BootMode::kProtected32);
  EXPECT_EQ(state->entry, 0x1000000u);
  EXPECT_EQ(state->cr3, 0u);
  EXPECT_EQ(m.peek_ram(state->gdt_base + 0x10, 8), 0x00cf9b000000ffffu);
  EXPECT_EQ(m.peek_ram(state->gdt_base + 0x18, 8), 0x00cf93000000ffffu);
}

TEST(Linux, OldProtocolLoadsAtOneMebibyte) {
  Machine m;
  const Bytes image = linux_image(0x202, true);  // the flag means nothing in this version
  m.boot.kernel = image;
  const auto state = boot_kernel(*m.memory, m.boot);
  ASSERT_TRUE(state.ok()) << state.error().message;
  EXPECT_EQ(state->mode, BootMode::kProtected32);
  EXPECT_EQ(state->entry, 0x100000u);
}

TEST(Linux, RelocatableKernelMovesDownInLittleRam) {
  Machine m(16 * kMiB);
  const Bytes image = linux_image(0x20f, true);
  m.boot.kernel = image;
  const auto state = boot_kernel(*m.memory, m.boot);
  ASSERT_TRUE(state.ok()) << state.error().message;
  EXPECT_EQ(state->entry, 0x200200u);
}

TEST(Linux, BadImagesAreRefused) {
  const auto try_image = [](const Bytes& image, u64 ram = kRam) {
    Machine m(ram);
    m.boot.kernel = image;
    return boot_linux(*m.memory, m.boot);
  };
  expect_error(try_image({}), "no Linux kernel");
  expect_error(try_image(Bytes(4096, 0x5a)), "no Linux kernel");
  expect_error(try_image(linux_image(0x201, false)), "2.02 or later");
  Bytes image = linux_image(0x20f, true);
  image[0x211] = 0;
  expect_error(try_image(image), "zImage");
  image = linux_image(0x20f, true);
  image.resize(image.size() - 0x1000);
  expect_error(try_image(image), "cut");
  image.resize(1024);
  expect_error(try_image(image), "cut");
  expect_error(try_image(linux_image(0x20f, true), 4 * kMiB), "use a larger -m");
  image = linux_image(0x20f, true);
  patch(image, 0x258, ~u64{0} - 0xfff, 8);
  image[0x234] = 0;
  expect_error(try_image(image), "use a larger -m");
}

TEST(Linux, LongCommandLinesAndManyInitrdsAreRefused) {
  Machine m;
  const Bytes image = linux_image(0x20f, true);
  m.boot.kernel = image;
  m.boot.command_line = std::string(256, 'x');
  expect_error(boot_linux(*m.memory, m.boot), "shorten -append");
  m.boot.command_line = "";
  m.load(std::vector<BootModule>(2));
  expect_error(boot_linux(*m.memory, m.boot), "one initial RAM disk");
  m.load({{Bytes(60 * kMiB), ""}});
  expect_error(boot_linux(*m.memory, m.boot), "no room for initial RAM disk");
}

TEST(BootModules, OfFilesAreReadWhenTheMachineStarts) {
  const std::string path = testing::TempDir() + "boot_module_" + std::to_string(getpid());
  std::ofstream(path) << "first contents";
  const auto contents = module_of_file(path, "boot module", kMiB);
  ASSERT_TRUE(contents) << contents.error().message;
  EXPECT_EQ((*contents)->size(), 14u);
  Bytes got(14);
  ASSERT_TRUE((*contents)->read(got));
  EXPECT_EQ(std::string(got.begin(), got.end()), "first contents");

  std::ofstream(path) << "other contents";
  ASSERT_TRUE((*contents)->read(got));
  EXPECT_EQ(std::string(got.begin(), got.end()), "other contents");

  std::ofstream(path) << "short";
  Machine m;
  const Bytes image = linux_image(0x20f, true);
  m.boot.kernel = image;
  m.load({BootModule(*contents, "")});
  expect_error(boot_linux(*m.memory, m.boot), "has become shorter than the 14 bytes");
  std::remove(path.c_str());
}

TEST(BootModules, APipeIsReadOnce) {
  const std::string path = testing::TempDir() + "boot_module_pipe_" + std::to_string(getpid());
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  std::thread writer([&] { std::ofstream(path) << "through a pipe"; });
  const auto contents = module_of_file(path, "boot module", kMiB);
  writer.join();
  std::remove(path.c_str());
  ASSERT_TRUE(contents) << contents.error().message;
  Bytes got((*contents)->size());
  ASSERT_TRUE((*contents)->read(got));
  EXPECT_EQ(std::string(got.begin(), got.end()), "through a pipe");
}

TEST(BootModules, WhatCannotBeUsedIsSaid) {
  const std::string folder = testing::TempDir();
  expect_error(module_of_file(folder + "/none", "boot module", kMiB),
               "cannot open the boot module");
  expect_error(module_of_file(folder, "boot module", kMiB), "not a readable file");
  expect_error(module_of_file("/dev/null", "boot module", kMiB), "is empty");
  const std::string path = folder + "boot_module_large_" + std::to_string(getpid());
  std::ofstream(path) << std::string(2000, 'x');
  expect_error(module_of_file(path, "boot module", 1000), "is larger than");
  std::remove(path.c_str());
}

TEST(Linux, RealKernel) {
  const char* path = std::getenv("DRAGOMAN_TEST_KERNEL");
  if (path == nullptr) GTEST_SKIP() << "DRAGOMAN_TEST_KERNEL does not name a bzImage";
  const auto image = read_whole_file(path, "kernel", 256 * kMiB);
  ASSERT_TRUE(image.ok()) << image.error().message;
  EXPECT_EQ(*detect_image(*image, image->size()), ImageKind::kLinux);
  Machine m(512 * kMiB);
  m.boot.kernel = *image;
  m.boot.command_line = "console=ttyS0";
  const auto state = boot_kernel(*m.memory, m.boot);
  ASSERT_TRUE(state.ok()) << state.error().message;
  EXPECT_EQ(state->mode, BootMode::kLong64);
  EXPECT_EQ(state->entry & 0xfff, 0x200u);
}

// --- multiboot ---

/// Flat image: header at the start, addresses in it, 64 bytes of code behind.
Bytes flat_multiboot(u32 flags = 0x10003, u32 load = 0x100000) {
  Bytes image;
  append32(image, 0x1badb002);
  append32(image, flags);
  append32(image, 0u - 0x1badb002u - flags);
  append32(image, load);
  append32(image, load);
  append32(image, 0);
  append32(image, load + 0x2000);
  append32(image, load + 0x30);
  image.resize(0x80, 0x90);
  return image;
}

TEST(Multiboot, FlatImageWithModules) {
  Machine m;
  const Bytes image = flat_multiboot();
  m.boot.kernel = image;
  m.boot.command_line = "a b";
  m.load({{Bytes(100, 1), "one x"}, {Bytes(5000, 2), "two"}});
  const auto state = boot_kernel(*m.memory, m.boot);
  ASSERT_TRUE(state.ok()) << state.error().message;
  EXPECT_EQ(state->mode, BootMode::kProtected32);
  EXPECT_EQ(state->entry, 0x100030u);
  EXPECT_EQ(state->rax, 0x2badb002u);
  const u64 info = state->rbx;
  EXPECT_EQ(m.peek_ram(info, 4), 0x24du);
  EXPECT_EQ(m.peek_ram(info + 4, 4), 639u);
  EXPECT_EQ(m.peek_ram(info + 8, 4), (m.boot.tables.usable_top - kMiB) / kKiB);
  EXPECT_EQ(m.text(m.peek_ram(info + 16, 4)), "test a b");
  EXPECT_EQ(m.text(m.peek_ram(info + 64, 4)), "Dragoman");
  ASSERT_EQ(m.peek_ram(info + 20, 4), 2u);
  const u64 modules = m.peek_ram(info + 24, 4);
  const u64 second = m.peek_ram(modules + 16, 4);
  EXPECT_EQ(second % kPageSize, 0u);
  EXPECT_GE(m.peek_ram(modules, 4), 0x102000u) << "behind the bss";
  EXPECT_EQ(m.peek_ram(modules + 20, 4) - second, 5000u);
  EXPECT_EQ(m.peek_ram(second + 4999, 1), 2u);
  EXPECT_EQ(m.text(m.peek_ram(modules + 8, 4)), "one x");
  const u64 map = m.peek_ram(info + 48, 4);
  EXPECT_EQ(m.peek_ram(info + 44, 4), 24 * m.boot.tables.memory_map.size());
  EXPECT_EQ(m.peek_ram(map, 4), 20u);
  EXPECT_EQ(m.peek_ram(map + 12, 8), m.boot.tables.memory_map[0].bytes);
}

TEST(Multiboot, BadImagesAreRefused) {
  const auto try_image = [](const Bytes& image) {
    Machine m;
    m.boot.kernel = image;
    return boot_multiboot(*m.memory, m.boot);
  };
  expect_error(try_image({}), "no multiboot header");
  expect_error(try_image(flat_multiboot(0x10008)), "multiboot features 0x8");
  expect_error(try_image(flat_multiboot(0x10000, 0x4000000)), "use a larger -m");
  expect_error(try_image(flat_multiboot(0x10000, 0xa0000)), "overlaps");
  expect_error(try_image(flat_multiboot(0x00000)), "no ELF");
  Bytes image = flat_multiboot();
  patch(image, 12, 0x200000, 4);  // the header would lie behind the file
  expect_error(try_image(image), "impossible multiboot load addresses");
  image = flat_multiboot();
  patch(image, 20, 0x110000, 4);
  expect_error(try_image(image), "cut or damaged");
  image = flat_multiboot();
  patch(image, 24, 0x100010, 4);
  expect_error(try_image(image), "bss ends before");
  image = flat_multiboot();
  patch(image, 28, 0x5, 4);
  expect_error(try_image(image), "outside");
}

TEST(Multiboot, ModuleListIsSplitAtCommas) {
  const auto modules = parse_module_list("a.bin x y, b,,c z,,,d");
  ASSERT_EQ(modules.size(), 3u);
  EXPECT_EQ(modules[0].path, "a.bin");
  EXPECT_EQ(modules[0].command_line, "a.bin x y");
  EXPECT_EQ(modules[1].path, "b,c");
  EXPECT_EQ(modules[1].command_line, "b,c z,");
  EXPECT_EQ(modules[2].path, "d");
  EXPECT_TRUE(parse_module_list("").empty());
}

// --- ELF ---

struct Segment {
  u32 type = 1;
  u64 linear = 0;
  u64 physical = 0;
  Bytes bytes;
  u64 memory_size = 0;
};

Bytes elf_image(bool is64, u64 entry, const std::vector<Segment>& segments) {
  const unsigned word = is64 ? 8 : 4;
  Bytes out{0x7f, 'E', 'L', 'F', static_cast<u8>(is64 ? 2 : 1), 1, 1};
  out.resize(16);
  append16(out, 2);
  append16(out, is64 ? 62 : 3);
  append32(out, 1);
  append(out, entry, word);
  append(out, is64 ? 64 : 52, word);
  append(out, 0, word);
  append32(out, 0);
  append16(out, is64 ? 64 : 52);
  append16(out, is64 ? 56 : 32);
  append16(out, segments.size());
  append16(out, 0);
  append16(out, 0);
  append16(out, 0);
  u64 offset = out.size() + segments.size() * (is64 ? 56 : 32);
  for (const Segment& s : segments) {
    append32(out, s.type);
    if (is64) append32(out, 7);
    append(out, offset, word);
    append(out, s.linear, word);
    append(out, s.physical, word);
    append(out, s.bytes.size(), word);
    append(out, std::max<u64>(s.memory_size, s.bytes.size()), word);
    if (!is64) append32(out, 7);
    append(out, 4, word);
    offset += s.bytes.size();
  }
  for (const Segment& s : segments) append(out, std::span<const u8>(s.bytes));
  return out;
}

Bytes pvh_note(u32 entry) {
  Bytes note;
  append32(note, 4);  // another note first
  append32(note, 2);
  append32(note, 6);
  append_text(note, "Xen", 4, '\0');
  append32(note, 0);
  append32(note, 4);
  append32(note, 4);
  append32(note, 18);
  append_text(note, "Xen", 4, '\0');
  append32(note, entry);
  return note;
}

TEST(Elf, PvhKernelGetsStartInformation) {
  Machine m;
  const Bytes image = elf_image(true, 0xffffffff81000000,
                                {{1, 0xffffffff81000000, 0x1000000, Bytes(64, 0x90), 0x5000},
                                 {4, 0, 0, pvh_note(0x1000010), 0}});
  m.boot.kernel = image;
  m.boot.command_line = "hello";
  m.load({{Bytes(10, 9), "mod"}});
  const auto state = boot_kernel(*m.memory, m.boot);
  ASSERT_TRUE(state.ok()) << state.error().message;
  EXPECT_EQ(state->mode, BootMode::kProtected32);
  EXPECT_EQ(state->entry, 0x1000010u);
  const u64 info = state->rbx;
  EXPECT_EQ(m.peek_ram(info, 4), 0x336ec578u);
  EXPECT_EQ(m.peek_ram(info + 12, 4), 1u);
  const u64 module = m.peek_ram(info + 16, 8);
  EXPECT_EQ(m.peek_ram(module + 8, 8), 10u);
  EXPECT_EQ(m.peek_ram(m.peek_ram(module, 8), 1), 9u);
  EXPECT_EQ(m.text(m.peek_ram(module + 16, 8)), "mod");
  EXPECT_EQ(m.text(m.peek_ram(info + 24, 8)), "hello");
  EXPECT_EQ(m.peek_ram(info + 32, 8), m.boot.tables.rsdp);
  EXPECT_EQ(m.peek_ram(info + 48, 4), m.boot.tables.memory_map.size());
}

TEST(Elf, PlainKernelsStartAtTheirEntryPoint) {
  Machine m;
  const Bytes image32 = elf_image(false, 0xc0100004, {{1, 0xc0100000, 0x100000, Bytes(64, 1), 0}});
  m.boot.kernel = image32;
  auto state = boot_kernel(*m.memory, m.boot);
  ASSERT_TRUE(state.ok()) << state.error().message;
  EXPECT_EQ(state->mode, BootMode::kProtected32);
  EXPECT_EQ(state->entry, 0x100004u) << "linear entry points become physical";

  Machine n;
  const Bytes image64 = elf_image(true, 0x200000, {{1, 0x200000, 0x200000, Bytes(64, 1), 0}});
  n.boot.kernel = image64;
  state = boot_kernel(*n.memory, n.boot);
  ASSERT_TRUE(state.ok()) << state.error().message;
  EXPECT_EQ(state->mode, BootMode::kLong64);
  EXPECT_EQ(state->entry, 0x200000u);
}

TEST(Elf, LowKernelDoesNotCollideWithOurStructures) {
  Machine m;
  const Bytes image = elf_image(false, 0x1000, {{1, 0x1000, 0x1000, Bytes(0x4000, 0xee), 0}});
  m.boot.kernel = image;
  const auto state = boot_kernel(*m.memory, m.boot);
  ASSERT_TRUE(state.ok()) << state.error().message;
  for (u64 address = 0x1000; address < 0x5000; ++address) {
    ASSERT_EQ(m.peek_ram(address, 1), 0xeeu) << address;
  }
}

TEST(Elf, BadImagesAreRefused) {
  const auto try_image = [](const Bytes& image) {
    Machine m;
    m.boot.kernel = image;
    return boot_elf(*m.memory, m.boot);
  };
  const Segment good{1, 0x100000, 0x100000, Bytes(64, 1), 0};
  expect_error(try_image({}), "no ELF");
  expect_error(try_image(elf_image(false, 0x100000, {})), "program headers");
  expect_error(try_image(elf_image(false, 0x100000, {good, good})), "overlaps");
  expect_error(try_image(elf_image(false, 0x300000, {good})), "outside");
  expect_error(try_image(elf_image(true, 0x100000, {good, {4, 0, 0, pvh_note(0x900000), 0}})),
               "PVH entry point");
  Bytes image = elf_image(false, 0x100000, {good});
  image.resize(image.size() - 1);
  expect_error(try_image(image), "cut");
  image.resize(40);
  expect_error(try_image(image), "cut inside its header");
  image = elf_image(false, 0x100000, {good});
  patch(image, 18, 40, 2);
  expect_error(try_image(image), "machine type 40");
  Segment huge = good;
  huge.memory_size = 0xffffffff;
  expect_error(try_image(elf_image(false, 0x100000, {huge})), "use a larger -m");
  huge.physical = ~u64{0} - 16;
  expect_error(try_image(elf_image(true, 0x100000, {huge})), "use a larger -m");
}

TEST(Elf, DamagedImagesNeverCrash) {
  std::mt19937 random(1);
  const Bytes images[] = {
      elf_image(true, 0x100000,
                {{1, 0x100000, 0x100000, Bytes(64, 1), 0}, {4, 0, 0, pvh_note(0x100000), 0}}),
      elf_image(false, 0x100000, {{1, 0x100000, 0x100000, Bytes(64, 1), 0}}), flat_multiboot(),
      linux_image(0x20f, true, 0x100)};
  for (const Bytes& good : images) {
    Machine m(4 * kMiB);
    for (unsigned round = 0; round < 300; ++round) {
      Bytes image = good;
      for (unsigned n = 0; n < 4; ++n) {
        image[random() % std::min<std::size_t>(image.size(), 0x280)] = static_cast<u8>(random());
      }
      image.resize(round % 3 == 0 ? random() % (image.size() + 1) : image.size());
      m.boot.kernel = image;
      (void)boot_kernel(*m.memory, m.boot).ok();
      (void)boot_linux(*m.memory, m.boot).ok();
      (void)boot_elf(*m.memory, m.boot).ok();
      (void)boot_multiboot(*m.memory, m.boot).ok();
      (void)detect_image(image, image.size()).ok();
    }
  }
}

TEST(DirectBoot, UnknownFilesAreNamed) {
  Machine m;
  const Bytes image(1000, 0x11);
  m.boot.kernel = image;
  expect_error(boot_kernel(*m.memory, m.boot), "neither a Linux bzImage nor multiboot nor ELF");
}

TEST(RamLoader, PlacesAroundWhatIsThere) {
  auto memory = GuestMemory::create(4 * kMiB).take();
  RamLoader loader(*memory, 4 * kMiB);
  ASSERT_TRUE(loader.put("a", 0x101000, Bytes(0x1000, 1)).ok());
  EXPECT_EQ(*loader.put_low("b", Bytes(0x1001), kPageSize, kMiB, 4 * kMiB), 0x102000u);
  EXPECT_EQ(*loader.put_low("c", Bytes(0x1000), kPageSize, kMiB, 4 * kMiB), 0x100000u);
  ASSERT_TRUE(loader.put("d", 0x3ff000, Bytes(0x1000, 1)).ok());
  EXPECT_EQ(*loader.put_high("e", *BootModule(Bytes(0x800), "").contents, kPageSize, kMiB, ~u64{0}),
            0x3fe000u);
  EXPECT_FALSE(
      loader.put_high("f", *BootModule(Bytes(4 * kMiB), "").contents, 16, 0, ~u64{0}).ok());
  EXPECT_FALSE(loader.put("g", 0x101fff, Bytes(1)).ok());
  EXPECT_TRUE(loader.holds(0x101fff));
  EXPECT_FALSE(loader.holds(0x200000));
}

// --- what is this file? ---

TEST(Detect, Kinds) {
  const auto kind = [](const Bytes& bytes) { return detect_image(bytes, bytes.size()); };
  Bytes disk(10 * kMiB);
  patch(disk, 510, 0xaa55, 2);
  EXPECT_EQ(*kind(disk), ImageKind::kDisk);
  EXPECT_EQ(*detect_image(std::span(disk).first(64 * kKiB), 1ull << 40), ImageKind::kDisk);
  EXPECT_EQ(*kind(Bytes(1440 * kKiB)), ImageKind::kFloppy);
  Bytes iso = disk;
  iso[0x8000] = 1;
  for (unsigned i = 0; i < 5; ++i) iso[0x8001 + i] = static_cast<u8>("CD001"[i]);
  EXPECT_EQ(*kind(iso), ImageKind::kCdRom) << "hybrid images are CD-ROMs";
  EXPECT_EQ(*kind(linux_image(0x20f, true)), ImageKind::kLinux);
  EXPECT_EQ(*kind(flat_multiboot()), ImageKind::kMultiboot);
  EXPECT_EQ(*kind(elf_image(false, 0, {})), ImageKind::kElf);
  Bytes rom(128 * kKiB, 0xff);
  rom[128 * kKiB - 16] = 0xea;
  EXPECT_EQ(*kind(rom), ImageKind::kFirmware);
  EXPECT_FALSE(kind({}).ok());
  EXPECT_FALSE(kind(Bytes(5000, 0x42)).ok());
}

}  // namespace
}  // namespace dragoman
