// Where two machines differ, for lockstep.
#pragma once

#include <string>
#include <vector>

#include "machine/machine.h"

namespace dragoman {

/// One register, word of memory, device or disk that is not the same in both machines.
struct Difference {
  std::string name;
  std::string left, right;  ///< values in machine 0 and 1
};

/// How exactly to compare. Without `all_flags`, the arithmetic flags of RFLAGS may differ, and so
/// may the same bits of registers and memory that look like a saved RFLAGS: what the manual leaves
/// undefined counts only when something comes of it.
struct Exactness {
  bool all_flags = true;
};

/// Fast: whether both processors are in the same architectural state, instruction counts included.
bool processors_equal(const Cpu& left, const Cpu& right, Exactness exactness);
/// Slower: whether all of RAM is the same.
bool memories_equal(const GuestMemory& left, const GuestMemory& right, Exactness exactness);
/// Name of the first device whose guest-visible state differs, or "".
std::string different_device(PcBoard& left, PcBoard& right);

/// The registers that differ, by the names of the field list with those people know.
std::vector<Difference> processor_differences(const Cpu& left, const Cpu& right,
                                              Exactness exactness);
/// The first words of RAM that differ, at most `limit`.
std::vector<Difference> memory_differences(const GuestMemory& left, const GuestMemory& right,
                                           Exactness exactness, std::size_t limit);

}  // namespace dragoman
