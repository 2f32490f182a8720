#include "devices/virtio/virtqueue.h"

#include <algorithm>

namespace dragoman {
namespace {

constexpr u16 kNext = 1;
constexpr u16 kWrite = 2;
constexpr u16 kIndirect = 4;
constexpr u16 kNoInterrupt = 1;  // available ring flags
constexpr u32 kDescriptorBytes = 16;
// Offsets in both rings: flags, index, entries.
constexpr u64 kRingIndex = 2;
constexpr u64 kRingEntries = 4;
constexpr u64 kUsedEntryBytes = 8;

/// Walks the segments from `offset` on; `copy` gets (address, bytes done, length of the piece).
template <class Copy>
u64 transfer(const std::vector<VirtioChain::Segment>& segments, u64 offset, u64 count, Copy copy) {
  u64 done = 0;
  for (const VirtioChain::Segment& segment : segments) {
    if (done == count) break;
    if (offset >= segment.length) {
      offset -= segment.length;
      continue;
    }
    const u64 n = std::min<u64>(segment.length - offset, count - done);
    copy(PhysicalAddress(segment.address + offset), done, n);
    done += n;
    offset = 0;
  }
  return done;
}

}  // namespace

u64 VirtioChain::read(MemoryMap& memory, u64 offset, std::span<u8> out) const {
  return transfer(readable, offset, out.size(), [&](PhysicalAddress address, u64 done, u64 n) {
    memory.read_bytes(address, out.subspan(done, n));
  });
}

u64 VirtioChain::write(MemoryMap& memory, u64 offset, std::span<const u8> in) const {
  return transfer(writable, offset, in.size(), [&](PhysicalAddress address, u64 done, u64 n) {
    memory.write_bytes(address, in.subspan(done, n));
  });
}

Virtqueue::Descriptor Virtqueue::load(u64 table, u32 index) {
  const PhysicalAddress at(table + u64{index} * kDescriptorBytes);
  return {memory_.load<u64>(at), memory_.load<u32>(at + 8), memory_.load<u16>(at + 12),
          memory_.load<u16>(at + 14)};
}

bool Virtqueue::append(VirtioChain& chain, const Descriptor& descriptor) {
  if (chain.readable.size() + chain.writable.size() >= kMaxChainDescriptors) {
    problem_ = "a descriptor chain is too long or loops";
    return false;
  }
  if (descriptor.length == 0) {
    problem_ = "a descriptor has length zero";
    return false;
  }
  if (descriptor.address + descriptor.length < descriptor.address) {
    problem_ = "a descriptor reaches past the end of the address space";
    return false;
  }
  if (descriptor.flags & kWrite) {
    chain.writable.push_back({descriptor.address, descriptor.length});
    chain.writable_bytes += descriptor.length;
  } else {
    if (!chain.writable.empty()) {
      problem_ = "a readable descriptor follows a writable one";
      return false;
    }
    chain.readable.push_back({descriptor.address, descriptor.length});
    chain.readable_bytes += descriptor.length;
  }
  if (chain.readable_bytes + chain.writable_bytes > kMaxChainBytes) {
    problem_ = "a descriptor chain has more than 64 MiB";
    return false;
  }
  return true;
}

/// Follows one table; `indirect` allows one level of indirect tables below it.
bool Virtqueue::walk(VirtioChain& chain, u64 table, u32 entries, u32 index, bool indirect) {
  for (u32 count = 0;; ++count) {
    if (count == entries) {
      problem_ = "a descriptor chain loops";
      return false;
    }
    if (index >= entries) {
      problem_ = "a descriptor index is past the end of its table";
      return false;
    }
    const Descriptor descriptor = load(table, index);
    if (descriptor.flags & kIndirect) {
      const u32 inner = descriptor.length / kDescriptorBytes;
      if (!indirect || (descriptor.flags & kNext) || inner == 0 || inner > kMaxChainDescriptors ||
          descriptor.length % kDescriptorBytes != 0) {
        problem_ = "an indirect descriptor is not allowed here or has a wrong length";
        return false;
      }
      return walk(chain, descriptor.address, inner, 0, false);
    }
    if (!append(chain, descriptor)) return false;
    if (!(descriptor.flags & kNext)) return true;
    index = descriptor.next;
  }
}

unsigned Virtqueue::available() {
  if (!state_.enabled || state_.size == 0) return 0;
  const u16 index = memory_.load<u16>(PhysicalAddress(state_.driver_area + kRingIndex));
  const u16 count = static_cast<u16>(index - state_.next_available);
  return std::min(count, state_.size);
}

Virtqueue::Take Virtqueue::take(VirtioChain& chain, bool indirect, bool event_index) {
  if (!state_.enabled || state_.size == 0) return Take::kEmpty;
  const u16 index = memory_.load<u16>(PhysicalAddress(state_.driver_area + kRingIndex));
  const u16 pending = static_cast<u16>(index - state_.next_available);
  if (pending > state_.size) return malformed("the available index jumped past the queue size");
  if (pending == 0) return Take::kEmpty;
  const u64 slot = state_.next_available % state_.size;
  chain.head = memory_.load<u16>(PhysicalAddress(state_.driver_area + kRingEntries + 2 * slot));
  chain.readable.clear();
  chain.writable.clear();
  chain.readable_bytes = chain.writable_bytes = 0;
  if (!walk(chain, state_.descriptors, state_.size, chain.head, indirect)) return Take::kMalformed;
  ++state_.next_available;
  if (event_index) {  // avail_event: notify me about the next one (2.6.10)
    memory_.store<u16>(
        PhysicalAddress(state_.device_area + kRingEntries + kUsedEntryBytes * state_.size),
        state_.next_available);
  }
  return Take::kChain;
}

void Virtqueue::give_back(const VirtioChain& chain, u32 written) {
  if (state_.size == 0) return;
  const PhysicalAddress entry(state_.device_area + kRingEntries +
                              kUsedEntryBytes * (state_.next_used % state_.size));
  memory_.store<u32>(entry, chain.head);
  memory_.store<u32>(entry + 4, written);
  ++state_.next_used;
  memory_.store<u16>(PhysicalAddress(state_.device_area + kRingIndex), state_.next_used);
}

bool Virtqueue::wants_interrupt(bool event_index) {
  if (state_.size == 0) return false;
  const u16 before = state_.signalled_used;
  const bool valid = state_.signalled_valid;
  state_.signalled_used = state_.next_used;
  state_.signalled_valid = true;
  if (valid && before == state_.next_used) return false;  // nothing was given back
  if (!valid && state_.next_used == 0) return false;
  if (!event_index) {
    return (memory_.load<u16>(PhysicalAddress(state_.driver_area)) & kNoInterrupt) == 0;
  }
  if (!valid) return true;
  // used_event lies behind the available ring; interrupt when next_used passed it (2.6.7.2).
  const u16 event =
      memory_.load<u16>(PhysicalAddress(state_.driver_area + kRingEntries + 2 * u64{state_.size}));
  return static_cast<u16>(state_.next_used - event - 1) <
         static_cast<u16>(state_.next_used - before);
}

}  // namespace dragoman
