// Virtio input device (1AF4:1052) that is an absolute pointer with five buttons and a wheel.
// Virtual I/O Device (VIRTIO) 1.1, 5.8; event codes: Linux, Documentation/input/event-codes.rst.
#pragma once

#include <string>
#include <vector>

#include "devices/absolute_pointer.h"
#include "devices/virtio/virtio_pci.h"

namespace dragoman {

class VirtioTablet final : public VirtioPci, public AbsolutePointer {
 public:
  VirtioTablet(std::string name, const PciSpaces& spaces, MsiSink& msi, Log& log);

  bool ready() const override { return running(); }
  void move_to(u32 x, u32 y) override;
  void buttons(u8 held) override;
  void wheel(int steps) override;

 private:
  struct Event {
    u16 type, code;
    u32 value;
  };

  u32 device_features() const override { return 0; }
  std::vector<u8> device_config() const override;
  void device_config_written(u64 offset, u8 value) override;
  void queue_notified(unsigned queue) override;
  std::vector<u8> answer() const;
  std::vector<Event> changes() const;
  void report();

  // The host's side: where its pointer is, and what the driver was told of it.
  u32 x_ = 0, y_ = 0, told_x_ = 0, told_y_ = 0;
  u8 held_ = 0, told_held_ = 0;
  int steps_ = 0;
};

}  // namespace dragoman
