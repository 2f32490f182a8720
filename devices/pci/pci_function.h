// Base of every PCI function: configuration space with its header type 0, base address
// registers and INTx. PCI Local Bus Specification 3.0, chapter 6.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/irq_line.h"
#include "devices/device.h"
#include "memory/memory_map.h"
#include "memory/port_map.h"

namespace dragoman {

/// The address spaces behind the host bridge: where base address registers map their ranges, and
/// where bus masters read and write.
struct PciSpaces {
  MemoryMap& memory;
  PortMap& ports;
};

/// Fixed part of the header. The default subsystem is what the firmware of this board expects.
struct PciIdentity {
  u16 vendor = 0xffff;
  u16 device = 0xffff;
  u32 class_code = 0;  ///< 24 bits: base class, subclass, programming interface
  u8 revision = 0;
  u16 subsystem_vendor = 0x1af4;
  u16 subsystem = 0x1100;
  u8 interrupt_pin = 0;  ///< 0 none, 1..4 for INTA#..INTD#
  bool multifunction = false;
};

struct PciConfigState {
  std::array<u8, 256> bytes{};
  static constexpr auto fields() { return std::tuple{Field{"bytes", &PciConfigState::bytes}}; }
};

/// Configuration space offsets of header type 0.
struct PciRegister {
  enum : u8 {
    kVendor = 0x00,
    kDevice = 0x02,
    kCommand = 0x04,
    kStatus = 0x06,
    kRevision = 0x08,
    kClass = 0x09,
    kHeaderType = 0x0e,
    kBar0 = 0x10,
    kSubsystemVendor = 0x2c,
    kSubsystem = 0x2e,
    kRom = 0x30,
    kCapabilities = 0x34,
    kInterruptLine = 0x3c,
    kInterruptPin = 0x3d,
  };
};

/// One function. A device derives from this class and, in its constructor, declares its BARs,
/// capabilities and chip-specific registers; afterwards reset() gives the power-on state.
///
/// A device with registers of its own derives from StatefulPciFunction<State> (below) instead,
/// which adds `state_`. Reusable parts with state (Msix) keep it in a member struct of that State.
///
/// Base address registers keep their ranges in MemoryMap and PortMap up to date by themselves.
/// They lie below RAM in priority: the host bridge claims DRAM addresses before PCI sees them.
class PciFunction : public Device {
 public:
  std::string_view name() const override { return name_; }
  void reset() override;
  void save(std::vector<u8>& out) const override { save_fields(config_, out); }
  Result<void> load(std::span<const u8>& in) override;
  std::string print() const override;

  /// Configuration cycles; `size` is 1, 2 or 4 and `offset` + `size` <= 256.
  u32 config_read(u8 offset, unsigned size);
  void config_write(u8 offset, unsigned size, u32 value);

  /// Called by the bus when the function is plugged in.
  void connect_intx(IrqLine line);
  /// Interrupt pin: 0 none, 1..4 for INTA#..INTD#.
  u8 interrupt_pin() const { return defaults_[PciRegister::kInterruptPin]; }

  /// The function may read and write memory by itself (command bit 2).
  bool bus_master() const { return (config_.bytes[PciRegister::kCommand] & 4) != 0; }
  /// Level of the function's own interrupt condition; reaches the pin unless disabled by command
  /// bit 10. Status bit 3 shows it.
  void set_intx(bool level);
  bool intx() const { return (config_.bytes[PciRegister::kStatus] & 8) != 0; }

  const PciConfigState& config() const { return config_; }
  /// What a base address register (6: of the ROM) says.
  struct Region {
    unsigned bar = 0;
    bool io = false;
    bool prefetchable = false;
    bool is_64bit = false;
    u64 size = 0;
    u64 address = 0;
    bool decoded = false;  ///< the range answers at this address
  };
  std::vector<Region> regions() const;
  const PciSpaces& spaces() const { return spaces_; }

  // --- Construction helpers, also for reusable parts such as Msix. ---

