#include "machine/debugger.h"

#include <algorithm>
#include <array>
#include <utility>

#include "machine/history.h"
#include "machine/machine.h"

namespace dragoman {

Debugger::Debugger(Machine& machine) : machine_(machine) {}
Debugger::~Debugger() = default;

Cpu& Debugger::cpu() { return machine_.board().cpu(); }

u64 Debugger::pc() {
  Cpu& c = cpu();
  return c.code64() ? c.state.rip() : static_cast<u32>(c.state.segments[kCs].base + c.state.rip());
}

void Debugger::notify(MachineEvent event) {
  for (const Listener& listener : listeners_) listener(event);
}

// --- Running --------------------------------------------------------------------------------

void Debugger::stopped(const Stop& stop) {
  if (!stop.any() && (points_.step || points_.skip)) {
    if (History* history = machine_.history(); history != nullptr && !history->in_past()) {
      (void)history->record(History::Input::kStepEnded);
    }
  }
  stop_ = stop;
  if (stop_.holds_exception()) stop_.address = pc();  // the instruction that comes again
  points_.hit = {};
  points_.step = points_.skip = stepping_ = false;
  if (paused_) return;
  paused_ = true;
  machine_.board().clock().set_paused(true);
  notify(MachineEvent::kStop);
}

void Debugger::pause() {
  if (paused_) return;
  if (History* history = machine_.history(); history != nullptr && history->travelling()) {
    return history->cancel();
  }
  stopped({});
  cpu().request_stop();
}

bool Debugger::in_past() const {
  return machine_.history() != nullptr && machine_.history()->in_past();
}

/// Steps hold interrupts off, which changes what the machine does: they are input. In the past the
/// machine goes its way of then. Whether they hold now.
bool Debugger::record_step(bool step, bool skip) {
  History* const history = machine_.history();
  if (history == nullptr || (!step && !skip)) return true;
  if (history->in_past()) return false;
  (void)history->record(step ? History::Input::kStep : History::Input::kSkip, 0, {skip});
  return true;
}

void Debugger::resume() {
  if (History* history = machine_.history(); history != nullptr && history->travelling()) {
    resume_then_ = true;
    return history->cancel();
  }
  if (!paused_) return;
  if (attached_) {
    points_.hit = {};
    points_.skip = points_.breaks_at(pc()) && cpu().state.activity == Activity::kRunning;
    points_.events_wait = record_step(false, points_.skip);
    points_.pass_exception = stop_.holds_exception();
    cpu().set_attention_check();
  }
  paused_ = false;
  machine_.board().clock().set_paused(false);
  notify(MachineEvent::kResume);
}

void Debugger::step() {
  if (!paused_) return;
  attach();
  points_.hit = {};
  points_.skip = cpu().state.activity == Activity::kRunning;
  points_.events_wait = record_step(true, points_.skip);
  points_.pass_exception = stop_.holds_exception();
  points_.step = stepping_ = true;
  paused_ = false;
  machine_.board().clock().set_paused(false);
  cpu().set_attention_check();
}

// --- Input --------------------------------------------------------------------------------------

namespace {
/// False: the machine is on its way through the past and takes none.
bool recorded(Machine& machine, History::Input kind, u32 port = 0, std::array<i64, 4> values = {}) {
  return machine.history() == nullptr || machine.history()->record(kind, port, values);
}
}  // namespace

void Debugger::inject_nmi() {
  if (recorded(machine_, History::Input::kNmi)) cpu().raise_nmi();
}

void Debugger::send_break(unsigned serial_port) {
  Uart16550* const uart = machine_.board().serial(serial_port);
  if (uart == nullptr || !recorded(machine_, History::Input::kBreak, serial_port)) return;
  uart->receive_break();
}

u32 Debugger::read_port(u16 port, unsigned width) {
  if (!recorded(machine_, History::Input::kPort, 0, {port, width, 0, 0})) return ~u32{0};
  return cpu().ports().read(Port(port), width);
}

void Debugger::write_port(u16 port, unsigned width, u32 value) {
  if (!recorded(machine_, History::Input::kPort, 0, {port, width, value, 1})) return;
  cpu().ports().write(Port(port), width, value);
}

void Debugger::system_reset() {
  if (recorded(machine_, History::Input::kReset)) machine_.request_reset();
}

void Debugger::press_power_button() {
  if (!recorded(machine_, History::Input::kPowerButton)) return;
  machine_.board().press_power_button();
  notify(MachineEvent::kPowerdown);
}

void Debugger::quit() { machine_.stop({StopCause::kRequested, 0, "quit"}); }

// --- Back ---------------------------------------------------------------------------------------

bool Debugger::can_reverse() const { return machine_.history() != nullptr; }

Result<void> Debugger::reverse(bool step) {
  if (!can_reverse()) {
    return error(
        "there is no recorded history to go back in; start with -icount shift=3 and -rewind on");
  }
  if (!paused_) return error("the machine runs; stop it first");
  attach();
  points_.hit = {};
  points_.step = points_.skip = stepping_ = false;
  machine_.history()->go_back(step ? History::Travel::kStepBack : History::Travel::kContinueBack);
  paused_ = false;
  return {};
}

void Debugger::repeat_step(bool step, bool skip) {
  attach();
  points_.hit = {};
  points_.skip = skip;
  points_.step = step || stepping_;
  points_.events_wait = true;
  cpu().set_attention_check();
}

void Debugger::step_as_ever() {
  attach();
  points_.hit = {};
  points_.skip = cpu().state.activity == Activity::kRunning;
  points_.events_wait = false;
  points_.step = true;
  cpu().set_attention_check();
}

void Debugger::pass_as_ever(const Stop& hit) {
  points_.skip = hit.cause == DebugPoints::Cause::kBreakpoint;
  points_.pass_exception = hit.holds_exception();
  points_.events_wait = false;
  cpu().set_attention_check();
}

bool Debugger::stop_at_breakpoint() {
  if (points_.skip || cpu().state.activity != Activity::kRunning || !points_.breaks_at(pc())) {
    return false;
  }
  points_.hit = {DebugPoints::Cause::kBreakpoint, pc(), false, {}, 0, 0};
  cpu().request_stop();
  return true;
}

void Debugger::end_step() {
  points_.step = stepping_;
  points_.skip = false;
}

void Debugger::forget_step() {
  if (!stepping_ && points_.hit.cause == DebugPoints::Cause::kStep) points_.hit = {};
}

void Debugger::finish_step() {
  if (!points_.step || points_.hit.any()) return;
  points_.step = points_.skip = false;
  points_.hit = {DebugPoints::Cause::kStep, pc(), false, {}, 0, 0};
}

void Debugger::arrived(const Stop& stop) {
  points_.pass_exception = false;
  points_.events_wait = true;
  stopped(stop);
  if (std::exchange(resume_then_, false)) resume();
}

void Debugger::after_run() {
  if (!attached_ || !points_.hit.any()) return;
  stopped(points_.hit);
}

void Debugger::machine_reset() {
  const bool again = in_past();
  if (points_.step && (stepping_ || !again)) {
    stopped({DebugPoints::Cause::kStep, pc(), false, {}, 0, 0});
  }
  if (!again) notify(MachineEvent::kReset);
}

// --- Points -----------------------------------------------------------------------------------

void Debugger::attach() {
  if (attached_) return;
  attached_ = true;
  cpu().set_debug_points(&points_);
}

void Debugger::points_changed() {
  attach();
  cpu().debug_points_changed();
}

void Debugger::add_breakpoint(u64 linear) {
  points_.breakpoints.push_back(linear);  // counted: two clients may set the same one
  points_changed();
}

bool Debugger::remove_breakpoint(u64 linear) {
  const auto found = std::find(points_.breakpoints.begin(), points_.breakpoints.end(), linear);
  if (found == points_.breakpoints.end()) return false;
  points_.breakpoints.erase(found);
  points_changed();
  return true;
}

void Debugger::add_watch(const DebugPoints::Watch& watch) {
  points_.watches.push_back(watch);
  points_changed();
}

bool Debugger::remove_watch(const DebugPoints::Watch& watch) {
  const auto found = std::find(points_.watches.begin(), points_.watches.end(), watch);
  if (found == points_.watches.end()) return false;
  points_.watches.erase(found);
  points_changed();
  return true;
}

void Debugger::catch_vectors(u32 mask) {
  points_.caught_vectors = mask;
  attach();
}

void Debugger::clear_points() {
  if (points_.breakpoints.empty() && points_.watches.empty() && points_.caught_vectors == 0) return;
  points_.breakpoints.clear();
  points_.watches.clear();
  points_.caught_vectors = 0;
  points_changed();
}

// --- State ------------------------------------------------------------------------------------

namespace {
/// Calls `piece(physical, offset, bytes)` for the part of each page.
template <class Piece>
std::size_t by_page(Cpu& cpu, u64 linear, std::size_t bytes, Piece&& piece) {
  std::size_t done = 0;
  while (done < bytes) {
    const u64 at = cpu.long_mode() ? linear + done : static_cast<u32>(linear + done);
    if (cpu.long_mode() && !cpu.canonical(at)) break;
    const u64 physical = cpu.peek_translate(at);
    if (physical == ~u64{0}) break;
    const auto part =
        static_cast<std::size_t>(std::min<u64>(bytes - done, kPageSize - (at & kPageMask)));
    piece(PhysicalAddress(physical), done, part);
    done += part;
  }
  return done;
}
}  // namespace

std::size_t Debugger::read_linear(u64 linear, std::span<u8> out) {
  return by_page(cpu(), linear, out.size(),
                 [&](PhysicalAddress at, std::size_t from, std::size_t n) {
                   machine_.board().memory_map().read_bytes(at, out.subspan(from, n));
                 });
}

std::size_t Debugger::write_linear(u64 linear, std::span<const u8> in) {
  return by_page(cpu(), linear, in.size(),
                 [&](PhysicalAddress at, std::size_t from, std::size_t n) {
                   write_physical(at.value, in.subspan(from, n));
                 });
}

void Debugger::read_physical(u64 address, std::span<u8> out) {
  machine_.board().memory_map().read_bytes(PhysicalAddress(address), out);
}

void Debugger::write_physical(u64 address, std::span<const u8> in) {
  if (History* history = machine_.history()) {
    if (!history->record(History::Input::kMemory, 0, {static_cast<i64>(address)}, in)) return;
  }
  machine_.board().memory_map().write_bytes(PhysicalAddress(address), in);
}

void Debugger::registers_changed() {
  if (History* history = machine_.history()) {
    std::vector<u8> state;
    cpu().save(state);
    (void)history->record(History::Input::kProcessor, 0, {}, state);
  }
  cpu().state_replaced();
}

}  // namespace dragoman
