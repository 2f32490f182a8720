// A small assembler for ACPI Machine Language (ACPI 6.5, chapter 20): every function gives the
// encoding of one term; terms are combined by passing them to other terms.
#pragma once

#include <initializer_list>
#include <string_view>
#include <vector>

#include "base/types.h"
#include "bios/bytes.h"

namespace dragoman::aml {

/// Terms one after the other (a TermList).
Bytes list(std::initializer_list<Bytes> terms);

/// PkgLength (20.2.4) for a package whose contents after the length field have `content` bytes;
/// the encoded value includes the length field itself.
Bytes package_length(std::size_t content);
/// NameString (20.2.2): segments of up to four characters joined by dots, with leading '\\' or '^'.
Bytes name_string(std::string_view path);

// Data objects (20.2.3).
Bytes integer(u64 value);
Bytes string(std::string_view text);
/// EISAID("PNP0A03"): the compressed form as an integer.
Bytes eisa_id(std::string_view id);
Bytes buffer(std::span<const u8> bytes);
Bytes package(const std::vector<Bytes>& elements);

// Named objects and modifiers (20.2.5).
Bytes name(std::string_view path, const Bytes& value);
Bytes scope(std::string_view path, const Bytes& body);
Bytes device(std::string_view name, const Bytes& body);
Bytes method(std::string_view name, unsigned argument_count, const Bytes& body);
enum class Space : u8 { kMemory = 0, kIo = 1, kPciConfig = 2 };
Bytes operation_region(std::string_view name, Space space, u64 offset, u64 length);
struct FieldUnit {
  std::string_view name;
  unsigned bits;
};
/// Field(region, ByteAcc, NoLock, Preserve).
Bytes byte_field(std::string_view region, const std::vector<FieldUnit>& units);
Bytes create_dword_field(const Bytes& source, unsigned byte_offset, std::string_view name);

// Statements and expressions.
Bytes arg(unsigned n);
Bytes store(const Bytes& value, const Bytes& target);
Bytes and_(const Bytes& a, const Bytes& b);
/// Or(a, b, target).
Bytes or_into(const Bytes& a, const Bytes& b, const Bytes& target);
Bytes if_(const Bytes& condition, const Bytes& body);
Bytes return_(const Bytes& value);

/// Resource descriptors (ACPI 6.5, section 6.4). buffer() gives the term, end tag included.
class ResourceTemplate {
 public:
  ResourceTemplate& io(u16 first, u8 count, u8 alignment = 1);
  ResourceTemplate& irq(unsigned irq);  ///< edge, active high, exclusive
  ResourceTemplate& dma(unsigned channel);
  /// Extended interrupts: level, active high, shared.
  ResourceTemplate& level_interrupts(const std::vector<u32>& irqs);
  ResourceTemplate& fixed_memory32(u32 first, u32 bytes, bool writable);
  ResourceTemplate& bus_numbers(u16 first, u16 last);
  ResourceTemplate& io_window(u16 first, u16 last);
  ResourceTemplate& memory_window32(u32 first, u32 last, bool cacheable);
  ResourceTemplate& memory_window64(u64 first, u64 last);
  Bytes buffer() const;

 private:
  Bytes bytes_;
};

}  // namespace dragoman::aml
