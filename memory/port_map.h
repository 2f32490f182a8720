// The 64 KiB I/O port space.
#pragma once

#include <string>
#include <vector>

#include "base/address.h"
#include "base/log.h"
#include "base/types.h"

namespace dragoman {

/// Registers in port space. A device sees offsets and its bank number, never port numbers.
class PortHandler {
 public:
  virtual ~PortHandler() = default;
  /// `size` is 1, 2 or 4 bytes, at most what the range was mapped with.
  virtual u32 port_read(unsigned bank, u16 offset, unsigned size) = 0;
  virtual void port_write(unsigned bank, u16 offset, unsigned size, u32 value) = 0;
};

using PortRangeId = u32;

class PortMap {
 public:
  explicit PortMap(Log& log) : log_(log), owner_(65536, kNobody) {}

  /// Claims `count` ports from `first`. Wider guest accesses than `widest` bytes (1, 2 or 4) are
  /// split into `widest`-byte pieces, lowest port first. A later claim hides an earlier one.
  PortRangeId add(std::string name, Port first, u16 count, PortHandler& handler, unsigned bank = 0,
                  unsigned widest = 1, bool enabled = true);
  void set_enabled(PortRangeId range, bool enabled);
  void move(PortRangeId range, Port first);

  /// CPU accesses of 1, 2 or 4 bytes. Unclaimed ports read as all ones.
  u32 read(Port port, unsigned size);
  void write(Port port, unsigned size, u32 value);

  struct Range {
    std::string name;
    u16 first;
    u16 count;
    PortHandler* handler;
    unsigned bank;
    unsigned widest;
    bool enabled;
  };
  const std::vector<Range>& ranges() const { return ranges_; }

 private:
  static constexpr u16 kNobody = 0xffff;
  void rebuild();

  Log& log_;
  std::vector<Range> ranges_;
  std::vector<u16> owner_;
};

}  // namespace dragoman
