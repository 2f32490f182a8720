#include "memory/port_map.h"

#include <algorithm>

#include "base/bits.h"

namespace dragoman {

PortRangeId PortMap::add(std::string name, Port first, u16 count, PortHandler& handler,
                         unsigned bank, unsigned widest, bool enabled) {
  ranges_.push_back({std::move(name), first.value, count, &handler, bank, widest, enabled});
  rebuild();
  return static_cast<PortRangeId>(ranges_.size() - 1);
}

void PortMap::set_enabled(PortRangeId range, bool enabled) {
  if (ranges_[range].enabled == enabled) return;
  ranges_[range].enabled = enabled;
  rebuild();
}

void PortMap::move(PortRangeId range, Port first) {
  if (ranges_[range].first == first.value) return;
  ranges_[range].first = first.value;
  if (ranges_[range].enabled) rebuild();
}

void PortMap::rebuild() {
  std::fill(owner_.begin(), owner_.end(), kNobody);
  for (std::size_t i = 0; i < ranges_.size(); ++i) {
    const Range& r = ranges_[i];
    if (!r.enabled) continue;
    for (u32 port = r.first; port < u32{r.first} + r.count && port < 65536; ++port) {
      owner_[port] = static_cast<u16>(i);
    }
  }
}

u32 PortMap::read(Port port, unsigned size) {
  const u16 owner = owner_[port.value];
  const bool whole = u32{port.value} + size <= 65536 && owner_[port.value + size - 1] == owner;
  if (owner != kNobody && whole && size <= ranges_[owner].widest) {
    const Range& r = ranges_[owner];
    return r.handler->port_read(r.bank, static_cast<u16>(port.value - r.first), size) &
           static_cast<u32>(size_mask(size));
  }
  if (size == 1) {
    log_.write(LogCategory::kGuestErrors, "read from unclaimed port {:#x}", port.value);
    return 0xff;
  }
  const unsigned piece = whole && owner != kNobody ? std::min(size / 2, ranges_[owner].widest) : 1;
  u32 value = 0;
  for (unsigned i = 0; i < size; i += piece) {
    value |= read(port + static_cast<u16>(i), piece) << (8 * i);
  }
  return value;
}

void PortMap::write(Port port, unsigned size, u32 value) {
  const u16 owner = owner_[port.value];
  const bool whole = u32{port.value} + size <= 65536 && owner_[port.value + size - 1] == owner;
  if (owner != kNobody && whole && size <= ranges_[owner].widest) {
    const Range& r = ranges_[owner];
    r.handler->port_write(r.bank, static_cast<u16>(port.value - r.first), size,
                          value & static_cast<u32>(size_mask(size)));
    return;
  }
  if (size == 1) {
    log_.write(LogCategory::kGuestErrors, "write of {:#x} to unclaimed port {:#x}", value & 0xff,
               port.value);
    return;
  }
  const unsigned piece = whole && owner != kNobody ? std::min(size / 2, ranges_[owner].widest) : 1;
  for (unsigned i = 0; i < size; i += piece) {
    write(port + static_cast<u16>(i), piece,
          (value >> (8 * i)) & static_cast<u32>(size_mask(piece)));
  }
}

}  // namespace dragoman
