// Several users of one terminal, with Ctrl-A as the escape character.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/types.h"
#include "devices/character.h"

namespace dragoman {

/// Two channels over one back end. Output of both appears on the terminal; input goes to the one
/// with the focus. Ctrl-A x quits, c changes the focus, b sends a break, h prints help, Ctrl-A
/// sends one Ctrl-A (0x01); capital letters do the same.
class CharacterMux : public CharacterReceiver {
 public:
  enum Channel : unsigned { kSerial, kMonitor, kChannels };

  struct Callbacks {
    std::function<void()> quit;
    std::function<void()> send_break;  ///< to the serial port
    std::function<void(Channel)> focus_changed = {};
  };

  /// `backend` must outlive the mux.
  CharacterMux(CharacterBackend& backend, Callbacks callbacks);
  ~CharacterMux() override;
  CharacterMux(const CharacterMux&) = delete;
  CharacterMux& operator=(const CharacterMux&) = delete;

  /// What a serial port or the monitor is connected to.
  CharacterBackend& channel(Channel channel) { return ends_[channel]; }
  Channel focus() const { return focus_; }

  unsigned can_receive() override;
  void receive(std::span<const u8> bytes) override;

 private:
  class End : public CharacterBackend {
   public:
    void connect(CharacterMux& mux) { mux_ = &mux; }
    void send(std::span<const u8> bytes) override { mux_->backend_.send(bytes); }
    void set_receiver(CharacterReceiver* receiver) override;
    void receiver_ready() override;
    void put(u8 byte) { held_.push_back(byte); }
    std::size_t held() const { return held_.size(); }
    void deliver();

   private:
    CharacterMux* mux_ = nullptr;
    CharacterReceiver* receiver_ = nullptr;
    std::deque<u8> held_;
    bool delivering_ = false;
  };

  void command(u8 key);
  void say(std::string_view text);

  CharacterBackend& backend_;
  Callbacks callbacks_;
  std::array<End, kChannels> ends_;
  Channel focus_ = kSerial;
  bool escaped_ = false;
};

}  // namespace dragoman
