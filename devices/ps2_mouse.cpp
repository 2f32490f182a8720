// IBM PS/2 mouse.
// Document: IBM PS/2 Hardware Interface Technical Reference, "Mouse".
#include "devices/ps2_mouse.h"

#include <algorithm>
#include <cstdlib>

namespace dragoman {

namespace {

constexpr u8 kAck = 0xfa;
constexpr u8 kResend = 0xfe;
constexpr i32 kMovementLimit = 1 << 20;

// 2:1 scaling of stream mode reports (table in "Set Scaling 2:1").
i32 scale(i32 value) {
  constexpr std::array<i32, 6> kScaled{0, 1, 1, 3, 6, 9};
  const i32 size = std::abs(value);
  const i32 scaled = size < 6 ? kScaled[static_cast<std::size_t>(size)] : 2 * size;
  return value < 0 ? -scaled : scaled;
}

i32 add_movement(i32 sum, i32 more) {
  return static_cast<i32>(std::clamp<i64>(i64{sum} + more, -kMovementLimit, kMovementLimit));
}

}  // namespace

Ps2Mouse::Ps2Mouse(Scheduler& scheduler, Log& log)
    : StatefulDevice("ps2_mouse"),
      scheduler_(scheduler),
      log_(log),
      sampling_(scheduler, "ps2_mouse sample", [this] { sample(); }) {}

void Ps2Mouse::restored() {
  state_.queue.repair();
  if (state_.sample_rate == 0) state_.sample_rate = 100;
  state_.dx = std::clamp(state_.dx, -kMovementLimit, kMovementLimit);
  state_.dy = std::clamp(state_.dy, -kMovementLimit, kMovementLimit);
  state_.dz = std::clamp(state_.dz, -kMovementLimit, kMovementLimit);
  sampling_.cancel();
  sample();
  announce();
}

void Ps2Mouse::set_defaults() {
  state_.sample_rate = 100;
  state_.resolution = 2;
  state_.scaling_2_1 = false;
  state_.reporting = false;
  state_.remote = false;
  state_.wrap = false;
  clear_movement();
}

void Ps2Mouse::clear_movement() {
  state_.dx = 0;
  state_.dy = 0;
  state_.dz = 0;
}

void Ps2Mouse::move(int dx, int dy, int dz) {
  if (!state_.reporting && !state_.remote) return;  // disabled: counters stand still
  state_.dx = add_movement(state_.dx, std::clamp(dx, -kMovementLimit, kMovementLimit));
  state_.dy = add_movement(state_.dy, -std::clamp(dy, -kMovementLimit, kMovementLimit));
  state_.dz = add_movement(state_.dz, std::clamp(dz, -kMovementLimit, kMovementLimit));
  sample();
}

void Ps2Mouse::buttons(u8 mask) {
  state_.buttons = mask & 0x1f;
  sample();
}

bool Ps2Mouse::something_new() const {
  return state_.dx != 0 || state_.dy != 0 || (state_.dz != 0 && state_.id != 0) ||
         state_.buttons != state_.reported_buttons;
}

void Ps2Mouse::sample() {
  if (!state_.reporting || state_.remote || state_.wrap || !something_new()) return;
  if (state_.queue.count != 0) return;  // take_byte() comes back here
  const u64 now = scheduler_.now();
  if (now < state_.next_sample_at) {
    if (!sampling_.armed()) sampling_.arm_at(state_.next_sample_at);
    return;
  }
  state_.next_sample_at = now + 1'000'000'000 / state_.sample_rate;
  send_packet(true);
  announce();
}

void Ps2Mouse::send_packet(bool scaled) {
  // What does not fit into nine bits stays for the next packet.
  const i32 dx = std::clamp(state_.dx, -255, 255);
  const i32 dy = std::clamp(state_.dy, -255, 255);
  state_.dx -= dx;
  state_.dy -= dy;
  const bool scaling = scaled && state_.scaling_2_1;
  const i32 x = std::clamp(scaling ? scale(dx) : dx, -255, 255);
  const i32 y = std::clamp(scaling ? scale(dy) : dy, -255, 255);
  answer(static_cast<u8>((state_.buttons & 7) | 0x08 | (x < 0 ? 0x10 : 0) | (y < 0 ? 0x20 : 0)));
  answer(static_cast<u8>(x));
  answer(static_cast<u8>(y));
  if (state_.id == 3) {
    const i32 dz = std::clamp(state_.dz, -127, 127);
    state_.dz -= dz;
    answer(static_cast<u8>(dz));
  } else if (state_.id == 4) {
    const i32 dz = std::clamp(state_.dz, -7, 7);
    state_.dz -= dz;
    answer(static_cast<u8>((dz & 0x0f) | (state_.buttons & 0x18) << 1));
  }
  state_.reported_buttons = state_.buttons;
}

u8 Ps2Mouse::take_byte() {
  const u8 value = state_.queue.pop();
  state_.last_sent = value;
  if (state_.queue.count == 0) sample();
  return value;
}

void Ps2Mouse::parameter(u8 command, u8 value) {
  if (command == 0xe8) {
    if (value > 3) {
      answer(kResend);
      return;
    }
    state_.resolution = value;
    answer(kAck);
    return;
  }
  constexpr std::array<u8, 7> kRates{10, 20, 40, 60, 80, 100, 200};
  if (std::find(kRates.begin(), kRates.end(), value) == kRates.end()) {
    answer(kResend);
    return;
  }
  state_.sample_rate = value;
  answer(kAck);
  // Rates 200, 100, 80 knock for the wheel; 200, 200, 80 then for the buttons 4 and 5.
  if (state_.last_rates == std::array<u8, 2>{200, 100} && value == 80) {
    state_.id = 3;
  } else if (state_.last_rates == std::array<u8, 2>{200, 200} && value == 80) {
    state_.id = 4;
  }
  state_.last_rates = {state_.last_rates[1], value};
}

void Ps2Mouse::write_byte(u8 value) {
  state_.queue.clear();  // a byte from the host ends what was being sent
  const u8 pending = state_.pending_command;
  state_.pending_command = 0;
  if (state_.wrap && value != 0xec && value != 0xff) {
    answer(value);
  } else if (pending != 0) {
    parameter(pending, value);
  } else {
    switch (value) {
      case 0xe6:
      case 0xe7:
        state_.scaling_2_1 = value == 0xe7;
        answer(kAck);
        break;
      case 0xe8:
      case 0xf3:
        state_.pending_command = value;
        answer(kAck);
        break;
      case 0xe9:
        answer(kAck);
        answer(static_cast<u8>((state_.remote ? 0x40 : 0) | (state_.reporting ? 0x20 : 0) |
                               (state_.scaling_2_1 ? 0x10 : 0) | (state_.buttons & 1) << 2 |
                               (state_.buttons & 4) >> 1 | (state_.buttons & 2) >> 1));
        answer(state_.resolution);
        answer(state_.sample_rate);
        break;
      case 0xea:
        state_.remote = false;
        clear_movement();
        answer(kAck);
        break;
      case 0xeb:
        answer(kAck);
        send_packet(false);
        break;
      case 0xec:
        state_.wrap = false;
        clear_movement();
        answer(kAck);
        break;
      case 0xee:
        state_.wrap = true;
        clear_movement();
        answer(kAck);
        break;
      case 0xf0:
        state_.remote = true;
        clear_movement();
        answer(kAck);
        break;
      case 0xf2:
        answer(kAck);
        answer(state_.id);
        break;
      case 0xf4:
      case 0xf5:
        state_.reporting = value == 0xf4;
        clear_movement();
        answer(kAck);
        break;
      case 0xf6:
        set_defaults();
        answer(kAck);
        break;
      case 0xfe:
        answer(state_.last_sent);
        break;
      case 0xff:
        set_defaults();
        state_.id = 0;
        state_.last_rates = {};
        answer(kAck);
        answer(0xaa);
        answer(state_.id);
        break;
      default:
        log_.write(LogCategory::kGuestErrors, "ps2_mouse: unknown command {:#04x}", value);
        answer(kResend);
        break;
    }
  }
  announce();
}

}  // namespace dragoman
