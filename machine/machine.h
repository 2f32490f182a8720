// A whole PC that runs: the board, virtual time, host events and the reasons to stop.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/poll_source.h"
#include "cpu/execute/translation.h"
#include "machine/config.h"
#include "machine/debugger.h"
#include "machine/history.h"
#include "machine/pc_board.h"

namespace dragoman {

/// Why Machine::run() came back.
enum class StopCause : u8 {
  kPowerOff,     ///< the guest switched the machine off
  kDebugExit,    ///< isa-debug-exit, with its status
  kTripleFault,  ///< shutdown with `reboot` off
  kReset,        ///< reset with `reboot` off
  kRequested,    ///< Machine::stop()
  kTimeout,      ///< the host deadline passed
  kHostError,    ///< something on the host failed; the text says what
  kDifference,   ///< lockstep: interpreter and translator came to different results
};

struct StopReason {
  StopCause cause = StopCause::kRequested;
  int status = 0;
  std::string message;
};

class Machine {
 public:
  /// `config` and `log` outlive the machine.
  static Result<std::unique_ptr<Machine>> create(const MachineConfig& config, Log& log);
  ~Machine();

  /// Runs until something stops the machine; may be called again after kRequested or kTimeout.
  StopReason run();

  /// How run_to() came back.
  enum class Pause : u8 {
    kReached,  ///< at the limit, or one instruction behind it when an event was delivered there
    kIdle,     ///< the processor waits and no timer will wake it
    kStopped,  ///< see take_stop_reason()
  };
  /// For a machine whose time is the count of instructions: runs until instructions() reaches
  /// `limit`. Looks at nothing on the host. Timers run where they would run without the pause, so
  /// that the choice of limits does not change what the guest sees.
  Pause run_to(u64 limit);
  /// Why the machine stopped; it may run again afterwards.
  StopReason take_stop_reason();
  /// Translates from now on with these options, with nothing translated yet.
  void translate(const TranslatorOptions& options);
  /// Interprets from now on.
  void interpret() { translation_.reset(); }
  /// What the translator did; empty when code is interpreted.
  std::string translator_statistics() const;
  /// Those of instructions() that translated code executed.
  u64 translated_instructions() const;
  /// With -d jit-stats, what the translator did; run() does this at its end.
  void report_statistics(Log& log) const;

  /// Makes run() return with the given reason at the next instruction boundary. For callbacks that
  /// run on the machine's own thread.
  void stop(StopReason reason);
  /// run() ends with kTimeout at this host time (host_time_ns()).
  void set_host_deadline(u64 host_ns) { host_deadline_ = host_ns; }
  /// Host descriptors watched while the machine runs; they outlive the machine.
  void add_poll_source(PollSource& source) { poll_sources_.push_back(&source); }
  /// Called about every 16 ms of host time while running and while idle: displays, flushing.
  void add_housekeeping(std::function<void()> task) { housekeeping_.push_back(std::move(task)); }

  /// Looks at the host's descriptors, waiting for at most `timeout_ms`; run() does this by itself.
  void poll_host(int timeout_ms);
  /// What is due of add_housekeeping() at host time `now`; run() does this by itself.
  void do_housekeeping(u64 now);

  PcBoard& board() { return *board_; }
  Debugger& debugger() { return debugger_; }
  /// What was recorded to go back in, or null.
  History* history() const { return history_.get(); }
  /// Hard reset at the next instruction boundary, as if the guest had asked for it.
  void request_reset();
  /// Why the machine is about to stop for good; null while it is not.
  const StopReason* stopping() const { return stop_ ? &*stop_ : nullptr; }
  /// Powered off, but kept by `shutdown` off.
  bool powered_off() const { return powered_off_; }
  /// Instructions executed since power-on.
  u64 instructions() { return board_->cpu().retired(); }
  /// XXH3-64 of RAM and of the processor's state, to compare runs.
  u64 state_hash();

 private:
  friend class History;  // runs the machine again
  Machine(const MachineConfig& config, Log& log, std::unique_ptr<History> history)
      : history_(std::move(history)),
        config_(history_ != nullptr ? history_->config() : config),
        log_(log) {}
  void run_slice(u64 most);
  /// An earlier moment was put back.
  void restored(bool powered_off);
  u64 slice_budget();
  void end_slice_at(u64 deadline);
  void handle_exit(RunExit exit);
  void wait_for_event();
  bool reset_if_requested();
  void report_triple_fault();

  std::unique_ptr<History> history_;  ///< outlives the board
  const MachineConfig& config_;
  Log& log_;
  std::unique_ptr<PcBoard> board_;
  Debugger debugger_{*this};
  std::unique_ptr<Translation> translation_;
  std::optional<StopReason> stop_;
  bool reset_requested_ = false;
  bool powered_off_ = false;            ///< off, but kept (-no-shutdown)
  bool triple_fault_reported_ = false;  ///< in full, since run() began
  u64 slice_end_ = 0;       ///< run_to(): instruction count of the next look at the timers
  u64 slice_deadline_ = 0;  ///< virtual time of the slice's end; a timer before it ends it early
  bool slice_cut_ = false;  ///< a stop request of the processor means no more than that
  u64 host_deadline_ = ~u64{0};
  u64 next_poll_ = 0;
  u64 next_housekeeping_ = 0;
  std::vector<PollSource*> poll_sources_;
  std::vector<std::function<void()>> housekeeping_;
};

}  // namespace dragoman
