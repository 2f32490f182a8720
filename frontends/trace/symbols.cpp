#include "frontends/trace/symbols.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "bios/file.h"

namespace dragoman {
namespace {

constexpr u64 kMaxSymbolFile = 2 * kGiB;
constexpr u64 kFarthest = kMiB;  // a name says nothing about code that far behind it

/// A structure at an offset of the file, if it lies inside.
template <class T>
bool load(std::span<const u8> bytes, u64 at, T& out) {
  if (at > bytes.size() || bytes.size() - at < sizeof(T)) return false;
  std::memcpy(&out, bytes.data() + at, sizeof(T));
  return true;
}

std::string_view string_at(std::span<const u8> table, u64 at) {
  if (at >= table.size()) return {};
  const auto* first = reinterpret_cast<const char*>(table.data()) + at;
  return {first, strnlen(first, table.size() - at)};
}

std::span<const u8> part(std::span<const u8> bytes, u64 at, u64 size) {
  if (at > bytes.size() || size > bytes.size() - at) return {};
  return bytes.subspan(at, size);
}

/// Calls `found` for every named symbol of code or data in the tables of an ELF file of one class.
template <class Header, class Section, class Entry, class Found>
bool read_tables(std::span<const u8> bytes, Found&& found) {
  Header header;
  if (!load(bytes, 0, header) || header.e_shentsize != sizeof(Section)) return false;
  for (unsigned i = 0; i < header.e_shnum; ++i) {
    Section section, strings;
    if (!load(bytes, header.e_shoff + u64{i} * sizeof(Section), section)) return false;
    if (section.sh_type != SHT_SYMTAB && section.sh_type != SHT_DYNSYM) continue;
    if (!load(bytes, header.e_shoff + u64{section.sh_link} * sizeof(Section), strings))
      return false;
    const auto names = part(bytes, strings.sh_offset, strings.sh_size);
    const auto table = part(bytes, section.sh_offset, section.sh_size);
    for (u64 at = 0; at + sizeof(Entry) <= table.size(); at += sizeof(Entry)) {
      Entry entry;
      std::memcpy(&entry, table.data() + at, sizeof(Entry));
      const unsigned type = entry.st_info & 15;
      if (entry.st_shndx == SHN_UNDEF || entry.st_value == 0) continue;
      if (type != STT_FUNC && type != STT_OBJECT && type != STT_NOTYPE) continue;
      found(u64{entry.st_value}, type == STT_OBJECT, string_at(names, entry.st_name));
    }
  }
  return true;
}

}  // namespace

Result<void> Symbols::add(const SymbolFile& file) {
  auto bytes = read_whole_file(file.path, "symbol file", kMaxSymbolFile);
  if (!bytes) return bytes.error();
  return add(*bytes, file.path, file.slide, file.find);
}

Result<void> Symbols::add(std::span<const u8> bytes, const std::string& name, i64 slide,
                          bool find_slide) {
  const std::size_t before = symbols_.size();
  movable_.push_back(find_slide);
  if (bytes.size() >= SELFMAG && std::memcmp(bytes.data(), ELFMAG, SELFMAG) == 0) {
    if (auto ok = add_elf(bytes, name, slide); !ok) return ok;
  } else {
    add_list({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, slide);
  }
  if (symbols_.size() == before) {
    return error(
        "no symbols in '{}': give a System.map (lines of address, type, name) or an ELF file that "
        "is not stripped",
        name);
  }
  sort();
  return {};
}

void Symbols::add_symbol(u64 address, bool thing, std::string_view name, i64 slide) {
  if (name.empty() || name[0] == '$' || name.starts_with(".L")) return;
  symbols_.push_back({address + static_cast<u64>(slide), static_cast<u32>(movable_.size() - 1),
                      thing, std::string(name)});
}

Result<void> Symbols::add_elf(std::span<const u8> bytes, const std::string& name, i64 slide) {
  const auto found = [&](u64 address, bool thing, std::string_view text) {
    add_symbol(address, thing, text, slide);
  };
  const bool wide = bytes.size() > EI_CLASS && bytes[EI_CLASS] == ELFCLASS64;
  const bool good = wide ? read_tables<Elf64_Ehdr, Elf64_Shdr, Elf64_Sym>(bytes, found)
                         : read_tables<Elf32_Ehdr, Elf32_Shdr, Elf32_Sym>(bytes, found);
  if (!good) return error("the ELF file '{}' is cut off or damaged; use an intact one", name);
  return {};
}

void Symbols::add_list(std::string_view text, i64 slide) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    u64 address = 0;
    const auto [stop, problem] =
        std::from_chars(line.data(), line.data() + line.size(), address, 16);
    if (problem != std::errc{} || address == 0) continue;
    line.remove_prefix(static_cast<std::size_t>(stop - line.data()));
    if (line.size() < 4 || line[0] != ' ' || line[2] != ' ') continue;
    const char type = line[1];
    line.remove_prefix(3);
    line = line.substr(0, line.find_first_of(" \t"));  // a module's name may follow
    if (type == 'U' || type == 'a' || type == 'A') continue;
    add_symbol(address, std::string_view("dDbBrR").find(type) != std::string_view::npos, line,
               slide);
  }
}

void Symbols::sort() {
  // Of several names at an address the last one is found: functions before data.
  std::stable_sort(symbols_.begin(), symbols_.end(), [](const Symbol& a, const Symbol& b) {
    return a.address != b.address ? a.address < b.address : a.thing && !b.thing;
  });
}

void Symbols::set_system_call_entry(u64 entry) {
  const auto known = std::find_if(symbols_.begin(), symbols_.end(), [&](const Symbol& s) {
    return s.name == "entry_SYSCALL_64" && movable_[s.group];
  });
  if (known == symbols_.end() || entry == 0) return;
  const u64 slide = entry - known->address;
  if (slide == 0 || (slide & kPageMask) != 0) return;  // another kernel's, or none
  const u32 group = known->group;
  for (Symbol& s : symbols_) {
    // Addresses below are offsets of per-processor data.
    if (s.group == group && s.address >= u64{1} << 63) s.address += slide;
  }
  sort();
}

std::string Symbols::name_of(u64 address) const {
  auto at = std::upper_bound(symbols_.begin(), symbols_.end(), address,
                             [](u64 value, const Symbol& s) { return value < s.address; });
  if (at == symbols_.begin()) return "";
  --at;
  const u64 offset = address - at->address;
  if (offset == 0) return at->name;
  if (offset > kFarthest) return "";
  return fmt::format("{}+{:#x}", at->name, offset);
}

std::optional<u64> Symbols::address_of(std::string_view name) const {
  for (const Symbol& s : symbols_) {
    if (s.name == name) return s.address;
  }
  return std::nullopt;
}

}  // namespace dragoman
