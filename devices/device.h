// What every device of a board has in common.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/fields.h"
#include "base/result.h"
#include "base/types.h"

namespace dragoman {

/// A chip or a card. Everything it needs (ports, memory for DMA, interrupt lines, the scheduler,
/// host back ends) comes through its constructor; its guest-visible state is one plain struct.
class Device {
 public:
  virtual ~Device() = default;
  /// Short unique name, by part number where there is one: "i8259.0".
  virtual std::string_view name() const = 0;
  /// Hardware reset (power-on and RESET#).
  virtual void reset() = 0;
  virtual void save(std::vector<u8>& out) const = 0;
  virtual Result<void> load(std::span<const u8>& in) = 0;
  virtual std::string print() const = 0;
};

/// A device whose whole guest-visible state is `State` (see base/fields.h).
template <class State>
class StatefulDevice : public Device {
 public:
  std::string_view name() const override { return name_; }
  /// `state = State{}` and then restored(). Override for stated exceptions.
  void reset() override {
    state_ = State{};
    restored();
  }
  void save(std::vector<u8>& out) const override { save_fields(state_, out); }
  Result<void> load(std::span<const u8>& in) override {
    State loaded{};
    if (auto result = load_fields(loaded, in); !result) return result;
    state_ = loaded;
    restored();
    return {};
  }
  std::string print() const override { return print_fields(state_); }
  const State& state() const { return state_; }

 protected:
  explicit StatefulDevice(std::string name) : name_(std::move(name)) {}
  /// The state was replaced as a whole: re-arm timers, drive output lines, drop caches, and bring
  /// values that index or count into range (a saved state may be damaged).
  virtual void restored() {}

  State state_;

 private:
  std::string name_;
};

}  // namespace dragoman
