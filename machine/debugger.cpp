#include "machine/debugger.h"

#include <algorithm>

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
  stop_ = stop;
  points_.hit = {};
  points_.step = points_.skip = false;
  if (paused_) return;
  paused_ = true;
  machine_.board().clock().set_paused(true);
  notify(MachineEvent::kStop);
}

void Debugger::pause() {
  if (paused_) return;
  stopped({});
  cpu().request_stop();
}

void Debugger::resume() {
  if (!paused_) return;
  paused_ = false;
  machine_.board().clock().set_paused(false);
  if (attached_) {
    points_.hit = {};
    points_.skip = points_.breaks_at(pc()) && cpu().state.activity == Activity::kRunning;
    points_.pass_exception = stop_.cause == DebugPoints::Cause::kException;
    cpu().set_attention_check();
  }
  notify(MachineEvent::kResume);
}

void Debugger::step() {
  if (!paused_) return;
  attach();
  paused_ = false;
  machine_.board().clock().set_paused(false);
  points_.hit = {};
  points_.skip = true;
  points_.pass_exception = stop_.cause == DebugPoints::Cause::kException;
  points_.step = true;
  if (cpu().state.activity != Activity::kRunning) points_.skip = false;
  cpu().set_attention_check();
}

void Debugger::system_reset() { machine_.request_reset(); }

void Debugger::press_power_button() {
  machine_.board().press_power_button();
  notify(MachineEvent::kPowerdown);
}

void Debugger::quit() { machine_.stop({StopCause::kRequested, 0, "quit"}); }

void Debugger::after_run() {
  if (!attached_ || !points_.hit.any()) return;
  stopped(points_.hit);
}

void Debugger::machine_reset() {
  if (points_.step) stopped({DebugPoints::Cause::kStep, pc(), false, {}, 0, 0});
  notify(MachineEvent::kReset);
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
                   machine_.board().memory_map().write_bytes(at, in.subspan(from, n));
                 });
}

void Debugger::read_physical(u64 address, std::span<u8> out) {
  machine_.board().memory_map().read_bytes(PhysicalAddress(address), out);
}

void Debugger::write_physical(u64 address, std::span<const u8> in) {
  machine_.board().memory_map().write_bytes(PhysicalAddress(address), in);
}

void Debugger::registers_changed() { cpu().state_replaced(); }

}  // namespace dragoman
