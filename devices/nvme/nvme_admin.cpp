// Admin commands. NVM Express 1.4, chapter 5.
#include <algorithm>
#include <cstring>
#include <string_view>

#include "base/bits.h"
#include "devices/nvme/nvme.h"
#include "devices/nvme/nvme_status.h"

namespace dragoman {
namespace {

enum Opcode : u8 {
  kDeleteSubmissionQueue = 0x00,
  kCreateSubmissionQueue = 0x01,
  kGetLogPage = 0x02,
  kDeleteCompletionQueue = 0x04,
  kCreateCompletionQueue = 0x05,
  kIdentify = 0x06,
  kAbort = 0x08,
  kSetFeatures = 0x09,
  kGetFeatures = 0x0a,
  kAsynchronousEventRequest = 0x0c,
};

enum Feature : u8 {
  kArbitration = 0x01,
  kPowerManagement = 0x02,
  kTemperatureThreshold = 0x04,
  kErrorRecovery = 0x05,
  kVolatileWriteCache = 0x06,
  kNumberOfQueues = 0x07,
  kInterruptCoalescing = 0x08,
  kInterruptVector = 0x09,
  kWriteAtomicity = 0x0a,
  kEventConfiguration = 0x0b,
};

enum LogPage : u8 { kErrors = 0x01, kHealth = 0x02, kFirmware = 0x03, kCommandEffects = 0x05 };

constexpr u32 kAllNamespaces = 0xffffffff;
constexpr u32 kIoQueues = kNvmeQueues - 1;
constexpr std::string_view kModel = "DRAGOMAN NVME DISK";
constexpr std::string_view kRevision = "1.0";
constexpr u16 kTemperature = 310;  // Kelvin
constexpr u16 kTemperatureWarning = 343;
constexpr u16 kTemperatureCritical = 353;

/// A data structure of zeros that is filled field by field.
class Record {
 public:
  explicit Record(std::size_t bytes) : bytes_(bytes) {}
  template <class T>
  void put(std::size_t at, T value) {
    std::memcpy(bytes_.data() + at, &value, sizeof(value));
  }
  /// Padded with spaces (1.5.1).
  void text(std::size_t at, std::size_t count, std::string_view text) {
    std::fill_n(bytes_.begin() + static_cast<long>(at), count, u8{' '});
    std::copy_n(text.begin(), std::min(text.size(), count), bytes_.begin() + static_cast<long>(at));
  }
  std::vector<u8> take() { return std::move(bytes_); }

