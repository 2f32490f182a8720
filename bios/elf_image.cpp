#include "bios/elf_image.h"

#include <algorithm>

#include "base/bits.h"

namespace dragoman {
namespace {

constexpr u64 kIdentSize = 16;
constexpr u32 kLoadSegment = 1;
constexpr u32 kNoteSegment = 4;
constexpr u32 kXenPhys32Entry = 18;
constexpr u64 kMaxSegments = 128;

std::span<const u8> part(std::span<const u8> file, u64 offset, u64 size) {
  if (offset > file.size() || size > file.size() - offset) return {};
  return file.subspan(offset, size);
}

/// Looks for PHYS32_ENTRY in a note segment: name size, descriptor size, type, then both padded
/// to `alignment`.
std::optional<u32> find_pvh_entry(std::span<const u8> notes, u64 alignment) {
  u64 offset = 0;
  while (offset + 12 <= notes.size()) {
    const u64 name_size = peek(notes, offset, 4);
    const u64 descriptor_size = peek(notes, offset + 4, 4);
    const u64 type = peek(notes, offset + 8, 4);
    const u64 name = offset + 12;
    const u64 descriptor = align_up(name + name_size, alignment);
    if (descriptor > notes.size() || descriptor_size > notes.size() - descriptor) break;
    const bool xen = name_size == 4 && peek(notes, name, 4) == 0x006e6558;  // "Xen"
    if (xen && type == kXenPhys32Entry && (descriptor_size == 4 || descriptor_size == 8)) {
      return static_cast<u32>(peek(notes, descriptor, 4));
    }
    offset = align_up(descriptor + descriptor_size, alignment);
  }
  return std::nullopt;
}

}  // namespace

bool is_elf(std::span<const u8> file) {
  return file.size() >= kIdentSize && peek(file, 0, 4) == 0x464c457f;
}

Result<ElfImage> parse_elf(std::span<const u8> file, const std::string& name) {
  if (!is_elf(file)) return error("'{}' is no ELF file", name);
  ElfImage elf;
  elf.is64 = file[4] == 2;
  if ((file[4] != 1 && file[4] != 2) || file[5] != 1) {
    return error("'{}' is an ELF file of an unknown class or byte order; x86 is needed", name);
  }
  const unsigned word = elf.is64 ? 8 : 4;
  const u64 header_size = elf.is64 ? 64 : 52;
  if (file.size() < header_size) return error("the ELF file '{}' is cut inside its header", name);
  const u64 type = peek(file, 16, 2);
  const u64 machine = peek(file, 18, 2);
  if (machine != (elf.is64 ? 62 : 3)) {
    return error("the ELF file '{}' is for machine type {}, not for the i386 or x86-64", name,
                 machine);
  }
  if (type != 2 && type != 3) {
    return error("the ELF file '{}' has type {}; an executable (2) is needed", name, type);
  }
  elf.entry = peek(file, 24, word);
  const u64 segments = peek(file, 24 + word, word);
  const u64 sections = peek(file, 24 + 2 * word, word);
  const u64 rest = 24 + 3 * word + 4;  // behind the flags
  const u64 segment_size = peek(file, rest + 2, 2);
  const u64 segment_count = peek(file, rest + 4, 2);
  elf.section_entry_size = static_cast<u32>(peek(file, rest + 6, 2));
  elf.section_count = static_cast<u32>(peek(file, rest + 8, 2));
  elf.section_names_index = static_cast<u32>(peek(file, rest + 10, 2));
  elf.section_headers = part(file, sections, u64{elf.section_entry_size} * elf.section_count);

  if (segment_count == 0 || segment_count > kMaxSegments || segment_size < (elf.is64 ? 56u : 32u)) {
    return error("the ELF file '{}' has {} program headers of {} bytes; it cannot be loaded", name,
                 segment_count, segment_size);
  }
  const auto table = part(file, segments, segment_count * segment_size);
  if (table.empty()) return error("the ELF file '{}' is cut: no program headers", name);

  for (u64 n = 0; n < segment_count; ++n) {
    const auto entry = table.subspan(n * segment_size, segment_size);
    const u64 kind = peek(entry, 0, 4);
    if (kind != kLoadSegment && kind != kNoteSegment) continue;
    // ELF64 has the flags second, ELF32 near the end.
    const u64 first = elf.is64 ? 8 : 4;
    const u64 offset = peek(entry, first, word);
    ElfSegment segment;
    segment.linear = peek(entry, first + word, word);
    segment.physical = peek(entry, first + 2 * word, word);
    const u64 file_size = peek(entry, first + 3 * word, word);
    segment.memory_size = peek(entry, first + 4 * word, word);
    segment.bytes = part(file, offset, file_size);
    if (segment.bytes.size() != file_size) {
      return error("the ELF file '{}' is cut: segment {} ends at {:#x}, the file at {:#x}", name, n,
                   offset + file_size, file.size());
    }
    if (kind == kNoteSegment) {
      const u64 alignment = peek(entry, elf.is64 ? 48 : 28, word) == 8 ? 8 : 4;
      if (!elf.pvh_entry) elf.pvh_entry = find_pvh_entry(segment.bytes, alignment);
      continue;
    }
    if (segment.memory_size < file_size) {
      return error("the ELF file '{}' is damaged: segment {} is larger in the file than in memory",
                   name, n);
    }
    if (segment.memory_size != 0) elf.segments.push_back(segment);
  }
  if (elf.segments.empty()) return error("the ELF file '{}' has nothing to load", name);
  return elf;
}

Result<void> load_elf_segments(RamLoader& loader, const ElfImage& elf, const std::string& name) {
  for (std::size_t n = 0; n < elf.segments.size(); ++n) {
    const ElfSegment& segment = elf.segments[n];
    const std::string what = fmt::format("segment {} of '{}'", n, name);
    if (auto done = loader.put(what, segment.physical, segment.bytes, segment.memory_size); !done) {
      return done;
    }
  }
  return {};
}

Result<u64> elf_physical_entry(const ElfImage& elf, const std::string& name) {
  for (const ElfSegment& s : elf.segments) {
    if (elf.entry - s.linear < s.memory_size) return elf.entry - s.linear + s.physical;
  }
  for (const ElfSegment& s : elf.segments) {
    if (elf.entry - s.physical < s.memory_size) return elf.entry;
  }
  return error("the entry point {:#x} of the ELF file '{}' is outside everything it loads",
               elf.entry, name);
}

}  // namespace dragoman
