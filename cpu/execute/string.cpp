// MOVS, STOS, LODS, CMPS, SCAS, INS, OUTS with their repeat prefixes. Registers show the progress
// after every iteration, so a fault or an interrupt in the middle resumes where it stopped.
#include <algorithm>
#include <cstring>

#include "cpu/events/events.h"
#include "cpu/execute/dispatch.h"
#include "cpu/execute/forms.h"

namespace dragoman {
namespace {

/// The run loop gets a look whenever the count register reaches a multiple of this, so that one
/// instruction cannot keep it waiting. Part of the instruction count, hence tied to the count
/// register and not to when events happen to come.
constexpr u64 kIterationsPerTurn = 1 << 16;

/// Index and count registers at the instruction's address size.
class StringRegisters {
 public:
  StringRegisters(Cpu& cpu, const Instruction& insn) : cpu_(cpu), insn_(insn) {}
  u64 get(Gpr reg) const { return cpu_.state.regs[reg] & insn_.address_mask(); }
  void set(Gpr reg, u64 value) {
    if (insn_.address_size == 2) {
      set_register<u16>(cpu_, reg, static_cast<u16>(value));
    } else {
      cpu_.state.regs[reg] = value & insn_.address_mask();
    }
  }
  void add(Gpr reg, u64 delta) { set(reg, get(reg) + delta); }

