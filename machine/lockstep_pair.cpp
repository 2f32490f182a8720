#include "machine/lockstep_pair.h"

#include <utility>

namespace dragoman {
namespace {

/// Words of memory a report shows; more of them tell nothing more.
constexpr std::size_t kWordsShown = 12;

const char* cause_text(StopCause cause) {
  switch (cause) {
    case StopCause::kPowerOff:
      return "power off";
    case StopCause::kDebugExit:
      return "isa-debug-exit";
    case StopCause::kTripleFault:
      return "a triple fault";
    case StopCause::kReset:
      return "a reset";
    default:
      return "another reason";
  }
}

}  // namespace

Result<std::unique_ptr<MachinePair>> MachinePair::create(const MachineConfig& config,
                                                         const LockstepOptions& options, Log& log) {
  std::unique_ptr<MachinePair> pair(new MachinePair(config, options, log));
  if (auto ok = pair->build(log); !ok) return ok.error();
  return pair;
}

MachinePair::MachinePair(const MachineConfig& config, const LockstepOptions& options, Log& log)
    : exactness_{options.all_flags},
      flip_at_(options.flip_at),
      log_(log),
      configs_{config, config} {
  share_host(config);
  for (MachineConfig& c : configs_) {
    c.shutdown = true;  // nothing to look at afterwards
    if (!c.icount_shift) c.icount_shift = 3;
    c.sound.mute();  // mixing has timers, which both machines or none must have
  }
  configs_[0].jit = false;
  configs_[1].jit = true;
}

void MachinePair::share_host(const MachineConfig& config) {
  const auto shared = [&](CharacterBackend* host, auto&& member) {
    if (host == nullptr) return;
    characters_.push_back(std::make_unique<SharedCharacter>(*host));
    for (unsigned i = 0; i < 2; ++i) member(configs_[i]) = &characters_.back()->end(i);
  };
  for (std::size_t n = 0; n < config.serial.size(); ++n) {
    shared(
        config.serial[n], [&](MachineConfig & c) -> auto& { return c.serial[n]; });
  }
  shared(
      config.parallel, [](MachineConfig & c) -> auto& { return c.parallel; });
  shared(
      config.debug_console, [](MachineConfig & c) -> auto& { return c.debug_console; });
  shared(
      config.firmware_log, [](MachineConfig & c) -> auto& { return c.firmware_log; });
  for (std::size_t n = 0; n < config.virtio_consoles.size(); ++n) {
    shared(
        config.virtio_consoles[n], [&](MachineConfig & c) -> auto& {
          return c.virtio_consoles[n];
        });
  }
  for (std::size_t n = 0; n < config.drives.size(); ++n) {
    if (config.drives[n].image == nullptr) continue;
    images_.push_back(std::make_unique<SharedImage>(config.drives[n].image));
    for (unsigned i = 0; i < 2; ++i) configs_[i].drives[n].image = images_.back()->view(i);
  }
}

Result<void> MachinePair::build(Log& log) {
  if (auto ok = silent_.open("/dev/null"); !ok) return ok;
  for (unsigned i = 0; i < 2; ++i) {
    auto machine = Machine::create(configs_[i], i == 0 ? log : silent_);
    if (!machine) return machine.error();
    machines_[i] = machine.take();
  }
  return {};
}

Machine::Pause MachinePair::run_translator(u64 limit) {
  if (translator().instructions() < flip_at_ && flip_at_ <= limit) {
    (void)translator().run_to(flip_at_);
    if (translator().instructions() >= flip_at_) translator().board().cpu().state.regs[kRbx] ^= 1;
  }
  return translator().run_to(limit);
}

MachinePair::Step MachinePair::run_to(u64 limit) {
  for (;;) {
    while (!to_replay_.empty() && to_replay_.front().instructions <= instructions()) {
      input_.push_back(std::move(to_replay_.front()));
      to_replay_.pop_front();
      give(input_.back());
    }
    const Machine::Pause left = interpreter().run_to(limit);
    const Machine::Pause right = run_translator(limit);
    if (left != right) return Step::kDivided;
    if (left == Machine::Pause::kReached) return Step::kReached;
    if (left == Machine::Pause::kStopped) return Step::kStopped;
    if (to_replay_.empty() || to_replay_.front().instructions > instructions()) return Step::kIdle;
  }
}

StopReason MachinePair::take_stop_reason() {
  StopReason left = interpreter().take_stop_reason();
  const StopReason right = translator().take_stop_reason();
  if (left.cause == right.cause && left.status == right.status) return left;
  return {StopCause::kDifference, 0,
          fmt::format("the interpreter stopped by {} (status {}), the translator by {} (status {})",
                      cause_text(left.cause), left.status, cause_text(right.cause), right.status)};
}

bool MachinePair::equal_now() const {
  for (const auto& character : characters_) {
    if (!character->outputs_equal()) return false;
  }
  return processors_equal(machines_[0]->board().cpu(), machines_[1]->board().cpu(), exactness_);
}

Result<bool> MachinePair::equal_everywhere() {
  if (!equal_now()) return false;
  if (!memories_equal(interpreter().board().memory(), translator().board().memory(), exactness_)) {
    return false;
  }
  if (!different_device(interpreter().board(), translator().board()).empty()) return false;
  for (const auto& image : images_) {
    auto same = image->equal();
    if (!same || !*same) return same;
  }
  return true;
}

Result<std::string> MachinePair::describe_difference() {
  PcBoard& left = interpreter().board();
  PcBoard& right = translator().board();
  std::vector<Difference> all = processor_differences(left.cpu(), right.cpu(), exactness_);
  auto words = memory_differences(left.memory(), right.memory(), exactness_, kWordsShown);
  all.insert(all.end(), words.begin(), words.end());
  std::string text;
  for (const Difference& d : all) {
    text += fmt::format("  {:<22} interpreter {}  translator {}\n", d.name, d.left, d.right);
  }
  if (const std::string name = different_device(left, right); !name.empty()) {
    text += fmt::format("  the state of the device {}\n", name);
  }
  for (const auto& character : characters_) {
    if (!character->outputs_equal()) text += "  output: " + character->describe_difference() + "\n";
  }
  for (const auto& image : images_) {
    auto same = image->equal();
    if (!same) return same.error();
    if (!*same) text += fmt::format("  what was written to {}\n", image->description());
  }
  return text;
}

void MachinePair::give(const InputEvent& event) {
  if (!event.bytes.empty()) {
    characters_[event.port]->deliver(event.bytes);
    return;
  }
  for (const auto& machine : machines_) {
    if (Uart16550* uart = machine->board().serial(0)) uart->receive_break();
  }
}

void MachinePair::poll_input(int timeout_ms) {
  for (const auto& character : characters_) character->open_input(true);
  interpreter().poll_host(timeout_ms);
  for (u32 port = 0; port < characters_.size(); ++port) {
    characters_[port]->open_input(false);
    std::vector<u8> bytes = characters_[port]->take_input();
    if (bytes.empty()) continue;
    input_.push_back({instructions(), port, std::move(bytes)});
    give(input_.back());
  }
  if (std::exchange(break_wanted_, false)) {
    input_.push_back({instructions(), 0, {}});
    give(input_.back());
  }
}

Result<void> MachinePair::commit() {
  for (const auto& image : images_) {
    if (auto ok = image->commit(); !ok) return ok;
  }
  return {};
}

void MachinePair::replay(std::vector<InputEvent> events) {
  for (const auto& character : characters_) character->mute();
  (void)log_.open("/dev/null");
  to_replay_.assign(std::make_move_iterator(events.begin()), std::make_move_iterator(events.end()));
}

}  // namespace dragoman
