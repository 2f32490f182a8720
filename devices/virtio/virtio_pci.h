// Virtio over PCI, transitional: the legacy I/O registers and the modern capabilities.
// Virtual I/O Device (VIRTIO) 1.1, 4.1; the legacy interface is in its "Legacy" subsections.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "devices/pci/msix.h"
#include "devices/pci/pci_function.h"
#include "devices/virtio/virtqueue.h"

namespace dragoman {

inline constexpr unsigned kVirtioMaxQueues = 2;

struct VirtioPciState {
  u64 driver_features = 0;
  u32 device_feature_select = 0;
  u32 driver_feature_select = 0;
  u16 queue_select = 0;
  u16 config_vector = 0xffff;
  u8 status = 0;
  u8 isr = 0;
  u8 generation = 0;
  bool broken = false;  ///< a queue was malformed; nothing moves until the driver resets
  std::array<u8, 8> config_bytes =
      {};  ///< of the device-specific structure, as the device type likes
  std::array<VirtqueueState, kVirtioMaxQueues> queues = {};
  MsixState msix = {};

  static constexpr auto fields() {
    using S = VirtioPciState;
    return std::tuple{Field{"driver_features", &S::driver_features},
                      Field{"device_feature_select", &S::device_feature_select},
                      Field{"driver_feature_select", &S::driver_feature_select},
                      Field{"queue_select", &S::queue_select},
                      Field{"config_vector", &S::config_vector},
                      Field{"status", &S::status},
                      Field{"isr", &S::isr},
                      Field{"generation", &S::generation},
                      Field{"broken", &S::broken},
                      Field{"config_bytes", &S::config_bytes},
                      Field{"queues", &S::queues},
                      Field{"msix", &S::msix}};
  }
};

/// What tells the kinds of devices apart in configuration space.
struct VirtioIdentity {
  u16 pci_device;  ///< transitional PCI device id
  u16 type;        ///< virtio device id, the PCI subsystem id
  u32 class_code;
  unsigned queues;
};

/// Base of the virtio devices. BAR 0: legacy ports; BAR 1: MSI-X; BAR 4: modern registers. A
/// malformed queue sets DEVICE_NEEDS_RESET, raises a configuration interrupt and is told to
/// `-d guest_errors`. Requests complete at once, in the code of the notification.
class VirtioPci : public StatefulPciFunction<VirtioPciState>,
                  private PortHandler,
                  private MmioHandler {
 public:
  void reset() override;

 protected:
  VirtioPci(std::string name, const PciSpaces& spaces, MsiSink& msi, Log& log,
            const VirtioIdentity& identity);

  // --- For the device. ---
  /// Feature bits 0..23 of the device type.
  virtual u32 device_features() const = 0;
  /// The device-specific configuration structure.
  virtual std::vector<u8> device_config() const = 0;
  /// The driver wrote a byte of that structure (modern registers only).
  virtual void device_config_written(u64 /*offset*/, u8 /*value*/) {}
  /// The driver made buffers available. Runs only while the device may use its queues.
  virtual void queue_notified(unsigned queue) = 0;

  /// Takes the next chain; false when there is none or the queue is malformed (reported).
  bool take(unsigned queue, VirtioChain& chain);
  /// Allows take() the chains that are available now. Done before queue_notified(); a device that
  /// works outside of it does it itself. Buffers may overlap the rings, so without this a guest
  /// could feed a loop for ever.
  void open_batch(unsigned queue) { batch_[queue] = available(queue); }
  void give_back(unsigned queue, const VirtioChain& chain, u32 written);
  /// Interrupts if the driver asked for it; once after a batch of give_back().
  void signal(unsigned queue);
  /// Runs `work` with notifications ignored: a buffer may name our own registers.
  template <class Work>
  void guarded(Work&& work) {
    const bool was_busy = std::exchange(busy_, true);
    work();
    busy_ = was_busy;
  }
  void needs_reset(std::string_view problem);
  /// DRIVER_OK and not broken.
  bool running() const;
  unsigned available(unsigned queue);
  bool has_feature(unsigned number) const { return state_.driver_features >> number & 1; }
  MemoryMap& memory() { return spaces().memory; }
  Log& log() { return log_; }

 private:
  u32 config_read_hook(u8 offset, unsigned size, u32 value) override;
  void config_written(u8 offset, unsigned size) override;
  void restored() override;
  u32 port_read(unsigned bank, u16 offset, unsigned size) override;
  void port_write(unsigned bank, u16 offset, unsigned size, u32 value) override;
  u64 mmio_read(unsigned bank, u64 offset, unsigned size) override;
  void mmio_write(unsigned bank, u64 offset, unsigned size, u64 value) override;

  void add_capabilities();
  u64 offered_features() const;
  bool modern() const;
  void write_status(u8 value);
  void reset_virtio();
  u8 read_isr();
  void raise_isr(u8 bits, u16 vector);
  void notify(u32 queue);
  u16 valid_vector(u32 value) const;
  VirtqueueState* selected_queue();
  void write_legacy_address(u32 page);
  u64 read_common(u64 offset, unsigned size);
  void write_common(u64 offset, unsigned size, u64 value);
  u64 read_bytes(std::span<const u8> bytes, u64 offset, unsigned size) const;
  unsigned legacy_config_offset() const { return msix_.enabled() ? 24 : 20; }

  Log& log_;
  unsigned queue_count_;
  std::vector<Virtqueue> queues_;
  Msix msix_;
  u8 window_ = 0;      // configuration access capability
  bool busy_ = false;  // see guarded()
  std::array<unsigned, kVirtioMaxQueues> batch_{};
};

}  // namespace dragoman
