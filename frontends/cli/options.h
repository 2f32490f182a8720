// The command line in QEMU's spelling, as plain values.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "frontends/trace/trace_options.h"
#include "machine/config.h"

namespace dragoman {

/// "key=value" items of an option such as -drive, in order. A first item without "=" has the key
/// the option implies ("" when none). Commas inside values are doubled.
class KeyValues {
 public:
  static KeyValues parse(std::string_view text, std::string_view implied_key);
  /// Removes and returns the value of `key`.
  std::optional<std::string> take(std::string_view key);
  /// Removes and returns the first item.
  std::optional<std::pair<std::string, std::string>> take_first();
  /// An Error that names the first item nobody took, with the known keys.
  Result<void> expect_empty(std::string_view option, std::string_view known) const;
  bool empty() const { return items_.empty(); }

 private:
  std::vector<std::pair<std::string, std::string>> items_;
};

/// One -drive, -hda, -cdrom, -fda ... in the order given.
struct DriveOption {
  std::string file;
  std::string format;             ///< empty: found by the contents
  std::string interface = "ide";  ///< ide, virtio, floppy, none; -device: sata, nvme
  unsigned controller = 0;        ///< of sata
  std::string id;
  std::string serial;
  std::optional<unsigned> index;
  std::optional<unsigned> boot_index;
  bool cdrom = false;
  bool read_only = false;
  bool snapshot = false;
  bool backing = false;  ///< use the backing file a qcow2 image names
};

/// One -audiodev.
struct AudioOption {
  std::string driver;  ///< sdl, wav, none
  std::string id;
  std::string path;   ///< of a recording
  u32 rate = 48'000;  ///< frames per second
};

struct DeviceOption {
  std::string driver;
  KeyValues properties;
};

struct Options {
  std::optional<std::string> file;  ///< `dragoman FILE`
  std::string name = "Dragoman";
  std::string uuid;
  std::string machine = "pc";  ///< pc, q35
  std::string accel = "jit";   ///< jit, interp, lockstep
  TranslatorOptions translator;
  LockstepOptions lockstep;
  std::string cpu = "max";
  u64 ram_bytes = 128 * kMiB;
  std::string kernel, initrd, append, bios;
  std::vector<DriveOption> drives;
  std::vector<DeviceOption> devices;
  std::vector<AudioOption> audiodevs;
  std::string speaker_audiodev;  ///< id; empty: the first
  std::string boot_order;
  bool boot_menu = false;
  bool snapshot = false;
  std::vector<std::string> serial;
  std::vector<std::string> parallel;
  std::vector<std::string> debugcon;
  std::string monitor;  ///< none, stdio, or where to listen
  std::vector<std::string> gdb;
  std::vector<std::string> qmp;
  bool nographic = false;
  std::string display;
  std::string vga = "std";
  bool no_reboot = false;
  bool no_shutdown = false;
  std::string rtc;
  std::string icount;
  std::string rewind;  ///< on, off, size=N, or empty: as it seems useful
  std::string log_categories;
  std::string log_file;
  std::optional<double> timeout_seconds;
  std::string expect;
  bool print_state = false;
  std::optional<TraceOptions> trace;
  std::vector<SymbolFile> trace_symbols;
  std::string command;        ///< as it was typed, for the trace
  bool start_paused = false;  ///< -S

  /// Whether a port is connected to the terminal the program was started on.
  bool uses_stdio() const;
};

/// What parse_options() wants the program to do.
struct ParsedCommand {
  Options options;
  std::optional<std::string> text;  ///< print this and exit with 0 (-h, -version, "-cpu help")
};

Result<ParsedCommand> parse_options(int argc, const char* const* argv);

/// "512", "1G", "64M", "size=1G": bytes; plain numbers are MiB.
Result<u64> parse_memory_size(std::string_view text);

}  // namespace dragoman
