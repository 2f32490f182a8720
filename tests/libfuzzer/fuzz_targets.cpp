#include <array>

#include "tests/libfuzzer/device_targets.h"
#include "tests/libfuzzer/targets.h"

namespace dragoman {
namespace {

constexpr std::size_t kFile = 16 * 1024, kOperations = 2048, kText = 1024;

constexpr std::array kTargets = {
    FuzzTarget{"decoder", fuzz_decoder, 32},
    FuzzTarget{"cpu_state", fuzz_cpu_state, 512},
    FuzzTarget{"vectors", fuzz_vectors, kFile},
    FuzzTarget{"kernel", fuzz_kernel, kFile},
    FuzzTarget{"disk_image", fuzz_disk_image, kFile},
    FuzzTarget{"fat_directory", fuzz_fat_directory, kText},
    FuzzTarget{"gdb", fuzz_gdb, kText},
    FuzzTarget{"qmp", fuzz_qmp, kText},
    FuzzTarget{"monitor", fuzz_monitor, kText},
    FuzzTarget{"vnc", fuzz_vnc, kText},
    FuzzTarget{"board", fuzz_board, kOperations},
    FuzzTarget{"device_state", fuzz_device_state, kOperations},
    FuzzTarget{"i8254", fuzz_device<kFuzzI8254>, kOperations},
    FuzzTarget{"i8259", fuzz_device<kFuzzI8259>, kOperations},
    FuzzTarget{"mc146818", fuzz_device<kFuzzMc146818>, kOperations},
    FuzzTarget{"i8042", fuzz_device<kFuzzI8042>, kOperations},
    FuzzTarget{"i82077", fuzz_device<kFuzzI82077>, kOperations},
    FuzzTarget{"uart16550", fuzz_device<kFuzzUart>, kOperations},
    FuzzTarget{"parallel_port", fuzz_device<kFuzzParallel>, kOperations},
    FuzzTarget{"fw_cfg", fuzz_device<kFuzzFwCfg>, kOperations},
    FuzzTarget{"hpet", fuzz_device<kFuzzHpet>, kOperations},
    FuzzTarget{"apic", fuzz_device<kFuzzApic>, kOperations},
    FuzzTarget{"ioapic", fuzz_device<kFuzzIoapic>, kOperations},
    FuzzTarget{"pci", fuzz_device<kFuzzPci>, kOperations},
    FuzzTarget{"piix4_pm", fuzz_device<kFuzzPm>, kOperations},
    FuzzTarget{"ide", fuzz_device<kFuzzIde>, kOperations},
    FuzzTarget{"vga", fuzz_device<kFuzzVga>, kOperations},
    FuzzTarget{"virtio_blk", fuzz_device<kFuzzVirtioBlk>, kOperations},
    FuzzTarget{"virtio_console", fuzz_device<kFuzzVirtioConsole>, kOperations},
    FuzzTarget{"virtio_rng", fuzz_device<kFuzzVirtioRng>, kOperations},
    FuzzTarget{"testdev", fuzz_device<kFuzzTestdev>, kOperations},
    FuzzTarget{"uhci", fuzz_device<kFuzzUhci>, kOperations},
};

}  // namespace

std::span<const FuzzTarget> fuzz_targets() { return kTargets; }

const FuzzTarget* find_fuzz_target(std::string_view name) {
  for (const FuzzTarget& target : kTargets) {
    if (target.name == name) return &target;
  }
  return nullptr;
}

}  // namespace dragoman
