// Linux/x86 boot protocol (Documentation/arch/x86/boot.rst and zero-page.rst of the kernel).
#include <algorithm>
#include <bit>

#include "base/bits.h"
#include "bios/direct_boot.h"
#include "bios/ram_loader.h"

namespace dragoman {
namespace {

// Offsets in the image and in the zero page alike.
enum HeaderOffset : u16 {
  kSetupSects = 0x1f1,
  kSysSize = 0x1f4,
  kVidMode = 0x1fa,
  kBootFlag = 0x1fe,
  kJump = 0x200,
  kHeaderMagic = 0x202,
  kVersion = 0x206,
  kTypeOfLoader = 0x210,
  kLoadFlags = 0x211,
  kCode32Start = 0x214,
  kRamdiskImage = 0x218,
  kRamdiskSize = 0x21c,
  kHeapEnd = 0x224,
  kCmdLinePtr = 0x228,
  kInitrdAddrMax = 0x22c,
  kKernelAlignment = 0x230,
  kRelocatable = 0x234,
  kXLoadFlags = 0x236,
  kCmdlineSize = 0x238,
  kPrefAddress = 0x258,
  kInitSize = 0x260,
};
// Zero page only.
enum ZeroPageOffset : u16 {
  kExtMemK = 0x002,
  kVideoMode = 0x006,
  kVideoCols = 0x007,
  kVideoEgaBx = 0x00a,
  kVideoLines = 0x00e,
  kVideoIsVga = 0x00f,
  kVideoPoints = 0x010,
  kAcpiRsdp = 0x070,
  kAltMemK = 0x1e0,
  kE820Count = 0x1e8,
  kE820Table = 0x2d0,
};
constexpr std::size_t kZeroPageBytes = 4096;
constexpr std::size_t kMaxE820 = 128;
constexpr u8 kLoadedHigh = 1;
constexpr u8 kCanUseHeap = 0x80;
constexpr u16 kKernel64 = 1;  // XLF_KERNEL_64: a 64-bit entry point 200h behind the 32-bit one
constexpr u64 kHighLoad = kMiB;
constexpr u64 kLow = 0x1000;
constexpr u64 kLowEnd = 0x9f000;

struct Header {
  unsigned version = 0;
  u64 setup_bytes = 0;
  u64 kernel_bytes = 0;
};

Result<Header> check_header(const DirectBoot& boot) {
  const auto image = boot.kernel;
  if (image.size() < 0x268 || peek(image, kBootFlag, 2) != 0xaa55 ||
      peek(image, kHeaderMagic, 4) != 0x53726448) {  // "HdrS"
    return error("'{}' is no Linux kernel image: the setup header is missing", boot.kernel_name);
  }
  Header header;
  header.version = static_cast<unsigned>(peek(image, kVersion, 2));
  if (header.version < 0x202) {
    return error("'{}' uses Linux boot protocol {}.{:02}; 2.02 or later is needed (Linux 2.4)",
                 boot.kernel_name, header.version >> 8, header.version & 0xff);
  }
  if ((image[kLoadFlags] & kLoadedHigh) == 0) {
    return error("'{}' is a zImage, which loads below 640 KiB; build a bzImage", boot.kernel_name);
  }
  const u64 sectors = image[kSetupSects] == 0 ? 4 : image[kSetupSects];
  header.setup_bytes = (sectors + 1) * 512;
  if (header.setup_bytes >= image.size()) {
    return error("'{}' is cut: it has {} bytes and its setup code alone has {}", boot.kernel_name,
                 image.size(), header.setup_bytes);
  }
  header.kernel_bytes = image.size() - header.setup_bytes;
  const u64 claimed = peek(image, kSysSize, header.version >= 0x204 ? 4 : 2) * 16;
  // The size is rounded up to 16 bytes, and a signature may follow.
  if (header.version >= 0x204 && claimed > header.kernel_bytes + 15) {
    return error("'{}' is cut: its header says {} bytes of code, {} are there", boot.kernel_name,
                 claimed, header.kernel_bytes);
  }
  return header;
}

/// Loads the protected-mode part and returns where.
Result<u64> load_kernel(RamLoader& loader, const DirectBoot& boot, const Header& header) {
  const auto code = boot.kernel.subspan(header.setup_bytes);
  const bool relocatable = header.version >= 0x205 && boot.kernel[kRelocatable] != 0;
  u64 needed = header.kernel_bytes;
  u64 address = kHighLoad;
  if (header.version >= 0x20a) {
    needed = std::max(needed, peek(boot.kernel, kInitSize, 4));
    address = peek(boot.kernel, kPrefAddress, 8);
    const u64 alignment = peek(boot.kernel, kKernelAlignment, 4);
    const bool fits = address < loader.top() && needed <= loader.top() - address;
    if (!fits && relocatable && std::has_single_bit(alignment)) {
      address = align_up(kHighLoad, alignment);
    }
  }
  if (auto done = loader.put("kernel '" + boot.kernel_name + "'", address, code, needed); !done) {
    return done.error();
  }
  return address;
}

Result<void> put_command_line(RamLoader& loader, const DirectBoot& boot, const Header& header,
                              Bytes& zero_page) {
  const u64 limit = header.version >= 0x206 ? peek(boot.kernel, kCmdlineSize, 4) : 255;
  if (boot.command_line.size() > limit) {
    return error("the kernel command line has {} characters; '{}' takes {}; shorten -append",
                 boot.command_line.size(), boot.kernel_name, limit);
  }
  Bytes text;
  append_string(text, boot.command_line);
  const auto address = loader.put_low("kernel command line", text, 16, kLow, kLowEnd);
  if (!address) return address.error();
  patch(zero_page, kCmdLinePtr, *address, 4);
  return {};
}

Result<void> put_initrd(RamLoader& loader, const DirectBoot& boot, const Header& header,
                        Bytes& zero_page) {
  if (boot.modules.empty()) return {};
  if (boot.modules.size() > 1) {
    return error("Linux takes one initial RAM disk, {} were given; join them into one file",
                 boot.modules.size());
  }
  const ModuleContents& initrd = *boot.modules.front().contents;
  const u64 last = header.version >= 0x203 ? peek(boot.kernel, kInitrdAddrMax, 4) : 0x37ffffff;
  const auto address = loader.put_high("initial RAM disk", initrd, kPageSize, kHighLoad, last + 1);
  if (!address) return address.error();
  patch(zero_page, kRamdiskImage, *address, 4);
  patch(zero_page, kRamdiskSize, initrd.size(), 4);
  return {};
}

void describe_machine(const DirectBoot& boot, Bytes& zero_page) {
  const E820Map& map = boot.tables.memory_map;
  const std::size_t count = std::min(map.size(), kMaxE820);
  zero_page[kE820Count] = static_cast<u8>(count);
  const Bytes entries =
      e820_bytes(E820Map(map.begin(), map.begin() + static_cast<std::ptrdiff_t>(count)));
  std::copy(entries.begin(), entries.end(), zero_page.begin() + kE820Table);
  const u64 extended_kib =
      boot.tables.usable_top > kMiB ? (boot.tables.usable_top - kMiB) / kKiB : 0;
  patch(zero_page, kExtMemK, std::min<u64>(extended_kib, 0xffff), 2);
  patch(zero_page, kAltMemK, std::min<u64>(extended_kib, 0xffffffff), 4);
  patch(zero_page, kAcpiRsdp, boot.tables.rsdp, 8);
  if (boot.vga_text) {
    zero_page[kVideoMode] = 3;
    zero_page[kVideoCols] = 80;
    patch(zero_page, kVideoEgaBx, 3, 2);  // 256 KiB of video memory, colour
    zero_page[kVideoLines] = 25;
    zero_page[kVideoIsVga] = 1;
    patch(zero_page, kVideoPoints, 16, 2);
  }
}

}  // namespace

Result<BootState> boot_linux(GuestMemory& memory, const DirectBoot& boot) {
  const auto header = check_header(boot);
  if (!header) return header.error();
  RamLoader loader(memory, boot.tables.usable_top);
  const auto kernel = load_kernel(loader, boot, *header);
  if (!kernel) return kernel.error();

  // The setup header goes to the same place in the zero page; byte 201h tells where it ends.
  Bytes zero_page(kZeroPageBytes);
  const std::size_t header_end = std::size_t{0x202} + boot.kernel[kJump + 1];
  for (std::size_t n = kSetupSects; n < std::min<std::size_t>(header_end, 0x290); ++n) {
    zero_page[n] = static_cast<u8>(peek(boot.kernel, n, 1));
  }
  zero_page[kTypeOfLoader] = 0xff;  // no assigned number
  zero_page[kLoadFlags] = static_cast<u8>(zero_page[kLoadFlags] & ~kCanUseHeap);
  patch(zero_page, kHeapEnd, 0, 2);
  patch(zero_page, kVidMode, 0xffff, 2);  // "normal"
  patch(zero_page, kCode32Start, *kernel, 4);
  patch(zero_page, kRamdiskImage, 0, 4);
  patch(zero_page, kRamdiskSize, 0, 4);
  describe_machine(boot, zero_page);
  if (auto done = put_command_line(loader, boot, *header, zero_page); !done) return done.error();
  if (auto done = put_initrd(loader, boot, *header, zero_page); !done) return done.error();
  const auto page = loader.put_low("zero page", zero_page, kPageSize, kLow, kLowEnd);
  if (!page) return page.error();

  BootState state;
  state.rsi = *page;
  const bool entry64 = header->version >= 0x20c &&
                       (peek(boot.kernel, kXLoadFlags, 2) & kKernel64) != 0 &&
                       header->kernel_bytes > 0x200;
  const auto entered = entry64 ? enter_long64(loader, state) : enter_protected32(loader, state);
  if (!entered) return entered.error();
  state.entry = *kernel + (entry64 ? 0x200 : 0);
  return state;
}

}  // namespace dragoman
