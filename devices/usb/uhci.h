// USB host controller of the PIIX3 (8086:7020) and of the ICH9 (8086:2934): UHCI with two ports.
// Universal Host Controller Interface Design Guide 1.1 (Intel, 1996); 82371SB (PIIX3) datasheet
// 290550, chapter 3.
#pragma once

#include <array>
#include <string>

#include "base/log.h"
#include "base/scheduler.h"
#include "devices/pci/pci_function.h"
#include "devices/usb/usb_device.h"

namespace dragoman {

struct UhciState {
  u64 frame_start = 0;  ///< virtual time at which the current frame began, while it runs
  u32 frame_list = 0;   ///< FLBASEADD
  u16 command = 0;
  u16 status = 0x0020;  ///< halted
  u16 interrupts = 0;
  u16 frame = 0;  ///< FRNUM
  std::array<u16, 2> ports{};
  u8 sof_modify = 0x40;
  u8 causes = 0;  ///< of USBINT: bit 0 completion, bit 1 short packet
  u16 quiet = 0;  ///< frames since anything was moved
  std::array<u8, 4> reserved{};

  static constexpr auto fields() {
    using S = UhciState;
    return std::tuple{Field{"frame_start", &S::frame_start},
                      Field{"frame_list", &S::frame_list},
                      Field{"command", &S::command},
                      Field{"status", &S::status},
                      Field{"interrupts", &S::interrupts},
                      Field{"frame", &S::frame},
                      Field{"ports", &S::ports},
                      Field{"sof_modify", &S::sof_modify},
                      Field{"causes", &S::causes},
                      Field{"quiet", &S::quiet},
                      Field{"reserved", &S::reserved}};
  }
};

/// BAR 4 holds the registers. Frames are worked off at their end; while nothing moves, eight at a
/// time, so that a tablet at rest does not keep the host awake.
class Uhci final : public StatefulPciFunction<UhciState>, private PortHandler {
 public:
  static constexpr unsigned kPorts = 2;
  static constexpr u16 kPiix3 = 0x7020, kIch9 = 0x2934;

  Uhci(std::string name, const PciSpaces& spaces, Scheduler& scheduler, Log& log, u16 device,
       u8 interrupt_pin);

  /// Before the first reset; the device outlives the controller's use. False: all ports are taken.
  bool attach(UsbDevice& device);
  void reset() override;

 private:
  /// What became of a transfer descriptor.
  enum class Outcome { kIdle, kRetry, kDone, kStay };
  struct Descriptor {
    u32 link, control, token, buffer;
  };

  void restored() override;
  void config_written(u8 offset, unsigned size) override;
  u32 port_read(unsigned bank, u16 offset, unsigned size) override;
  void port_write(unsigned bank, u16 offset, unsigned size, u32 value) override;
  u32 read_register(unsigned offset);
  void write_command(u16 value);
  void write_status(u16 value);
  void write_port(unsigned port, u16 value);
  void reset_controller();
  void reset_ports();
  void wake(unsigned port);

  bool running() const { return (state_.command & 1) != 0; }
  void arm();
  void catch_up();
  void run_frame();
  Outcome transfer(u32 address, Descriptor& td, bool queued, int& budget);
  Outcome finish(u32 address, Descriptor& td, bool queued, u32 asked, u32 moved);
  UsbDevice* find(u8 address);
  void fail_process(const char* why);
  void update_interrupt();

  Scheduler& scheduler_;
  Log& log_;
  Timer timer_;
  std::array<UsbDevice*, kPorts> devices_{};
};

}  // namespace dragoman
