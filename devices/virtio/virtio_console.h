// Virtio console (1AF4:1003), one port. Virtual I/O Device (VIRTIO) 1.1, 5.3.
#pragma once

#include <string>

#include "devices/character.h"
#include "devices/virtio/virtio_pci.h"

namespace dragoman {

/// Queue 0 carries bytes to the guest, queue 1 bytes from it. Sent bytes leave at once.
class VirtioConsole final : public VirtioPci, private CharacterReceiver {
 public:
  VirtioConsole(std::string name, const PciSpaces& spaces, MsiSink& msi, Log& log,
                CharacterBackend& backend);
  ~VirtioConsole() override;

 private:
  u32 device_features() const override { return 0; }
  /// Columns, rows, ports, emergency write: all of them belong to features that are not offered.
  std::vector<u8> device_config() const override { return std::vector<u8>(12); }
  void queue_notified(unsigned queue) override;
  unsigned can_receive() override;
  void receive(std::span<const u8> bytes) override;

  CharacterBackend& backend_;
};

}  // namespace dragoman
