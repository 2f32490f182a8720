// Going back: which moment to return to, how far to run from there, and where to stop.
#include <algorithm>
#include <array>
#include <numeric>

#include "cpu/decode/early_decoder.h"
#include "machine/history.h"
#include "machine/machine.h"

namespace dragoman {
namespace {

/// A moment is saved so many instructions before a far target, for the next step back.
constexpr u64 kNear = 50'000;
constexpr u64 kLookAtHostNs = 20'000'000;

}  // namespace

/// The next instruction is a repeated one, which may be half done.
bool History::on_repeated() {
  Cpu& cpu = board().cpu();
  std::array<u8, 15> code{};
  const std::size_t got = machine_->debugger().read_linear(machine_->debugger().pc(), code);
  Instruction insn;
  if (decode_for(cpu.model(), {code.data(), got}, cpu.decode_mode(), insn) != DecodeResult::kOk) {
    return false;
  }
  return insn.has(kInsnRep) || insn.has(kInsnRepne);
}

bool History::host_wants_stop() {
  const u64 now = host_time_ns();
  if (now >= next_look_) {
    next_look_ = now + kLookAtHostNs;
    machine_->poll_host(0);
  }
  return gave_up();
}

bool History::gave_up() const { return cancelled_ || diverged_ || machine_->stopping() != nullptr; }

void History::run_one_slice(u64 most) {
  note_slice();
  machine_->run_slice(most);
  after_slice();
}

/// Runs to `target`, or until something hits that the debugger wants to stop at.
History::Reached History::advance(const Position& target) {
  DebugPoints& points = machine_->debugger().points_;
  for (;;) {
    if (host_wants_stop()) return Reached::kEnd;
    if (!machine_->reset_if_requested()) return Reached::kEnd;
    board().scheduler().run_due();
    Position here = position();
    if (here >= target) return Reached::kTarget;
    const u64 next = before_slice();
    if (gave_up()) return Reached::kEnd;
    if (points.hit.any()) return Reached::kHit;
    const bool stepping = points.step || points.skip;
    u64 most = std::min(next, target.instructions - here.instructions);
    if (target.instructions == here.instructions) {
      most = 1;  // waiting, or iterations of one instruction
      if (target.part > here.part && !stepping) machine_->debugger().step_as_ever();
    }
    run_one_slice(std::max<u64>(most, 1));
    if (points.hit.cause == DebugPoints::Cause::kStep) points.hit = {};
    if (points.hit.any()) return Reached::kHit;
  }
}

void History::go_to(const Position& target) {
  DebugPoints& points = machine_->debugger().points_;
  const DebugPoints::Lists lists = points.take_lists();
  board()
      .cpu()
      .debug_points_changed();  // before put_back(), which drops cached translations anyway
  put_back(moment_before(target, true));
  if (target.instructions > machine_->instructions() + 2 * kNear) {
    (void)advance({target.instructions - kNear, 0, 0});
    if (!gave_up() && !on_repeated()) keep_moment(true);
  }
  (void)advance(target);
  points.give_lists(lists);
  machine_->debugger().end_step();
  points.hit = {};
  if (!lists.empty()) board().cpu().debug_points_changed();
}

/// The position now, with the part of a repeated instruction that was done without steps: found by
/// doing it again.
Position History::here_exactly() {
  Position here = position();
  if (here.part != 0 || !on_repeated()) return here;
  const CpuState wanted = board().cpu().state;
  const auto same = [&] {
    const CpuState& now = board().cpu().state;
    return now.regs[kRcx] == wanted.regs[kRcx] && now.rip() == wanted.rip();
  };
  const Position whole{here.instructions, 0, 0};
  if (moments_[0].at >= whole) return here;
  go_to(whole);
  while (!same() && machine_->instructions() == here.instructions && !gave_up()) {
    (void)advance({here.instructions, position().time, part_ + 1});
  }
  here.part = part_;
  return here;
}

/// The last part of the instruction at `whole` that comes before `until`: steps through it.
Position History::part_before(const Position& whole, const Position& until) {
  Position last = whole;
  if (!on_repeated()) return last;
  for (;;) {
    const Position next{last.instructions, last.time, last.part + 1};
    if (advance(next) != Reached::kTarget || position() >= until ||
        machine_->instructions() != whole.instructions) {
      return last;
    }
    last = position();
  }
}

bool History::step_back(const Position& from, Found& found) {
  const Position& first = moments_[0].at;
  if (from <= first) return false;
  if (from.part != 0) {
    found.at = {from.instructions, from.time, from.part - 1};
    return true;
  }
  if (from.instructions == first.instructions) {
    found.at = first;
    return true;
  }
  go_to({from.instructions - 1, 0, 0});
  found.at = part_before(position(), from);
  return true;
}

/// Where the last access before `until` begins that a watchpoint sees, from `from` on: one step
/// after the other.
Position History::last_watched(const Position& from, const Position& until) {
  DebugPoints& points = machine_->debugger().points_;
  Position last = from;
  go_to(from);
  for (;;) {
    if (host_wants_stop()) return last;
    const Position here = position();
    if (here >= until) return last;
    if (!points.step) machine_->debugger().step_as_ever();
    if (!machine_->reset_if_requested()) return last;
    board().scheduler().run_due();
    (void)before_slice();
    if (gave_up()) return last;
    run_one_slice(1);
    if (points.hit.cause == DebugPoints::Cause::kWatch) last = here;
    points.hit = {};
  }
}

/// Runs to `target` as if no debugger wanted to stop anywhere.
void History::pass_over(const Position& target) {
  DebugPoints& points = machine_->debugger().points_;
  const DebugPoints::Lists lists = points.take_lists();
  board().cpu().debug_points_changed();
  (void)advance(target);
  points.give_lists(lists);
  machine_->debugger().end_step();
  points.hit = {};
  board().cpu().debug_points_changed();
}

/// The last hit from here (behind moment `m`) to `until`. What is hit often costs much each time,
/// so after some hits half of the way is passed over, and looked at only if nothing comes behind
/// it.
bool History::last_hit(std::size_t m, const Position& until, Found& found, Position& before_hit) {
  constexpr unsigned kMany = 64;
  constexpr u64 kWorthPassing = 20'000;  // instructions
  DebugPoints& points = machine_->debugger().points_;
  Position end = until;
  Position passed_from, passed_to;
  bool passed = false;  // something, and nothing was hit behind it yet
  bool any = false;
  unsigned hits = 0;
  for (;;) {
    if (advance(end) == Reached::kHit) {
      const Position here = position();
      const DebugPoints::Hit hit = points.hit;
      points.hit = {};
      const bool behind = hit.cause == DebugPoints::Cause::kWatch;
      if (behind || here < end) {
        any = true;
        passed = false;
        found = {here, hit};
        if (behind) {
          // Accesses are seen when they are done: the instruction began before. Time goes on with
          // instructions, so an earlier count is an earlier time.
          const u64 count = here.instructions > 0 ? here.instructions - 1 : 0;
          before_hit = std::max(moments_[m].at, Position{count, 0, 0});
        } else {
          machine_->debugger().pass_as_ever(hit);
        }
        if (++hits < kMany || end.instructions < here.instructions + kWorthPassing) continue;
        hits = 0;
        passed = true;
        passed_from = here;
        passed_to = {std::midpoint(here.instructions, end.instructions), 0, 0};
        pass_over(passed_to);
        continue;
      }
    }
    points.hit = {};
    machine_->debugger().end_step();
    if (gave_up() || !passed) return any;
    end = passed_to;
    passed = false;
    hits = 0;
    go_to(passed_from);
  }
}

/// From moment to moment, the last one first: runs through what follows it and takes the last hit.
bool History::search_back(const Position& from, Found& found) {
  Position until = from;
  for (std::size_t m = moment_before(from, false);; --m) {
    put_back(m);
    Position before_hit = moments_[m].at;
    const bool any = last_hit(m, until, found, before_hit);
    if (gave_up()) return false;
    if (any) {
      if (found.hit.cause == DebugPoints::Cause::kWatch) {
        const Position behind = found.at;
        found.at = last_watched(before_hit,
                                std::min(until, Position{behind.instructions, ~u64{0}, ~u64{0}}));
      }
      return true;
    }
    if (m == 0) return false;
    until = moments_[m].at;
  }
}

void History::arrive(const DebugPoints::Hit& hit) {
  travel_ = Travel::kNone;
  cancelled_ = false;
  machine_->debugger().arrived(hit);
}

void History::travel() {
  diverged_ = false;
  next_look_ = 0;
  if (cancelled_) return arrive({});
  if (moments_.empty()) return arrive({DebugPoints::Cause::kBegin, 0, false, {}, 0, 0});
  if (present_) end_ = position();
  const bool step = travel_ == Travel::kStepBack;
  const Position from = here_exactly();
  Found found;
  const bool any = !gave_up() && (step ? step_back(from, found) : search_back(from, found));
  if (gave_up()) return arrive({});
  if (!any) {
    put_back(0);
    return arrive({DebugPoints::Cause::kBegin, machine_->debugger().pc(), false, {}, 0, 0});
  }
  go_to(found.at);
  if (step) found.hit = {DebugPoints::Cause::kStep, machine_->debugger().pc(), false, {}, 0, 0};
  arrive(found.hit);
}

}  // namespace dragoman
