#include "bios/aml.h"

#include <string>

namespace dragoman::aml {
namespace {

constexpr u8 kExtended = 0x5b;

Bytes op(std::initializer_list<u8> opcode, std::initializer_list<Bytes> operands) {
  Bytes out(opcode);
  for (const Bytes& operand : operands) append(out, operand);
  return out;
}

/// An opcode, the package length and what it covers.
Bytes packaged(std::initializer_list<u8> opcode, std::initializer_list<Bytes> parts) {
  const Bytes body = list(parts);
  Bytes out(opcode);
  append(out, package_length(body.size()));
  append(out, body);
  return out;
}

}  // namespace

Bytes list(std::initializer_list<Bytes> terms) {
  Bytes out;
  for (const Bytes& term : terms) append(out, term);
  return out;
}

Bytes package_length(std::size_t content) {
  // One byte holds up to 63; otherwise the low 4 bits go into the lead byte, whose bits 7:6
  // count the bytes that follow.
  if (content + 1 <= 63) return {static_cast<u8>(content + 1)};
  unsigned following = 1;
  while (following < 3 && content + 1 + following >= (u64{1} << (4 + 8 * following))) ++following;
  const u64 total = content + 1 + following;
  Bytes out{static_cast<u8>(following << 6 | (total & 15))};
  append(out, total >> 4, following);
  return out;
}

Bytes name_string(std::string_view path) {
  Bytes out;
  while (!path.empty() && (path.front() == '\\' || path.front() == '^')) {
    out.push_back(static_cast<u8>(path.front()));
    path.remove_prefix(1);
  }
  Bytes segments;
  unsigned count = 0;
  while (!path.empty()) {
    const std::size_t dot = path.find('.');
    append_text(segments, path.substr(0, dot), 4, '_');
    ++count;
    path = dot == std::string_view::npos ? "" : path.substr(dot + 1);
  }
  if (count == 0) out.push_back(0x00);  // NullName
  if (count == 2) out.push_back(0x2e);  // DualNamePrefix
  if (count > 2) {
    out.push_back(0x2f);  // MultiNamePrefix
    append8(out, count);
  }
  append(out, segments);
  return out;
}

Bytes integer(u64 value) {
  Bytes out;
  if (value <= 1) {
    append8(out, value);  // ZeroOp, OneOp
  } else if (value <= 0xff) {
    append8(out, 0x0a);
    append8(out, value);
  } else if (value <= 0xffff) {
    append8(out, 0x0b);
    append16(out, value);
  } else if (value <= 0xffffffff) {
    append8(out, 0x0c);
    append32(out, value);
  } else {
    append8(out, 0x0e);
    append64(out, value);
  }
  return out;
}

Bytes string(std::string_view text) {
  Bytes out{0x0d};
  append_string(out, text);
  return out;
}

Bytes eisa_id(std::string_view id) {
  // Three letters of five bits each, then four hexadecimal digits; stored big endian (6.1.5).
  u32 value = 0;
  for (unsigned i = 0; i < 3; ++i) value = value << 5 | ((static_cast<u32>(id[i]) - 0x40) & 31);
  for (unsigned i = 3; i < 7; ++i) {
    const char c = id[i];
    value = value << 4 | static_cast<u32>(c <= '9' ? c - '0' : c - 'A' + 10);
  }
  return integer(__builtin_bswap32(value));
}

Bytes buffer(std::span<const u8> bytes) {
  return packaged({0x11}, {integer(bytes.size()), Bytes(bytes.begin(), bytes.end())});
}

Bytes package(const std::vector<Bytes>& elements) {
  Bytes body{static_cast<u8>(elements.size())};
  for (const Bytes& element : elements) append(body, element);
  return packaged({0x12}, {body});
}

Bytes name(std::string_view path, const Bytes& value) {
  return op({0x08}, {name_string(path), value});
}
Bytes scope(std::string_view path, const Bytes& body) {
  return packaged({0x10}, {name_string(path), body});
}
Bytes device(std::string_view device_name, const Bytes& body) {
  return packaged({kExtended, 0x82}, {name_string(device_name), body});
}
Bytes method(std::string_view method_name, unsigned argument_count, const Bytes& body) {
  return packaged({0x14},
                  {name_string(method_name), Bytes{static_cast<u8>(argument_count & 7)}, body});
}
Bytes operation_region(std::string_view region_name, Space space, u64 offset, u64 length) {
  return op({kExtended, 0x80}, {name_string(region_name), Bytes{static_cast<u8>(space)},
                                integer(offset), integer(length)});
}
Bytes byte_field(std::string_view region, const std::vector<FieldUnit>& units) {
  Bytes elements{0x01};  // ByteAcc, NoLock, Preserve
  for (const FieldUnit& unit : units) {
    append(elements, name_string(unit.name));
    // A field's bit count uses the package length encoding, but does not count itself.
    if (unit.bits <= 63) {
      append8(elements, unit.bits);
    } else {
      append8(elements, 0x40 | (unit.bits & 15));
      append8(elements, unit.bits >> 4);
    }
  }
  return packaged({kExtended, 0x81}, {name_string(region), elements});
}
Bytes create_dword_field(const Bytes& source, unsigned byte_offset, std::string_view field_name) {
  return op({0x8a}, {source, integer(byte_offset), name_string(field_name)});
}

Bytes arg(unsigned n) { return {static_cast<u8>(0x68 + n)}; }
Bytes store(const Bytes& value, const Bytes& target) { return op({0x70}, {value, target}); }
Bytes and_(const Bytes& a, const Bytes& b) { return op({0x7b}, {a, b, Bytes{0x00}}); }
Bytes or_into(const Bytes& a, const Bytes& b, const Bytes& target) {
  return op({0x7d}, {a, b, target});
}
Bytes if_(const Bytes& condition, const Bytes& body) { return packaged({0xa0}, {condition, body}); }
Bytes return_(const Bytes& value) { return op({0xa4}, {value}); }

namespace {

/// Address space descriptor (6.4.3.5) of `width` bytes per value; `tag` tells the width too.
void address_space(Bytes& out, u8 tag, unsigned width, u8 type, u8 type_flags, u64 first,
                   u64 last) {
  append8(out, tag);
  append16(out, 3 + 5 * width);
  append8(out, type);
  append8(out, 0x0c);  // minimum and maximum fixed, positive decode, resource producer
  append8(out, type_flags);
  append(out, 0, width);  // granularity
  append(out, first, width);
  append(out, last, width);
  append(out, 0, width);  // translation
  append(out, last - first + 1, width);
}

constexpr u8 kMemorySpace = 0;
constexpr u8 kIoSpace = 1;
constexpr u8 kBusSpace = 2;

}  // namespace

ResourceTemplate& ResourceTemplate::io(u16 first, u8 count, u8 alignment) {
  append8(bytes_, 0x47);
  append8(bytes_, 0x01);  // 16-bit decode
  append16(bytes_, first);
  append16(bytes_, first);
  append8(bytes_, alignment);
  append8(bytes_, count);
  return *this;
}

ResourceTemplate& ResourceTemplate::irq(unsigned irq) {
  append8(bytes_, 0x22);
  append16(bytes_, u64{1} << irq);
  return *this;
}

ResourceTemplate& ResourceTemplate::dma(unsigned channel) {
  append8(bytes_, 0x2a);
  append8(bytes_, u64{1} << channel);
  append8(bytes_, channel >= 4 ? 0x02 : 0x00);  // compatibility mode; 16 or 8 bits
  return *this;
}

ResourceTemplate& ResourceTemplate::level_interrupts(const std::vector<u32>& irqs) {
  append8(bytes_, 0x89);
  append16(bytes_, 2 + 4 * irqs.size());
  append8(bytes_, 0x09);  // consumer, level, active high, shared
  append8(bytes_, irqs.size());
  for (u32 irq : irqs) append32(bytes_, irq);
  return *this;
}

ResourceTemplate& ResourceTemplate::fixed_memory32(u32 first, u32 bytes, bool writable) {
  append8(bytes_, 0x86);
  append16(bytes_, 9);
  append8(bytes_, writable ? 1 : 0);
  append32(bytes_, first);
  append32(bytes_, bytes);
  return *this;
}

ResourceTemplate& ResourceTemplate::bus_numbers(u16 first, u16 last) {
  address_space(bytes_, 0x88, 2, kBusSpace, 0, first, last);
  return *this;
}

ResourceTemplate& ResourceTemplate::io_window(u16 first, u16 last) {
  address_space(bytes_, 0x88, 2, kIoSpace, 0x03, first, last);  // entire range
  return *this;
}

ResourceTemplate& ResourceTemplate::memory_window32(u32 first, u32 last, bool cacheable) {
  address_space(bytes_, 0x87, 4, kMemorySpace, cacheable ? 0x03 : 0x01, first, last);
  return *this;
}

ResourceTemplate& ResourceTemplate::memory_window64(u64 first, u64 last) {
  address_space(bytes_, 0x8a, 8, kMemorySpace, 0x03, first, last);
  return *this;
}

Bytes ResourceTemplate::buffer() const {
  Bytes all = bytes_;
  append8(all, 0x79);  // end tag; checksum 0 means "not checked"
  append8(all, 0x00);
  return aml::buffer(all);
}

}  // namespace dragoman::aml
