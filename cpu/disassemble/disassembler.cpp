#include "cpu/disassemble/disassembler.h"

#include <fmt/format.h>

#include <array>
#include <string_view>

#include "cpu/isa/rows.h"

namespace dragoman {
namespace {

constexpr std::array<std::string_view, 16> kConditions = {
    "o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g"};
constexpr std::array<std::string_view, 20> kNames8 = {
    "al",   "cl",   "dl",   "bl",   "spl",  "bpl",  "sil", "dil", "r8b", "r9b",
    "r10b", "r11b", "r12b", "r13b", "r14b", "r15b", "ah",  "ch",  "dh",  "bh"};
constexpr std::array<std::string_view, 8> kNames16 = {"ax", "cx", "dx", "bx",
                                                      "sp", "bp", "si", "di"};
constexpr std::array<std::string_view, 6> kSegments = {"es", "cs", "ss", "ds", "fs", "gs"};

std::string gpr(unsigned number, unsigned bytes) {
  if (bytes == 1) return std::string(kNames8[number % kNames8.size()]);
  if (number < 8) {
    const std::string name(kNames16[number]);
    return bytes == 2 ? name : (bytes == 4 ? "e" : "r") + name;
  }
  return fmt::format("r{}{}", number & 15, bytes == 2 ? "w" : bytes == 4 ? "d" : "");
}

std::string hex(u64 value) { return fmt::format("0x{:x}", value); }

u64 truncated(u64 value, unsigned bytes) {
  return bytes >= 8 ? value : value & ((u64{1} << (8 * bytes)) - 1);
}

std::string_view size_name(unsigned bytes) {
  switch (bytes) {
    case 1:
      return "byte ptr ";
    case 2:
      return "word ptr ";
    case 4:
      return "dword ptr ";
    case 6:
      return "fword ptr ";
    case 8:
      return "qword ptr ";
    case 10:
      return "tbyte ptr ";
    case 16:
      return "xmmword ptr ";
    case 32:
      return "ymmword ptr ";
    default:
      return "";
  }
}

class Printer {
 public:
  Printer(const Instruction& insn, u64 address, DecodeMode mode)
      : insn_(insn), row_(row(insn.row)), address_(address), mode_(mode) {}

  std::string text() const {
    std::string result = prefixes() + mnemonic();
    if (operation_info(row_.operation).category == Category::kString ||
        row_.operation == Operation::kXlat) {
      return result;  // operands are implied by the mnemonic
    }
    bool first = true;
    for (const Operand& o : row_.operands) {
      if (o.addressing == Addressing::kNone) break;
      result += first ? " " : ", ";
      result += operand(o);
      first = false;
    }
    return result;
  }

 private:
  std::string prefixes() const {
    std::string result;
    if (insn_.has(kInsnLock)) result += "lock ";
    if (row_.attributes & kRepeatable) {
      const bool compares =
          row_.operation == Operation::kCmps || row_.operation == Operation::kScas;
      if (insn_.has(kInsnRep)) result += compares ? "repe " : "rep ";
      if (insn_.has(kInsnRepne)) result += compares ? "repne " : "rep ";
    }
    // Elsewhere the override is printed with the memory operand.
    const bool implied =
        row_.operation == Operation::kMovs || row_.operation == Operation::kCmps ||
        row_.operation == Operation::kLods || row_.operation == Operation::kOuts ||
        row_.operation == Operation::kXlat || row_.operation == Operation::kMaskmovq ||
        row_.operation == Operation::kMaskmovdqu || row_.operation == Operation::kVmaskmovdqu;
    if (implied && insn_.has(kInsnSegmentOverride)) {
      result += kSegments[insn_.segment % kSegments.size()];
      result += ' ';
    }
    return result;
  }

