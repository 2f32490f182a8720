#include "devices/virtio/virtio_console.h"

#include <algorithm>
#include <array>

namespace dragoman {
namespace {

constexpr unsigned kToGuest = 0;
constexpr unsigned kFromGuest = 1;

}  // namespace

VirtioConsole::VirtioConsole(std::string name, const PciSpaces& spaces, MsiSink& msi, Log& log,
                             CharacterBackend& backend)
    : VirtioPci(std::move(name), spaces, msi, log,
                {.pci_device = 0x1003, .type = 3, .class_code = 0x078000, .queues = 2}),
      backend_(backend) {
  backend_.set_receiver(this);
}

VirtioConsole::~VirtioConsole() { backend_.set_receiver(nullptr); }

void VirtioConsole::queue_notified(unsigned queue) {
  if (queue == kToGuest) {
    backend_.receiver_ready();  // new buffers for what the host holds back
    return;
  }
  VirtioChain chain;
  while (take(kFromGuest, chain)) {
    std::array<u8, 4096> bytes;
    for (u64 done = 0; done < chain.readable_bytes;) {
      const u64 n = chain.read(memory(), done, bytes);
      backend_.send(std::span<const u8>(bytes).first(n));
      done += n;
    }
    give_back(kFromGuest, chain, 0);
  }
  signal(kFromGuest);
}

/// Every buffer holds at least one byte, so this many surely fit.
unsigned VirtioConsole::can_receive() { return available(kToGuest); }

void VirtioConsole::receive(std::span<const u8> bytes) {
  open_batch(kToGuest);
  guarded([&] {
    VirtioChain chain;
    while (!bytes.empty() && take(kToGuest, chain)) {
      if (chain.writable_bytes == 0) {
        needs_reset("a console receive buffer is not writable");
        break;
      }
      const auto piece = bytes.first(std::min<u64>(bytes.size(), chain.writable_bytes));
      const u64 n = chain.write(memory(), 0, piece);
      give_back(kToGuest, chain, static_cast<u32>(n));
      bytes = bytes.subspan(n);
    }
    signal(kToGuest);
  });
}

}  // namespace dragoman
