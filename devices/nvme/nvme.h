// NVMe controller with one namespace (1b36:0010, as QEMU's). NVM Express 1.4: registers (3.1),
// queues and completions (4), admin commands (5), NVM commands (6).
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/scheduler.h"
#include "devices/block_image.h"
#include "devices/pci/msix.h"
#include "devices/pci/pci_function.h"

namespace dragoman {

/// Queue 0 is the admin queue.
struct NvmeSubmissionQueue {
  u64 address = 0;
  u32 size = 0;  ///< entries; 0: does not exist
  u16 head = 0;
  u16 tail = 0;
  u16 completion_queue = 0;
  std::array<u8, 6> reserved = {};

  static constexpr auto fields() {
    using S = NvmeSubmissionQueue;
    return std::tuple{Field{"address", &S::address},
                      Field{"size", &S::size},
                      Field{"head", &S::head},
                      Field{"tail", &S::tail},
                      Field{"completion_queue", &S::completion_queue},
                      Field{"reserved", &S::reserved}};
  }
};

struct NvmeCompletionQueue {
  u64 address = 0;
  u32 size = 0;  ///< entries; 0: does not exist
  u16 head = 0;
  u16 tail = 0;
  u16 vector = 0;
  bool phase = true;       ///< of the entry to be written next
  bool interrupts = true;  ///< IEN
  std::array<u8, 4> reserved = {};

  static constexpr auto fields() {
    using S = NvmeCompletionQueue;
    return std::tuple{Field{"address", &S::address},
                      Field{"size", &S::size},
                      Field{"head", &S::head},
                      Field{"tail", &S::tail},
                      Field{"vector", &S::vector},
                      Field{"phase", &S::phase},
                      Field{"interrupts", &S::interrupts},
                      Field{"reserved", &S::reserved}};
  }
};

inline constexpr unsigned kNvmeQueues = 17;        ///< pairs, with the admin queue
inline constexpr u32 kNvmeMaxEntries = 1024;       ///< of a queue
inline constexpr unsigned kNvmeEventRequests = 4;  ///< asynchronous event requests at a time
inline constexpr unsigned kNvmeFeatures = 12;      ///< identifiers 00h..0Bh

struct NvmeState {
  u64 admin_submission = 0;  ///< ASQ
  u64 admin_completion = 0;  ///< ACQ
  u32 admin_sizes = 0;       ///< AQA
  u32 interrupt_mask = 0;    ///< INTMS, INTMC
  u32 configuration = 0;     ///< CC
  u32 status = 0;            ///< CSTS
  std::array<NvmeSubmissionQueue, kNvmeQueues> submission = {};
  std::array<NvmeCompletionQueue, kNvmeQueues> completion = {};
  std::array<u32, kNvmeFeatures> features = default_features();
  std::array<u16, kNvmeEventRequests> event_requests = {};  ///< command identifiers waiting
  u32 event_request_count = 0;
  u32 vector_config = 0;      ///< coalescing disable of the interrupt vectors, a bit each
  u8 event_pending = 0;       ///< error events not yet told: bit n is information n
  bool event_masked = false;  ///< told; silent until the error log is read
  u16 error_queue = 0;        ///< the last error, for the error log
  u16 error_command = 0;
  u16 error_status = 0;
  u64 error_lba = 0;
  u64 errors = 0;
  // For the health log.
  u64 sectors_read = 0;
  u64 sectors_written = 0;
  u64 reads = 0;
  u64 writes = 0;
  MsixState msix = {};

