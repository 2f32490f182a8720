// `-accel lockstep`: interpreter and translator side by side on one guest, compared after every
// few thousand instructions. The first difference ends the run with a report that is narrowed to
// one instruction where that is possible.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "machine/lockstep_pair.h"
#include "machine/lockstep_process.h"

namespace dragoman {

class Lockstep {
 public:
  /// `config` describes each of the two machines; time is by instruction count whatever it says
  /// (shift 3 unless given). Back ends and images belong to both, see lockstep_io.h. `config` may
  /// go, `log` and what `config` points to outlive this.
  static Result<std::unique_ptr<Lockstep>> create(const MachineConfig& config,
                                                  const LockstepOptions& options, Log& log);

  /// Runs until both machines stop, or with StopCause::kDifference and the report as message.
  StopReason run();
  /// Makes run() return after the step under way.
  void stop(StopReason reason);
  /// run() ends with kTimeout at this host time (host_time_ns()).
  void set_host_deadline(u64 host_ns) { host_deadline_ = host_ns; }
  /// The interpreting machine: poll sources and housekeeping are added to it.
  Machine& reference() { return pair_->interpreter(); }
  /// A break condition on serial port 0 of both machines.
  void send_break() { pair_->send_break(); }

 private:
  /// One way to run the translating machine over a piece that went wrong.
  struct Trial {
    bool fresh = false;              ///< forget all translations at `from`
    u64 from = 0;                    ///< interpret up to here; 0: not at all
    unsigned block_limit = ~0u;      ///< instructions in a block
    TranslatorOptions options = {};  ///< of the fresh translator
  };
  /// The instructions that a difference was narrowed to.
  struct Culprit {
    Trial trial;
    u64 from = 0;  ///< instruction count before the first
    u64 count = 0;
    u64 seen = 0;  ///< instruction count at which the difference shows
  };

  Lockstep(const MachineConfig& config, const LockstepOptions& options, Log& log)
      : options_(options), translator_options_(config.translator), log_(log) {}

  std::string search(u64 limit, bool original);
  std::string narrow(const std::string& message);
  std::string wake(u64 limit);
  MachinePair::Step step_to(u64 limit);
  bool attend_host(bool idle);

  // lockstep_narrow.cpp
  std::string bisect(u64 limit);
  void run_trial(const Trial& trial, u64 end);
  bool differs(const Trial& trial, u64 end);
  u64 first_difference(const Trial& trial, u64 end);
  Culprit find_culprit(u64 seen);
  std::string helping_switches(u64 seen);
  std::string report(const Culprit& culprit);
  std::string list_instructions(const Culprit& culprit);

  LockstepOptions options_;
  TranslatorOptions translator_options_;
  Log& log_;
  std::unique_ptr<MachinePair> pair_;
  std::unique_ptr<Checkpoint> checkpoint_;
  u64 interval_ = 0;     ///< between two checkpoints, at this depth of the search
  u64 verified_ = 0;     ///< instruction count at the checkpoint
  bool found_ = false;   ///< search() ended at a difference
  std::string note_;     ///< how the machines stopped, if that is what differs
  std::string problem_;  ///< of the host, which ended search()
  std::optional<StopReason> stop_;
  u64 host_deadline_ = ~u64{0};
  u64 next_poll_ = 0;
};

}  // namespace dragoman