  std::string mnemonic() const {
    const std::string name(operation_info(row_.operation).mnemonic);
    const auto by_size = [&](std::string_view two, std::string_view four, std::string_view eight) {
      return std::string(insn_.operand_size == 2 ? two : insn_.operand_size == 4 ? four : eight);
    };
    switch (row_.operation) {
      case Operation::kJcc:
      case Operation::kSetcc:
      case Operation::kCmovcc:
        return name + std::string(kConditions[row_.condition & 15]);
      case Operation::kCbw:
        return by_size("cbw", "cwde", "cdqe");
      case Operation::kCwd:
        return by_size("cwd", "cdq", "cqo");
      case Operation::kPusha:
        return by_size("pusha", "pushad", "");
      case Operation::kPopa:
        return by_size("popa", "popad", "");
      case Operation::kPushf:
        return by_size("pushf", "pushfd", "pushfq");
      case Operation::kPopf:
        return by_size("popf", "popfd", "popfq");
      case Operation::kIret:
        return by_size("iret", "iretd", "iretq");
      case Operation::kSysret:
      case Operation::kSysexit:
        return insn_.has(kInsnRexW) ? name + "q" : name;
      case Operation::kJcxz:
        return insn_.address_size == 2 ? "jcxz" : insn_.address_size == 4 ? "jecxz" : "jrcxz";
      case Operation::kUd:
        return row_.opcode == 0x0b ? "ud2" : row_.opcode == 0xb9 ? "ud1" : "ud0";
      case Operation::kFxsave:
      case Operation::kFxrstor:
      case Operation::kXsave:
      case Operation::kXsaveopt:
      case Operation::kXsavec:
      case Operation::kXsaves:
      case Operation::kXrstor:
      case Operation::kXrstors:
        return insn_.has(kInsnRexW) ? name + "64" : name;
      default:
        break;
    }
    if (operation_info(row_.operation).category == Category::kString) {
      // All operands of one instruction have the same size; DX is the only word register.
      for (const Operand& o : row_.operands) {
        if (o.addressing != Addressing::kX && o.addressing != Addressing::kY) continue;
        const unsigned bytes = width_bytes(o.width);
        return name + (bytes == 1 ? "b" : bytes == 2 ? "w" : bytes == 4 ? "d" : "q");
      }
    }
    return name;
  }

  /// Bytes of an operand, 0 for memory of no particular size.
  unsigned width_bytes(Width width) const {
    const unsigned v = insn_.operand_size;
    const bool wide = insn_.has(kInsnVexL);
    switch (width) {
      case Width::kB:
        return 1;
      case Width::kW:
        return 2;
      case Width::kD:
      case Width::kSs:
        return 4;
      case Width::kQ:
      case Width::kSd:
        return 8;
      case Width::kV:
      case Width::kBs:
        return v;
      case Width::kZ:
        return v == 2 ? 2 : 4;
      case Width::kY:
        return v == 8 ? 8 : 4;
      case Width::kP:
        return v + 2;
      case Width::kA:
        return 2 * v;
      case Width::kS:
        return mode_.code_bits == 64 ? 10 : 6;
      case Width::kDq:
        return 16;
      case Width::kQq:
        return 32;
      case Width::kX:
        return wide ? 32 : 16;
      case Width::kT:
        return 10;
      case Width::kHalfX:
        return wide ? 16 : 8;
      case Width::kQuarterX:
        return wide ? 8 : 4;
      case Width::kEighthX:
        return wide ? 4 : 2;
      default:
        return 0;
    }
  }

  std::string vector(unsigned number, Width width) const {
    return fmt::format("{}{}", width_bytes(width) == 32 ? "ymm" : "xmm", number & 15);
  }

  std::string memory(Width width, std::string_view index_name = {}) const {
    std::string text(size_name(width_bytes(width)));
    if (insn_.has(kInsnSegmentOverride) && row_.operation != Operation::kLea) {
      text += kSegments[insn_.segment % kSegments.size()];
      text += ':';
    }
    text += '[';
    const u64 displacement = static_cast<u64>(i64{insn_.displacement});
    const bool indexed = insn_.index != kZeroRegister || !index_name.empty();
    if (insn_.base == kRip) {
      return text + hex((address_ + insn_.length + displacement) & insn_.address_mask()) + "]";
    }
    if (insn_.base == kZeroRegister && !indexed) {
      return text + hex(displacement & insn_.address_mask()) + "]";
    }
    if (insn_.base != kZeroRegister) text += gpr(insn_.base, insn_.address_size);
    if (indexed) {
      if (insn_.base != kZeroRegister) text += '+';
      text += index_name.empty() ? gpr(insn_.index, insn_.address_size) : std::string(index_name);
      if (insn_.scale != 0) text += fmt::format("*{}", 1 << insn_.scale);
    }
    if (insn_.displacement < 0) {
      text += '-' + hex(-displacement);
    } else if (insn_.displacement > 0) {
      text += '+' + hex(displacement);
    }
    return text + ']';
  }

