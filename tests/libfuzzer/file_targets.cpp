// Files that somebody downloaded: captures, kernels, disk images, names in a directory.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <random>

#include "bios/direct_boot.h"
#include "bios/image_kind.h"
#include "devices/block/open_image.h"
#include "frontends/test/vector_file.h"
#include "tests/devices/memory_file.h"
#include "tests/libfuzzer/targets.h"

namespace dragoman {

void fuzz_vectors(std::span<const u8> input) {
  const auto file = parse_vectors(input, "fuzz");
  if (!file) FUZZ_CHECK(!file.error().message.empty());
  const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  const auto metadata = parse_vector_metadata(text, "fuzz");
  if (metadata) (void)metadata->find("F6.6");
  (void)vector_opcode(text);
}

void fuzz_kernel(std::span<const u8> input) {
  constexpr u64 kRam = 16 * kMiB;
  struct Board {
    std::unique_ptr<GuestMemory> memory = GuestMemory::create(kRam).take();
    BoardDescription description;
    PlacedTables tables;
    Board() {
      split_ram(description, kRam);
      tables = place_tables(*memory, description).take();
    }
  };
  static const Board kBoard;
  if (input.empty()) return;
  // The first byte chooses what else is on the command line.
  DirectBoot boot;
  boot.kernel = input.subspan(1);
  boot.kernel_name = "fuzz";
  boot.command_line = std::string(input[0] & 1 ? 3000 : 5, 'x');
  std::vector<BootModule> modules;
  if (input[0] & 2) modules.push_back({Bytes(5000, 0x11), "module"});
  if (input[0] & 4) modules.push_back({Bytes(1), std::string(300, 'y')});
  boot.modules = modules;
  boot.tables = kBoard.tables;
  boot.vga_text = input[0] & 8;
  const auto check = [](const Result<BootState>& result) {
    if (!result) FUZZ_CHECK(!result.error().message.empty());
  };
  check(boot_kernel(*kBoard.memory, boot));
  check(boot_linux(*kBoard.memory, boot));
  check(boot_multiboot(*kBoard.memory, boot));
  check(boot_elf(*kBoard.memory, boot));
  (void)detect_image(boot.kernel, boot.kernel.size() + (input[0] & 0xf0) * 512);
  const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  (void)parse_module_list(text);
}

void fuzz_disk_image(std::span<const u8> input) {
  if (input.size() < 8) return;
  // The last bytes say what is done with it, so that the rest is the file as it is.
  const std::span<const u8> tail = input.last(8);
  const std::span<const u8> file = input.first(input.size() - 8);
  const ImageAccess access = tail[0] & 1 ? ImageAccess::kReadOnly : ImageAccess::kReadWrite;
  ImageOptions options;
  options.access = access;
  auto opened = open_image(
      std::make_unique<MemoryFile>(std::vector<u8>(file.begin(), file.end()), access), options);
  if (!opened) {
    FUZZ_CHECK(!opened.error().message.empty());
    return;
  }
  BlockImage& image = **opened;
  u64 seed = 0;
  std::memcpy(&seed, tail.data(), tail.size());
  std::mt19937_64 random(seed);
  std::vector<u8> data(16 * 1024);
  for (unsigned i = 0; i < 6 && image.size() >= 512; ++i) {
    const u64 sectors = image.size() / 512;
    const u64 at = (i == 0 ? 0 : i == 1 ? sectors - 1 : random() % sectors) * 512;
    const u64 most = std::min<u64>(image.size() - at, data.size()) / 512;
    const auto piece = std::span(data).first(512 * (1 + random() % most));
    (void)image.read(at, piece);
    if (!image.read_only() && random() % 2 == 0) (void)image.write(at, piece);
  }
  (void)image.flush();
}

void fuzz_fat_directory(std::span<const u8> bytes) {
  // A directory per process, emptied for every input.
  static const std::string kFolder = [] {
    std::string name = std::filesystem::temp_directory_path() / "dragoman-fuzz-XXXXXX";
    FUZZ_CHECK(::mkdtemp(name.data()) != nullptr);
    static const struct Remover {
      std::string name;
      ~Remover() { std::filesystem::remove_all(name); }
    } kRemover{name};
    return name;
  }();
  const std::string folder = kFolder + "/d";
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  FUZZ_CHECK(::mkdir(folder.c_str(), 0700) == 0);
  FuzzInput input(bytes);
  const char* const kinds[] = {"", "16:", "32:", "ro:"};
  const std::string kind = kinds[input.byte() % 4];
  std::string inside = folder;
  for (int i = 0; i < 20 && !input.empty(); ++i) {
    const u8 how = input.byte();
    std::string name;
    for (const u8 byte : input.take(1 + input.byte() % 40)) {
      if (byte != 0 && byte != '/') name += static_cast<char>(byte);
    }
    if (name.empty() || name == "." || name == "..") continue;
    const std::string path = inside + "/" + name;
    if (how % 4 == 0) {
      if (::mkdir(path.c_str(), 0700) == 0) inside = path;
    } else if (const int file = ::open(path.c_str(), O_CREAT | O_WRONLY | O_EXCL, 0600);
               file >= 0) {
      // Sparse, so that sizes cost nothing.
      (void)!::ftruncate(file, how % 4 == 1 ? 0 : static_cast<off_t>(how) << (how >> 4));
      const timespec times[2] = {{0, UTIME_OMIT}, {input.number<i32>(), 0}};
      (void)::futimens(file, times);
      ::close(file);
    }
  }
  auto image = open_image("fat:" + kind + folder, {});
  if (!image) {
    FUZZ_CHECK(!image.error().message.empty());
    return;
  }
  std::vector<u8> data(256 * 512);
  const u64 size = (*image)->size();
  for (u64 at : {u64{0}, u64{63 * 512}, size / 2 / 512 * 512, size - data.size()}) {
    FUZZ_CHECK((*image)->read(std::min(at, size - data.size()), data).ok());
  }
}

}  // namespace dragoman
