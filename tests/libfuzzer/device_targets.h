// The devices of a whole board under random register accesses.
#pragma once

#include "tests/libfuzzer/fuzz_target.h"

namespace dragoman {

/// Which ranges of the board a target reaches; device_targets.cpp names them.
enum FuzzDevice : unsigned {
  kFuzzI8254,
  kFuzzI8259,
  kFuzzMc146818,
  kFuzzI8042,
  kFuzzI82077,
  kFuzzUart,
  kFuzzParallel,
  kFuzzFwCfg,
  kFuzzHpet,
  kFuzzApic,
  kFuzzIoapic,
  kFuzzPci,
  kFuzzPm,
  kFuzzIde,
  kFuzzVga,
  kFuzzVirtioBlk,
  kFuzzVirtioConsole,
  kFuzzVirtioRng,
  kFuzzTestdev,
  kFuzzUhci,
  kFuzzAll,
};

void fuzz_device(FuzzDevice device, std::span<const u8> input);
template <FuzzDevice device>
void fuzz_device(std::span<const u8> input) {
  fuzz_device(device, input);
}
/// All ports and all of the physical address space.
void fuzz_board(std::span<const u8> input);
/// A damaged saved state of one device, then accesses to all.
void fuzz_device_state(std::span<const u8> input);

}  // namespace dragoman