 private:
  std::vector<u8> bytes_;
};

}  // namespace

Nvme::Status Nvme::admin(const Command& command, u32& result, bool& deferred) {
  switch (command.opcode) {
    case kDeleteSubmissionQueue:
      return delete_submission_queue(command.word(10) & 0xffff);
    case kCreateSubmissionQueue:
      return create_submission_queue(command);
    case kGetLogPage:
      return get_log_page(command);
    case kDeleteCompletionQueue:
      return delete_completion_queue(command.word(10) & 0xffff);
    case kCreateCompletionQueue:
      return create_completion_queue(command);
    case kIdentify:
      return identify(command);
    case kAbort:
      return abort(command, result);
    case kSetFeatures:
      return set_feature(command, result);
    case kGetFeatures:
      return get_feature(command, result);
    case kAsynchronousEventRequest:
      return request_event(command, deferred);
    default:
      return nvme::kInvalidOpcode;
  }
}

// --- Queues (5.3 to 5.6) ---

Nvme::Status Nvme::create_completion_queue(const Command& command) {
  const u32 id = command.word(10) & 0xffff;
  const u32 size = (command.word(10) >> 16) + 1;
  const u32 vector = command.word(11) >> 16;
  if (id == 0 || id >= kNvmeQueues || state_.completion[id].size != 0) return nvme::kInvalidQueue;
  if (size < 2 || size > kNvmeMaxEntries) return nvme::kInvalidQueueSize;
  if (command.prp1 & kPageMask) return nvme::kInvalidPrpOffset;
  if (!(command.word(11) & 1)) return nvme::kInvalidField;  // physically contiguous only
  if (vector >= msix_.vectors()) return nvme::kInvalidVector;
  state_.completion[id] = {.address = command.prp1,
                           .size = size,
                           .vector = static_cast<u16>(vector),
                           .interrupts = (command.word(11) & 2) != 0};
  return nvme::kSuccess;
}

Nvme::Status Nvme::create_submission_queue(const Command& command) {
  const u32 id = command.word(10) & 0xffff;
  const u32 size = (command.word(10) >> 16) + 1;
  const u32 completion = command.word(11) >> 16;
  if (id == 0 || id >= kNvmeQueues || state_.submission[id].size != 0) return nvme::kInvalidQueue;
  if (completion == 0 || completion >= kNvmeQueues || state_.completion[completion].size == 0) {
    return nvme::kCompletionQueueInvalid;
  }
  if (size < 2 || size > kNvmeMaxEntries) return nvme::kInvalidQueueSize;
  if (command.prp1 & kPageMask) return nvme::kInvalidPrpOffset;
  if (!(command.word(11) & 1)) return nvme::kInvalidField;
  state_.submission[id] = {
      .address = command.prp1, .size = size, .completion_queue = static_cast<u16>(completion)};
  return nvme::kSuccess;
}

Nvme::Status Nvme::delete_submission_queue(u32 id) {
  if (id == 0 || id >= kNvmeQueues || state_.submission[id].size == 0) return nvme::kInvalidQueue;
  state_.submission[id] = {};
  return nvme::kSuccess;
}

Nvme::Status Nvme::delete_completion_queue(u32 id) {
  if (id == 0 || id >= kNvmeQueues || state_.completion[id].size == 0) return nvme::kInvalidQueue;
  for (const NvmeSubmissionQueue& queue : state_.submission) {
    if (queue.size != 0 && queue.completion_queue == id) return nvme::kInvalidQueueDeletion;
  }
  state_.completion[id] = {};
  return nvme::kSuccess;
}

// --- Identify (5.15) ---

Nvme::Status Nvme::identify(const Command& command) {
  const u8 structure = static_cast<u8>(command.word(10));
  const bool ours = command.nsid == 1;
  switch (structure) {
    case 0x00:
      return ours ? to_host(command, identify_namespace()) : Status{nvme::kInvalidNamespace};
    case 0x01:
      return to_host(command, identify_controller());
    case 0x02: {  // active namespaces above the given one
      if (command.nsid >= 0xfffffffe) return nvme::kInvalidNamespace;
      Record list(kPageSize);
      if (command.nsid == 0) list.put(0, u32{1});
      return to_host(command, list.take());
    }
    case 0x03:
      return ours ? to_host(command, identify_descriptors()) : Status{nvme::kInvalidNamespace};
    default:
      return nvme::kInvalidField;
  }
}

std::vector<u8> Nvme::identify_controller() const {
  const u16 vendor = static_cast<u16>(peek_config(PciRegister::kVendor, 2));
  const u16 subsystem_vendor = static_cast<u16>(peek_config(PciRegister::kSubsystemVendor, 2));
  Record r(kPageSize);
  r.put(0, vendor);
  r.put(2, subsystem_vendor);
  r.text(4, 20, serial_);
  r.text(24, 40, kModel);
  r.text(64, 8, kRevision);
  r.put(72, u8{6});  // RAB: 64 commands
  r.put(77, u8{7});  // MDTS: 128 pages, 512 KiB
  r.put(80, u32{0x00010400});
  r.put(111, u8{1});  // an I/O controller
  r.put(258, u8{3});  // ACL: four aborts at a time
  r.put(259, u8{kNvmeEventRequests - 1});
  r.put(260, u8{3});     // one firmware slot, read-only
  r.put(261, u8{0x06});  // LPA: command effects, 32-bit lengths and offsets
  r.put(266, kTemperatureWarning);
  r.put(268, kTemperatureCritical);
  r.put(512, u8{0x66});     // entries of 64 ...
  r.put(513, u8{0x44});     // ... and of 16 bytes
  r.put(516, u32{1});       // namespaces
  r.put(520, u16{0x000c});  // write zeroes, dataset management
  r.put(525, u8{0x07});     // volatile write cache; flush of all namespaces
  // The name that 7.9 forms for controllers without one of their own.
  const std::string qualified =
      fmt::format("nqn.2014.08.org.nvmexpress:{:04x}{:04x}{:<20}{:<40}", vendor, subsystem_vendor,
                  serial_.substr(0, 20), kModel);
  for (std::size_t i = 0; i < qualified.size(); ++i) r.put(768 + i, qualified[i]);
  // The only power state: 25 W, microseconds to enter and leave it.
  r.put(2048, u16{2500});
  r.put(2052, u32{16});
  r.put(2056, u32{4});
  return r.take();
}

std::vector<u8> Nvme::identify_namespace() const {
  Record r(kPageSize);
  r.put(0, sectors_);
  r.put(8, sectors_);
  r.put(16, sectors_);
  r.put(99, u8{image_->read_only()});  // NSATTR: write protected
  r.put(120, identifier());
  r.put(130, u8{9});  // the only format: 512 bytes, no metadata
  return r.take();
}

std::vector<u8> Nvme::identify_descriptors() const {
  Record r(kPageSize);
  r.put(0, u8{1});  // EUI-64
  r.put(1, u8{8});
  r.put(4, identifier());
  return r.take();
}

/// EUI-64, locally administered, from the serial number (FNV-1a). The first byte is the lowest.
u64 Nvme::identifier() const {
  u64 hash = 0xcbf29ce484222325;
  for (const char c : serial_) hash = (hash ^ static_cast<u8>(c)) * 0x100000001b3;
  return (hash & ~u64{1}) | 2;
}

// --- Log pages (5.14) ---

Nvme::Status Nvme::get_log_page(const Command& command) {
  const u8 identifier = static_cast<u8>(command.word(10));
  const u64 wanted = (u64{(command.word(10) >> 16) | (command.word(11) & 0xffff) << 16} + 1) * 4;
  const u64 offset = command.word(12) | u64{command.word(13)} << 32;
  const bool retain = (command.word(10) & 0x8000) != 0;
  if (command.nsid > 1 && command.nsid != kAllNamespaces) return nvme::kInvalidNamespace;
  std::vector<u8> page = log_page(identifier);
  if (page.empty()) return nvme::kInvalidLogPage;
  if ((offset & 3) != 0 || offset > page.size()) return nvme::kInvalidField;
  // What lies behind the page is not defined; nothing is written there.
  const u64 count = std::min<u64>(wanted, page.size() - offset);
  if (count != 0) {
    const Status status = to_host(command, std::span(page).subspan(offset, count));
    if (status != nvme::kSuccess) return status;
  }
  if (identifier == kErrors && !retain) {
    state_.event_masked = false;
    send_events();
  }
  return nvme::kSuccess;
}

std::vector<u8> Nvme::log_page(u8 page) {
  switch (page) {
    case kErrors: {  // one entry: the last error
      Record r(64);
      if (state_.errors == 0) return r.take();
      r.put(0, state_.errors);
      r.put(8, state_.error_queue);
      r.put(10, state_.error_command);
      r.put(12, static_cast<u16>(state_.error_status << 1));
      r.put(14, u16{0xffff});  // not about a byte of the command
      r.put(16, state_.error_lba);
      r.put(24, u32{state_.error_queue == 0 ? 0u : 1u});
      return r.take();
    }
    case kHealth: {
      Record r(512);
      const auto thousands = [](u64 sectors) { return (sectors + 999) / 1000; };
      r.put(1, kTemperature);
      r.put(3, u8{100});  // available spare, and its threshold
      r.put(4, u8{10});
      r.put(32, thousands(state_.sectors_read));
      r.put(48, thousands(state_.sectors_written));
      r.put(64, state_.reads);
      r.put(80, state_.writes);
      r.put(112, u64{1});  // power cycles
      r.put(128, scheduler_.now() / 3'600'000'000'000);
      r.put(176, state_.errors);
      return r.take();
    }
    case kFirmware: {
      Record r(512);
      r.put(0, u8{1});
      r.text(8, 8, kRevision);
      return r.take();
    }
    case kCommandEffects: {
      Record r(4096);
      constexpr u32 kSupported = 1;
      constexpr u32 kChangesData = 2;
      for (const u8 opcode : {kDeleteSubmissionQueue, kCreateSubmissionQueue, kGetLogPage,
                              kDeleteCompletionQueue, kCreateCompletionQueue, kIdentify, kAbort,
                              kSetFeatures, kGetFeatures, kAsynchronousEventRequest}) {
        r.put(4 * std::size_t{opcode}, kSupported);
      }
      for (const u8 opcode : {0x00, 0x01, 0x02, 0x08, 0x09}) {  // the NVM command set
        const bool changes = opcode == 0x01 || opcode == 0x08 || opcode == 0x09;
        r.put(1024 + 4 * std::size_t{opcode}, kSupported | (changes ? kChangesData : 0));
      }
      return r.take();
    }
    default:
      return {};
  }
}

// --- Features (5.13, 5.21) ---

Nvme::Status Nvme::set_feature(const Command& command, u32& result) {
  const u8 id = static_cast<u8>(command.word(10));
  const u32 value = command.word(11);
  if (command.word(10) & 1u << 31) return nvme::kNotSaveable;
  u32& stored = state_.features[std::min<u8>(id, kNvmeFeatures - 1)];
  switch (id) {
    case kArbitration:
    case kErrorRecovery:
    case kInterruptCoalescing:
    case kEventConfiguration:
      stored = value;
      return nvme::kSuccess;
    case kPowerManagement:
      if ((value & 0x1f) != 0) return nvme::kInvalidField;  // there is one power state
      stored = value & 0xff;
      return nvme::kSuccess;
    case kTemperatureThreshold: {  // low half: over, high half: under
      const u32 sensor = value >> 16 & 0x0f;
      const u32 kind = value >> 20 & 3;
      if ((sensor != 0 && sensor != 0x0f) || kind > 1) return nvme::kInvalidField;
      stored = static_cast<u32>(with_bits(stored, 16 * kind + 15, 16 * kind, value & 0xffff));
      return nvme::kSuccess;
    }
    case kVolatileWriteCache:
      stored = value & 1;
      return stored != 0 ? Status{nvme::kSuccess} : flush();
    case kNumberOfQueues:
      if ((value & 0xffff) == 0xffff || value >> 16 == 0xffff) return nvme::kInvalidField;
      stored = std::min(value & 0xffff, kIoQueues - 1) | std::min(value >> 16, kIoQueues - 1) << 16;
      result = stored;
      return nvme::kSuccess;
    case kInterruptVector: {
      const u32 vector = value & 0xffff;
      if (vector >= msix_.vectors()) return nvme::kInvalidField;
      const u32 mask = 1u << vector;
      state_.vector_config = (state_.vector_config & ~mask) | ((value >> 16 & 1) << vector);
      return nvme::kSuccess;
    }
    case kWriteAtomicity:
      stored = value & 1;
      return nvme::kSuccess;
    default:
      return nvme::kInvalidField;
  }
}

Nvme::Status Nvme::get_feature(const Command& command, u32& result) {
  const u8 id = static_cast<u8>(command.word(10));
  const u32 value = command.word(11);
  if ((command.word(10) >> 8 & 7) != 0) return nvme::kInvalidField;  // current values only
  if (id == 0 || id >= kNvmeFeatures || id == 0x03) return nvme::kInvalidField;
  result = state_.features[id];
  if (id == kTemperatureThreshold) {
    const u32 sensor = value >> 16 & 0x0f;
    const u32 kind = value >> 20 & 3;
    if (sensor != 0 || kind > 1) return nvme::kInvalidField;
    result = result >> (16 * kind) & 0xffff;
  }
  if (id == kInterruptVector) {
    const u32 vector = value & 0xffff;
    if (vector >= msix_.vectors()) return nvme::kInvalidField;
    result = vector | (state_.vector_config >> vector & 1) << 16;
  }
  return nvme::kSuccess;
}

// --- Abort and asynchronous events (5.1, 5.2) ---

/// Commands have ended before an abort is fetched; only event requests can be aborted.
Nvme::Status Nvme::abort(const Command& command, u32& result) {
  const u16 id = static_cast<u16>(command.word(10) >> 16);
  const NvmeCompletionQueue& queue = state_.completion[0];
  const u32 used = (queue.tail + queue.size - queue.head) % queue.size;
  result = 1;  // not aborted
  if ((command.word(10) & 0xffff) != 0 || queue.size - used < 3) return nvme::kSuccess;
  const auto end = state_.event_requests.begin() + state_.event_request_count;
  const auto found = std::find(state_.event_requests.begin(), end, id);
  if (found == end) return nvme::kSuccess;
  std::copy(found + 1, end, found);
  --state_.event_request_count;
  complete(0, id, nvme::kAbortRequested, 0);
  result = 0;
  return nvme::kSuccess;
}

Nvme::Status Nvme::request_event(const Command& command, bool& deferred) {
  if (state_.event_request_count == kNvmeEventRequests) return nvme::kEventLimit;
  state_.event_requests[state_.event_request_count++] = command.id;
  deferred = true;
  send_events();
  return nvme::kSuccess;
}

}  // namespace dragoman
