#include "bios/direct_boot.h"

#include "bios/elf_image.h"
#include "bios/image_kind.h"
#include "bios/multiboot.h"

namespace dragoman {

std::vector<ModuleName> parse_module_list(std::string_view text) {
  std::vector<ModuleName> modules;
  std::string current;
  const auto finish = [&] {
    const std::size_t begin = current.find_first_not_of(' ');
    if (begin != std::string::npos) {
      const std::size_t space = current.find(' ', begin);
      // The module sees its whole entry, its name first, as its command line.
      modules.push_back({current.substr(begin, space == std::string::npos ? space : space - begin),
                         current.substr(begin)});
    }
    current.clear();
  };
  for (std::size_t n = 0; n < text.size(); ++n) {
    if (text[n] != ',') {
      current += text[n];
    } else if (n + 1 < text.size() && text[n + 1] == ',') {
      current += ',';
      ++n;
    } else {
      finish();
    }
  }
  finish();
  return modules;
}

Result<BootState> boot_kernel(GuestMemory& memory, const DirectBoot& boot) {
  // Asked in this order and not through detect_image(): with -kernel, a size or a signature that
  // also fits a disk means nothing.
  if (is_linux_kernel(boot.kernel)) return boot_linux(memory, boot);
  if (find_multiboot_header(boot.kernel)) return boot_multiboot(memory, boot);
  if (is_elf(boot.kernel)) return boot_elf(memory, boot);
  return error(
      "'{}' ({} bytes) is no kernel that can be started directly: neither a Linux bzImage nor "
      "multiboot nor ELF",
      boot.kernel_name, boot.kernel.size());
}

}  // namespace dragoman
