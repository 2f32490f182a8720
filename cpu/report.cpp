// What a person needs to see when a guest died: registers, descriptors, the page walk of RIP and
// the instructions executed last.
#include <fmt/format.h>

#include "cpu/cpu.h"
#include "cpu/decode/early_decoder.h"
#include "cpu/disassemble/disassembler.h"
#include "cpu/isa/rows.h"

namespace dragoman {
namespace {

constexpr std::array<const char*, 16> kGprNames = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
                                                   "rsi", "rdi", "r8",  "r9",  "r10", "r11",
                                                   "r12", "r13", "r14", "r15"};
constexpr std::array<const char*, kSegmentCount> kSegmentNames = {"es", "cs", "ss",   "ds",
                                                                  "fs", "gs", "ldtr", "tr"};
constexpr unsigned kLinesPerBlock = 4;

std::string segment_line(unsigned number, const Segment& s) {
  std::string kind = !s.present() ? "not present"
                     : s.system() ? fmt::format("system type {}", s.type())
                     : s.code()   ? (s.conforming() ? "conforming code" : "code")
                                  : (s.expand_down() ? "expand-down data" : "data");
  if (!s.system() && s.present()) {
    kind += s.code() ? ((s.type() & 2) ? ", readable" : "") : ((s.type() & 2) ? ", writable" : "");
    kind += s.long_mode() ? ", 64-bit" : s.big() ? ", 32-bit" : ", 16-bit";
  }
  return fmt::format("{:>4}={:04x} base={:016x} limit={:08x} dpl={} {}\n", kSegmentNames[number],
                     s.selector, s.base, s.limit, s.dpl(), kind);
}

}  // namespace

std::string Cpu::describe_page_walk(u64 linear) {
  if (!(state.cr0 & kCr0Pg)) return "  paging is off\n";
  struct Step {
    const char* name;
    unsigned shift;
  };
  static constexpr Step kLong[] = {{"PML4E", 39}, {"PDPTE", 30}, {"PDE", 21}, {"PTE", 12}};
  static constexpr Step kLegacy[] = {{"PDE", 22}, {"PTE", 12}};
  const bool pae = state.cr4 & kCr4Pae;
  const std::span<const Step> steps = !pae          ? std::span<const Step>(kLegacy)
                                      : long_mode() ? std::span<const Step>(kLong)
                                                    : std::span<const Step>(kLong).subspan(1);
  const unsigned entry_bytes = pae ? 8 : 4;
  const u64 index_mask = pae ? 0x1ff : 0x3ff;
  constexpr u64 kAddress = 0x000ffffffffff000;
  u64 table = pae && !long_mode() ? state.cr3 & 0xffffffe0 : state.cr3 & kAddress;
  std::string text;
  for (const Step& step : steps) {
    const bool pdpte_register = pae && !long_mode() && step.shift == 30;
    const u64 index = pdpte_register ? (linear >> 30) & 3 : (linear >> step.shift) & index_mask;
    const u64 address = (table + index * entry_bytes) & a20_mask();
    u64 entry = 0;
    if (pdpte_register) {
      entry = state.pdpte[index];
    } else {
      const auto view = memory().page(PhysicalAddress(address));
      if (view.read == nullptr) {
        return text + fmt::format("  {:<5} at {:#x}: not in memory\n", step.name, address);
      }
      __builtin_memcpy(&entry, view.read + (address & kPageMask), entry_bytes);
    }
    text += fmt::format("  {:<5} at {:#x} = {:016x}{}{}{}{}{}\n", step.name, address, entry,
                        (entry & 1) ? "" : " not present", (entry & 2) ? " writable" : "",
                        (entry & 4) ? " user" : "", (entry & 0x20) ? " accessed" : "",
                        (entry >> 63) ? " no-execute" : "");
    if (!(entry & 1)) return text;
    if (step.shift > 12 && (entry & 0x80) && !pdpte_register) return text;
    table = entry & kAddress;
  }
  return text;
}

std::string Cpu::describe_registers() const {
  std::string text;
  for (unsigned i = 0; i < 16; ++i) {
    text += fmt::format("{:>3}={:016x}{}", kGprNames[i], state.regs[i], i % 4 == 3 ? "\n" : " ");
  }
  text += fmt::format("rip={:016x} rflags={:08x} cpl={} {}-bit{}{}{}{}\n", state.rip(), rflags(),
                      cpl(), mode_.code_bits, protected_mode() ? "" : " real", v86() ? " v86" : "",
                      long_mode() ? " long" : "", state.in_smm ? " smm" : "");
  return text;
}

std::string Cpu::describe() {
  std::string text = describe_registers();
  for (unsigned i = 0; i < kSegmentCount; ++i) text += segment_line(i, state.segments[i]);
  text += fmt::format("gdtr={:016x}/{:04x} idtr={:016x}/{:04x}\n", state.gdtr.base,
                      state.gdtr.limit, state.idtr.base, state.idtr.limit);
  text += fmt::format("cr0={:08x} cr2={:016x} cr3={:016x} cr4={:08x} efer={:x} xcr0={:x}\n",
                      state.cr0, state.cr2, state.cr3, state.cr4, state.efer, state.xcr0);
  text += fmt::format("dr0={:x} dr1={:x} dr2={:x} dr3={:x} dr6={:x} dr7={:x}\n", state.dr[0],
                      state.dr[1], state.dr[2], state.dr[3], state.dr[6], state.dr[7]);

  const u64 linear =
      code64() ? state.rip() : static_cast<u32>(state.segments[kCs].base + state.rip());
  text += fmt::format("cs:rip is linear {:#x}; its page walk:\n", linear);
  text += describe_page_walk(linear);
  std::array<u8, 16> bytes{};
  unsigned got = 0;
  while (got < bytes.size() && peek(linear + got, &bytes[got], 1)) ++got;
  text += "bytes there:";
  for (unsigned i = 0; i < got; ++i) text += fmt::format(" {:02x}", bytes[i]);
  text += '\n';

  text +=
      fmt::format("{} instructions executed; the blocks entered last, oldest first:\n", retired());
  for (std::size_t i = 0; i < recent_.size(); ++i) {
    const RecentBlock& r = recent_[(recent_next_ + i) % recent_.size()];
    if (r.key != ~u32{0}) text += describe_block(r);
  }
  return text;
}

std::string Cpu::describe_block(const RecentBlock& block) {
  static constexpr std::array<u8, 3> kCodeBits = {16, 32, 64};  // mode key, see update_mode()
  const DecodeMode mode{kCodeBits[std::min<u32>(block.key & 3, 2)]};
  std::string text;
  u64 rip = block.rip;
  for (unsigned line = 0; line < kLinesPerBlock; ++line) {
    std::array<u8, 15> bytes{};
    unsigned got = 0;
    while (got < bytes.size() && peek(block.linear + (rip - block.rip) + got, &bytes[got], 1))
      ++got;
    Instruction insn;
    if (decode_for(model_, {bytes.data(), got}, mode, insn) != DecodeResult::kOk) {
      return text + fmt::format("  {:04x}:{:x} (bytes are gone or invalid)\n", block.selector, rip);
    }
    text += fmt::format("  {:04x}:{:x} {}\n", block.selector, rip, disassemble(insn, rip, mode));
    const Category category = operation_info(row(insn.row).operation).category;
    if (category == Category::kBranch || category == Category::kSystem) return text;
    rip += insn.length;
  }
  return text + "  ...\n";
}

}  // namespace dragoman
