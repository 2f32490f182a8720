// Split virtqueue, device side. Virtual I/O Device (VIRTIO) 1.1, 2.6.
#pragma once

#include <span>
#include <tuple>
#include <vector>

#include "base/fields.h"
#include "memory/memory_map.h"

namespace dragoman {

/// Guest-visible state of one queue.
struct VirtqueueState {
  u64 descriptors = 0;     ///< guest-physical addresses of the three areas
  u64 driver_area = 0;     ///< available ring
  u64 device_area = 0;     ///< used ring
  u16 size = 0;            ///< entries, a power of two
  u16 next_available = 0;  ///< free-running index of the next chain to take
  u16 next_used = 0;       ///< free-running index of the next used entry
  u16 signalled_used = 0;  ///< next_used at the last look at the driver's event index
  u16 vector = 0xffff;     ///< MSI-X vector, ffffh none
  bool enabled = false;
  bool signalled_valid = false;
  u32 reserved = 0;

  static constexpr auto fields() {
    using S = VirtqueueState;
    return std::tuple{Field{"descriptors", &S::descriptors},
                      Field{"driver_area", &S::driver_area},
                      Field{"device_area", &S::device_area},
                      Field{"size", &S::size},
                      Field{"next_available", &S::next_available},
                      Field{"next_used", &S::next_used},
                      Field{"signalled_used", &S::signalled_used},
                      Field{"vector", &S::vector},
                      Field{"enabled", &S::enabled},
                      Field{"signalled_valid", &S::signalled_valid},
                      Field{"reserved", &S::reserved}};
  }
};

/// One descriptor chain: first what the device reads, then what it writes.
class VirtioChain {
 public:
  struct Segment {
    u64 address;
    u32 length;
  };
  u16 head = 0;
  std::vector<Segment> readable;
  std::vector<Segment> writable;
  u64 readable_bytes = 0;
  u64 writable_bytes = 0;

  /// Copies from the readable part starting at `offset`; the bytes copied.
  u64 read(MemoryMap& memory, u64 offset, std::span<u8> out) const;
  /// Copies to the writable part starting at `offset`; the bytes copied.
  u64 write(MemoryMap& memory, u64 offset, std::span<const u8> in) const;
};

/// Takes chains and returns them. Everything read from the guest is checked; a chain is bounded
/// in descriptors and bytes.
class Virtqueue {
 public:
  static constexpr unsigned kMaxSize = 256;
  static constexpr unsigned kMaxChainDescriptors = 1024;
  static constexpr u64 kMaxChainBytes = 64 * kMiB;

  Virtqueue(MemoryMap& memory, VirtqueueState& state) : memory_(memory), state_(state) {}

  enum class Take { kChain, kEmpty, kMalformed };
  /// The next chain. `indirect` and `event_index` say what was negotiated. After kMalformed,
  /// problem() tells why and the queue must not be used until it is reset.
  Take take(VirtioChain& chain, bool indirect, bool event_index);
  /// Chains the driver has made available and the device has not taken.
  unsigned available();
  /// Returns a chain of which `written` bytes were written.
  void give_back(const VirtioChain& chain, u32 written);
  /// Whether the driver wants an interrupt for what was given back since the last call.
  bool wants_interrupt(bool event_index);
  const char* problem() const { return problem_; }
  VirtqueueState& state() { return state_; }

 private:
  struct Descriptor {
    u64 address;
    u32 length;
    u16 flags;
    u16 next;
  };
  Take malformed(const char* problem) {
    problem_ = problem;
    return Take::kMalformed;
  }
  Descriptor load(u64 table, u32 index);
  bool append(VirtioChain& chain, const Descriptor& descriptor);
  bool walk(VirtioChain& chain, u64 table, u32 entries, u32 index, bool indirect);

  MemoryMap& memory_;
  VirtqueueState& state_;
  const char* problem_ = "";
};

}  // namespace dragoman
