// Virtio entropy device (1AF4:1005). Virtual I/O Device (VIRTIO) 1.1, 5.4.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "devices/virtio/virtio_pci.h"

namespace dragoman {

class VirtioRng final : public VirtioPci {
 public:
  /// Fills a span with random bytes: the host's, or a seeded sequence for repeatable runs.
  using Source = std::function<void(std::span<u8>)>;

  VirtioRng(std::string name, const PciSpaces& spaces, MsiSink& msi, Log& log, Source source);

 private:
  u32 device_features() const override { return 0; }
  std::vector<u8> device_config() const override { return {}; }
  void queue_notified(unsigned queue) override;

  Source source_;
};

}  // namespace dragoman
