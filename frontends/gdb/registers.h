// The registers as the remote protocol of GDB numbers them, and their description in XML.
#pragma once

#include <string>
#include <vector>

#include "cpu/cpu.h"

namespace dragoman {

/// One description serves 16, 32 and 64-bit code: GDB takes the registers it knows for the
/// architecture it is set to by their names, so that `set architecture` works at any time and the
/// layout on the wire never changes.
class GdbRegisters {
 public:
  explicit GdbRegisters(Cpu& cpu) : cpu_(cpu) {}

  static unsigned count();
  /// Bytes of register `number` on the wire.
  static unsigned size(unsigned number);
  /// Little-endian bytes of a register.
  std::vector<u8> read(unsigned number) const;
  /// False for a value the processor cannot have. Call Cpu::state_replaced() afterwards.
  bool write(unsigned number, const u8* bytes);
  /// "target.xml" for GDB; `architecture` is i8086, i386 or i386:x86-64.
  static std::string description(const std::string& architecture);
  /// The architecture that fits the code the processor runs.
  static const char* architecture(const Cpu& cpu);

 private:
  Cpu& cpu_;
};

}  // namespace dragoman
