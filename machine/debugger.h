// How debuggers and monitors hold, step and inspect a machine. One per machine; the gdb server and
// the monitors share it, so that all of them see the same breakpoints and the same pause.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "cpu/cpu.h"

namespace dragoman {

class Machine;

enum class MachineEvent : u8 {
  kStop,       ///< the machine stands still; Debugger::stop() says why
  kResume,     ///< it runs again
  kReset,      ///< hard reset
  kPowerdown,  ///< the power button was pressed
  kShutdown,   ///< power off, or the program ends
};

class Debugger {
 public:
  using Stop = DebugPoints::Hit;  ///< cause kNone: asked for by pause()
  using Listener = std::function<void(MachineEvent)>;

  explicit Debugger(Machine& machine);
  ~Debugger();
  Debugger(const Debugger&) = delete;
  Debugger& operator=(const Debugger&) = delete;

  // --- Running. Take effect between two instructions; callable from poll sources. -------------
  bool paused() const { return paused_; }
  const Stop& stop() const { return stop_; }
  void pause();
  void resume();
  /// One instruction of the guest, or one iteration of a repeated one; interrupts wait meanwhile,
  /// unless the processor is halted. Then the machine stops with cause kStep.
  void step();
  /// Goes back by one step, or to the last breakpoint, watched access or caught exception; the
  /// machine then stands there, or with cause kBegin at the beginning of what is recorded. Fails
  /// without a history.
  Result<void> reverse(bool step);
  bool can_reverse() const;
  void inject_nmi();
  void send_break(unsigned serial_port);
  u32 read_port(u16 port, unsigned width);
  void write_port(u16 port, unsigned width, u32 value);
  void system_reset();
  void press_power_button();
  void quit();

  // --- Points to stop at. Linear addresses. -----------------------------------------------------
  void add_breakpoint(u64 linear);
  bool remove_breakpoint(u64 linear);
  void add_watch(const DebugPoints::Watch& watch);
  bool remove_watch(const DebugPoints::Watch& watch);
  void catch_vectors(u32 mask);
  const DebugPoints& points() const { return points_; }
  /// All breakpoints, watchpoints and caught exceptions go.
  void clear_points();

  // --- State ------------------------------------------------------------------------------------
  Machine& machine() { return machine_; }
  Cpu& cpu();
  /// Linear address of the next instruction.
  u64 pc();
  /// Memory as the processor would see it, without rights and A/D bits. The number of bytes that
  /// could be accessed before a page that is not mapped.
  std::size_t read_linear(u64 linear, std::span<u8> out);
  std::size_t write_linear(u64 linear, std::span<const u8> in);
  void read_physical(u64 address, std::span<u8> out);
  void write_physical(u64 address, std::span<const u8> in);
  /// To be called after registers were written.
  void registers_changed();

  /// `listener` lives as long as the machine runs.
  void add_listener(Listener listener) { listeners_.push_back(std::move(listener)); }
  void notify(MachineEvent event);

  // --- For Machine
  // --------------------------------------------------------------------------------
  /// Before the processor runs: true when it must not.
  bool hold() const { return paused_; }
  /// After the processor ran.
  void after_run();
  /// Reset was done: a step in progress is over.
  void machine_reset();

  // --- For History ---
  /// A step or a skip as a debugger once made it.
  void repeat_step(bool step, bool skip);
  /// What the machine would have done next without a debugger, but no more than one instruction
  /// or iteration.
  void step_as_ever();
  /// On from a breakpoint or a caught exception, likewise.
  void pass_as_ever(const Stop& hit);
  void end_step();
  /// Stops here if a breakpoint is here that was not just left.
  bool stop_at_breakpoint();
  /// A repeated step is done: nobody waits for it but a debugger that steps now.
  void forget_step();
  /// A step through the past did what happened next, which need not be an instruction.
  void finish_step();
  bool stepping() const { return stepping_; }
  /// The machine is where reverse() led.
  void arrived(const Stop& stop);

 private:
  friend class History;
  bool in_past() const;
  bool record_step(bool step, bool skip);
  void attach();
  void points_changed();
  void stopped(const Stop& stop);

  Machine& machine_;
  DebugPoints points_;
  bool paused_ = false;
  bool attached_ = false;
  bool resume_then_ = false;  ///< run on when the way back has ended
  bool stepping_ = false;     ///< for a debugger, not again for the history
  Stop stop_;
  std::vector<Listener> listeners_;
};

}  // namespace dragoman
