// Two machines of one configuration, one interpreting and one translating, that see the same input
// at the same instructions.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "machine/lockstep_compare.h"
#include "machine/lockstep_io.h"
#include "machine/machine.h"

namespace dragoman {

/// Input from the host, given to both machines when they had executed `instructions`.
struct InputEvent {
  u64 instructions = 0;
  u32 port = 0;           ///< number of the character back end
  std::vector<u8> bytes;  ///< empty: a break condition on serial port 0
};

class MachinePair {
 public:
  enum class Step : u8 {
    kReached,  ///< both at the limit, give or take one event
    kIdle,     ///< both wait for input
    kStopped,  ///< both stopped, for the same reason
    kDivided,  ///< they came back in different ways
  };

  /// `log` gets what the interpreting machine has to say.
  static Result<std::unique_ptr<MachinePair>> create(const MachineConfig& config,
                                                     const LockstepOptions& options, Log& log);

  Machine& interpreter() { return *machines_[0]; }
  Machine& translator() { return *machines_[1]; }
  u64 instructions() { return interpreter().instructions(); }

  /// Runs both; input that is to be replayed is given to them on the way.
  Step run_to(u64 limit);
  /// Why both stopped.
  StopReason take_stop_reason();

  /// Cheap: processors, and what they sent.
  bool equal_now() const;
  /// All of it: RAM, devices and disks too.
  Result<bool> equal_everywhere();
  /// What differs, one line each; empty when nothing does.
  Result<std::string> describe_difference();

  /// Takes input from the host, waiting for it at most `timeout_ms`, and gives it to both.
  void poll_input(int timeout_ms);
  /// A break condition from the terminal, at the next poll_input().
  void send_break() { break_wanted_ = true; }
  /// Input since the last forget_input().
  const std::vector<InputEvent>& input() const { return input_; }
  void forget_input() { input_.clear(); }
  /// Brings what was written to disks to the images. Only when equal.
  Result<void> commit();

  /// For a copy of the process: says nothing to the host any more, takes input from `events`.
  void replay(std::vector<InputEvent> events);

 private:
  MachinePair(const MachineConfig& config, const LockstepOptions& options, Log& log);
  void share_host(const MachineConfig& config);
  Result<void> build(Log& log);
  Machine::Pause run_translator(u64 limit);
  void give(const InputEvent& event);

  Exactness exactness_;
  u64 flip_at_;
  Log& log_;
  Log silent_;  ///< of the second machine, which has nothing new to say
  std::array<MachineConfig, 2> configs_;
  std::vector<std::unique_ptr<SharedCharacter>> characters_;
  std::vector<std::unique_ptr<SharedImage>> images_;
  std::array<std::unique_ptr<Machine>, 2> machines_;
  bool break_wanted_ = false;
  std::vector<InputEvent> input_;
  std::deque<InputEvent> to_replay_;
};

}  // namespace dragoman
