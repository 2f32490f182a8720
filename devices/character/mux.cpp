// Several users of one terminal, with Ctrl-A as the escape character.
#include "devices/character/mux.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace dragoman {
namespace {

constexpr u8 kEscape = 0x01;
// Typed ahead of a guest that does not read. Beyond it the host keeps the input, so that a long
// paste is not lost.
constexpr std::size_t kMostHeld = 4096;

constexpr std::string_view kHelp =
    "\r\n"
    "Ctrl-A h       this help\r\n"
    "Ctrl-A x       quit the machine\r\n"
    "Ctrl-A c       switch between serial port and monitor\r\n"
    "Ctrl-A b       send a break to the serial port\r\n"
    "Ctrl-A Ctrl-A  send Ctrl-A\r\n";

}  // namespace

CharacterMux::CharacterMux(CharacterBackend& backend, Callbacks callbacks)
    : backend_(backend), callbacks_(std::move(callbacks)) {
  for (End& end : ends_) end.connect(*this);
  backend_.set_receiver(this);
}

CharacterMux::~CharacterMux() { backend_.set_receiver(nullptr); }

unsigned CharacterMux::can_receive() {
  const std::size_t held = ends_[focus_].held();
  return held >= kMostHeld ? 0 : static_cast<unsigned>(kMostHeld - held);
}

void CharacterMux::receive(std::span<const u8> bytes) {
  for (const u8 byte : bytes) {
    if (escaped_) {
      escaped_ = false;
      command(byte);
    } else if (byte == kEscape) {
      escaped_ = true;
    } else {
      ends_[focus_].put(byte);
    }
  }
  ends_[focus_].deliver();
}

void CharacterMux::command(u8 key) {
  switch (key) {
    case kEscape:
      ends_[focus_].put(kEscape);
      break;
    case 'x':
    case 'X':
      if (callbacks_.quit) callbacks_.quit();
      break;
    case 'c':
    case 'C':
      ends_[focus_].deliver();  // what was typed before belongs to the old focus
      focus_ = focus_ == kSerial ? kMonitor : kSerial;
      if (callbacks_.focus_changed) callbacks_.focus_changed(focus_);
      break;
    case 'b':
    case 'B':
      ends_[kSerial].deliver();
      if (callbacks_.send_break) callbacks_.send_break();
      break;
    case 'h':
    case 'H':
    case '?':
      say(kHelp);
      break;
    default:
      break;  // not a command: both keys are dropped
  }
}

void CharacterMux::say(std::string_view text) {
  backend_.send({reinterpret_cast<const u8*>(text.data()), text.size()});
}

void CharacterMux::End::set_receiver(CharacterReceiver* receiver) {
  receiver_ = receiver;
  deliver();
}

void CharacterMux::End::receiver_ready() {
  deliver();
  mux_->backend_.receiver_ready();
}

void CharacterMux::End::deliver() {
  if (delivering_ || receiver_ == nullptr) return;
  delivering_ = true;
  while (!held_.empty()) {
    const std::size_t room = std::min<std::size_t>(receiver_->can_receive(), held_.size());
    if (room == 0) break;
    const auto end = held_.begin() + static_cast<std::ptrdiff_t>(room);
    const std::vector<u8> piece(held_.begin(), end);
    held_.erase(held_.begin(), end);
    receiver_->receive(piece);
  }
  delivering_ = false;
}

}  // namespace dragoman
