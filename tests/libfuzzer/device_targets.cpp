#include "tests/libfuzzer/device_targets.h"

#include <vector>

#include "tests/libfuzzer/fuzz_board.h"

namespace dragoman {
namespace {

/// Beginnings of the names of ranges, by FuzzDevice.
const std::vector<std::string_view> kRanges[kFuzzAll] = {
    {"i8254", "port61"},
    {"i8259"},
    {"mc146818"},
    {"i8042", "port92"},
    {"i82077", "i8237"},
    {"uart."},
    {"lpt."},
    {"fw_cfg"},
    {"hpet", "i8254", "mc146818"},
    {"local apic"},
    {"ioapic", "local apic", "i8259"},
    {"pci", "piix3"},
    {"piix4"},
    {"ide", "piix3-ide"},
    {"vga"},
    {"virtio-blk"},
    {"virtio-console"},
    {"virtio-rng"},
    {"pc-testdev", "isa-debug-exit", "debugcon"},
    {"piix3-usb"},
};

}  // namespace

void fuzz_device(FuzzDevice device, std::span<const u8> input) {
  FuzzBoard fuzz;
  fuzz.reach(kRanges[device]);
  FUZZ_CHECK(fuzz.reaches_something());
  for (FuzzInput operations(input); !operations.empty();) fuzz.operate(operations);
}

void fuzz_board(std::span<const u8> input) {
  FuzzBoard fuzz;
  for (FuzzInput operations(input); !operations.empty();) fuzz.operate(operations);
}

void fuzz_device_state(std::span<const u8> bytes) {
  FuzzBoard fuzz;
  FuzzInput input(bytes);
  const auto& devices = fuzz.board().devices();
  Device& device = *devices[input.byte() % devices.size()];
  std::vector<u8> saved;
  device.save(saved);
  for (unsigned changes = input.byte() % 32; changes != 0; --changes) {
    std::size_t at = input.number<u16>();
    for (const u8 byte : input.take(1 + input.byte() % 8)) {
      if (!saved.empty()) saved[at++ % saved.size()] = byte;
    }
  }
  std::span<const u8> in(saved);
  (void)device.load(in);
  (void)device.print();
  while (!input.empty()) fuzz.operate(input);
}

}  // namespace dragoman
