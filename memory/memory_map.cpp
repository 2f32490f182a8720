#include "memory/memory_map.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "base/bits.h"

namespace dragoman {

MemoryMap::MemoryMap(GuestMemory& memory, Log& log) : memory_(memory), log_(log) {}

RangeId MemoryMap::add_memory(std::string name, PhysicalAddress first, u64 bytes, u8* host,
                              bool readable, bool writable, int priority) {
  ranges_.push_back(
      {std::move(name), first.value, bytes, host, nullptr, 0, priority, true, readable, writable});
  rebuild();
  return static_cast<RangeId>(ranges_.size() - 1);
}

RangeId MemoryMap::add_mmio(std::string name, PhysicalAddress first, u64 bytes,
                            MmioHandler& handler, unsigned bank, int priority, bool enabled) {
  ranges_.push_back({std::move(name), first.value, bytes, nullptr, &handler, bank, priority,
                     enabled, true, true});
  rebuild();
  return static_cast<RangeId>(ranges_.size() - 1);
}

void MemoryMap::set_enabled(RangeId range, bool enabled) {
  if (ranges_[range].enabled == enabled) return;
  ranges_[range].enabled = enabled;
  rebuild();
}

void MemoryMap::move(RangeId range, PhysicalAddress first) {
  if (ranges_[range].first == first.value) return;
  ranges_[range].first = first.value;
  if (ranges_[range].enabled) rebuild();
}

void MemoryMap::set_access(RangeId range, bool readable, bool writable) {
  Range& r = ranges_[range];
  if (r.readable == readable && r.writable == writable) return;
  r.readable = readable;
  r.writable = writable;
  if (r.enabled) rebuild();
}

void MemoryMap::rebuild() {
  ++generation_;
  std::vector<u64> edges;
  for (const Range& r : ranges_) {
    if (!r.enabled || r.bytes == 0) continue;
    edges.push_back(r.first);
    edges.push_back(r.first + r.bytes);  // one past the end; 2^64 wraps to 0 and is dropped below
  }
  std::sort(edges.begin(), edges.end());
  edges.erase(std::unique(edges.begin(), edges.end()), edges.end());

  std::vector<const Range*> layers;
  for (const Range& r : ranges_) {
    if (r.enabled && r.bytes != 0) layers.push_back(&r);
  }
  std::stable_sort(layers.begin(), layers.end(),
                   [](const Range* a, const Range* b) { return a->priority < b->priority; });

  sections_.clear();
  for (std::size_t i = 0; i + 1 < edges.size(); ++i) {
    Section section;
    section.first = edges[i];
    section.last = edges[i + 1] - 1;
    const Range* reader = nullptr;
    const Range* writer = nullptr;
    for (const Range* r : layers) {
      if (section.first < r->first || section.first - r->first >= r->bytes) continue;
      if (r->readable) reader = r;
      if (r->writable || (r->readable && r->host != nullptr && r->priority == kPriorityRom)) {
        writer = r;  // a ROM swallows writes instead of passing them to what it hides
      }
    }
    if (reader == nullptr && writer == nullptr) continue;
    if (reader != nullptr) {
      section.name = reader->name;
      section.read_offset = section.first - reader->first;
      section.read_bank = reader->bank;
      section.read_handler = reader->handler;
      if (reader->host != nullptr) section.read = reader->host + section.read_offset;
    }
    if (writer != nullptr) {
      section.write_offset = section.first - writer->first;
      section.write_bank = writer->bank;
      section.write_handler = writer->handler;
      if (writer->host != nullptr && writer->writable) {
        section.write = writer->host + section.write_offset;
      }
    }
    sections_.push_back(std::move(section));
  }
}

const MemoryMap::Section* MemoryMap::find(u64 address) const {
  if (last_found_ < sections_.size()) {
    const Section& s = sections_[last_found_];
    if (address - s.first <= s.last - s.first) return &s;
  }
  auto it = std::upper_bound(sections_.begin(), sections_.end(), address,
                             [](u64 a, const Section& s) { return a < s.first; });
  if (it == sections_.begin()) return nullptr;
  --it;
  if (address > it->last) return nullptr;
  last_found_ = static_cast<std::size_t>(it - sections_.begin());
  return &*it;
}

MemoryMap::PageView MemoryMap::page(PhysicalAddress address) const {
  const u64 first = address.value & ~kPageMask;
  const Section* section = find(first);
  if (section == nullptr || section->last - first < kPageMask) return {};
  const u64 offset = first - section->first;
  PageView view;
  if (section->read != nullptr) view.read = section->read + offset;
  if (section->write != nullptr) view.write = section->write + offset;
  return view;
}

u64 MemoryMap::read(PhysicalAddress address, unsigned size) {
  const Section* s = find(address.value);
  if (s != nullptr && s->last - address.value >= size - 1) {
    const u64 offset = address.value - s->first;
    if (s->read != nullptr) {
      u64 value = 0;
      std::memcpy(&value, s->read + offset, size);
      return value;
    }
    if (s->read_handler != nullptr) {
      return s->read_handler->mmio_read(s->read_bank, s->read_offset + offset, size) &
             size_mask(size);
    }
  } else if (size > 1) {  // crosses sections: byte by byte
    u64 value = 0;
    for (unsigned i = 0; i < size; ++i) value |= read(address + i, 1) << (8 * i);
    return value;
  }
  log_.write(LogCategory::kGuestErrors, "read of {} bytes from unmapped physical address {:#x}",
             size, address.value);
  return size_mask(size);
}

void MemoryMap::write(PhysicalAddress address, unsigned size, u64 value) {
  const Section* s = find(address.value);
  if (s != nullptr && s->last - address.value >= size - 1) {
    const u64 offset = address.value - s->first;
    if (s->write != nullptr) {
      u8* target = s->write + offset;
      std::memcpy(target, &value, size);
      memory_.note_write(memory_.offset_of(target), size);
      return;
    }
    if (s->write_handler != nullptr) {
      s->write_handler->mmio_write(s->write_bank, s->write_offset + offset, size,
                                   value & size_mask(size));
      return;
    }
  } else if (size > 1) {
    for (unsigned i = 0; i < size; ++i) write(address + i, 1, (value >> (8 * i)) & 0xff);
    return;
  }
  log_.write(LogCategory::kGuestErrors,
             "write of {:#x} ({} bytes) to read-only or unmapped physical address {:#x}", value,
             size, address.value);
}

void MemoryMap::read_bytes(PhysicalAddress address, std::span<u8> out) {
  while (!out.empty()) {
    const Section* s = find(address.value);
    u64 chunk = 1;
    if (s != nullptr && s->read != nullptr) {
      chunk = std::min<u64>(out.size(), s->last - address.value + 1);
      std::memcpy(out.data(), s->read + (address.value - s->first), chunk);
    } else {
      chunk = 8;
      while (chunk > out.size() || address.value % chunk != 0) chunk /= 2;
      const u64 value = read(address, static_cast<unsigned>(chunk));
      std::memcpy(out.data(), &value, chunk);
    }
    out = out.subspan(chunk);
    address = address + chunk;
  }
}

void MemoryMap::write_bytes(PhysicalAddress address, std::span<const u8> in) {
  while (!in.empty()) {
    const Section* s = find(address.value);
    u64 chunk = 1;
    if (s != nullptr && s->write != nullptr) {
      chunk = std::min<u64>(in.size(), s->last - address.value + 1);
      u8* target = s->write + (address.value - s->first);
      memory_.note_use_of(memory_.offset_of(target), chunk);
      std::memcpy(target, in.data(), chunk);
      memory_.note_write(memory_.offset_of(target), chunk);
    } else {
      chunk = 8;
      while (chunk > in.size() || address.value % chunk != 0) chunk /= 2;
      u64 value = 0;
      std::memcpy(&value, in.data(), chunk);
      write(address, static_cast<unsigned>(chunk), value);
    }
    in = in.subspan(chunk);
    address = address + chunk;
  }
}

}  // namespace dragoman
