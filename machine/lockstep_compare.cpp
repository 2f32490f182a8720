#include "machine/lockstep_compare.h"

#include <cstddef>
#include <cstring>

namespace dragoman {
namespace {

constexpr std::array<const char*, 18> kRegisterNames = {"rax", "rcx", "rdx", "rbx", "rsp",  "rbp",
                                                        "rsi", "rdi", "r8",  "r9",  "r10",  "r11",
                                                        "r12", "r13", "r14", "r15", "zero", "rip"};
constexpr std::array<const char*, kSegmentCount> kSegmentNames = {"es", "cs", "ss",   "ds",
                                                                  "fs", "gs", "ldtr", "tr"};
static_assert(kZeroRegister == 16 && kRip == 17);

/// Both could be RFLAGS as PUSHF or an exception saves it, equal but for arithmetic flags: bit 1 is
/// set, bits 3, 5 and 15 and those above 21 are clear (SDM vol. 1, 3.4.3).
bool same_saved_flags(u64 left, u64 right) {
  constexpr u64 kNeverSet = ~u64{0x3fffff} | 1u << 15 | 1u << 5 | 1u << 3;
  const auto looks = [](u64 v) { return (v & kNeverSet) == 0 && (v & kFlagFixed) != 0; };
  return looks(left) && looks(right) && ((left ^ right) & ~u64{kArithmeticFlags}) == 0;
}

/// The same for a word of memory, whose halves and quarters may be pushed flags of other sizes.
bool same_saved_flags_in_word(u64 left, u64 right) {
  if (same_saved_flags(left, right)) return true;
  for (unsigned bits : {32u, 16u}) {
    bool same = true;
    for (unsigned shift = 0; shift < 64; shift += bits) {
      const u64 mask = (u64{1} << bits) - 1;
      const u64 l = left >> shift & mask;
      const u64 r = right >> shift & mask;
      same = same && (l == r || same_saved_flags(l, r));
    }
    if (same) return true;
  }
  return false;
}

/// RFLAGS as far as they are compared.
u32 flags_of(const Cpu& cpu, Exactness exactness) {
  return exactness.all_flags ? cpu.rflags() : cpu.state.flags;
}

std::string friendly(const std::string& path) {
  const auto indexed = [&](std::string_view list) -> std::optional<std::size_t> {
    if (!path.starts_with(list) || path.size() <= list.size() || path[list.size()] != '[') {
      return std::nullopt;
    }
    return std::stoul(path.substr(list.size() + 1));
  };
  const auto rest = [&] { return path.substr(path.find(']') + 1); };
  if (const auto i = indexed("regs")) return kRegisterNames[*i];
  if (const auto i = indexed("segments")) return kSegmentNames[*i] + rest();
  if (const auto i = indexed("fpu.ymm")) return "ymm" + std::to_string(*i);
  if (const auto i = indexed("fpu.st")) return "x87 register " + std::to_string(*i);
  if (path.starts_with("fpu.")) return path.substr(4);
  if (path == "flags") return "rflags";
  if (path == "instructions") return "instructions executed";
  return path;
}

template <class Leaf>
std::string value_text(const Leaf& leaf) {
  if constexpr (IsStdArray<Leaf>::value) {
    std::string text;
    for (std::size_t i = leaf.size(); i-- > 0;) text += fmt::format("{:02x}", leaf[i]);
    return text;
  } else {
    return fmt::format("{:0{}x}", static_cast<u64>(leaf), 2 * sizeof(leaf));
  }
}

/// Name and value of everything that is compared. `lazy` is a form, not a state: RFLAGS has it.
std::vector<std::pair<std::string, std::string>> processor_values(const Cpu& cpu,
                                                                  Exactness exactness) {
  std::vector<std::pair<std::string, std::string>> values;
  visit_fields(cpu.state, "", [&](const std::string& path, const auto& leaf) {
    if (path.starts_with("lazy.")) return;
    if (path == "flags") {
      values.emplace_back("rflags", fmt::format("{:08x}", flags_of(cpu, exactness)));
    } else {
      values.emplace_back(friendly(path), value_text(leaf));
    }
  });
  return values;
}

}  // namespace

bool processors_equal(const Cpu& left, const Cpu& right, Exactness exactness) {
  const CpuState& l = left.state;
  const CpuState& r = right.state;
  if (flags_of(left, exactness) != flags_of(right, exactness)) return false;
  for (std::size_t i = 0; i < l.regs.size(); ++i) {
    if (l.regs[i] == r.regs[i]) continue;
    if (exactness.all_flags || i == kRip || !same_saved_flags(l.regs[i], r.regs[i])) return false;
  }
  // The struct has no padding (a test holds that), so everything behind `lazy` is compared at once.
  constexpr std::size_t kRest = offsetof(CpuState, instructions);
  static_assert(offsetof(CpuState, lazy) + sizeof(LazyFlags) == kRest);
  const auto bytes = [](const CpuState& s) { return reinterpret_cast<const u8*>(&s) + kRest; };
  return std::memcmp(bytes(l), bytes(r), sizeof(CpuState) - kRest) == 0;
}

std::vector<Difference> processor_differences(const Cpu& left, const Cpu& right,
                                              Exactness exactness) {
  const auto l = processor_values(left, exactness);
  const auto r = processor_values(right, exactness);
  std::vector<Difference> found;
  for (std::size_t i = 0; i < l.size(); ++i) {
    if (l[i].second != r[i].second) found.push_back({l[i].first, l[i].second, r[i].second});
  }
  return found;
}

bool memories_equal(const GuestMemory& left, const GuestMemory& right, Exactness exactness) {
  if (std::memcmp(left.ram(), right.ram(), left.ram_size()) == 0) return true;
  return memory_differences(left, right, exactness, 1).empty();
}

std::vector<Difference> memory_differences(const GuestMemory& left, const GuestMemory& right,
                                           Exactness exactness, std::size_t limit) {
  std::vector<Difference> found;
  for (u64 page = 0; page < left.ram_size() && found.size() < limit; page += kPageSize) {
    if (std::memcmp(left.ram() + page, right.ram() + page, kPageSize) == 0) continue;
    for (u64 at = page; at < page + kPageSize && found.size() < limit; at += sizeof(u64)) {
      u64 l, r;
      std::memcpy(&l, left.ram() + at, sizeof(l));
      std::memcpy(&r, right.ram() + at, sizeof(r));
      if (l == r || (!exactness.all_flags && same_saved_flags_in_word(l, r))) continue;
      found.push_back({fmt::format("memory at {:#x}", at), fmt::format("{:016x}", l),
                       fmt::format("{:016x}", r)});
    }
  }
  return found;
}

std::string different_device(PcBoard& left, PcBoard& right) {
  std::vector<u8> l, r;
  for (std::size_t i = 0; i < left.devices().size(); ++i) {
    l.clear();
    r.clear();
    left.devices()[i]->save(l);
    right.devices()[i]->save(r);
    if (l != r) return std::string(left.devices()[i]->name());
  }
  return {};
}

}  // namespace dragoman
