#include "devices/serial_mouse.h"

#include <algorithm>
#include <utility>

namespace dragoman {
namespace {

constexpr u64 kByteNs = 7'500'000;     // start bit, seven data bits, stop bit at 1200 a second
constexpr u64 kWakingNs = 14'000'000;  // from power to the identification
constexpr i32 kFarthest = 1'000'000;   // movement kept for a guest that does not take it
constexpr u8 kStart = 0x40;            // first byte of a packet
constexpr std::array<u8, 2> kIdentification = {'M', 'Z'};  // Microsoft's; with a wheel

i32 add(i32 sum, int change) {
  return static_cast<i32>(std::clamp<i64>(i64{sum} + change, -kFarthest, kFarthest));
}

/// The part of `sum` that a packet holds, which is taken out of it.
int take(i32& sum, int least, int most) {
  const int part = std::clamp(sum, least, most);
  sum -= part;
  return part;
}

}  // namespace

SerialMouse::SerialMouse(std::string name, Scheduler& scheduler)
    : StatefulDevice(std::move(name)),
      scheduler_(scheduler),
      line_(scheduler, std::string(this->name()) + ".line", [this] { arrived(); }) {}

void SerialMouse::restored() {
  state_.queued = std::min<u8>(state_.queued, static_cast<u8>(state_.queue.size()));
  for (i32* sum : {&state_.dx, &state_.dy, &state_.dz}) *sum = add(*sum, 0);
  line_.cancel();
  if (state_.next_byte_at == Scheduler::kNever) state_.queued = 0;
  if (state_.queued == 0) state_.next_byte_at = Scheduler::kNever;
  if (state_.queued != 0) line_.arm_at(state_.next_byte_at);
}

void SerialMouse::move(int dx, int dy, int dz) {
  if (!powered()) return;
  state_.dx = add(state_.dx, dx);
  state_.dy = add(state_.dy, dy);
  state_.dz = add(state_.dz, dz);
  report();
}

void SerialMouse::buttons(u8 mask) {
  state_.buttons = mask & 7;
  report();
}

void SerialMouse::set_modem_lines(bool data_terminal_ready, bool request_to_send) {
  const bool was_powered = powered();
  state_.data_terminal_ready = data_terminal_ready;
  state_.request_to_send = request_to_send;
  if (powered() == was_powered) return;
  state_.dx = state_.dy = state_.dz = 0;
  state_.queued = 0;
  state_.next_byte_at = Scheduler::kNever;
  line_.cancel();
  if (!powered()) return;
  state_.reported_buttons = state_.buttons;
  for (const u8 byte : kIdentification) state_.queue[state_.queued++] = byte;
  state_.next_byte_at = scheduler_.now() + kWakingNs;
  line_.arm_at(state_.next_byte_at);
}

void SerialMouse::report() {
  const bool something = state_.dx != 0 || state_.dy != 0 || state_.dz != 0 ||
                         state_.buttons != state_.reported_buttons;
  if (!powered() || state_.queued != 0 || !something) return;
  const auto x = static_cast<u8>(take(state_.dx, -128, 127));
  const auto y = static_cast<u8>(take(state_.dy, -128, 127));
  const auto z = static_cast<u8>(take(state_.dz, -8, 7));
  const unsigned left = state_.buttons & 1u, right = state_.buttons >> 1 & 1u;
  const unsigned middle = state_.buttons >> 2 & 1u;
  state_.reported_buttons = state_.buttons;
  state_.queue = {static_cast<u8>(kStart | left << 5 | right << 4 | (y & 0xc0) >> 4 | x >> 6),
                  static_cast<u8>(x & 0x3f), static_cast<u8>(y & 0x3f),
                  static_cast<u8>(middle << 4 | (z & 0x0f))};
  state_.queued = 4;
  state_.next_byte_at = scheduler_.now() + kByteNs;
  line_.arm_at(state_.next_byte_at);
}

void SerialMouse::arrived() {
  state_.next_byte_at = Scheduler::kNever;
  if (state_.queued == 0) return;
  const u8 byte = state_.queue[0];
  std::shift_left(state_.queue.begin(), state_.queue.end(), 1);
  if (--state_.queued != 0) {
    state_.next_byte_at = scheduler_.now() + kByteNs;
    line_.arm_at(state_.next_byte_at);
  }
  if (receiver_ != nullptr) receiver_->receive({&byte, 1});
  report();
}

}  // namespace dragoman
