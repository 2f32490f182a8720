#include "devices/virtio/virtio_rng.h"

#include <algorithm>
#include <array>

namespace dragoman {

VirtioRng::VirtioRng(std::string name, const PciSpaces& spaces, MsiSink& msi, Log& log,
                     Source source)
    : VirtioPci(std::move(name), spaces, msi, log,
                {.pci_device = 0x1005, .type = 4, .class_code = 0x00ff00, .queues = 1}),
      source_(std::move(source)) {}

void VirtioRng::queue_notified(unsigned queue) {
  VirtioChain chain;
  while (take(queue, chain)) {
    if (chain.writable_bytes == 0) {
      needs_reset("an entropy request has nothing to write to");
      break;
    }
    // The device may give less than was asked for (5.4.6.1), so one request stays short.
    std::array<u8, 4096> bytes;
    const auto data = std::span(bytes).first(std::min<u64>(chain.writable_bytes, bytes.size()));
    source_(data);
    give_back(queue, chain, static_cast<u32>(chain.write(memory(), 0, data)));
  }
  signal(queue);
}

}  // namespace dragoman
