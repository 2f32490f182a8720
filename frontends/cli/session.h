// From the command line to a running machine: opens images and consoles, builds the machine,
// runs it, turns the reason to stop into an exit code.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "devices/character/backends.h"
#include "devices/character/expect.h"
#include "devices/character/mux.h"
#include "devices/character/open_character.h"
#include "frontends/cli/audio_outputs.h"
#include "frontends/cli/options.h"
#include "frontends/debug_ports.h"
#include "frontends/media.h"
#include "frontends/sdl/sdl_display.h"
#include "frontends/terminal/terminal_display.h"
#include "frontends/trace/trace_session.h"
#include "frontends/vnc/vnc_display.h"
#include "machine/lockstep.h"
#include "machine/machine.h"

namespace dragoman {

/// Exit codes of the program beside those of isa-debug-exit, which are odd.
enum ExitCode : int {
  kExitOk = 0,
  kExitHostError = 1,
  kExitUsage = 2,
  kExitTripleFault = 4,
  kExitDifference = 6,  ///< -accel lockstep
  kExitTimeout = 124,
};

class Session {
 public:
  explicit Session(Options options) : options_(std::move(options)) {}
  ~Session();

  /// Opens everything and builds the machine; an Error is bad usage or a host problem.
  Result<void> prepare();
  /// Exit code for an Error of prepare(): kExitHostError for files and other things of the host
  /// that cannot be used, kExitUsage for wrong options and values.
  int failure_code() const { return failure_code_; }
  /// Runs to the end and returns the exit code.
  int run();

 private:
  Result<void> open_log();
  Result<void> open_boot_file();
  Result<void> open_drives();
  Result<void> open_characters();
  Result<void> open_firmware();
  Result<void> open_audio();
  Result<void> add_devices();
  Result<void> open_kernel();
  Result<void> parse_time();
  Result<void> parse_rewind();
  Result<void> open_display();
  Result<void> build_machine();
  Result<void> open_debug_ports();
  /// The machine back ends belong to; in lockstep the interpreting one.
  Machine& machine() { return lockstep_ != nullptr ? lockstep_->reference() : *machine_; }
  void stop(StopReason reason);
  void send_break();
  Error host_problem(Error cause);
  void set_boot_order();
  Result<CharacterBackend*> open_character_device(const std::string& spec, bool watch_expect);
  std::optional<unsigned> free_index(DriveInterface interface, unsigned controller,
                                     bool cdrom) const;
  Result<DriveConfig> open_drive(const DriveOption& drive);

  Options options_;
  Log log_;
  TraceSession trace_{log_};
  MachineConfig config_;
  std::vector<std::string> ahci_ids_;
  std::vector<std::unique_ptr<HostCharacter>> characters_;
  std::vector<std::unique_ptr<CharacterMux>> muxes_;
  std::vector<std::unique_ptr<ExpectTee>> tees_;
  std::vector<std::unique_ptr<PollSource>> poll_sources_;
  std::vector<CharacterBackend*> mux_owner_serial_;
  AudioOutputs audio_;
  std::unique_ptr<Machine> machine_;
  std::unique_ptr<Lockstep> lockstep_;  ///< instead of machine_
  std::unique_ptr<SdlDisplay> window_;
  std::unique_ptr<StdioCharacter> terminal_;
  std::unique_ptr<TerminalDisplay> terminal_display_;
  std::unique_ptr<VncDisplay> vnc_;
  DebugPorts debug_ports_;
  std::unique_ptr<MediaBay> media_;
  std::unique_ptr<StdioCharacter> monitor_terminal_;
  int failure_code_ = kExitUsage;
};

}  // namespace dragoman