 private:
  Cpu& cpu_;
  const Instruction& insn_;
};

bool repeated(const Instruction& insn) { return insn.has(kInsnRep) || insn.has(kInsnRepne); }

template <class T>
u64 step(const Cpu& cpu) {
  return (cpu.state.flags & kFlagDf) ? u64{0} - sizeof(T) : sizeof(T);
}

/// True when the run loop must see the instruction between two iterations.
bool must_pause(const Cpu& cpu) {
  return cpu.state.pending_debug != 0 || (cpu.state.flags & kFlagTf) || cpu.debug_pauses();
}

/// Leaves the instruction between two iterations. RF is set until it goes on: an event in between
/// saves it as 1, and an instruction breakpoint does not match again (SDM vol. 3, 17.3.1.1).
bool pause(Cpu& cpu, bool counts) {
  cpu.state.flags |= kFlagRf;
  cpu.set_attention_check();
  return cpu.restart_instruction(counts);
}

/// Iterations that fit before `offset` (going up) leaves its page or wraps at the address size.
template <class T>
u64 fits(u64 linear, u64 offset, u64 address_mask) {
  const u64 in_page = kPageSize - (linear & kPageMask);
  const u64 to_wrap = address_mask - offset;  // bytes behind the first
  return std::min(in_page, to_wrap) / sizeof(T);
}
/// The same going down, the first one at `offset`.
template <class T>
u64 fits_down(u64 linear, u64 offset) {
  const u64 in_page = linear & kPageMask;
  return in_page + sizeof(T) > kPageSize ? 0 : std::min(in_page, offset) / sizeof(T) + 1;
}

/// Repeats `once(registers) -> bool` (false: fault pending) under REP. `bulk(count)` may do many
/// iterations at once and returns how many it did, 0 when it cannot. `stop()` ends the loop early
/// (REPE/REPNE).
template <class Once, class Bulk, class Stop>
bool repeat(Cpu& cpu, const Instruction& insn, Once&& once, Bulk&& bulk, Stop&& stop) {
  if (!repeated(insn)) return once();
  StringRegisters regs(cpu, insn);
  // With 67h, Intel processors clear RCX[63:32] even when nothing is repeated.
  if (insn.address_size == 4) regs.set(kRcx, regs.get(kRcx));
  for (bool started = false;; started = true) {
    const u64 count = regs.get(kRcx);
    if (count == 0) return true;
    if (started) {
      if (count % kIterationsPerTurn == 0) return pause(cpu, true);
      if (must_pause(cpu) || (count % 64 == 0 && cpu.attention())) {
        return pause(cpu, false);
      }
    }
    const u64 in_turn = (count - 1) % kIterationsPerTurn + 1;
    u64 iterations = must_pause(cpu) ? 0 : bulk(in_turn);
    if (iterations == 0) {
      if (!once()) return false;
      iterations = 1;
    }
    regs.set(kRcx, count - iterations);
    if (stop()) return true;
    // The end of a turn counts whatever else ends the instruction there: what draws attention may
    // depend on which blocks are decoded.
    if (iterations > 1 && iterations < count && cpu.attention()) {
      return pause(cpu, (count - iterations) % kIterationsPerTurn == 0);
    }
  }
}

constexpr auto kNoBulk = [](u64) -> u64 { return 0; };
constexpr auto kNoStop = [] { return false; };

/// REP MOVS and REP STOS with 67h clear the upper halves of the pointers too, before they start.
void narrow_pointers(Cpu& cpu, const Instruction& insn, bool source) {
  if (insn.address_size != 4 || !repeated(insn)) return;
  StringRegisters regs(cpu, insn);
  if (source) regs.set(kRsi, regs.get(kRsi));
  regs.set(kRdi, regs.get(kRdi));
}

/// MOVS upwards to `distance` bytes behind its source, which comes to read what it wrote.
template <std::size_t kElement>
void propagate(u8* to, std::size_t distance, std::size_t bytes) {
  if (distance < kElement) {
    for (std::size_t i = 0; i < bytes; i += kElement)
      std::memmove(to + i, to + i - distance, kElement);
    return;
  }
  // The bytes before `to` repeat themselves, and so does what was written already.
  for (std::size_t done = 0; done < bytes;) {
    const std::size_t repeated = distance + done / distance * distance;
    const std::size_t n = std::min(repeated, bytes - done);
    std::memcpy(to + done, to + done - repeated, n);
    done += n;
  }
}

template <class T>
struct MovsHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    StringRegisters regs(cpu, insn);
    const auto once = [&] {
      T value;
      if (!cpu.read<T>(insn.segment, regs.get(kRsi), value)) return false;
      if (!cpu.write<T>(kEs, regs.get(kRdi), value)) return false;
      regs.add(kRsi, step<T>(cpu));
      regs.add(kRdi, step<T>(cpu));
      return true;
    };
    const auto bulk = [&](u64 count) -> u64 {
      if (count < 8) return 0;
      u64 si = regs.get(kRsi);
      u64 di = regs.get(kRdi);
      u64 source, target;
      if (!range(cpu, insn.segment, si, sizeof(T), AccessType::kRead, source)) return 0;
      if (!range(cpu, kEs, di, sizeof(T), AccessType::kWrite, target)) return 0;
      const bool down = (cpu.state.flags & kFlagDf) != 0;
      const u64 n = down ? std::min({count, fits_down<T>(source, si), fits_down<T>(target, di)})
                         : std::min({count, fits<T>(source, si, insn.address_mask()),
                                     fits<T>(target, di, insn.address_mask())});
      if (n < 2) return 0;
      const unsigned bytes = static_cast<unsigned>(n * sizeof(T));
      if (down) {  // from here on those of the lowest element
        si -= bytes - sizeof(T);
        di -= bytes - sizeof(T);
      }
      if (!range(cpu, insn.segment, si, bytes, AccessType::kRead, source)) return 0;
      if (!range(cpu, kEs, di, bytes, AccessType::kWrite, target)) return 0;
      const u8* from = cpu.direct(source, bytes, AccessType::kRead);
      u8* to = cpu.direct(target, bytes, AccessType::kWrite);
      if (from == nullptr || to == nullptr) return 0;
      if (down ? to < from && from < to + bytes : to > from && to < from + bytes) {
        if (down) return 0;  // what propagates downwards goes element by element
        propagate<sizeof(T)>(to, static_cast<std::size_t>(to - from), bytes);
      } else {
        std::memmove(to, from, bytes);
      }
      regs.add(kRsi, n * step<T>(cpu));
      regs.add(kRdi, n * step<T>(cpu));
      return n;
    };
    narrow_pointers(cpu, insn, true);
    return repeat(cpu, insn, once, bulk, kNoStop);
  }

