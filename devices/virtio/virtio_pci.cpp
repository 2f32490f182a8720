#include "devices/virtio/virtio_pci.h"

#include <algorithm>
#include <cstring>

#include "base/bits.h"

namespace dragoman {
namespace {

// Device status (VIRTIO 1.1, 2.1).
constexpr u8 kDriverOk = 4;
constexpr u8 kFeaturesOk = 8;
constexpr u8 kNeedsReset = 0x40;

// Features of the ring and the transport (chapter 6).
constexpr unsigned kAnyLayout = 27;
constexpr unsigned kIndirect = 28;
constexpr unsigned kEventIndex = 29;
constexpr unsigned kVersion1 = 32;

constexpr u8 kIsrQueue = 1;
constexpr u8 kIsrConfig = 2;
constexpr u16 kNoVector = 0xffff;

// Layout of the modern BAR.
constexpr unsigned kModernBar = 4;
constexpr u64 kCommonOffset = 0x0000;
constexpr u64 kIsrOffset = 0x1000;
constexpr u64 kDeviceOffset = 0x2000;
constexpr u64 kNotifyOffset = 0x3000;
constexpr u64 kRegionBytes = 0x1000;
constexpr u64 kModernBytes = 0x4000;
constexpr u32 kNotifyMultiplier = 4;
constexpr u32 kCommonBytes = 56;
constexpr u32 kLegacyBarBytes = 128;
constexpr unsigned kMsixBar = 1;

// Capability types (4.1.4).
constexpr u8 kVendorCapability = 0x09;
enum CapabilityType : u8 { kCommon = 1, kNotify = 2, kIsr = 3, kDevice = 4, kWindow = 5 };

}  // namespace

VirtioPci::VirtioPci(std::string name, const PciSpaces& spaces, MsiSink& msi, Log& log,
                     const VirtioIdentity& identity)
    : StatefulPciFunction(std::move(name), spaces,
                          PciIdentity{.vendor = 0x1af4,
                                      .device = identity.pci_device,
                                      .class_code = identity.class_code,
                                      .revision = 0,
                                      .subsystem_vendor = 0x1af4,
                                      .subsystem = identity.type,
                                      .interrupt_pin = 1}),
      log_(log),
      queue_count_(std::min(identity.queues, kVirtioMaxQueues)),
      // One vector per queue and one for configuration changes.
      msix_(*this, state_.msix, msi, queue_count_ + 1, kMsixBar) {
  for (unsigned i = 0; i < queue_count_; ++i) queues_.emplace_back(spaces.memory, state_.queues[i]);
  add_io_bar(0, kLegacyBarBytes, *this, 0, 4);
  add_memory_bar(kModernBar, kModernBytes, *this, 0);
  add_capabilities();
}

void VirtioPci::add_capabilities() {
  const auto add = [&](CapabilityType type, u8 size, u64 offset, u64 length) {
    const u8 at = add_capability(kVendorCapability, size);
    define_register(static_cast<u8>(at + 2), 1, size, 0);
    define_register(static_cast<u8>(at + 3), 1, type, 0);
    define_register(static_cast<u8>(at + 4), 1, type == kWindow ? 0 : kModernBar, 0);
    define_register(static_cast<u8>(at + 8), 4, static_cast<u32>(offset), 0);
    define_register(static_cast<u8>(at + 12), 4, static_cast<u32>(length), 0);
    return at;
  };
  add(kCommon, 16, kCommonOffset, kCommonBytes);
  add(kIsr, 16, kIsrOffset, 1);
  add(kDevice, 16, kDeviceOffset, kRegionBytes);
  const u8 notify = add(kNotify, 20, kNotifyOffset, u64{kNotifyMultiplier} * queue_count_);
  define_register(static_cast<u8>(notify + 16), 4, kNotifyMultiplier, 0);
  window_ = add(kWindow, 20, 0, 0);
  define_register(static_cast<u8>(window_ + 4), 1, 0, 0xff);
  define_register(static_cast<u8>(window_ + 8), 4, 0, 0xffffffff);
  define_register(static_cast<u8>(window_ + 12), 4, 0, 0xffffffff);
  define_register(static_cast<u8>(window_ + 16), 4, 0, 0xffffffff);
}

void VirtioPci::reset() {
  StatefulPciFunction::reset();
  reset_virtio();
}

void VirtioPci::restored() {
  for (auto& queue : state_.queues) {
    // A size that is no power of two within bounds can only come from a damaged state.
    if (queue.size > Virtqueue::kMaxSize || (queue.size & (queue.size - 1)) != 0) {
      queue.size = 0;
      queue.enabled = false;
    }
  }
}

u64 VirtioPci::offered_features() const {
  return (device_features() & 0xffffff) | bit(kAnyLayout) | bit(kIndirect) | bit(kEventIndex) |
         bit(kVersion1);
}

bool VirtioPci::modern() const { return has_feature(kVersion1); }

bool VirtioPci::running() const {
  if (!(state_.status & kDriverOk) || state_.broken) return false;
  // Legacy drivers of old kernels never enable bus mastering; the modern interface demands it.
  return !modern() || bus_master();
}

void VirtioPci::reset_virtio() {
  const MsixState msix = state_.msix;  // belongs to PCI, not to the virtio reset
  state_ = VirtioPciState{};
  state_.msix = msix;
  for (unsigned i = 0; i < queue_count_; ++i) state_.queues[i].size = Virtqueue::kMaxSize;
  set_intx(false);
}

void VirtioPci::write_status(u8 value) {
  if (value == 0) return reset_virtio();
  if ((value & kFeaturesOk) && !(state_.status & kFeaturesOk)) {
    // FEATURES_OK belongs to the modern handshake: refuse what was not offered, and anything
    // without VERSION_1 (2.2.2, 6.1).
    if ((state_.driver_features & ~offered_features()) != 0 || !modern()) {
      value &= static_cast<u8>(~kFeaturesOk);
    }
  }
  const bool started = (value & kDriverOk) && !(state_.status & kDriverOk);
  state_.status = static_cast<u8>((value & ~kNeedsReset) | (state_.status & kNeedsReset));
  // Buffers may have been made available before DRIVER_OK.
  if (started) {
    for (unsigned i = 0; i < queue_count_; ++i) notify(i);
  }
}

u8 VirtioPci::read_isr() {
  const u8 value = state_.isr;
  state_.isr = 0;
  set_intx(false);
  return value;
}

void VirtioPci::raise_isr(u8 bits, u16 vector) {
  if (msix_.enabled()) {
    msix_.notify(vector);
    return;
  }
  state_.isr |= bits;
  set_intx(true);
}

void VirtioPci::needs_reset(std::string_view problem) {
  log_.write(LogCategory::kGuestErrors, "{}: {}", name(), problem);
  state_.broken = true;
  if (!modern()) return;  // a legacy driver knows no such status
  state_.status |= kNeedsReset;
  if (state_.status & kDriverOk) raise_isr(kIsrConfig, state_.config_vector);
}

bool VirtioPci::take(unsigned queue, VirtioChain& chain) {
  if (!running() || batch_[queue] == 0) return false;
  --batch_[queue];
  switch (queues_[queue].take(chain, has_feature(kIndirect), has_feature(kEventIndex))) {
    case Virtqueue::Take::kChain:
      return true;
    case Virtqueue::Take::kMalformed:
      needs_reset(queues_[queue].problem());
      return false;
    default:
      return false;
  }
}

void VirtioPci::give_back(unsigned queue, const VirtioChain& chain, u32 written) {
  queues_[queue].give_back(chain, written);
}

void VirtioPci::signal(unsigned queue) {
  if (queues_[queue].wants_interrupt(has_feature(kEventIndex))) {
    raise_isr(kIsrQueue, state_.queues[queue].vector);
  }
}

unsigned VirtioPci::available(unsigned queue) { return running() ? queues_[queue].available() : 0; }

void VirtioPci::notify(u32 queue) {
  if (queue >= queue_count_ || busy_ || !running() || !state_.queues[queue].enabled) return;
  open_batch(queue);
  guarded([&] { queue_notified(queue); });
}

u16 VirtioPci::valid_vector(u32 value) const {
  return value < msix_.vectors() ? static_cast<u16>(value) : kNoVector;
}

VirtqueueState* VirtioPci::selected_queue() {
  return state_.queue_select < queue_count_ ? &state_.queues[state_.queue_select] : nullptr;
}

u64 VirtioPci::read_bytes(std::span<const u8> bytes, u64 offset, unsigned size) const {
  u64 value = 0;
  for (unsigned i = 0; i < size && offset + i < bytes.size(); ++i) {
    value |= u64{bytes[offset + i]} << (8 * i);
  }
  return value;
}

// --- Legacy registers (4.1.4.8) ---

u32 VirtioPci::port_read(unsigned /*bank*/, u16 offset, unsigned size) {
  const VirtqueueState* queue = selected_queue();
  if (offset >= legacy_config_offset()) {
    const auto config = device_config();
    return static_cast<u32>(read_bytes(config, offset - legacy_config_offset(), size));
  }
  switch (offset) {
    case 0:
      return static_cast<u32>(offered_features());
    case 4:
      return static_cast<u32>(state_.driver_features);
    case 8:
      return queue != nullptr ? static_cast<u32>(queue->descriptors >> kPageShift) : 0;
    case 12:
      return queue != nullptr ? queue->size : 0;
    case 14:
      return state_.queue_select;
    case 18:
      return state_.status;
    case 19:
      return read_isr();
    case 20:
      return state_.config_vector;
    case 22:
      return queue != nullptr ? queue->vector : kNoVector;
    default:
      return 0;
  }
}

void VirtioPci::port_write(unsigned /*bank*/, u16 offset, unsigned size, u32 value) {
  VirtqueueState* queue = selected_queue();
  if (offset >= legacy_config_offset()) return;  // no device here has writable configuration
  switch (offset) {
    case 4:
      // Legacy drivers write what they will; bits that were not offered do not stick.
      if (size == 4) state_.driver_features = value & offered_features();
      break;
    case 8:
      if (size == 4) write_legacy_address(value);
      break;
    case 14:
      state_.queue_select = static_cast<u16>(value);
      break;
    case 16:
      notify(value & 0xffff);
      break;
    case 18:
      write_status(static_cast<u8>(value));
      break;
    case 20:
      state_.config_vector = valid_vector(value & 0xffff);
      break;
    case 22:
      if (queue != nullptr) queue->vector = valid_vector(value & 0xffff);
      break;
    default:
      break;
  }
}

/// One page number places all three areas; the used ring starts on the next page (2.6.2).
void VirtioPci::write_legacy_address(u32 page) {
  VirtqueueState* queue = selected_queue();
  if (queue == nullptr) return;
  queue->descriptors = u64{page} << kPageShift;
  queue->driver_area = queue->descriptors + u64{16} * queue->size;
  queue->device_area = align_up(queue->driver_area + 4 + 2 * u64{queue->size} + 2, kPageSize);
  queue->enabled = page != 0;
  queue->next_available = queue->next_used = queue->signalled_used = 0;
  queue->signalled_valid = false;
}

// --- Modern registers (4.1.4.3) ---

u64 VirtioPci::read_common(u64 offset, unsigned size) {
  std::array<u8, kCommonBytes> bytes{};
  const auto put = [&](unsigned at, auto value) {
    std::memcpy(bytes.data() + at, &value, sizeof(value));
  };
  const auto half = [](u64 features, u32 select) {
    return select < 2 ? static_cast<u32>(features >> (32 * select)) : u32{0};
  };
  put(0, state_.device_feature_select);
  put(4, half(offered_features(), state_.device_feature_select));
  put(8, state_.driver_feature_select);
  put(12, half(state_.driver_features, state_.driver_feature_select));
  put(16, state_.config_vector);
  put(18, static_cast<u16>(queue_count_));
  put(20, state_.status);
  put(21, state_.generation);
  put(22, state_.queue_select);
  if (const VirtqueueState* queue = selected_queue()) {
    put(24, queue->size);
    put(26, queue->vector);
    put(28, static_cast<u16>(queue->enabled));
    put(30, state_.queue_select);
    put(32, queue->descriptors);
    put(40, queue->driver_area);
    put(48, queue->device_area);
  } else {
    put(26, kNoVector);
  }
  return read_bytes(bytes, offset, size);
}

void VirtioPci::write_common(u64 offset, unsigned size, u64 value) {
  if (size == 8) {  // only the 64-bit addresses: as two halves (4.1.3.1)
    write_common(offset, 4, value & 0xffffffff);
    write_common(offset + 4, 4, value >> 32);
    return;
  }
  VirtqueueState* queue = selected_queue();
  const bool may_set_up = queue != nullptr && !queue->enabled;
  const auto address_half = [&](u64 VirtqueueState::*member, unsigned shift) {
    if (size == 4 && may_set_up) {
      queue->*member = with_bits(queue->*member, shift + 31, shift, value);
    }
  };
  switch (offset) {
    case 0:
      state_.device_feature_select = static_cast<u32>(value);
      break;
    case 8:
      state_.driver_feature_select = static_cast<u32>(value);
      break;
    case 12: {
      const u32 select = state_.driver_feature_select;
      if (select < 2 && !(state_.status & kFeaturesOk)) {
        state_.driver_features =
            with_bits(state_.driver_features, 32 * select + 31, 32 * select, value);
      }
      break;
    }
    case 16:
      state_.config_vector = valid_vector(static_cast<u32>(value));
      break;
    case 20:
      write_status(static_cast<u8>(value));
      break;
    case 22:
      state_.queue_select = static_cast<u16>(value);
      break;
    case 24:
      if (may_set_up && value != 0 && value <= Virtqueue::kMaxSize && (value & (value - 1)) == 0) {
        queue->size = static_cast<u16>(value);
      }
      break;
    case 26:
      if (queue != nullptr) queue->vector = valid_vector(static_cast<u32>(value));
      break;
    case 28:
      if (may_set_up && value == 1) queue->enabled = true;
      break;
    case 32:
      return address_half(&VirtqueueState::descriptors, 0);
    case 36:
      return address_half(&VirtqueueState::descriptors, 32);
    case 40:
      return address_half(&VirtqueueState::driver_area, 0);
    case 44:
      return address_half(&VirtqueueState::driver_area, 32);
    case 48:
      return address_half(&VirtqueueState::device_area, 0);
    case 52:
      return address_half(&VirtqueueState::device_area, 32);
    default:
      break;
  }
}

u64 VirtioPci::mmio_read(unsigned /*bank*/, u64 offset, unsigned size) {
  const u64 within = offset % kRegionBytes;
  switch (offset - within) {
    case kCommonOffset:
      return read_common(within, size);
    case kIsrOffset:
      return within == 0 ? read_isr() : 0;
    case kDeviceOffset: {
      const auto config = device_config();
      return read_bytes(config, within, size);
    }
    default:
      return 0;  // notification registers are write-only
  }
}

void VirtioPci::mmio_write(unsigned /*bank*/, u64 offset, unsigned size, u64 value) {
  const u64 within = offset % kRegionBytes;
  switch (offset - within) {
    case kCommonOffset:
      return write_common(within, size, value);
    case kNotifyOffset:
      // The address says which queue; the value written is the same number (4.1.5.2).
      if (within % kNotifyMultiplier == 0) notify(static_cast<u32>(within / kNotifyMultiplier));
      return;
    case kDeviceOffset:
      for (unsigned i = 0; i < size; ++i) {
        device_config_written(within + i, static_cast<u8>(value >> (8 * i)));
      }
      return;
    default:
      return;
  }
}

// --- Configuration access capability (4.1.4.7) ---

u32 VirtioPci::config_read_hook(u8 offset, unsigned size, u32 value) {
  if (offset != window_ + 16) return value;
  const u32 at = peek_config(static_cast<u8>(window_ + 8), 4);
  const u32 length = peek_config(static_cast<u8>(window_ + 12), 4);
  const bool valid = peek_config(static_cast<u8>(window_ + 4), 1) == kModernBar &&
                     (length == 1 || length == 2 || length == 4) && at % length == 0 &&
                     at < kModernBytes;
  if (!valid) return value;
  return static_cast<u32>(mmio_read(0, at, std::min<unsigned>(size, length)));
}

void VirtioPci::config_written(u8 offset, unsigned size) {
  msix_.config_written();
  if (offset != window_ + 16) return;
  const u32 at = peek_config(static_cast<u8>(window_ + 8), 4);
  const u32 length = peek_config(static_cast<u8>(window_ + 12), 4);
  const bool valid = peek_config(static_cast<u8>(window_ + 4), 1) == kModernBar &&
                     (length == 1 || length == 2 || length == 4) && at % length == 0 &&
                     at < kModernBytes;
  if (!valid) return;
  const unsigned bytes = std::min<unsigned>(size, length);
  mmio_write(0, at, bytes, peek_config(offset, bytes));
}

}  // namespace dragoman
