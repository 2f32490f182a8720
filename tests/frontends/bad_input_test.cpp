// What the program does with input it cannot use: a sentence with the value and a remedy, and the
// documented exit code. 1: a file or the host; 2: options and values.
#include <gtest/gtest.h>

#include <random>

#include "devices/block/raw_image.h"
#include "tests/frontends/process.h"

namespace dragoman {
namespace {

std::string random_bytes(std::size_t count) {
  std::mt19937 generator(1);  // the same bytes in every run
  std::string bytes(count, '\0');
  for (char& b : bytes) b = static_cast<char>(generator());
  return bytes;
}

void expect_refused(const std::vector<std::string>& arguments, int code, const std::string& value,
                    const std::string& remedy) {
  const Finished run = run_dragoman(arguments);
  EXPECT_EQ(run.code, code) << arguments[0] << " " << arguments[1] << ": " << run.err;
  EXPECT_NE(run.err.find("dragoman: "), std::string::npos) << run.err;
  EXPECT_NE(run.err.find(value), std::string::npos) << value << " not in: " << run.err;
  EXPECT_NE(run.err.find(remedy), std::string::npos) << remedy << " not in: " << run.err;
  EXPECT_TRUE(run.out.empty()) << run.out;
}

TEST(BadInput, MissingFiles) {
  expect_refused({"-kernel", "/nowhere/k"}, 1, "'/nowhere/k'", "check the path");
  expect_refused({"-bios", "/nowhere/b"}, 1, "'/nowhere/b'", "");
  expect_refused({"-hda", "/nowhere/d"}, 1, "'/nowhere/d'", "check the path");
  expect_refused({"-cdrom", "/nowhere/d"}, 1, "'/nowhere/d'", "check the path");
  expect_refused({"-m", "64", "/nowhere/f"}, 1, "'/nowhere/f'", "give a disk image");
  expect_refused({"-D", "/nowhere/log"}, 1, "'/nowhere/log'", "another path");
  expect_refused({"-serial", "file:/nowhere/log"}, 1, "/nowhere/log", "");
  expect_refused({"-hda", "/tmp"}, 1, "'/tmp'", "directory");
  expect_refused({"-kernel", "/tmp"}, 1, "'/tmp'", "give the path");
}

TEST(BadInput, EmptyFiles) {
  const TemporaryDirectory directory;
  const std::string empty = directory.write("empty", "");
  for (const char* option : {"-kernel", "-bios", "-hda", "-cdrom", "-fda"}) {
    expect_refused({option, empty}, 1, empty, "empty");
  }
  expect_refused({"-m", "64", empty}, 1, empty, "empty");
}

TEST(BadInput, RandomAndTruncatedFiles) {
  const TemporaryDirectory directory;
  const std::string odd = directory.write("random", random_bytes(100'001));
  expect_refused({"-kernel", odd}, 1, odd, "");
  expect_refused({"-bios", odd}, 1, odd, "64 KiB");
  expect_refused({"-m", "64", odd}, 1, odd, "-hda");
  std::string header(1024, '\0');  // a Linux kernel of which nothing follows the boot sector
  header[510] = '\x55';
  header[511] = '\xaa';
  header.replace(0x202, 4, "HdrS");
  header[0x206] = '\x0f';
  header[0x207] = '\x02';
  header[0x1f1] = 4;
  const std::string truncated = directory.write("truncated", header);
  expect_refused({"-kernel", truncated}, 1, truncated, "");
  const std::string elf = directory.write("elf",
                                          "\x7f"
                                          "ELF\x02\x01\x01");
  expect_refused({"-kernel", elf}, 1, elf, "");
}

TEST(BadInput, InitrdProblems) {
  const TemporaryDirectory directory;
  const std::string kernel = directory.write("kernel", random_bytes(4096));
  expect_refused({"-initrd", kernel}, 2, "-initrd", "-kernel");
  expect_refused({"-append", "quiet"}, 2, "-append", "-kernel");
}

TEST(BadInput, OptionsAndValues) {
  expect_refused({"-m", "0"}, 2, "'0'", "-m 512");
  expect_refused({"-m", "-1"}, 2, "'-1'", "-m 512");
  expect_refused({"-m", "900000G"}, 2, "'900000G'", "smaller -m");
  expect_refused({"-device", "virtio-blk-pcie"}, 2, "'virtio-blk-pcie'", "virtio-blk-pci");
  expect_refused({"-device", "isa-debug-exit,iobase=x"}, 2, "'iobase=x'", "0x501");
  expect_refused({"-kernl", "x"}, 2, "'-kernl'", "-kernel");
  expect_refused({"-serial", "modem"}, 2, "'modem'", "file:PATH");
  expect_refused({"-serial", "tcp:localhost"}, 2, "'tcp:localhost'", "tcp:HOST:PORT");
  expect_refused({"-cpu", "z80"}, 2, "'z80'", "known are");
  expect_refused({"-uuid", "1234"}, 2, "'1234'", "xxxxxxxx-");
  expect_refused({"-d", "everything"}, 2, "'everything'", "guest_errors");
  expect_refused({"-vga", "cirrus"}, 2, "'cirrus'", "std");
  expect_refused({"-icount", "shift=99"}, 2, "'shift=99'", "0 to 10");
  expect_refused({"-rtc", "base=tomorrow"}, 2, "'base=tomorrow'", "localtime");
}

TEST(BadInput, DiskControllers) {
  const TemporaryDirectory directory;
  const std::string disk =
      "file=" + directory.write("disk", std::string(1 << 20, 'x')) + ",format=raw,if=none,id=d";
  expect_refused({"-device", "nvme"}, 2, "nvme", "drive=ID");
  expect_refused({"-drive", disk, "-device", "ide-hd,drive=d,bus=sata.1"}, 2, "'bus=sata.1'",
                 "-device ahci,id=ID");
  expect_refused({"-device", "ahci,id=s", "-drive", disk, "-device", "ide-hd,drive=d,bus=s.6"}, 2,
                 "6 sata drives", "index 0 to 5");
  expect_refused({"-M", "q35", "-drive", disk, "-device", "ide-hd,drive=d,bus=ide.6"}, 2,
                 "'bus=ide.6'", "ide.0 to ide.5");
}

TEST(BadInput, DisplaysThatAreNotThere) {
  expect_refused({"-display", "curses"}, 1, "-display curses", "-display none");
  expect_refused({"-display", "sdl"}, 1, "-display sdl", "-display none");
}

TEST(BadInput, LockedImage) {
  const TemporaryDirectory directory;
  const std::string path = directory.write("disk", std::string(64 * 1024, '\0'));
  auto other = RawImage::open(path, RawImage::Access::kReadWrite);
  ASSERT_TRUE(other.ok());
  expect_refused({"-hda", path}, 1, path, "-snapshot");
}

/// Whatever is on it, a disk is a disk: the firmware looks at it and finds nothing to boot.
TEST(BadInput, RandomDiskEndsAtTheFirmwaresMessage) {
  const TemporaryDirectory directory;
  const std::string disk = directory.write("disk", random_bytes(300'007));
  const Finished run =
      run_dragoman({"-m", "32", "-hda", disk, "-device",
                    "isa-debugcon,iobase=0x402,chardev=file:" + directory.file("log"), "-expect",
                    "No bootable device", "-timeout", kHangTimeout, "-d", "guest_errors", "-D",
                    directory.file("errors")});
  EXPECT_NE(read_file(directory.file("log")).find("No bootable device"), std::string::npos)
      << run.err;
  EXPECT_EQ(run.code, 0) << run.err;
}

}  // namespace
}  // namespace dragoman