  /// segment_linear without leaving a fault behind: the single iteration will raise it.
  static bool range(Cpu& cpu, unsigned segment, u64 offset, unsigned size, AccessType type,
                    u64& linear) {
    if (cpu.segment_linear(segment, offset, size, type, linear)) return true;
    cpu.clear_fault();
    return false;
  }
};

template <class T>
struct StosHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    StringRegisters regs(cpu, insn);
    const auto once = [&] {
      if (!cpu.write<T>(kEs, regs.get(kRdi), get_register<T>(cpu, kRax))) return false;
      regs.add(kRdi, step<T>(cpu));
      return true;
    };
    const auto bulk = [&](u64 count) -> u64 {
      if (count < 8) return 0;
      u64 di = regs.get(kRdi);
      u64 target;
      if (!MovsHandler<T>::range(cpu, kEs, di, sizeof(T), AccessType::kWrite, target)) return 0;
      const bool down = (cpu.state.flags & kFlagDf) != 0;
      const u64 n = std::min(
          count, down ? fits_down<T>(target, di) : fits<T>(target, di, insn.address_mask()));
      if (n < 2) return 0;
      const unsigned bytes = static_cast<unsigned>(n * sizeof(T));
      if (down) di -= bytes - sizeof(T);
      if (!MovsHandler<T>::range(cpu, kEs, di, bytes, AccessType::kWrite, target)) return 0;
      u8* to = cpu.direct(target, bytes, AccessType::kWrite);
      if (to == nullptr) return 0;
      const T value = get_register<T>(cpu, kRax);
      if constexpr (sizeof(T) == 1) {
        std::memset(to, value, n);
      } else {
        for (u64 i = 0; i < n; ++i) std::memcpy(to + i * sizeof(T), &value, sizeof(T));
      }
      regs.add(kRdi, n * step<T>(cpu));
      return n;
    };
    narrow_pointers(cpu, insn, false);
    return repeat(cpu, insn, once, bulk, kNoStop);
  }
};

template <class T>
struct LodsHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    StringRegisters regs(cpu, insn);
    const auto once = [&] {
      T value;
      if (!cpu.read<T>(insn.segment, regs.get(kRsi), value)) return false;
      set_register<T>(cpu, kRax, value);
      regs.add(kRsi, step<T>(cpu));
      return true;
    };
    return repeat(cpu, insn, once, kNoBulk, kNoStop);
  }
};

/// A comparison that faults under REP leaves the flags it began with (SDM vol. 2, REP).
bool faulted(Cpu& cpu, const LazyFlags& before) {
  if (cpu.fault_pending()) cpu.state.lazy = before;
  return false;
}

/// REPE goes on while ZF = 1, REPNE while ZF = 0.
bool comparison_ends(const Cpu& cpu, const Instruction& insn) {
  return flag_zf(cpu.state.lazy) == insn.has(kInsnRepne);
}

template <class T>
struct CmpsHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    const LazyFlags before = cpu.state.lazy;
    StringRegisters regs(cpu, insn);
    const auto once = [&] {
      T a, b;
      // Which of two faults comes first is the processor's choice: Intel's read ES:rDI first.
      if (!cpu.read<T>(kEs, regs.get(kRdi), b)) return false;
      if (!cpu.read<T>(insn.segment, regs.get(kRsi), a)) return false;
      set_flags_sub<T>(cpu.state.lazy, a, b, static_cast<T>(a - b));
      regs.add(kRsi, step<T>(cpu));
      regs.add(kRdi, step<T>(cpu));
      return true;
    };
    const auto stop = [&] { return comparison_ends(cpu, insn); };
    return repeat(cpu, insn, once, kNoBulk, stop) || faulted(cpu, before);
  }
};