  /// I/O BAR of `size` ports (a power of two, 4..256).
  void add_io_bar(unsigned index, u32 size, PortHandler& handler, unsigned bank, unsigned widest);
  /// Memory BAR with registers (a power of two, at least 16). A 64-bit BAR also takes index + 1.
  void add_memory_bar(unsigned index, u64 size, MmioHandler& handler, unsigned bank,
                      bool prefetchable = false, bool is_64bit = false);
  /// Prefetchable 32-bit memory BAR backed by pool memory (video memory).
  void add_host_memory_bar(unsigned index, u64 size, u8* host);
  /// Expansion ROM BAR backed by pool memory; `size` is a power of two, at least 2 KiB.
  void add_rom_bar(u64 size, u8* host);
  /// Reserves `size` bytes (with the two header bytes) for a capability and links it in.
  u8 add_capability(u8 id, u8 size);
  /// Declares a register: its power-on value and the bits software can write.
  void define_register(u8 offset, unsigned size, u32 power_on, u32 writable);
  /// Bits of a register that a written 1 clears.
  void define_write_one_to_clear(u8 offset, unsigned size, u32 mask);
  /// Current value for the owner, and a change that ignores write masks.
  u32 peek_config(u8 offset, unsigned size) const;
  void poke_config(u8 offset, unsigned size, u32 value);

 protected:
  PciFunction(std::string name, const PciSpaces& spaces, const PciIdentity& identity);

  /// Chip-specific registers: `value` is what configuration space holds; returns what is read.
  virtual u32 config_read_hook(u8 /*offset*/, unsigned /*size*/, u32 value) { return value; }
  /// After a write changed configuration space (and BARs were remapped).
  virtual void config_written(u8 /*offset*/, unsigned /*size*/) {}
  /// Configuration space (and the State of a StatefulPciFunction) was replaced as a whole by reset
  /// or load: re-arm timers, drive lines, bring indices into range.
  virtual void restored() {}

  void reset_config();
  Result<void> load_config(std::span<const u8>& in);

 private:
  struct Bar {
    enum Kind { kNone, kIo, kMemory, kRom } kind = kNone;
    bool is_64bit = false;
    u64 size = 0;
    u32 range = 0;
  };
  static constexpr unsigned kRomBar = 6;
  static u8 bar_offset(unsigned index) {
    return static_cast<u8>(index == kRomBar ? +PciRegister::kRom : PciRegister::kBar0 + 4 * index);
  }
  void define_bar(unsigned index, Bar::Kind kind, u64 size, u32 type_bits, bool is_64bit);
  void update_mappings();
  void drive_intx() const;

  std::string name_;
  PciSpaces spaces_;
  PciConfigState config_;
  std::array<u8, 256> defaults_{};
  std::array<u8, 256> writable_{};
  std::array<u8, 256> write_one_to_clear_{};
  std::array<Bar, 7> bars_{};
  unsigned next_capability_ = 0x40;
  IrqLine intx_line_;
};

/// A function with a State of its own, saved after its configuration space.
template <class State>
class StatefulPciFunction : public PciFunction {
 public:
  void reset() override {
    state_ = State{};
    PciFunction::reset();
  }
  void save(std::vector<u8>& out) const override {
    PciFunction::save(out);
    save_fields(state_, out);
  }
  Result<void> load(std::span<const u8>& in) override {
    // Both halves are read before either takes effect, so a cut state changes nothing.
    PciConfigState config{};
    State loaded{};
    std::span<const u8> rest = in;
    if (auto result = load_fields(config, rest); !result) return result;
    if (auto result = load_fields(loaded, rest); !result) return result;
    if (auto result = load_config(in); !result) return result;
    in = rest;
    state_ = loaded;
    restored();
    return {};
  }
  std::string print() const override { return PciFunction::print() + print_fields(state_); }
  const State& state() const { return state_; }

 protected:
  using PciFunction::PciFunction;
  State state_;
};

}  // namespace dragoman
