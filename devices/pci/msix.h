// MSI-X capability with its table and pending bit array. PCI Local Bus Specification 3.0, 6.8.2.
#pragma once

#include <array>
#include <tuple>

#include "base/fields.h"
#include "devices/pci/msi_sink.h"
#include "devices/pci/pci_function.h"

namespace dragoman {

/// Part of the State of the function that owns the Msix.
struct MsixState {
  static constexpr unsigned kMaxVectors = 64;
  std::array<u32, 4 * kMaxVectors> table = all_masked();  ///< address, upper address, data, control
  u64 pending = 0;

  static constexpr std::array<u32, 4 * kMaxVectors> all_masked() {
    std::array<u32, 4 * kMaxVectors> entries{};
    for (unsigned i = 3; i < entries.size(); i += 4) entries[i] = 1;
    return entries;
  }
  static constexpr auto fields() {
    return std::tuple{Field{"table", &MsixState::table}, Field{"pending", &MsixState::pending}};
  }
};

/// The capability occupies one 4 KiB memory BAR of its own: table at 0, pending bits at 800h.
/// The owner constructs it in its constructor (it adds the BAR and the capability), calls
/// config_written() from its own hook of that name and notify() to send; it must not use INTx
/// while enabled().
class Msix : public MmioHandler {
 public:
  Msix(PciFunction& function, MsixState& state, MsiSink& sink, unsigned vectors, unsigned bar);

  unsigned vectors() const { return vectors_; }
  /// Software switched from INTx to MSI-X.
  bool enabled() const;
  /// Sends the message of a vector, or remembers it as pending while masked. A vector out of
  /// range (virtio's "no vector") is ignored.
  void notify(unsigned vector);
  /// Message control may have changed: sends what became unmasked.
  void config_written();

  u64 mmio_read(unsigned bank, u64 offset, unsigned size) override;
  void mmio_write(unsigned bank, u64 offset, unsigned size, u64 value) override;

 private:
  static constexpr u64 kPendingOffset = 0x800;
  u16 control() const;
  bool masked(unsigned vector) const;
  void send(unsigned vector);
  void send_unmasked();

  PciFunction& function_;
  MsixState& state_;
  MsiSink& sink_;
  unsigned vectors_;
  u8 capability_ = 0;
  bool sending_ = false;  // a message may store into a device that notifies again
};

}  // namespace dragoman
