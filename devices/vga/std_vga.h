// VGA with the Bochs display extension as a PCI function, 1234:1111 ("std VGA").
// IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem"; Bochs VBE DISPI interface;
// PCI layout as in QEMU's "Standard VGA" specification.
#pragma once

#include <array>
#include <span>
#include <string>

#include "base/scheduler.h"
#include "base/types.h"
#include "devices/pci/pci_function.h"
#include "devices/vga/vga_renderer.h"
#include "devices/vga/vga_state.h"
#include "memory/memory_map.h"
#include "memory/port_map.h"

namespace dragoman {

/// The card. BAR 0 is video memory, BAR 2 the register window, plus an expansion ROM. It claims
/// the legacy window A0000h-BFFFFh and ports 3B0h-3BBh, 3C0h-3DFh, 1CEh-1D0h by itself, enabled
/// by the command register's memory and I/O bits.
///
/// Video memory holds the four planes interleaved: plane p of plane offset n is byte 4n + p.
class StdVga : public StatefulPciFunction<VgaState>, public MmioHandler, public PortHandler {
 public:
  static constexpr u64 kDefaultMemory = 16 * kMiB;

  /// `memory_bytes`: a power of two from 256 KiB. `rom` is the video BIOS (may be empty) and is
  /// copied.
  StdVga(std::string name, const PciSpaces& spaces, Scheduler& scheduler, std::span<const u8> rom,
         u64 memory_bytes = kDefaultMemory);

  u64 mmio_read(unsigned bank, u64 offset, unsigned size) override;
  void mmio_write(unsigned bank, u64 offset, unsigned size, u64 value) override;
  u32 port_read(unsigned bank, u16 offset, unsigned size) override;
  void port_write(unsigned bank, u16 offset, unsigned size, u32 value) override;

  /// Takes over what firmware would have set up.
  void show(const VgaScreen& screen);

  std::span<u8> video_memory() const { return {memory_, memory_bytes_}; }
  /// Draws and reads the screen as it is now; cheap to make, valid while the card lives.
  VgaRenderer renderer() const { return VgaRenderer(state_, video_memory()); }

 protected:
  void restored() override;
  void config_written(u8 offset, unsigned size) override;

 private:
  enum MmioBank : unsigned { kLegacyWindow, kRegisterWindow };
  enum PortBank : unsigned { kMonochromePorts, kColourPorts, kDispiPorts };

  void update_legacy_decoding();

  // vga_registers.cpp; ports by their number.
  u8 read_register(u16 port);
  void write_register(u16 port, u8 value);
  u8 read_crtc() const;
  void write_crtc(u8 value);
  u8 read_attribute() const;
  void write_attribute(u8 value);
  u8 read_dac();
  void write_dac(u8 value);
  u8 read_input_status_1();
  bool crtc_port(u16 port) const;

  // vga_memory.cpp; offsets from A0000h.
  u8 read_window(u32 offset);
  void write_window(u32 offset, u8 value);
  bool window_address(u32 offset, u32& address) const;
  u32 read_planes(u64 plane_offset) const;
  void write_planes(u64 plane_offset, u32 value, u32 byte_mask);
  bool linear_window() const;
  u64 linear_address(u32 address) const;
  u64 banked_plane_offset(u64 plane_offset) const;
  u32 modify(u8 value) const;

  // vga_dispi.cpp
  u16 read_dispi(u16 index) const;
  void write_dispi(u16 index, u16 value);
  void enable_dispi(u16 value);
  u64 read_register_window(u64 offset, unsigned size);
  void write_register_window(u64 offset, unsigned size, u64 value);

  Scheduler& scheduler_;
  Log& log_;
  GuestMemory& pool_;
  u8* memory_;
  u64 memory_bytes_;
  std::array<u8, 128> edid_;
  RangeId legacy_window_;
  std::array<PortRangeId, 3> legacy_ports_;
};

}  // namespace dragoman
