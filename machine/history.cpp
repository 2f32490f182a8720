#include "machine/history.h"

#include <algorithm>
#include <utility>

#include "machine/machine.h"

namespace dragoman {

namespace {
constexpr u64 kNever = ~u64{0};
}

History::History(const MachineConfig& config) : options_(*config.history), config_(config) {
  wrap(config);
}

History::~History() = default;

PcBoard& History::board() const { return machine_->board(); }

void History::attach(Machine& machine) {
  machine_ = &machine;
  board().keyboard().set_gate([this](Key key, bool pressed) {
    return giving_ || record(Input::kKey, 0, {static_cast<i64>(key), pressed});
  });
  board().mouse().set_gate([this](int dx, int dy, int dz, int mask) {
    return giving_ || record(Input::kMouse, 0, {dx, dy, dz, mask});
  });
}

Position History::position() const {
  return {machine_->instructions(), board().clock().now_ns(), part_};
}

// --- Input --------------------------------------------------------------------------------------

bool History::record(Input kind, u32 port, std::array<i64, 4> values, std::span<const u8> bytes) {
  if (travelling()) return false;
  if (!present_) {
    if (!machine_->debugger().paused()) return false;
    forget_future();
  }
  events_.push_back({position(), kind, port, values, {bytes.begin(), bytes.end()}});
  next_event_ = events_.size();
  event_bytes_ += sizeof(Event) + bytes.size();
  return true;
}

void History::came(u32 port, std::span<const u8> bytes) {
  (void)record(Input::kBytes, port, {}, bytes);
}

void History::look() {
  if (!present()) return;
  for (const auto& character : characters_) character->look();
}

void History::give(const Event& event) {
  Debugger& debugger = machine_->debugger();
  const auto& v = event.values;
  giving_ = true;
  switch (event.kind) {
    case Input::kBytes:
      characters_[event.port]->again(event.bytes);
      break;
    case Input::kBreak:
      if (Uart16550* uart = board().serial(event.port)) uart->receive_break();
      break;
    case Input::kKey:
      board().keyboard().key(static_cast<Key>(v[0]), v[1] != 0);
      break;
    case Input::kMouse:
      if (v[3] < 0) {
        board().mouse().move(static_cast<int>(v[0]), static_cast<int>(v[1]),
                             static_cast<int>(v[2]));
      } else {
        board().mouse().buttons(static_cast<u8>(v[3]));
      }
      break;
    case Input::kPowerButton:
      board().press_power_button();
      break;
    case Input::kReset:
      machine_->request_reset();
      break;
    case Input::kNmi:
      board().cpu().raise_nmi();
      break;
    case Input::kProcessor: {
      std::span<const u8> state(event.bytes);
      (void)board().cpu().load(state);  // what save() wrote
      break;
    }
    case Input::kMemory:
      board().memory_map().write_bytes(PhysicalAddress(static_cast<u64>(v[0])), event.bytes);
      break;
    case Input::kPort: {
      const Port port(static_cast<u16>(v[0]));
      const auto width = static_cast<unsigned>(v[1]);
      if (v[3] != 0) {
        board().cpu().ports().write(port, width, static_cast<u32>(v[2]));
      } else {
        (void)board().cpu().ports().read(port, width);
      }
      break;
    }
    case Input::kStep:
    case Input::kSkip:
      debugger.repeat_step(event.kind == Input::kStep, v[0] != 0);
      repeating_step_ = event.kind == Input::kStep;
      break;
    case Input::kStepEnded:
      debugger.end_step();
      repeating_step_ = false;
      break;
  }
  giving_ = false;
}

/// Recorded input of this point.
void History::give_due() {
  while (next_event_ < events_.size()) {
    const Event& event = events_[next_event_];
    const Position here = position();
    if (event.at > here) return;
    if (event.at < here) return diverged("where input came");
    const bool step = event.kind == Input::kStep || event.kind == Input::kSkip;
    // A step goes over a breakpoint, which may not have been there: it stops once.
    if (step && machine_->debugger().stop_at_breakpoint()) return;
    ++next_event_;
    give(event);
    if (step) return;  // one at a time; what else came at this point may have come behind it
  }
}

// --- Running ------------------------------------------------------------------------------------

u64 History::until_next() const {
  const Position here = position();
  u64 next = kNever;
  const auto count = [&](const Position& at) {
    if (at.instructions > here.instructions) {
      next = std::min(next, at.instructions - here.instructions);
    } else if (at > here) {
      next = 1;  // waiting, or inside a repeated instruction
    }
  };
  if (!present_) {
    if (next_event_ < events_.size()) count(events_[next_event_].at);
    if (current_ + 1 < moments_.size()) count(moments_[current_ + 1].at);
    count(end_);
  } else if (options_.interval != 0) {
    count({next_moment_, 0, 0});
  }
  return next;
}

u64 History::before_slice() {
  if (!present_) {
    give_due();
    cross_moments();
    if (!travelling() && next_event_ == events_.size() && position() >= end_) present_ = true;
  }
  if (present()) {
    const bool due = options_.interval != 0 ? machine_->instructions() >= next_moment_
                                            : host_time_ns() >= next_moment_host_;
    if (moments_.empty() || (due && !on_repeated())) keep_moment(false);
  }
  note_slice();
  return !present_ && machine_->debugger().stepping() ? 1 : until_next();
}

void History::note_slice() {
  before_slice_ = machine_->instructions();
  step_was_on_ = machine_->debugger().points().step;
}

void History::after_slice() {
  if (machine_->instructions() != before_slice_) {
    part_ = 0;
    if (!present_ && machine_->debugger().stepping()) machine_->debugger().finish_step();
  } else if (step_was_on_ && !machine_->debugger().points().step) {
    ++part_;
  }
  if (!repeating_step_ || machine_->debugger().points().step) return;
  repeating_step_ = false;
  machine_->debugger().forget_step();
}

void History::forget_future() {
  event_bytes_ = 0;
  events_.resize(next_event_);
  for (const Event& event : events_) event_bytes_ += sizeof(Event) + event.bytes.size();
  while (moments_.size() > current_ + 1) drop_moment(moments_.size() - 1);
  end_ = position();
  present_ = true;
}

void History::diverged(const char* where) {
  board().cpu().log().write_line(fmt::format(
      "history: the run did not repeat itself {}, at instruction {}; what was recorded behind this "
      "point is forgotten. Remove watchpoints and try again, and please report this",
      where, machine_->instructions()));
  forget_future();
  diverged_ = true;
}

std::string History::describe() {
  const Position first = moments_.empty() ? Position{} : moments_.front().at;
  const Position last = present_ ? position() : end_;
  return fmt::format(
      "instructions {} to {} can be returned to; the machine is at {}{}\n"
      "{} moments and {} inputs are kept, in {} of at most {} MiB\n",
      first.instructions, last.instructions, machine_->instructions(),
      present_ ? "" : ", in the past", moments_.size(), events_.size(), bytes() / kMiB,
      options_.most_bytes / kMiB);
}

}  // namespace dragoman
