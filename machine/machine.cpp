#include "machine/machine.h"

#include <poll.h>
#include <xxhash.h>

#include <algorithm>
#include <utility>

#include "jit/translator.h"

namespace dragoman {
namespace {

/// Instructions between two looks at timers and the host: some hundred microseconds.
constexpr u64 kSliceInstructions = 60'000;
constexpr u64 kPollIntervalNs = 4'000'000;
constexpr u64 kHousekeepingIntervalNs = 16'000'000;
constexpr int kHeldPollMs = 16;  // while the machine is off or held by a debugger

}  // namespace

Result<std::unique_ptr<Machine>> Machine::create(const MachineConfig& config, Log& log) {
  if (config.history && !config.icount_shift) {
    return error("a history needs time by the count of instructions; add -icount shift=3");
  }
  if (config.history && (config.virtio_tablet || config.usb_tablet)) {
    return error("a history does not record a tablet; leave it out or use -rewind off");
  }
  std::unique_ptr<Machine> machine(
      new Machine(config, log, config.history ? std::make_unique<History>(config) : nullptr));
  Machine* self = machine.get();
  BoardEvents events;
  events.power_off = [self] {
    if (self->config_.shutdown) {
      self->stop({StopCause::kPowerOff, 0, ""});
    } else {
      self->powered_off_ = true;
      if (self->history_ == nullptr || !self->history_->in_past()) {
        self->debugger_.notify(MachineEvent::kShutdown);
      }
    }
  };
  events.reset = [self] { self->reset_requested_ = true; };
  events.debug_exit = [self](int status) { self->stop({StopCause::kDebugExit, status, ""}); };
  auto board = PcBoard::create(self->config_, log, std::move(events));
  if (!board) return board.error();
  machine->board_ = board.take();
  machine->board_->scheduler().set_listener([self](u64 deadline) { self->end_slice_at(deadline); });
  machine->board_->cpu().observer = machine->config_.cpu_observer;
  if (machine->history_ != nullptr) machine->history_->attach(*machine);
  if (config.jit) machine->translate(config.translator);
  return machine;
}

void Machine::translate(const TranslatorOptions& options) {
  Cpu& cpu = board_->cpu();
  translation_.reset();
  if (config_.make_translation) {
    translation_ = config_.make_translation(cpu, options);
    return;
  }
  auto translator = std::make_unique<Translator>(cpu, options);
  translator->set_observer(config_.region_observer);
  translation_ = std::move(translator);
}

Machine::~Machine() = default;

void Machine::request_reset() {
  reset_requested_ = true;
  board_->cpu().request_stop();
}

void Machine::stop(StopReason reason) {
  if (!stop_) stop_ = std::move(reason);
  if (board_ != nullptr) board_->cpu().request_stop();
}

StopReason Machine::run() {
  triple_fault_reported_ = false;
  slice_end_ = 0;
  while (!stop_) {
    if (!reset_if_requested()) break;
    board_->scheduler().run_due();
    const u64 now = host_time_ns();
    if (now >= host_deadline_) {
      stop({StopCause::kTimeout, 0, ""});
      break;
    }
    if (now >= next_poll_) {
      poll_host(0);
      if (history_ != nullptr) history_->look();
      next_poll_ = now + kPollIntervalNs;
    }
    do_housekeeping(now);
    if (stop_) break;
    if (powered_off_ || debugger_.hold()) {
      poll_host(kHeldPollMs);
      continue;
    }
    if (history_ != nullptr) {
      if (history_->travelling()) {
        history_->travel();
        continue;
      }
      run_slice(history_->before_slice());
      history_->after_slice();
    } else {
      run_slice(~u64{0});
    }
    debugger_.after_run();
  }
  debugger_.notify(MachineEvent::kShutdown);
  for (const auto& task : housekeeping_) task();
  report_statistics(log_);
  return take_stop_reason();
}

/// Up to the next timer, and at most so many instructions.
void Machine::run_slice(u64 most) {
  const u64 before = instructions();
  const BudgetUse use = config_.icount_shift ? BudgetUse::kExact : BudgetUse::kRoughly;
  const RunExit exit = board_->cpu().run(std::min(slice_budget(), most), use);
  slice_deadline_ = 0;
  board_->clock().ran(instructions() - before);
  handle_exit(exit);
}

void Machine::restored(bool powered_off) {
  powered_off_ = powered_off;
  reset_requested_ = false;
  slice_end_ = slice_deadline_ = 0;
}

u64 Machine::translated_instructions() const {
  return translation_ != nullptr ? translation_->instructions_executed() : 0;
}

std::string Machine::translator_statistics() const {
  if (translation_ == nullptr) return {};
  const std::string text = translation_->describe_statistics();
  return text.empty() ? "the translator keeps no statistics\n" : text;
}

void Machine::report_statistics(Log& log) const {
  if (translation_ == nullptr || !log.enabled(LogCategory::kJitStats)) return;
  if (const std::string text = translation_->describe_statistics(); !text.empty()) {
    log.write_line(text);
  }
}

StopReason Machine::take_stop_reason() {
  StopReason reason = stop_.value_or(StopReason{});
  stop_.reset();
  return reason;
}

Machine::Pause Machine::run_to(u64 limit) {
  while (!stop_ && instructions() < limit) {
    if (instructions() >= slice_end_) {
      if (!reset_if_requested()) break;
      slice_deadline_ = 0;
      board_->scheduler().run_due();
      if (stop_) break;
      slice_end_ = instructions() + slice_budget();
    }
    const u64 before = instructions();
    const RunExit exit = board_->cpu().run(std::min(slice_end_, limit) - before);
    board_->clock().ran(instructions() - before);
    if (exit == RunExit::kBudget) continue;
    // Cut short: the rest of the slice is known, and nothing is due before its end.
    if (std::exchange(slice_cut_, false) && exit == RunExit::kStopRequest && !stop_ &&
        !reset_requested_) {
      continue;
    }
    slice_end_ = 0;
    const bool waits = exit == RunExit::kHalted || exit == RunExit::kWaitForSipi;
    if (waits && board_->scheduler().next_deadline() == Scheduler::kNever) return Pause::kIdle;
    handle_exit(exit);
  }
  return stop_ ? Pause::kStopped : Pause::kReached;
}

/// False when the machine stops instead.
bool Machine::reset_if_requested() {
  if (!reset_requested_) return true;
  reset_requested_ = false;
  if (!config_.reboot) {
    stop({StopCause::kReset, 0, ""});
    return false;
  }
  powered_off_ = false;
  if (auto result = board_->reset(); !result) {
    stop({StopCause::kHostError, 0, result.error().message});
    return false;
  }
  debugger_.machine_reset();
  return true;
}

u64 Machine::slice_budget() {
  const u64 deadline = board_->scheduler().next_deadline();
  const u64 slice = board_->clock().slice(kSliceInstructions);
  const u64 budget = board_->clock().instructions_until(deadline, slice);
  slice_deadline_ = board_->clock().time_after(budget);
  return budget;
}

/// A device armed a timer that is due before the slice under way ends.
void Machine::end_slice_at(u64 deadline) {
  if (deadline >= slice_deadline_) return;
  slice_deadline_ = deadline;
  if (slice_end_ != 0) {  // run_to()
    const u64 left = board_->clock().instructions_until(deadline, kSliceInstructions);
    slice_end_ = std::min(slice_end_, instructions() + left);
  }
  board_->clock().due_sooner(deadline);
  slice_cut_ = true;
  board_->cpu().request_stop();
}

void Machine::handle_exit(RunExit exit) {
  switch (exit) {
    case RunExit::kBudget:
    case RunExit::kStopRequest:
      break;
    case RunExit::kHalted:
    case RunExit::kWaitForSipi:
      wait_for_event();
      break;
    case RunExit::kTripleFault:
      report_triple_fault();
      if (!config_.reboot) {
        stop({StopCause::kTripleFault, 0, ""});
      } else {
        reset_requested_ = true;  // the chipset answers shutdown with a reset
      }
      break;
  }
}

void Machine::wait_for_event() {
  const u64 deadline = board_->scheduler().next_deadline();
  if (deadline != Scheduler::kNever && board_->clock().skip_to(deadline)) return;
  board_->clock().waits();
  const u64 now = board_->scheduler().now();
  if (deadline <= now) return;
  // Until the next timer, the next host event, housekeeping or the host deadline. Poll counts in
  // milliseconds; the last fraction of one is spent in ppoll with a finer timeout.
  u64 wait = std::min(deadline - now, kHousekeepingIntervalNs);
  const u64 host_now = host_time_ns();
  if (host_deadline_ > host_now) wait = std::min(wait, host_deadline_ - host_now);
  std::vector<pollfd> fds;
  timespec timeout{static_cast<time_t>(wait / 1'000'000'000u),
                   static_cast<long>(wait % 1'000'000'000u)};
  for (PollSource* source : poll_sources_) {
    if (source->poll_fd() < 0 || (!source->wants_read() && !source->wants_write())) continue;
    const short events = static_cast<short>((source->wants_read() ? POLLIN : 0) |
                                            (source->wants_write() ? POLLOUT : 0));
    fds.push_back({source->poll_fd(), events, 0});
  }
  if (ppoll(fds.data(), fds.size(), &timeout, nullptr) > 0) next_poll_ = 0;
}

void Machine::poll_host(int timeout_ms) {
  std::vector<pollfd> fds;
  std::vector<PollSource*> sources;
  for (PollSource* source : poll_sources_) {
    if (source->poll_fd() < 0 || (!source->wants_read() && !source->wants_write())) continue;
    const short events = static_cast<short>((source->wants_read() ? POLLIN : 0) |
                                            (source->wants_write() ? POLLOUT : 0));
    fds.push_back({source->poll_fd(), events, 0});
    sources.push_back(source);
  }
  if (poll(fds.data(), fds.size(), timeout_ms) <= 0) return;
  for (std::size_t i = 0; i < fds.size(); ++i) {
    if (fds[i].revents & (POLLIN | POLLHUP | POLLERR)) sources[i]->on_readable();
    if (fds[i].revents & POLLOUT) sources[i]->on_writable();
  }
}

void Machine::do_housekeeping(u64 now) {
  if (now < next_housekeeping_) return;
  next_housekeeping_ = now + kHousekeepingIntervalNs;
  for (const auto& task : housekeeping_) task();
}

void Machine::report_triple_fault() {
  // A guest that reboots into the same fault would fill the log with the same report.
  if (triple_fault_reported_) {
    log_.once("triple fault again", "triple fault again; later ones are not reported in this run");
    return;
  }
  triple_fault_reported_ = true;
  Cpu& cpu = board_->cpu();
  log_.write_line("triple fault: the processor went into shutdown");
  log_.write_line("faults, the last one at the end:");
  log_.write_line(cpu.fault_history());
  log_.write_line(cpu.describe());
}

u64 Machine::state_hash() {
  const GuestMemory& memory = board_->memory();
  const u64 ram = XXH3_64bits(memory.ram(), memory.ram_size());
  std::vector<u8> state;
  save_fields(board_->cpu().state, state);
  return XXH3_64bits_withSeed(state.data(), state.size(), ram);
}

}  // namespace dragoman
