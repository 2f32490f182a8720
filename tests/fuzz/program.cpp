#include "tests/fuzz/program.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>

#include "base/bits.h"
#include "cpu/decode/decoder.h"
#include "cpu/disassemble/disassembler.h"

namespace dragoman {
namespace {

constexpr std::string_view kModeNames[] = {"real16", "v86",      "kernel16", "user16", "kernel32",
                                           "user32", "compat32", "kernel64", "user64"};
static_assert(std::size(kModeNames) == static_cast<std::size_t>(FuzzMode::kCount));
constexpr std::string_view kPagingNames[] = {"none", "legacy", "pae", "long"};

constexpr u8 kNop = 0x90;

/// The numbers of a program by name, for print() and parse().
template <class Program, class Visitor>
void visit_numbers(Program& p, Visitor&& visit) {
  visit("flags", p.flags);
  visit("cr0", p.cr0_bits);
  visit("cr4", p.cr4_bits);
  visit("fs-base", p.fs_base);
  visit("gs-base", p.gs_base);
  visit("code-start", p.code_start);
  visit("mxcsr", p.mxcsr);
  visit("fpu-control", p.fpu_control);
  visit("rounds", p.rounds);
  visit("schedule", p.schedule);
  visit("limit", p.limit);
  for (unsigned i = 0; i < 16; ++i) visit(fmt::format("reg{}", i), p.regs[i]);
  for (unsigned i = 0; i < 6; ++i) visit(fmt::format("segment{}", i), p.selectors[i]);
}

bool parse_hex(std::string_view text, u64& value) {
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  return problem == std::errc{} && end == text.data() + text.size();
}

}  // namespace

std::string_view fuzz_mode_name(FuzzMode mode) { return kModeNames[static_cast<unsigned>(mode)]; }

u64 FuzzRandom::value() {
  static constexpr u64 kEdges[] = {0,          1,          0x7f,       0x80,
                                   0xff,       0x7fff,     0x8000,     0xffff,
                                   0x7fffffff, 0x80000000, 0xffffffff, 0x7fffffffffffffff,
                                   bit(63),    ~u64{0}};
  switch (below(4)) {
    case 0:
      return kEdges[below(std::size(kEdges))];
    case 1:
      return below(80);
    case 2:
      return number() >> below(64);
    default:
      return number();
  }
}

void FuzzProgram::remove(const Part& part) {
  std::fill_n(code.begin() + part.offset, part.bytes, kNop);
}

bool FuzzProgram::removed(const Part& part) const {
  return std::all_of(code.begin() + part.offset, code.begin() + part.offset + part.bytes,
                     [](u8 byte) { return byte == kNop; });
}

std::string FuzzProgram::print() const {
  std::string out = "# a program for fuzz_engines --replay; numbers are hexadecimal\n";
  out += fmt::format("mode={}\npaging={}\n", fuzz_mode_name(mode),
                     kPagingNames[static_cast<unsigned>(paging)]);
  visit_numbers(*this, [&](const std::string& name, const auto& number) {
    if (number != 0) out += fmt::format("{}={:x}\n", name, number);
  });
  for (const Part& part : parts) out += fmt::format("part={:x},{:x}\n", part.offset, part.bytes);
  for (std::size_t at = 0; at < code.size(); at += FuzzLayout::kSlot) {
    out += "code=";
    for (std::size_t i = at; i < std::min(code.size(), at + FuzzLayout::kSlot); ++i) {
      out += fmt::format("{:02x}", code[i]);
    }
    out += '\n';
  }
  out += "# what is left of it:\n";
  const std::string listing = disassembly();
  for (std::size_t at = 0; at < listing.size();) {
    const std::size_t end = listing.find('\n', at);
    out += "#   " + listing.substr(at, end - at) + '\n';
    at = end + 1;
  }
  return out;
}

Result<FuzzProgram> FuzzProgram::parse(std::string_view text) {
  FuzzProgram p;
  p.flags = p.rounds = p.limit = p.mxcsr = p.fpu_control = 0;
  unsigned line_number = 0;
  while (!text.empty()) {
    ++line_number;
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(text.size(), end + 1));
    if (line.empty() || line[0] == '#') continue;
    const std::size_t equals = line.find('=');
    const std::string_view name = line.substr(0, equals);
    const std::string_view value =
        equals == std::string_view::npos ? std::string_view() : line.substr(equals + 1);
    bool known = false;
    if (name == "mode" || name == "paging") {
      std::span<const std::string_view> names = kPagingNames;
      if (name == "mode") names = kModeNames;
      const auto found = std::find(names.begin(), names.end(), value);
      known = found != names.end();
      if (known && name == "mode") p.mode = static_cast<FuzzMode>(found - names.begin());
      if (known && name == "paging") p.paging = static_cast<FuzzPaging>(found - names.begin());
    } else if (name == "code") {
      known = value.size() % 2 == 0;
      for (std::size_t i = 0; known && i < value.size(); i += 2) {
        u64 byte = 0;
        known = parse_hex(value.substr(i, 2), byte);
        p.code.push_back(static_cast<u8>(byte));
      }
    } else if (name == "part") {
      const std::size_t comma = std::min(value.find(','), value.size());
      u64 offset = 0, bytes = 0;
      known = parse_hex(value.substr(0, comma), offset) && comma < value.size() &&
              parse_hex(value.substr(comma + 1), bytes);
      if (known) p.parts.push_back({static_cast<u32>(offset), static_cast<u32>(bytes)});
    } else {
      visit_numbers(p, [&](const std::string& wanted, auto& number) {
        if (wanted != name) return;
        u64 parsed = 0;
        known = parse_hex(value, parsed);
        number = static_cast<std::remove_reference_t<decltype(number)>>(parsed);
      });
    }
    if (!known) return error("line {} of the program is not understood: '{}'", line_number, line);
  }
  if (p.code.empty() || p.code.size() > FuzzLayout::kCodeBytes) {
    return error("the program has {} bytes of code; 1 to {} are possible", p.code.size(),
                 FuzzLayout::kCodeBytes);
  }
  for (const Part& part : p.parts) {
    if (u64{part.offset} + part.bytes > p.code.size()) {
      return error("a part of the program lies behind its code: {:x},{:x}", part.offset,
                   part.bytes);
    }
  }
  const bool paged = p.paging != FuzzPaging::kNone;
  if (fuzz_long_mode(p.mode) != (p.paging == FuzzPaging::kLong) ||
      (p.mode == FuzzMode::kReal16 && paged)) {
    return error("mode {} does not go with this paging", fuzz_mode_name(p.mode));
  }
  return p;
}

std::string FuzzProgram::disassembly() const {
  const u64 origin = fuzz_code_bits(mode) == 16 ? code_start : FuzzLayout::kCode;
  const DecodeMode decode_mode{static_cast<u8>(fuzz_code_bits(mode))};
  std::string out;
  for (const Part& part : parts) {
    if (removed(part)) continue;
    for (u32 at = part.offset; at < part.offset + part.bytes;) {
      Instruction insn;
      std::array<u8, 15> bytes{};
      const u32 available = std::min<u32>(15, static_cast<u32>(code.size()) - at);
      std::copy_n(code.begin() + at, available, bytes.begin());
      std::string text = "(bad)";
      u32 length = part.offset + part.bytes - at;
      if (decode(bytes, decode_mode, insn) == DecodeResult::kOk) {
        text = disassemble(insn, origin + at, decode_mode);
        length = insn.length;
      }
      std::string hex;
      for (u32 i = 0; i < length && at + i < code.size(); ++i) {
        hex += fmt::format("{:02x}", code[at + i]);
      }
      out += fmt::format("{:5x}  {:30} {}\n", origin + at, hex, text);
      at += length;
    }
  }
  return out;
}

}  // namespace dragoman
