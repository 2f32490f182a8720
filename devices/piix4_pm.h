// Intel 82371AB (PIIX4) power management function: ACPI fixed registers, APM control, SMBus host.
// 82371AB datasheet (order number 290562), chapter 7; ACPI specification 6.4, 4.8.
#pragma once

#include <array>
#include <functional>

#include "base/scheduler.h"
#include "devices/acpi_pm1.h"
#include "devices/pci/pci_function.h"
#include "devices/smbus.h"

namespace dragoman {

struct Piix4PmState {
  AcpiPm1State pm1 = {};  ///< PMSTS, PMEN, PMCNTRL, PMTMR
  u32 processor_control = 0;
  u32 device_status = 0;
  u32 global_control = 0;
  u32 device_control = 0;
  u32 general_output = 0x7fffbfff;
  u16 general_enable = 0;
  u16 global_status = 0;
  u16 global_enable = 0;
  u16 gpe_status = 0;
  u16 gpe_enable = 0;
  u8 apm_control = 0;
  u8 apm_status = 0;
  std::array<u8, 16> smbus{};

  static constexpr auto fields() {
    using S = Piix4PmState;
    return std::tuple{Field{"pm1", &S::pm1},
                      Field{"processor_control", &S::processor_control},
                      Field{"device_status", &S::device_status},
                      Field{"global_control", &S::global_control},
                      Field{"device_control", &S::device_control},
                      Field{"general_output", &S::general_output},
                      Field{"general_enable", &S::general_enable},
                      Field{"global_status", &S::global_status},
                      Field{"global_enable", &S::global_enable},
                      Field{"gpe_status", &S::gpe_status},
                      Field{"gpe_enable", &S::gpe_enable},
                      Field{"apm_control", &S::apm_control},
                      Field{"apm_status", &S::apm_status},
                      Field{"smbus", &S::smbus}};
  }
};

/// What the function drives. Callbacks run inside a port write: the board notes the request.
struct Piix4PmOutputs {
  IrqLine sci;                          ///< Piix3::kSci
  std::function<void()> smi;            ///< SMI#, one call per event
  std::function<void()> power_off;      ///< soft off (SLP_TYP 0)
  std::function<void(unsigned)> sleep;  ///< any other SLP_TYP
};

/// Slot 1 function 3. Port blocks: power management at PMBA (config 40h, 64 ports), SMBus host at
/// SMBBA (config 90h, 16 ports), APMC/APMS at B2h/B3h, and the general purpose event block of this
/// board at AFE0h (GPE0_STS and GPE0_EN, two bytes each).
class Piix4Pm : public StatefulPciFunction<Piix4PmState>, private PortHandler {
 public:
  /// FADT values of this board: the firmware has no SMI code for them, so the chip itself switches
  /// SCI_EN when software writes them to APMC (besides sending the SMI, if that is enabled).
  static constexpr u8 kAcpiEnable = 0xf1;
  static constexpr u8 kAcpiDisable = 0xf0;
  static constexpr u16 kGpePort = 0xafe0;

  Piix4Pm(std::string name, const PciSpaces& spaces, Scheduler& scheduler, Piix4PmOutputs outputs);

  void reset() override;
  /// The user pressed the power button.
  void press_power_button();
  /// Sets a general purpose event (0..15).
  void raise_gpe(unsigned event);
  /// What hangs on the SMBus; it outlives the function.
  void set_smbus_device(SmbusDevice& device) { smbus_device_ = &device; }
  /// The board left a sleep state: WAK_STS.
  void wake();

 protected:
  void config_written(u8 offset, unsigned size) override;
  void restored() override;

 private:
  enum Bank : unsigned { kPower, kSmbus, kApm, kGpe };
  u32 port_read(unsigned bank, u16 offset, unsigned size) override;
  void port_write(unsigned bank, u16 offset, unsigned size, u32 value) override;
  u8 read_power(unsigned offset, u64 now_ticks);
  void write_power(unsigned offset, u8 value);
  void write_smbus(unsigned offset, u8 value);
  bool transfer_smbus();
  void write_apm_control(u8 value);
  void update_mappings();
  /// Drives SCI.
  void update();

  Piix4PmOutputs outputs_;
  SmbusDevice* smbus_device_ = nullptr;
  AcpiPm1 pm1_;
  PortRangeId power_range_ = 0;
  PortRangeId smbus_range_ = 0;
};

}  // namespace dragoman
