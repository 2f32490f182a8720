#include "roms/roms.h"

// Defined in the generated images.S.
extern "C" {
extern const dragoman::u8 dragoman_rom_welcome[], dragoman_rom_welcome_end[];
extern const dragoman::u8 dragoman_rom_microbench[], dragoman_rom_microbench_end[];
}

namespace dragoman {

std::span<const u8> welcome_image() { return {dragoman_rom_welcome, dragoman_rom_welcome_end}; }

std::span<const u8> microbench_image() {
  return {dragoman_rom_microbench, dragoman_rom_microbench_end};
}

}  // namespace dragoman