template <class T>
struct ScasHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    const LazyFlags before = cpu.state.lazy;
    StringRegisters regs(cpu, insn);
    const auto once = [&] {
      T b;
      if (!cpu.read<T>(kEs, regs.get(kRdi), b)) return false;
      const T a = get_register<T>(cpu, kRax);
      set_flags_sub<T>(cpu.state.lazy, a, b, static_cast<T>(a - b));
      regs.add(kRdi, step<T>(cpu));
      return true;
    };
    const auto stop = [&] { return comparison_ends(cpu, insn); };
    return repeat(cpu, insn, once, kNoBulk, stop) || faulted(cpu, before);
  }
};

template <class T>
struct InsHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    StringRegisters regs(cpu, insn);
    const u16 port = get_register<u16>(cpu, kRdx);
    if (!check_io_permission(cpu, port, sizeof(T))) return false;
    const auto once = [&] {
      // The port must not be read when the write would fault.
      if (!cpu.probe_write(kEs, regs.get(kRdi), sizeof(T))) return false;
      cpu.before_port_access(port, sizeof(T), false);
      const T value = static_cast<T>(cpu.ports().read(Port(port), sizeof(T)));
      if (!cpu.write<T>(kEs, regs.get(kRdi), value)) return false;
      regs.add(kRdi, step<T>(cpu));
      return true;
    };
    return repeat(cpu, insn, once, kNoBulk, kNoStop);
  }
};

template <class T>
struct OutsHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    StringRegisters regs(cpu, insn);
    const u16 port = get_register<u16>(cpu, kRdx);
    if (!check_io_permission(cpu, port, sizeof(T))) return false;
    const auto once = [&] {
      T value;
      if (!cpu.read<T>(insn.segment, regs.get(kRsi), value)) return false;
      cpu.before_port_access(port, sizeof(T), true);
      cpu.ports().write(Port(port), sizeof(T), value);
      cpu.after_device_write();
      regs.add(kRsi, step<T>(cpu));
      return true;
    };
    return repeat(cpu, insn, once, kNoBulk, kNoStop);
  }
};

/// Size of the string element: the operand that is not the port.
unsigned element_bytes(const Instruction& insn) {
  for (const Operand& operand : row_of(insn).operands) {
    if (operand.addressing == Addressing::kX || operand.addressing == Addressing::kY) {
      return operand_bytes(insn, operand);
    }
  }
  return insn.operand_size;
}

template <template <class> class Make>
Handler by_element(const Instruction& insn) {
  switch (element_bytes(insn)) {
    case 1:
      return Make<u8>::handler;
    case 2:
      return Make<u16>::handler;
    case 4:
      return Make<u32>::handler;
    default:
      return Make<u64>::handler;
  }
}
template <template <class> class Make>
Handler by_port_element(const Instruction& insn) {
  switch (element_bytes(insn)) {
    case 1:
      return Make<u8>::handler;
    case 2:
      return Make<u16>::handler;
    default:
      return Make<u32>::handler;  // REX.W does not widen port accesses
  }
}

}  // namespace

Handler select_Movs(const Instruction& insn) { return by_element<MovsHandler>(insn); }
Handler select_Stos(const Instruction& insn) { return by_element<StosHandler>(insn); }
Handler select_Lods(const Instruction& insn) { return by_element<LodsHandler>(insn); }
Handler select_Cmps(const Instruction& insn) { return by_element<CmpsHandler>(insn); }
Handler select_Scas(const Instruction& insn) { return by_element<ScasHandler>(insn); }
Handler select_Ins(const Instruction& insn) { return by_port_element<InsHandler>(insn); }
Handler select_Outs(const Instruction& insn) { return by_port_element<OutsHandler>(insn); }

}  // namespace dragoman
