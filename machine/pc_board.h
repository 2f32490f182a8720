// A PC: its chipset (machine/chipset.h), ISA devices, PCI slots. Together they are the one list of
// devices of a PC.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/log.h"
#include "base/random.h"
#include "base/scheduler.h"
#include "bios/board_description.h"
#include "cpu/cpu.h"
#include "devices/absolute_pointer.h"
#include "devices/ahci/ahci.h"
#include "devices/apic_bus.h"
#include "devices/debug_console.h"
#include "devices/fw_cfg.h"
#include "devices/hpet.h"
#include "devices/i8042.h"
#include "devices/i82077.h"
#include "devices/i8237.h"
#include "devices/i8254.h"
#include "devices/i8259.h"
#include "devices/ioapic.h"
#include "devices/irq_fanout.h"
#include "devices/isa_debug_exit.h"
#include "devices/local_apic.h"
#include "devices/mc146818.h"
#include "devices/mouse_input.h"
#include "devices/parallel_port.h"
#include "devices/pc_testdev.h"
#include "devices/port61.h"
#include "devices/port92.h"
#include "devices/ps2_keyboard.h"
#include "devices/sound/audio_mixer.h"
#include "devices/sound/pc_speaker.h"
#include "devices/uart16550.h"
#include "devices/vga/std_vga.h"
#include "machine/chipset.h"
#include "machine/clock.h"
#include "machine/config.h"
#include "machine/device_list.h"

namespace dragoman {

/// Requests of devices that the run loop acts on between instructions.
struct BoardEvents {
  std::function<void()> power_off;
  std::function<void()> reset;
  std::function<void(int)> debug_exit;
};

class PcBoard {
 public:
  /// `config` outlives the board. Fails when RAM cannot be had or a kernel cannot be loaded.
  static Result<std::unique_ptr<PcBoard>> create(const MachineConfig& config, Log& log,
                                                 BoardEvents events);
  ~PcBoard();

  /// Power-on or hard reset: all chips, then firmware or the kernel's own start state.
  Result<void> reset();

  /// Everything but RAM, video memory and disks, as it is between two instructions.
  struct Saved {
    std::vector<u8> processor, devices;
    Scheduler::Saved timers;
    Cpu::Pins pins;
    u64 skipped = 0;  ///< MachineClock::skipped()
    SplitMix64 random;
  };
  Saved save() const;
  /// Puts it back, into the board it came from.
  Result<void> load(const Saved& saved);

  Cpu& cpu() { return *cpu_; }
  Scheduler& scheduler() { return scheduler_; }
  MachineClock& clock() { return *clock_; }
  GuestMemory& memory() { return *memory_; }
  MemoryMap& memory_map() { return map_; }
  Ps2Keyboard& keyboard() { return *keyboard_; }
  /// The mice, as the host's mouse moves them.
  MouseInput& mouse() { return *mouse_; }
  /// The tablet whose driver listens, else any; null without one.
  AbsolutePointer* tablet();
  /// Null without a VGA card.
  StdVga* vga() { return vga_; }
  I82077* floppy() { return floppy_; }
  /// The CD-ROM drive that entry `drive` of MachineConfig::drives made, or null.
  AtapiCdrom* cdrom(std::size_t drive) { return drive < cdroms_.size() ? cdroms_[drive] : nullptr; }
  PciBus& pci();
  void press_power_button() { chipset_->press_power_button(); }
  Uart16550* serial(unsigned index) { return index < uarts_.size() ? uarts_[index] : nullptr; }
  const std::vector<std::unique_ptr<Device>>& devices() const { return devices_.all(); }

 private:
  PcBoard(const MachineConfig& config, Log& log, BoardEvents events,
          std::unique_ptr<GuestMemory> memory);
  template <class D, class... Args>
  D& add(Args&&... args) {
    return devices_.add<D>(std::forward<Args>(args)...);
  }
  void add_processor();
  void add_chipset();
  void add_isa_devices();
  void add_pci_devices();
  void add_sound();
  AudioMixer* mixer_for(AudioBackend* backend);
  void add_drives();
  void add_firmware();
  void set_cmos();
  BoardDescription describe() const;
  std::vector<std::string> boot_order() const;
  void request_reset(bool hard);
  Result<void> start_kernel();
  void enter(const BootState& boot);
  void plug(PciFunction& function);
  void random_bytes(std::span<u8> out);

  const MachineConfig& config_;
  Log& log_;
  BoardEvents events_;
  std::unique_ptr<GuestMemory> memory_;
  MemoryMap map_;
  PortMap ports_;
  std::unique_ptr<MachineClock> clock_;
  Scheduler scheduler_;
  PciSpaces spaces_;
  ApicBus apic_bus_;
  SplitMix64 random_;

  std::vector<std::pair<AudioBackend*, std::unique_ptr<AudioMixer>>> mixers_;
  std::unique_ptr<PcSpeaker> speaker_;
  DeviceList devices_;
  std::unique_ptr<IrqFanout> intr_;
  std::unique_ptr<A20Gate> a20_;
  std::unique_ptr<IrqSink> init_pin_;
  std::unique_ptr<IrqSink> ferr_pin_;
  std::unique_ptr<Cpu> cpu_;

  std::unique_ptr<Chipset> chipset_;
  LocalApic* apic_ = nullptr;
  Ioapic* ioapic_ = nullptr;
  I8259Pair* pic_ = nullptr;
  I8254* pit_ = nullptr;
  I8237Pair* dma_ = nullptr;
  Port61* port61_ = nullptr;
  Mc146818* rtc_ = nullptr;
  I82077* floppy_ = nullptr;
  std::vector<AtapiCdrom*> cdroms_;  // as MachineConfig::drives
  Ps2Keyboard* keyboard_ = nullptr;
  std::unique_ptr<MouseInput> mouse_;
  StdVga* vga_ = nullptr;
  std::vector<AbsolutePointer*> tablets_;
  FwCfg* fw_cfg_ = nullptr;
  std::vector<Uart16550*> uarts_;
  std::vector<Ahci*> ahci_;           // added adapters ...
  std::vector<unsigned> ahci_slots_;  // ... and where they are
  std::vector<std::pair<const DriveConfig*, unsigned>> drive_slots_;
  unsigned next_slot_ = 0;
};

}  // namespace dragoman
