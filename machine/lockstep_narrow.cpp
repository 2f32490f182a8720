// From "they differ somewhere in these few thousand instructions" to the instruction: the stretch
// is run again and again in copies of the process.
#include <algorithm>

#include "cpu/decode/early_decoder.h"
#include "cpu/disassemble/disassembler.h"
#include "machine/lockstep.h"

namespace dragoman {
namespace {

/// Sizes of blocks that are tried, smallest first; BlockCache::kMaxInstructions at the end.
constexpr unsigned kBlockSizes[] = {1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32};
constexpr unsigned kLargestBlock = 32;
/// Instructions a report shows before the interesting ones.
constexpr u64 kLinesBefore = 8;

/// The instruction a processor executes next: address, bytes, text.
std::string next_instruction(Cpu& cpu) {
  const u64 rip = cpu.state.rip();
  const Segment& cs = cpu.state.segments[kCs];
  const u64 linear = cpu.code64() ? rip : static_cast<u32>(cs.base + rip);
  std::array<u8, kMaxInstructionLength> bytes{};
  unsigned got = 0;
  while (got < bytes.size() && cpu.peek(linear + got, &bytes[got], 1)) ++got;
  Instruction insn;
  std::string text = "(cannot be read)";
  unsigned length = std::min(got, 8u);
  if (got != 0) {
    const DecodeResult result =
        decode_for(cpu.model(), {bytes.data(), got}, cpu.decode_mode(), insn);
    text = "(invalid)";
    if (result == DecodeResult::kOk) {
      text = disassemble(insn, rip, cpu.decode_mode());
      length = insn.length;
    }
  }
  std::string hex;
  for (unsigned i = 0; i < length; ++i) hex += fmt::format("{:02x} ", bytes[i]);
  return fmt::format("{:04x}:{:016x}  {:<30} {}", cs.selector, rip, hex, text);
}

}  // namespace

/// Runs both machines up to `end`, the translating one as `trial` says.
void Lockstep::run_trial(const Trial& trial, u64 end) {
  if (trial.fresh) {
    Machine& machine = pair_->translator();
    machine.interpret();
    (void)pair_->run_to(std::max(trial.from, verified_));
    machine.board().cpu().limit_blocks(trial.block_limit);
    machine.translate(trial.options);
  }
  (void)pair_->run_to(end);
}

bool Lockstep::differs(const Trial& trial, u64 end) {
  return ask_copy([&] {
           run_trial(trial, end);
           auto same = pair_->equal_everywhere();
           return same && !*same;
         })
      .value_or(false);
}

/// The smallest instruction count at which a trial that differs at `end` does so.
u64 Lockstep::first_difference(const Trial& trial, u64 end) {
  u64 equal = verified_;
  while (end - equal > 1) {
    const u64 middle = equal + (end - equal) / 2;
    if (differs(trial, middle)) {
      end = middle;
    } else {
      equal = middle;
    }
  }
  return end;
}

/// Tries ever larger blocks. A block runs translated only when more instructions than it has are
/// left, so that the last instruction up to a pause is an interpreted one: what is wrong shows one
/// instruction late.
Lockstep::Culprit Lockstep::find_culprit(u64 seen) {
  Trial fresh;
  fresh.fresh = true;
  fresh.options = translator_options_;
  fresh.options.runs_before_translation = 1;
  for (const unsigned size : kBlockSizes) {
    Trial trial = fresh;
    trial.block_limit = size;
    trial.options.links = false;
    trial.options.superblocks = false;
    if (!differs(trial, seen + 2)) continue;
    const u64 shown = first_difference(trial, seen + 2);
    const u64 lowest = shown - std::min<u64>(shown - verified_, size + 2);
    for (u64 from = shown - 1; from + 1 > lowest; --from) {
      trial.from = from;
      for (const u64 end : {from + size, from + size + 1}) {
        if (differs(trial, end)) return {trial, from, size, end};
      }
      if (from == 0) break;
    }
    trial.from = 0;
    return {trial, std::max(lowest, verified_), 0, shown};
  }
  if (differs(fresh, seen)) {
    const u64 shown = first_difference(fresh, seen);
    return {fresh, shown - std::min<u64>(shown - verified_, kLargestBlock), 0, shown};
  }
  return {Trial{}, seen - std::min<u64>(seen - verified_, kLargestBlock), 0, seen};
}

/// Switches of the translator without which the difference is gone.
std::string Lockstep::helping_switches(u64 seen) {
  Trial trial;
  trial.fresh = true;
  trial.options = translator_options_;
  trial.options.runs_before_translation = 1;
  if (!differs(trial, seen)) return {};
  std::string names;
  for (const TranslatorOptionInfo& info : translator_option_infos()) {
    Trial without = trial;
    // Of the options only switches take "off".
    if (info.name == "perfmap" || !set_translator_option(without.options, info.name, "off")) {
      continue;
    }
    if (!differs(without, seen)) names += fmt::format(" {}=off", info.name);
  }
  return names;
}

std::string Lockstep::list_instructions(const Culprit& culprit) {
  Machine& machine = pair_->interpreter();
  const u64 before = std::min(culprit.from - verified_, kLinesBefore);
  std::string text;
  (void)machine.run_to(culprit.from - before);
  while (machine.instructions() < culprit.seen) {
    const u64 count = machine.instructions();
    const bool marked = count >= culprit.from && count < culprit.from + culprit.count;
    text += fmt::format("{} {:>12}  {}\n", marked ? ">" : " ", count,
                        next_instruction(machine.board().cpu()));
    if (machine.run_to(count + 1) != Machine::Pause::kReached) break;
  }
  return text;
}

std::string Lockstep::report(const Culprit& culprit) {
  auto copy = Checkpoint::make([&](const std::string&) {
    run_trial(culprit.trial, culprit.seen);
    auto text = pair_->describe_difference();
    return text ? *text : text.error().message + "\n";
  });
  std::string text =
      fmt::format("interpreter and translator differ after {} instructions:\n", culprit.seen);
  text += copy ? (*copy)->wake("go") : copy.error().message + "\n";
  if (culprit.count == 1) {
    text += "The instruction marked > is the one, translated for itself alone:\n";
  } else if (culprit.count > 1) {
    text += fmt::format(
        "The {} instructions marked > make the difference when they are translated together and "
        "not in smaller blocks;\nlook at the last of them first:\n",
        culprit.count);
  } else if (culprit.trial.fresh) {
    text += fmt::format(
        "It shows when everything from instruction {} on is translated anew, but was not found "
        "in a single block.\nWhat was executed last:\n",
        verified_);
  } else {
    text += fmt::format(
        "It shows only with the translations as they were at instruction {}, not with new ones: "
        "the wrong code\nis an older block, or the way from one block to another. What was "
        "executed last:\n",
        verified_);
  }
  (void)pair_->run_to(verified_);  // input that is due
  text += "    after       address                instruction\n" + list_instructions(culprit);
  return text;
}

/// In a checkpoint one step before the difference: `limit` shows it.
std::string Lockstep::bisect(u64 limit) {
  const Trial as_it_was;
  if (!differs(as_it_was, limit)) return {};
  const u64 seen = first_difference(as_it_was, limit);
  const Culprit culprit = find_culprit(seen);
  const std::string switches = helping_switches(std::max(seen, culprit.seen));
  std::string text = report(culprit);
  if (!switches.empty()) text += "It does not show with:" + switches + "\n";
  return text;
}

}  // namespace dragoman
