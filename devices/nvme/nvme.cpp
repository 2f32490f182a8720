// Registers, queues, interrupts and events. NVM Express 1.4, chapters 3, 4 and 7.
#include "devices/nvme/nvme.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/bits.h"
#include "devices/nvme/nvme_status.h"

namespace dragoman {
namespace {

constexpr PciIdentity kIdentity{.vendor = 0x1b36,
                                .device = 0x0010,
                                .class_code = 0x010802,  // NVM Express
                                .revision = 2,
                                .interrupt_pin = 1};
constexpr u64 kRegisterBytes = 16 * kKiB;
constexpr u32 kDoorbells = 0x1000;
constexpr unsigned kMsixBar = 4;
constexpr u64 kSectorBytes = 512;
constexpr u32 kSubmissionBytes = 64;
constexpr u32 kCompletionBytes = 16;

enum Register : u32 {
  kCap = 0x00,
  kCapHigh = 0x04,
  kVs = 0x08,
  kIntms = 0x0c,
  kIntmc = 0x10,
  kCc = 0x14,
  kCsts = 0x1c,
  kAqa = 0x24,
  kAsq = 0x28,
  kAsqHigh = 0x2c,
  kAcq = 0x30,
  kAcqHigh = 0x34,
};
// CAP: 10 s until ready at most, contiguous queues; the high half says: NVM commands, 4 KiB pages.
constexpr u32 kCapabilities = 20u << 24 | 1u << 16 | (kNvmeMaxEntries - 1);
constexpr u32 kCapabilitiesHigh = 1u << 5;
constexpr u32 kVersion = 0x00010400;

// CC and CSTS (3.1.5, 3.1.6).
constexpr u32 kEnable = 1;
constexpr u32 kUnsupported = 0x00003ff0;  // CSS, MPS, AMS other than 0
constexpr u32 kWritable = 0x00fffff1;
constexpr u32 kReady = 1;
constexpr u32 kFatal = 2;
constexpr u32 kShutdownComplete = 2u << 2;

/// Asynchronous event information for errors (figure 148).
enum ErrorEvent : unsigned { kInvalidDoorbell = 0, kInvalidDoorbellValue = 1 };

}  // namespace

Nvme::Nvme(std::string name, const PciSpaces& spaces, MsiSink& msi, Scheduler& scheduler, Log& log,
           std::shared_ptr<BlockImage> image, std::string serial)
    : StatefulPciFunction(std::move(name), spaces, kIdentity),
      scheduler_(scheduler),
      log_(log),
      image_(std::move(image)),
      serial_(std::move(serial)),
      sectors_(image_->size() / kSectorBytes),
      msix_(*this, state_.msix, msi, kNvmeQueues, kMsixBar) {
  add_memory_bar(0, kRegisterBytes, *this, 0, false, true);
}

void Nvme::restored() {
  state_.event_request_count = std::min<u32>(state_.event_request_count, kNvmeEventRequests);
  for (auto& queue : state_.completion) {
    queue.size = std::min(queue.size, kNvmeMaxEntries);
    if (queue.size < 2) queue.size = 0;
    if (queue.head >= queue.size || queue.tail >= queue.size) queue.head = queue.tail = 0;
  }
  for (auto& queue : state_.submission) {
    queue.size = std::min(queue.size, kNvmeMaxEntries);
    if (queue.size < 2 || queue.completion_queue >= kNvmeQueues) queue.size = 0;
    if (queue.size != 0 && state_.completion[queue.completion_queue].size == 0) queue.size = 0;
    if (queue.head >= queue.size || queue.tail >= queue.size) queue.head = queue.tail = 0;
  }
  if (state_.submission[0].size == 0 || state_.completion[0].size == 0) state_.status &= ~kReady;
  update_intx();
}

void Nvme::config_written(u8 offset, unsigned /*size*/) {
  msix_.config_written();
  update_intx();
  if (offset >= PciRegister::kStatus || !enter()) return;
  run_queues();  // commands may wait for bus mastering
  leave();
}

// --- Registers ---

u32 Nvme::read_register(u32 offset) const {
  switch (offset) {
    case kCap:
      return kCapabilities;
    case kCapHigh:
      return kCapabilitiesHigh;
    case kVs:
      return kVersion;
    case kIntms:
    case kIntmc:
      return state_.interrupt_mask;
    case kCc:
      return state_.configuration;
    case kCsts:
      return state_.status;
    case kAqa:
      return state_.admin_sizes;
    case kAsq:
      return static_cast<u32>(state_.admin_submission);
    case kAsqHigh:
      return static_cast<u32>(state_.admin_submission >> 32);
    case kAcq:
      return static_cast<u32>(state_.admin_completion);
    case kAcqHigh:
      return static_cast<u32>(state_.admin_completion >> 32);
    default:
      return 0;  // doorbells, and what CAP does not offer
  }
}

u64 Nvme::mmio_read(unsigned /*bank*/, u64 offset, unsigned size) {
  u64 value = 0;
  for (unsigned i = 0; i < size; ++i) {
    const u32 at = static_cast<u32>(offset + i);
    value |= u64{read_register(at & ~3u) >> (8 * (at & 3)) & 0xff} << (8 * i);
  }
  return value;
}

void Nvme::mmio_write(unsigned /*bank*/, u64 offset, unsigned size, u64 value) {
  if (!enter()) {
    log_.write(LogCategory::kGuestErrors, "{}: a command moves data into the registers", name());
    return;
  }
  // 3.1: registers are written as doublewords or quadwords, at their own alignment.
  if (size >= 4 && offset % size == 0) {
    for (unsigned done = 0; done < size; done += 4) {
      write_register(static_cast<u32>(offset + done), static_cast<u32>(value >> (8 * done)));
    }
  } else {
    log_.write(LogCategory::kGuestErrors, "{}: write of {} bytes at {:#x}", name(), size, offset);
  }
  leave();
}

void Nvme::write_register(u32 offset, u32 value) {
  const auto half = [value](u64& target, unsigned shift) {
    target = with_bits(target, shift + 31, shift, value) & ~kPageMask;
  };
  switch (offset) {
    case kIntms:
      state_.interrupt_mask |= value;
      return update_intx();
    case kIntmc:
      state_.interrupt_mask &= ~value;
      return update_intx();
    case kCc:
      return configure(value);
    case kAqa:
      state_.admin_sizes = value & 0x0fff0fff;
      return;
    case kAsq:
      return half(state_.admin_submission, 0);
    case kAsqHigh:
      return half(state_.admin_submission, 32);
    case kAcq:
      return half(state_.admin_completion, 0);
    case kAcqHigh:
      return half(state_.admin_completion, 32);
    default:
      if (offset >= kDoorbells) ring((offset - kDoorbells) / 4, value);
  }
}

void Nvme::configure(u32 value) {
  const u32 before = std::exchange(state_.configuration, value & kWritable);
  if ((value & kEnable) && !(before & kEnable)) enable();
  if (!(value & kEnable) && (before & kEnable)) disable();
  const bool asks = (value >> 14 & 3) != 0;  // SHN
  if (asks && !(state_.status & kShutdownComplete)) {
    (void)flush();
    state_.status |= kShutdownComplete;
  } else if (!asks) {
    state_.status &= ~kShutdownComplete;
  }
}

void Nvme::enable() {
  const u32 submission = (state_.admin_sizes & 0xfff) + 1;
  const u32 completion = (state_.admin_sizes >> 16) + 1;
  const auto fits = [](u32 size) { return size >= 2 && size <= kNvmeMaxEntries; };
  if ((state_.configuration & kUnsupported) || !fits(submission) || !fits(completion)) {
    log_.write(LogCategory::kGuestErrors, "{}: enabled with CC {:#x}, AQA {:#x}", name(),
               state_.configuration, state_.admin_sizes);
    state_.status |= kFatal;
    return;
  }
  state_.submission[0] = {.address = state_.admin_submission, .size = submission};
  state_.completion[0] = {.address = state_.admin_completion, .size = completion};
  state_.status |= kReady;
}

/// Controller reset (7.3.2): everything but the admin queue registers.
void Nvme::disable() {
  NvmeState fresh;
  fresh.admin_submission = state_.admin_submission;
  fresh.admin_completion = state_.admin_completion;
  fresh.admin_sizes = state_.admin_sizes;
  fresh.configuration = state_.configuration;
  fresh.errors = state_.errors;
  fresh.sectors_read = state_.sectors_read;
  fresh.sectors_written = state_.sectors_written;
  fresh.reads = state_.reads;
  fresh.writes = state_.writes;
  fresh.msix = state_.msix;
  state_ = fresh;
  update_intx();
}

// --- Queues ---

bool Nvme::ready() const { return (state_.status & (kReady | kFatal)) == kReady && bus_master(); }

/// 3.1.24, 3.1.25: even doorbells are submission queue tails, odd ones completion queue heads.
void Nvme::ring(u32 doorbell, u32 value) {
  if (!(state_.status & kReady)) return;
  const u32 id = doorbell / 2;
  const bool completion = (doorbell & 1) != 0;
  const u32 size = id >= kNvmeQueues ? 0
                   : completion      ? state_.completion[id].size
                                     : state_.submission[id].size;
  if (size == 0) return raise_event(kInvalidDoorbell);
  if ((value & 0xffff) >= size) return raise_event(kInvalidDoorbellValue);
  u16& index = completion ? state_.completion[id].head : state_.submission[id].tail;
  index = static_cast<u16>(value);
  if (completion) {
    send_events();
    update_intx();
  }
  run_queues();
}

bool Nvme::has_room(const NvmeCompletionQueue& queue) const {
  return queue.size != 0 && (queue.tail + 1u) % queue.size != queue.head;
}

/// Round robin, a command of each queue at a time (4.13.1). What was submitted when it begins is
/// all it does, and that is bounded by the sizes of the queues.
void Nvme::run_queues() {
  for (bool any = ready(); any;) {
    any = false;
    for (u16 queue = 0; queue < kNvmeQueues && ready(); ++queue) any |= run_next(queue);
  }
  update_intx();
}

bool Nvme::run_next(u16 id) {
  NvmeSubmissionQueue& queue = state_.submission[id];
  if (queue.size == 0 || queue.head == queue.tail) return false;
  if (!has_room(state_.completion[queue.completion_queue])) return false;
  std::array<u32, kSubmissionBytes / 4> entry;
  spaces().memory.read_bytes(PhysicalAddress(queue.address + u64{kSubmissionBytes} * queue.head),
                             {reinterpret_cast<u8*>(entry.data()), sizeof(entry)});
  queue.head = static_cast<u16>((queue.head + 1u) % queue.size);
  Command command;
  command.queue = id;
  command.id = static_cast<u16>(entry[0] >> 16);
  command.opcode = static_cast<u8>(entry[0]);
  command.flags = static_cast<u8>(entry[0] >> 8);
  command.nsid = entry[1];
  command.prp1 = entry[6] | u64{entry[7]} << 32;
  command.prp2 = entry[8] | u64{entry[9]} << 32;
  std::copy_n(entry.begin() + 10, command.words.size(), command.words.begin());
  u32 result = 0;
  bool deferred = false;
  Status status = nvme::kInvalidField;
  if (command.flags == 0) {  // no fused commands, no scatter gather lists
    status = id == 0 ? admin(command, result, deferred) : io(command);
  }
  if (status != nvme::kSuccess) {
    ++state_.errors;
    state_.error_queue = id;
    state_.error_command = command.id;
    state_.error_status = status;
    state_.error_lba = id == 0 ? 0 : command.word(10) | u64{command.word(11)} << 32;
  }
  if (!deferred) complete(id, command.id, status, result);
  return true;
}

/// Writes a completion (4.6) for a command of `submission`, whose completion queue has room.
void Nvme::complete(u16 submission, u16 id, Status status, u32 result) {
  const NvmeSubmissionQueue& from = state_.submission[submission];
  NvmeCompletionQueue& queue = state_.completion[from.completion_queue];
  std::array<u32, kCompletionBytes / 4> entry{
      result, 0, u32{from.head} | u32{submission} << 16,
      u32{id} | (queue.phase ? 1u << 16 : 0) | u32{status} << 17};
  spaces().memory.write_bytes(PhysicalAddress(queue.address + u64{kCompletionBytes} * queue.tail),
                              {reinterpret_cast<const u8*>(entry.data()), sizeof(entry)});
  queue.tail = static_cast<u16>((queue.tail + 1u) % queue.size);
  if (queue.tail == 0) queue.phase = !queue.phase;
  if (queue.interrupts) msix_.notify(queue.vector);
}

/// The pin, while there are unread completions (7.5.1.1).
void Nvme::update_intx() {
  bool level = false;
  for (const NvmeCompletionQueue& queue : state_.completion) {
    const bool masked = queue.vector < 32 && (state_.interrupt_mask >> queue.vector & 1) != 0;
    level |= queue.size != 0 && queue.interrupts && queue.head != queue.tail && !masked;
  }
  set_intx(level && !msix_.enabled());
}

// --- Asynchronous events (5.2) ---

void Nvme::raise_event(unsigned information) {
  log_.write(LogCategory::kGuestErrors, "{}: wrong doorbell or value", name());
  state_.event_pending |= static_cast<u8>(1u << information);
  send_events();
  update_intx();
}

/// Answers requests; an event type is silent after that until its log is read.
void Nvme::send_events() {
  constexpr u32 kErrorLog = 0x01;
  if (!ready() || state_.event_masked || state_.event_pending == 0) return;
  if (state_.event_request_count == 0 || !has_room(state_.completion[0])) return;
  const unsigned information = static_cast<unsigned>(std::countr_zero(state_.event_pending));
  state_.event_pending &= static_cast<u8>(state_.event_pending - 1);
  state_.event_masked = true;
  const u16 id = state_.event_requests[--state_.event_request_count];
  complete(0, id, nvme::kSuccess, kErrorLog << 16 | information << 8);  // type 0: error
}

}  // namespace dragoman