  /// Over-temperature threshold of 343 K, volatile write cache on, all queues.
  static constexpr std::array<u32, kNvmeFeatures> default_features() {
    std::array<u32, kNvmeFeatures> values{};
    values[0x04] = 343;
    values[0x06] = 1;
    values[0x07] = (kNvmeQueues - 2) * 0x10001;
    return values;
  }
  static constexpr auto fields() {
    using S = NvmeState;
    return std::tuple{Field{"admin_submission", &S::admin_submission},
                      Field{"admin_completion", &S::admin_completion},
                      Field{"admin_sizes", &S::admin_sizes},
                      Field{"interrupt_mask", &S::interrupt_mask},
                      Field{"configuration", &S::configuration},
                      Field{"status", &S::status},
                      Field{"submission", &S::submission},
                      Field{"completion", &S::completion},
                      Field{"features", &S::features},
                      Field{"event_requests", &S::event_requests},
                      Field{"event_request_count", &S::event_request_count},
                      Field{"vector_config", &S::vector_config},
                      Field{"event_pending", &S::event_pending},
                      Field{"event_masked", &S::event_masked},
                      Field{"error_queue", &S::error_queue},
                      Field{"error_command", &S::error_command},
                      Field{"error_status", &S::error_status},
                      Field{"error_lba", &S::error_lba},
                      Field{"errors", &S::errors},
                      Field{"sectors_read", &S::sectors_read},
                      Field{"sectors_written", &S::sectors_written},
                      Field{"reads", &S::reads},
                      Field{"writes", &S::writes},
                      Field{"msix", &S::msix}};
  }
};

/// BAR 0 (64-bit): registers and doorbells; BAR 4: MSI-X, a vector for each queue. Queues are
/// contiguous, pages have 4 KiB, sectors 512 bytes. Commands end at once, in the write of their
/// doorbell; asynchronous event requests wait. A command that has no place in its completion queue
/// is not fetched before there is one.
class Nvme final : public StatefulPciFunction<NvmeState>, private MmioHandler {
 public:
  /// `serial` is at most 20 characters.
  Nvme(std::string name, const PciSpaces& spaces, MsiSink& msi, Scheduler& scheduler, Log& log,
       std::shared_ptr<BlockImage> image, std::string serial);

 private:
  /// A submission queue entry (4.2) without what nothing here uses.
  struct Command {
    u16 queue;
    u16 id;
    u8 opcode;
    u8 flags;  ///< FUSE, PSDT
    u32 nsid;
    u64 prp1, prp2;
    std::array<u32, 6> words;  ///< CDW10..CDW15
    u32 word(unsigned number) const { return words[number - 10]; }
  };
  /// Status field of a completion (4.6.1): code, type in bits 10:8, DNR in bit 14.
  using Status = u16;
  struct Piece {
    u64 address;
    u32 bytes;
  };

  void config_written(u8 offset, unsigned size) override;
  void restored() override;
  u64 mmio_read(unsigned bank, u64 offset, unsigned size) override;
  void mmio_write(unsigned bank, u64 offset, unsigned size, u64 value) override;

  // Registers, queues, interrupts (nvme.cpp).
  u32 read_register(u32 offset) const;
  void write_register(u32 offset, u32 value);
  void configure(u32 value);
  void enable();
  void disable();
  void ring(u32 doorbell, u32 value);
  bool ready() const;
  void run_queues();
  bool run_next(u16 queue);
  bool has_room(const NvmeCompletionQueue& queue) const;
  void complete(u16 queue, u16 id, Status status, u32 result);
  void raise_event(unsigned information);
  void send_events();
  void update_intx();
  bool enter() { return !std::exchange(inside_, true); }
  void leave() { inside_ = false; }

  // Admin commands (nvme_admin.cpp). `deferred`: an event request, which is not completed now.
  Status admin(const Command& command, u32& result, bool& deferred);
  Status create_submission_queue(const Command& command);
  Status create_completion_queue(const Command& command);
  Status delete_submission_queue(u32 id);
  Status delete_completion_queue(u32 id);
  Status identify(const Command& command);
  std::vector<u8> identify_controller() const;
  std::vector<u8> identify_namespace() const;
  std::vector<u8> identify_descriptors() const;
  Status get_log_page(const Command& command);
  std::vector<u8> log_page(u8 identifier);
  Status set_feature(const Command& command, u32& result);
  Status get_feature(const Command& command, u32& result);
  Status abort(const Command& command, u32& result);
  Status request_event(const Command& command, bool& deferred);
  u64 identifier() const;

  // NVM commands (nvme_io.cpp).
  Status io(const Command& command);
  Status read_write(const Command& command, bool writing);
  Status write_zeroes(const Command& command);
  Status dataset_management(const Command& command);
  Status flush();
  Status host_failed(const Error& error, bool writing);
  bool in_range(u64 lba, u64 count) const;
  /// The physical pages of a transfer (4.3). An offset that is not allowed is an error.
  Status collect(const Command& command, u32 bytes, std::vector<Piece>& pieces);
  Status to_host(const Command& command, std::span<const u8> data);
  Status from_host(const Command& command, std::span<u8> data);

  Scheduler& scheduler_;
  Log& log_;
  std::shared_ptr<BlockImage> image_;
  std::string serial_;
  u64 sectors_;
  Msix msix_;
  std::vector<u8> staging_;
  std::vector<Piece> pieces_;  // kept for its memory
  bool inside_ = false;        // a command may move data into our own registers
};

}  // namespace dragoman
