// What a machine is to be made of. Front ends fill it in; everything on the host (images, kernel
// files, character back ends) is already opened.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bios/bytes.h"
#include "bios/direct_boot.h"
#include "bios/firmware.h"
#include "cpu/model/cpu_model.h"
#include "devices/block_image.h"
#include "devices/character.h"
#include "devices/sound/audio.h"
#include "devices/sound/midi.h"
#include "devices/sound/sb16_jumpers.h"
#include "jit/options.h"

namespace dragoman {

class Cpu;
class CpuObserver;
class RegionObserver;
class Translation;
struct VgaScreen;

enum class BoardType : u8 { kPc, kQ35 };

/// Drives of if=ide: a bus of the IDE controller of `pc` has two, `q35` has SATA ports instead.
constexpr unsigned ide_units_per_bus(BoardType board) { return board == BoardType::kQ35 ? 1 : 2; }
constexpr unsigned ide_drives(BoardType board) { return board == BoardType::kQ35 ? 6 : 4; }

enum class DriveInterface : u8 { kIde, kVirtio, kFloppy, kSata, kNvme };

struct DriveConfig {
  DriveInterface interface = DriveInterface::kIde;
  unsigned controller = 0;  ///< SATA: which of the added AHCI adapters
  /// IDE: bus * ide_units_per_bus() + unit; SATA: port; floppy: drive. Virtio and NVMe come in this
  /// order.
  unsigned index = 0;
  bool cdrom = false;
  std::shared_ptr<BlockImage> image;  ///< null: an empty CD-ROM or floppy drive
  std::string serial;
  std::optional<unsigned> boot_index;  ///< lower boots first
};

/// A kernel started without firmware.
struct KernelConfig {
  std::shared_ptr<const ModuleContents> kernel;  ///< not null
  std::string name;
  std::string command_line;
  std::vector<BootModule> modules;
  /// What the VGA card shows at the start (machine/firmware_screen.h); null: it has no mode yet.
  std::shared_ptr<const VgaScreen> screen;
};

struct DebugExitConfig {
  u16 port = 0x501;
  u16 ports = 4;
};

struct Sb16Config {
  u16 port = 0x220;
  Sb16Jumpers jumpers;
  AudioBackend* audio = nullptr;
  MidiOutput* midi = nullptr;  ///< outlives the machine; null: nothing is connected
};

struct AdlibConfig {
  AudioBackend* audio = nullptr;
};

/// Sound cards. Back ends outlive the machine; null: a card is there and not heard.
struct SoundConfig {
  AudioBackend* speaker = nullptr;
  std::optional<Sb16Config> sb16;
  std::optional<AdlibConfig> adlib;  ///< beside an sb16 nothing: that has the chip at 388h
  std::vector<AudioBackend*> ac97;   ///< one function each
  bool heard() const {
    const bool ac97_heard =
        std::any_of(ac97.begin(), ac97.end(), [](auto* a) { return a != nullptr; });
    return speaker != nullptr || (sb16 && (sb16->audio != nullptr || sb16->midi != nullptr)) ||
           (adlib && adlib->audio != nullptr) || ac97_heard;
  }
  void mute() {
    speaker = nullptr;
    if (sb16) {
      sb16->audio = nullptr;
      sb16->midi = nullptr;
    }
    if (adlib) adlib->audio = nullptr;
    for (AudioBackend*& audio : ac97) audio = nullptr;
  }
};

/// Interpreter and translator side by side (machine/lockstep.h).
struct LockstepOptions {
  u64 step = 10'000;       ///< instructions between two comparisons of the processors
  u64 check = 64'000'000;  ///< instructions between two comparisons of RAM, devices and disks
  /// False (flags=defined): arithmetic flags, and the same bits of what looks like a saved RFLAGS,
  /// may differ: what the manual leaves undefined counts only when something else comes of it.
  bool all_flags = true;
  /// To test lockstep itself: after so many instructions bit 0 of the translating machine's RBX
  /// changes.
  u64 flip_at = ~u64{0};
};

/// What is kept to return to earlier moments (machine/history.h).
struct HistoryConfig {
  u64 most_bytes = 512 * kMiB;  ///< for saved moments and input
  u64 interval = 0;             ///< instructions between moments; 0: as the host's time allows
};

struct MachineConfig {
  std::string name = "Dragoman";
  BoardType board = BoardType::kPc;
  std::array<u8, 16> uuid{};
  u64 ram_bytes = 128 * kMiB;
  CpuModel cpu;
  bool jit = false;  ///< translate hot blocks instead of interpreting them
  TranslatorOptions translator;
  /// Makes another translation than the one of jit/ and installs it, for tests; may be empty.
  std::function<std::unique_ptr<Translation>(Cpu&, const TranslatorOptions&)> make_translation;
  /// Who watches the processor and the translator of jit/, or null; they outlive the machine.
  CpuObserver* cpu_observer = nullptr;
  RegionObserver* region_observer = nullptr;
  std::optional<unsigned> icount_shift;  ///< virtual time by instruction count
  std::optional<HistoryConfig> history;  ///< record it; only with icount_shift
  u64 rtc_unix_seconds = 0;              ///< date of the RTC at power-on
  u64 random_seed = 0;                   ///< of RDRAND and virtio-rng when time is by icount

  std::vector<DriveConfig> drives;
  unsigned ahci_adapters = 0;  ///< beside what the board has
  bool boot_menu = false;
  bool has_vga = true;
  RomImage vga_rom;                            ///< empty with has_vga: card without BIOS
  std::optional<RomImage> firmware;            ///< absent: the kernel starts without firmware
  std::shared_ptr<const KernelConfig> kernel;  ///< null: what the firmware finds

  /// Back ends outlive the machine. Null serial entries: no such port.
  std::array<CharacterBackend*, 4> serial{};
  std::optional<unsigned> serial_mouse;  ///< the port it is on, whose back end is not used
  CharacterBackend* parallel = nullptr;
  CharacterBackend* debug_console = nullptr;  ///< port E9h
  u16 debug_console_port = 0xe9;
  CharacterBackend* firmware_log = nullptr;  ///< port 402h
  std::vector<CharacterBackend*> virtio_consoles;
  unsigned virtio_rngs = 0;
  bool virtio_tablet = false;  ///< an absolute pointer
  bool usb = false;            ///< a USB controller
  bool usb_tablet = false;     ///< an absolute pointer; with its controller
  SoundConfig sound;
  std::optional<DebugExitConfig> debug_exit;
  bool pc_testdev = false;  ///< ports and memory for test programs

  bool reboot = true;    ///< false: a reset ends the run (-no-reboot)
  bool shutdown = true;  ///< false: power off stops the machine but keeps it (-no-shutdown)
};

}  // namespace dragoman
