// From a decoded instruction to the handler that executes it.
//
// Every operation of operations.inc whose category is kInteger, kBranch, kString, kSystem or
// kVectorOwn has a function `Handler select_<Name>(const Instruction&)` somewhere in execute/ or
// events/, which picks the best handler for the operand forms and sizes at hand; operations of
// category kVector share select_vector (host stubs), kX87 share select_x87. A missing one is a link
// error. Privilege, mode and feature checks that the row states are made here, before the
// operation is asked, so that handlers do not repeat them:
//   - feature not offered by the CPU model, kNoReal in real or V86 mode: #UD
//   - kPrivileged with CPL > 0: #GP(0)
//   - x87/MMX/SSE/AVX rows with CR0.EM/TS, CR4.OSFXSR/OSXSAVE, XCR0: #UD or #NM
// These depend only on bits that are part of the block key.
#pragma once

#include "cpu/cpu.h"
#include "cpu/isa/row.h"

namespace dragoman {

/// The handler for `insn` in the current mode of `cpu`.
Handler select_handler(const Cpu& cpu, const Instruction& insn);

Handler select_vector(const Instruction& insn);
Handler select_x87(const Instruction& insn);

#define OPERATION(name, mnemonic, category, flags_read, flags_written, flags_undefined) \
  Handler select_##name(const Instruction& insn);
#include "cpu/isa/operations.inc"
#undef OPERATION

}  // namespace dragoman