  std::string target() const {
    const unsigned bytes = mode_.code_bits == 64 ? 8 : insn_.operand_size;
    return hex(truncated(address_ + insn_.length + insn_.immediate, bytes));
  }

  std::string operand(const Operand& o) const {
    switch (o.addressing) {
      case Addressing::kNone:
        return {};
      case Addressing::kA:
        return fmt::format("0x{:x}:0x{:x}", insn_.immediate2, insn_.immediate);
      case Addressing::kB:
        return gpr(insn_.vvvv, width_bytes(o.width));
      case Addressing::kC:
        return fmt::format("cr{}", insn_.reg);
      case Addressing::kD:
        return fmt::format("dr{}", insn_.reg);
      case Addressing::kE:
      case Addressing::kR:
        return insn_.memory() ? memory(o.width) : gpr(insn_.rm, width_bytes(o.width));
      case Addressing::kG:
      case Addressing::kZ:
        return gpr(insn_.reg, width_bytes(o.width));
      case Addressing::kH:
        return vector(insn_.vvvv, o.width);
      case Addressing::kI:
        // ENTER has two immediates, the second one elsewhere.
        if (row_.operation == Operation::kEnter && o.width == Width::kB) {
          return hex(insn_.immediate2);
        }
        return hex(
            truncated(insn_.immediate, width_bytes(o.width == Width::kZ ? Width::kV : o.width)));
      case Addressing::kJ:
        return target();
      case Addressing::kL:
        return vector(is4_register(), o.width);
      case Addressing::kM:
        return memory(o.width);
      case Addressing::kN:
        return fmt::format("mm{}", insn_.rm);
      case Addressing::kO: {
        std::string text(size_name(width_bytes(o.width)));
        if (insn_.has(kInsnSegmentOverride)) {
          text += kSegments[insn_.segment % kSegments.size()];
          text += ':';
        }
        return text + '[' + hex(insn_.immediate) + ']';
      }
      case Addressing::kP:
        return fmt::format("mm{}", insn_.reg);
      case Addressing::kQ:
        return insn_.memory() ? memory(o.width) : fmt::format("mm{}", insn_.rm);
      case Addressing::kS:
        return std::string(kSegments[insn_.reg % kSegments.size()]);
      case Addressing::kU:
        return vector(insn_.rm, o.width);
      case Addressing::kV:
        return vector(insn_.reg, o.width);
      case Addressing::kW:
        return insn_.memory() ? memory(o.width) : vector(insn_.rm, o.width);
      case Addressing::kFixed:
        return gpr(o.number, width_bytes(o.width));
      case Addressing::kFixedSeg:
        return std::string(kSegments[o.number % kSegments.size()]);
      case Addressing::kOne:
        return "0x1";
      case Addressing::kSt:
        return "st0";
      case Addressing::kSti:
        return fmt::format("st{}", insn_.rm);
      case Addressing::kVsib:
        return memory(o.width, vector(insn_.index, o.number == 16 ? Width::kDq : Width::kX));
      case Addressing::kXmm0:
        return "xmm0";
      case Addressing::kX:
      case Addressing::kY:
        return {};  // string instructions print no operands
    }
    return {};
  }

  unsigned is4_register() const {
    return static_cast<unsigned>(insn_.immediate >> 4) & (mode_.code_bits == 64 ? 15 : 7);
  }

  const Instruction& insn_;
  const Row& row_;
  u64 address_;
  DecodeMode mode_;
};

}  // namespace

std::string disassemble(const Instruction& insn, u64 address, DecodeMode mode) {
  return Printer(insn, address, mode).text();
}

}  // namespace dragoman
