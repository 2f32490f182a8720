// Yamaha YMF262 (OPL3), the FM synthesizer of AdLib-compatible cards.
// YMF262 datasheet (Yamaha, 1991); YM3812 application manual for what both have in common.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "base/scheduler.h"
#include "devices/device.h"
#include "devices/sound/audio_mixer.h"
#include "devices/sound/ymf262_operator.h"
#include "devices/sound/ymf262_state.h"
#include "memory/port_map.h"

namespace dragoman {

/// Four ports: address and data of the first array, address and data of the second. As long as
/// nobody listens only registers and timers live; the sound itself no guest can read.
class Ymf262 : public StatefulDevice<Ymf262State>, public PortHandler {
 public:
  static constexpr u16 kPortCount = 4;

  /// `mixer` may be null.
  Ymf262(std::string name, Scheduler& scheduler, AudioMixer* mixer);

  /// Factors for both sides, 65536 for unchanged; what an analogue mixer behind the chip does.
  void set_volume(u32 left, u32 right);

  u32 port_read(unsigned bank, u16 offset, unsigned size) override;
  void port_write(unsigned bank, u16 offset, unsigned size, u32 value) override;

 private:
  using Operator = Ymf262State::Operator;
  static constexpr unsigned kOperators = Ymf262State::kOperators;
  static constexpr unsigned kChannels = Ymf262State::kChannels;

  void restored() override;
  void write_register(u16 index, u8 value);
  void write_timer_control(u8 value);
  u64 access_time();
  void settle_timers(u64 now);
  /// Derives `setups_` of one operator from the registers.
  void set_up(unsigned index);
  void set_up_all();
  void update_keys();
  bool new_mode() const { return (state_.registers[0x105] & 1) != 0; }
  bool rhythm() const { return (state_.registers[0xbd] & 0x20) != 0; }
  /// The channel plays with the three below it as four operators.
  bool joined(unsigned channel) const;
  u8 channel_register(unsigned base, unsigned channel) const;
  bool audible() const;

  /// Makes the samples that are due.
  void produce();
  AudioFrame sample();
  i32 channel_pair(unsigned channel, const std::array<u16, kOperators>& phases, u16 tremolo);
  i32 channel_four(unsigned channel, const std::array<u16, kOperators>& phases, u16 tremolo);
  i32 play(unsigned index, u32 phase, u16 tremolo);
  i32 feedback(unsigned index, unsigned channel) const;
  void add_rhythm(const std::array<u16, kOperators>& phases, u16 tremolo,
                  std::array<i32, kChannels>& out);

  Scheduler& scheduler_;
  AudioStream stream_;
  Ymf262Roms roms_;
  std::array<OperatorSetup, kOperators> setups_{};
  std::vector<AudioFrame> frames_;
  u32 volume_left_ = 65536;
  u32 volume_right_ = 65536;
};

}  // namespace dragoman
