#include "frontends/vnc/rfb_connection.h"

#include <algorithm>
#include <cstring>

#include "devices/block/byte_order.h"
#include "frontends/vnc/vnc_auth.h"
#include "frontends/vnc/vnc_keys.h"

namespace dragoman {
namespace {

constexpr unsigned kTile = 16;
constexpr std::size_t kMostPending = 256 * 1024;  // output that waits before no more is made
constexpr std::size_t kMostRectangles = 2000;
constexpr std::size_t kMostEncodings = 1024;

constexpr i32 kDesktopSize = -223;
constexpr i32 kQemuPointerMotion = -257;
constexpr i32 kQemuExtendedKey = -258;
constexpr int kRelativeOrigin = 0x7fff;

enum ClientMessage : u8 {
  kSetPixelFormat = 0,
  kSetEncodings = 2,
  kUpdateRequest = 3,
  kKeyEvent = 4,
  kPointerEvent = 5,
  kCutText = 6,
  kQemu = 255,
};

}  // namespace

RfbConnection::RfbConnection(const RfbOptions& options, const RfbScreen& screen,
                             const RfbInput& input, const std::array<u8, 16>& challenge)
    : options_(options),
      screen_(screen),
      input_to_(input),
      challenge_(challenge),
      down_(static_cast<std::size_t>(Key::kCount)) {
  constexpr std::string_view kGreeting = "RFB 003.008\n";
  output_.assign(kGreeting.begin(), kGreeting.end());
}

void RfbConnection::feed(std::span<const u8> bytes) {
  if (closed()) return;
  input_.insert(input_.end(), bytes.begin(), bytes.end());
  std::size_t done = 0;
  while (!closed() && done < input_.size()) {
    if (skip_ != 0) {
      const u64 run = std::min<u64>(skip_, input_.size() - done);
      skip_ -= run;
      done += run;
      continue;
    }
    if (done != 0) {
      input_.erase(input_.begin(), input_.begin() + static_cast<long>(done));
      done = 0;
    }
    const std::size_t used = message();
    if (used == 0) break;
    done = used;
  }
  input_.erase(input_.begin(), input_.begin() + static_cast<long>(std::min(done, input_.size())));
  if (closed()) input_.clear();
}

std::size_t RfbConnection::message() {
  switch (state_) {
    case State::kVersion:
      return version();
    case State::kSecurity: {
      const u8 offered = options_.password.empty() ? 1 : 2;
      if (input_[0] != offered) {
        close();
      } else if (offered == 2) {
        output_.insert(output_.end(), challenge_.begin(), challenge_.end());
        state_ = State::kResponse;
      } else {
        if (minor_ >= 8) put(0, 4);
        state_ = State::kClientInit;
      }
      return 1;
    }
    case State::kResponse: {
      if (input_.size() < 16) return 0;
      const auto wanted = vnc_response(options_.password, challenge_);
      u8 difference = 0;  // the time must not tell how much was right
      for (unsigned i = 0; i < 16; ++i) difference |= static_cast<u8>(wanted[i] ^ input_[i]);
      security_result(difference == 0);
      return 16;
    }
    case State::kClientInit:
      server_init();
      return 1;
    case State::kRunning:
      return running_message();
    case State::kClosed:
      break;
  }
  return 0;
}

std::size_t RfbConnection::version() {
  // "RFB 003.008\n"
  if (std::memcmp(input_.data(), "RFB 003.", std::min<std::size_t>(input_.size(), 8)) != 0) {
    close();
    return 0;
  }
  if (input_.size() < 12) return 0;
  const std::string minor(input_.begin() + 8, input_.begin() + 12);
  // 3.889 is Apple's name for 3.8; versions that were never published count as 3.3 (RFC 6143
  // section 7.1.1).
  minor_ = minor == "008\n" || minor == "889\n" ? 8 : minor == "007\n" ? 7 : 3;
  offer_security();
  return 12;
}

void RfbConnection::offer_security() {
  const u8 type = options_.password.empty() ? 1 : 2;
  if (minor_ >= 7) {
    put(1, 1);
    put(type, 1);
    state_ = State::kSecurity;
    return;
  }
  put(type, 4);  // the server decides
  state_ = State::kClientInit;
  if (type == 2) {
    output_.insert(output_.end(), challenge_.begin(), challenge_.end());
    state_ = State::kResponse;
  }
}

void RfbConnection::security_result(bool good) {
  put(good ? 0 : 1, 4);
  if (good) {
    state_ = State::kClientInit;
    return;
  }
  constexpr std::string_view kReason = "wrong password";
  if (minor_ >= 8) {
    put(kReason.size(), 4);
    output_.insert(output_.end(), kReason.begin(), kReason.end());
  }
  close();
}

void RfbConnection::server_init() {
  size_ = screen_.size;
  put(size_.width, 2);
  put(size_.height, 2);
  const RfbPixelFormat format;
  put(format.bits, 1);
  put(format.depth, 1);
  put(format.big_endian, 1);
  put(1, 1);  // true colour
  for (const u16 max : {format.red_max, format.green_max, format.blue_max}) put(max, 2);
  for (const u8 shift : {format.red_shift, format.green_shift, format.blue_shift}) put(shift, 1);
  put(0, 3);
  put(options_.name.size(), 4);
  output_.insert(output_.end(), options_.name.begin(), options_.name.end());
  state_ = State::kRunning;
  mark({0, 0, size_.width, size_.height});
}

std::size_t RfbConnection::running_message() {
  const auto have = [&](std::size_t bytes) { return input_.size() >= bytes; };
  const std::span<const u8> in(input_);
  switch (input_[0]) {
    case kSetPixelFormat:
      if (!have(20)) return 0;
      set_format(in.subspan(4, 16));
      return 20;
    case kSetEncodings: {
      if (!have(4)) return 0;
      const std::size_t count = get_be(in, 2, 2);
      if (count > kMostEncodings) {
        close();
        return 0;
      }
      if (!have(4 + 4 * count)) return 0;
      set_encodings(in.subspan(4, 4 * count));
      return 4 + 4 * count;
    }
    case kUpdateRequest:
      if (!have(10)) return 0;
      request(in.subspan(1, 9));
      return 10;
    case kKeyEvent:
      if (!have(8)) return 0;
      key(key_of_keysym(static_cast<u32>(get_be(in, 4, 4))), input_[1] != 0);
      return 8;
    case kPointerEvent:
      if (!have(6)) return 0;
      pointer(input_[1], static_cast<int>(get_be(in, 2, 2)), static_cast<int>(get_be(in, 4, 2)));
      return 6;
    case kCutText:
      if (!have(8)) return 0;
      skip_ = get_be(in, 4, 4);
      return 8;
    case kQemu:
      return qemu_message();
    default:
      close();  // a message of unknown length ends all understanding
      return 0;
  }
}

std::size_t RfbConnection::qemu_message() {
  if (input_.size() < 2) return 0;
  if (input_[1] != 0 || !extended_keys_) {
    close();
    return 0;
  }
  if (input_.size() < 12) return 0;
  const std::span<const u8> in(input_);
  auto pressed_key = key_of_scan_code(static_cast<u32>(get_be(in, 8, 4)));
  if (!pressed_key) pressed_key = key_of_keysym(static_cast<u32>(get_be(in, 4, 4)));
  key(pressed_key, get_be(in, 2, 2) != 0);
  return 12;
}

void RfbConnection::set_format(std::span<const u8> raw) {
  RfbPixelFormat format;
  format.bits = raw[0];
  format.depth = raw[1];
  format.big_endian = raw[2] != 0;
  const bool true_colour = raw[3] != 0;
  format.red_max = static_cast<u16>(get_be(raw, 4, 2));
  format.green_max = static_cast<u16>(get_be(raw, 6, 2));
  format.blue_max = static_cast<u16>(get_be(raw, 8, 2));
  format.red_shift = raw[10];
  format.green_shift = raw[11];
  format.blue_shift = raw[12];
  if (!true_colour) {
    // A palette of 3, 3 and 2 bits does what true colour would do.
    format = {8, 8, false, 7, 7, 3, 0, 3, 6};
    put(1, 1);  // SetColourMapEntries
    put(0, 1);
    put(0, 2);
    put(256, 2);
    for (unsigned i = 0; i < 256; ++i) {
      put((i & 7) * 65535 / 7, 2);
      put((i >> 3 & 7) * 65535 / 7, 2);
      put((i >> 6) * 65535 / 3, 2);
    }
  }
  if (!format.valid()) {
    close();
    return;
  }
  encoder_.set_format(format);
  mark({0, 0, size_.width, size_.height});
}

void RfbConnection::set_encodings(std::span<const u8> list) {
  encoding_ = RfbEncoding::kRaw;
  bool chosen = false;
  can_resize_ = false;
  for (std::size_t i = 0; i < list.size(); i += 4) {
    const i32 number = static_cast<i32>(get_be(list, i, 4));
    switch (number) {
      case static_cast<i32>(RfbEncoding::kRaw):
      case static_cast<i32>(RfbEncoding::kHextile):
      case static_cast<i32>(RfbEncoding::kZlib):
      case static_cast<i32>(RfbEncoding::kZrle):
        if (!chosen) encoding_ = static_cast<RfbEncoding>(number);
        chosen = true;  // the viewer's order is its preference
        break;
      case kDesktopSize:
        can_resize_ = true;
        break;
      case kQemuExtendedKey:
        if (!extended_keys_) notices_.push_back(number);
        extended_keys_ = true;
        break;
      case kQemuPointerMotion:
        if (!relative_pointer_) notices_.push_back(number);
        relative_pointer_ = true;
        break;
      default:
        break;
    }
  }
}

void RfbConnection::request(std::span<const u8> raw) {
  requested_ = true;
  if (raw[0] == 0) {
    mark({static_cast<unsigned>(get_be(raw, 1, 2)), static_cast<unsigned>(get_be(raw, 3, 2)),
          static_cast<unsigned>(get_be(raw, 5, 2)), static_cast<unsigned>(get_be(raw, 7, 2))});
  }
  update();
}

void RfbConnection::key(std::optional<Key> which, bool pressed) {
  if (!which) return;
  const auto index = static_cast<std::size_t>(*which);
  if (!pressed && !down_[index]) return;
  down_[index] = pressed;
  input_to_.key(*which, pressed);
}

void RfbConnection::release_keys() {
  for (std::size_t i = 0; i < down_.size(); ++i) {
    if (down_[i]) input_to_.key(static_cast<Key>(i), false);
    down_[i] = false;
  }
  if ((buttons_ & 7) != 0) input_to_.buttons(0);
  buttons_ = 0;
}

void RfbConnection::pointer(u8 buttons, int x, int y) {
  int dx = 0;
  int dy = 0;
  if (relative_pointer_) {
    dx = x - kRelativeOrigin;
    dy = y - kRelativeOrigin;
  } else if (x_ >= 0) {
    dx = x - x_;
    dy = y - y_;
  }
  x_ = x;
  y_ = y;
  if (!relative_pointer_ && input_to_.point &&
      input_to_.point(static_cast<unsigned>(std::max(x, 0)), static_cast<unsigned>(std::max(y, 0)),
                      size_)) {
    dx = dy = 0;
  }
  // The wheel comes as buttons 4 (away) and 5.
  int dz = 0;
  if ((buttons & ~buttons_ & 0x08) != 0) --dz;
  if ((buttons & ~buttons_ & 0x10) != 0) ++dz;
  if (dx != 0 || dy != 0 || dz != 0) input_to_.move(dx, dy, dz);
  if (((buttons ^ buttons_) & 0x07) != 0) {
    // Middle and right have changed places.
    input_to_.buttons(static_cast<u8>((buttons & 1) | (buttons >> 1 & 2) | (buttons << 1 & 4)));
  }
  buttons_ = buttons;
}

void RfbConnection::mark(RfbRectangle area) {
  const unsigned columns = (size_.width + kTile - 1) / kTile;
  const unsigned rows = (size_.height + kTile - 1) / kTile;
  if (columns != columns_ || rows != rows_) {
    columns_ = columns;
    rows_ = rows;
    dirty_.assign(u64{columns} * rows, true);
    any_dirty_ = !dirty_.empty();
    return;
  }
  const unsigned right = std::min(size_.width, area.x + area.width);
  const unsigned bottom = std::min(size_.height, area.y + area.height);
  if (area.x >= right || area.y >= bottom) return;
  for (unsigned row = area.y / kTile; row <= (bottom - 1) / kTile; ++row) {
    for (unsigned column = area.x / kTile; column <= (right - 1) / kTile; ++column) {
      dirty_[u64{row} * columns_ + column] = true;
    }
  }
  any_dirty_ = true;
}

void RfbConnection::changed(RfbRectangle area) {
  if (!running()) return;
  mark(area);
}

std::vector<RfbRectangle> RfbConnection::dirty_rectangles() const {
  // A viewer that cannot change its size sees what fits.
  const unsigned width = std::min(size_.width, screen_.size.width);
  const unsigned height = std::min(size_.height, screen_.size.height);
  std::vector<RfbRectangle> list;
  for (unsigned row = 0; row < rows_ && row * kTile < height; ++row) {
    for (unsigned column = 0; column < columns_ && column * kTile < width;) {
      if (!dirty_[u64{row} * columns_ + column]) {
        ++column;
        continue;
      }
      unsigned end = column;
      while (end < columns_ && dirty_[u64{row} * columns_ + end]) ++end;
      const RfbRectangle area{column * kTile, row * kTile,
                              std::min(end * kTile, width) - column * kTile,
                              std::min((row + 1) * kTile, height) - row * kTile};
      column = end;
      // Goes on below a rectangle of the row before.
      const auto above = std::find_if(list.rbegin(), list.rend(), [&](const RfbRectangle& r) {
        return r.x == area.x && r.width == area.width && r.y + r.height == area.y;
      });
      if (above != list.rend()) {
        above->height += area.height;
      } else {
        list.push_back(area);
      }
    }
  }
  if (list.size() > kMostRectangles) return {{0, 0, width, height}};
  return list;
}

void RfbConnection::update() {
  if (!running() || !requested_ || output_.size() > kMostPending) return;
  if (can_resize_ && !(screen_.size == size_)) {
    size_ = screen_.size;
    size_changed_ = true;
    columns_ = rows_ = 0;
    mark({});  // a grid of the new size, all of it to be sent
  }
  if (!any_dirty_ && !size_changed_ && notices_.empty()) return;
  std::vector<RfbRectangle> areas;
  if (any_dirty_ && !size_changed_) areas = dirty_rectangles();
  const std::size_t count = areas.size() + notices_.size() + size_changed_;
  if (count == 0) {
    any_dirty_ = false;
    return;
  }
  put(0, 1);  // FramebufferUpdate
  put(0, 1);
  put(count, 2);
  for (const i32 notice : notices_) {
    // For the pointer, x = 0 says that movements are relative.
    put_rectangle_header({0, 0, notice == kQemuPointerMotion ? 0 : size_.width, size_.height},
                         notice, output_);
  }
  notices_.clear();
  if (size_changed_) {
    // The new size goes alone; the viewer then asks for its contents.
    put_rectangle_header({0, 0, size_.width, size_.height}, kDesktopSize, output_);
    size_changed_ = false;
  } else {
    for (const RfbRectangle& area : areas) encoder_.encode(screen_, area, encoding_, output_);
    dirty_.assign(dirty_.size(), false);
    any_dirty_ = false;
  }
  requested_ = false;
}

}  // namespace dragoman
