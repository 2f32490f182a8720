#include "machine/lockstep.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "machine/clock.h"

namespace dragoman {
namespace {

constexpr u64 kPollIntervalNs = 4'000'000;
constexpr int kIdleMs = 16;
/// How much closer checkpoints lie each time a stretch is run again.
constexpr u64 kFiner = 32;

void put(std::string& out, u64 value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}
u64 take(std::string_view& in) {
  u64 value = 0;
  const std::size_t size = std::min(in.size(), sizeof(value));
  std::memcpy(&value, in.data(), size);
  in.remove_prefix(size);
  return value;
}

/// What a checkpoint needs to run its stretch again: where to end, and the input on the way.
std::string pack(u64 limit, const std::vector<InputEvent>& events) {
  std::string out;
  put(out, limit);
  for (const InputEvent& event : events) {
    put(out, event.instructions);
    put(out, event.port);
    put(out, event.bytes.size());
    out.append(event.bytes.begin(), event.bytes.end());
  }
  return out;
}
u64 unpack(std::string_view in, std::vector<InputEvent>& events) {
  const u64 limit = take(in);
  while (!in.empty()) {
    InputEvent event;
    event.instructions = take(in);
    event.port = static_cast<u32>(take(in));
    const std::size_t size = std::min<u64>(take(in), in.size());
    event.bytes.assign(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(size));
    in.remove_prefix(size);
    events.push_back(std::move(event));
  }
  return limit;
}

}  // namespace

Result<std::unique_ptr<Lockstep>> Lockstep::create(const MachineConfig& config,
                                                   const LockstepOptions& options, Log& log) {
  std::unique_ptr<Lockstep> lockstep(new Lockstep(config, options, log));
  auto pair = MachinePair::create(config, options, log);
  if (!pair) return pair.error();
  lockstep->pair_ = pair.take();
  const u64 steps = std::max<u64>(1, (options.check + options.step - 1) / options.step);
  lockstep->interval_ = steps * options.step;  // checkpoints coincide with comparisons
  return lockstep;
}

void Lockstep::stop(StopReason reason) {
  if (!stop_) stop_ = std::move(reason);
}

StopReason Lockstep::run() {
  std::string report = search(~u64{0}, true);
  pair_->translator().report_statistics(log_);
  StopReason reason = stop_.value_or(StopReason{});
  stop_.reset();
  if (!problem_.empty()) return {StopCause::kHostError, 0, std::exchange(problem_, {})};
  if (found_) return {StopCause::kDifference, 0, std::move(report)};
  return reason;
}

/// Looks at the host; false when the run is to end.
bool Lockstep::attend_host(bool idle) {
  const u64 now = host_time_ns();
  if (now >= host_deadline_) stop({StopCause::kTimeout, 0, ""});
  if (now >= next_poll_ || idle) {
    pair_->poll_input(idle ? kIdleMs : 0);
    next_poll_ = now + kPollIntervalNs;
  }
  reference().do_housekeeping(now);
  return !stop_;
}

/// Runs both machines up to `limit`. kDivided: they differ now.
MachinePair::Step Lockstep::step_to(u64 limit) {
  const MachinePair::Step step = pair_->run_to(limit);
  if (step == MachinePair::Step::kDivided) return step;
  if (!pair_->equal_now()) return MachinePair::Step::kDivided;
  if (step == MachinePair::Step::kStopped) {
    StopReason reason = pair_->take_stop_reason();
    if (reason.cause == StopCause::kDifference) {
      note_ = "  " + reason.message + "\n";
      return MachinePair::Step::kDivided;
    }
    stop_ = std::move(reason);
  }
  return step;
}

/// Runs both machines with a checkpoint at every `interval_`, until they stop, come to `limit`, or
/// differ; then runs the last stretch again from its checkpoint, more closely. The answer is the
/// report. `original`: this is the process that was started, not a copy that runs again.
std::string Lockstep::search(u64 limit, bool original) {
  for (;;) {
    if (original) {
      if (auto ok = pair_->commit(); !ok) {
        problem_ = ok.error().message;
        return {};
      }
    }
    pair_->forget_input();
    verified_ = pair_->instructions();
    checkpoint_.reset();
    auto made = Checkpoint::make([this](const std::string& message) { return narrow(message); });
    if (!made) {
      problem_ = made.error().message;
      return {};
    }
    checkpoint_ = made.take();

    const u64 end = std::min(limit, (verified_ / interval_ + 1) * interval_);
    bool idle = false;
    while (!stop_ && pair_->instructions() < end) {
      if (original && !attend_host(idle)) break;
      const u64 next = (pair_->instructions() / options_.step + 1) * options_.step;
      const MachinePair::Step step = step_to(std::min(next, end));
      if (step == MachinePair::Step::kDivided) return wake(pair_->instructions());
      idle = step == MachinePair::Step::kIdle;
      if (idle && !original) break;  // all input was replayed
    }
    auto same = pair_->equal_everywhere();
    if (!same) {
      problem_ = same.error().message;
      return {};
    }
    if (!*same) return wake(pair_->instructions());
    if (stop_ || pair_->instructions() >= limit || (idle && !original)) {
      checkpoint_.reset();
      if (original) {
        if (auto ok = pair_->commit(); !ok) problem_ = ok.error().message;
      }
      return {};
    }
  }
}

/// A difference was found at instruction `limit`: has the checkpoint run the stretch again. Without
/// a better answer of it, says what is known here.
std::string Lockstep::wake(u64 limit) {
  found_ = true;
  std::string report = checkpoint_->wake(pack(std::max(limit, verified_ + 1), pair_->input()));
  if (!report.empty()) return report;
  auto text = pair_->describe_difference();
  report = fmt::format(
      "interpreter and translator differ after {} instructions; after {} they were equal.\n"
      "Running this stretch again did not show the difference, so it is not narrowed down.\n{}",
      pair_->instructions(), verified_, text ? *text : text.error().message);
  return report + note_ + pair_->translator().board().cpu().describe();
}

/// In a checkpoint that was woken: finds the difference again and more closely.
std::string Lockstep::narrow(const std::string& message) {
  std::vector<InputEvent> events;
  const u64 limit = unpack(message, events);
  pair_->replay(std::move(events));
  stop_.reset();
  if (interval_ <= options_.step) return bisect(limit);
  interval_ = std::max<u64>(1, interval_ / options_.step / kFiner) * options_.step;
  return search(limit, false);
}

}  // namespace dragoman
