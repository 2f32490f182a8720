// One VNC viewer: the server's side of the Remote Framebuffer protocol 3.3, 3.7 and 3.8, without
// a socket.
// Document: RFC 6143; the RFB protocol's community specification for the QEMU extensions.
#pragma once

#include <array>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "devices/ps2_keyboard.h"
#include "frontends/vnc/rfb_encoder.h"

namespace dragoman {

/// Where a viewer's keyboard and mouse go. Movement: right and down positive, the wheel towards
/// the user positive; buttons as Ps2Mouse::buttons().
struct RfbInput {
  std::function<void(Key key, bool pressed)> key;
  std::function<void(int dx, int dy, int dz)> move;
  std::function<void(u8 mask)> buttons;
  /// The pointer is at this place of a screen of that size. False: the guest has no pointer that
  /// can go there, so move() is used. May be empty.
  std::function<bool(unsigned x, unsigned y, Size screen)> point;
};

struct RfbOptions {
  std::string name;      ///< of the machine, for the viewer's title
  std::string password;  ///< empty: none is asked for
};

class RfbConnection {
 public:
  /// What is referred to outlives the connection. `challenge` is 16 random bytes.
  RfbConnection(const RfbOptions& options, const RfbScreen& screen, const RfbInput& input,
                const std::array<u8, 16>& challenge);

  /// Takes what the viewer sent. Afterwards closed() may have become true.
  void feed(std::span<const u8> bytes);
  /// The connection is to be closed once output() has gone.
  bool closed() const { return state_ == State::kClosed; }
  /// Past the greeting: the viewer sees the screen.
  bool running() const { return state_ == State::kRunning; }
  /// Bytes for the viewer; the caller takes away what it sent.
  std::vector<u8>& output() { return output_; }

  /// Part of the screen changed. A new size is noticed by update().
  void changed(RfbRectangle area);
  /// Appends an update if the viewer waits for one and there is something to show.
  void update();
  /// Releases what the viewer holds down.
  void release_keys();

 private:
  enum class State : u8 { kVersion, kSecurity, kResponse, kClientInit, kRunning, kClosed };

  /// Handles one message at the start of input_; how many bytes it had, 0 when it is not complete.
  std::size_t message();
  std::size_t version();
  std::size_t running_message();
  std::size_t qemu_message();
  void offer_security();
  void security_result(bool good);
  void server_init();
  void set_format(std::span<const u8> raw);
  void set_encodings(std::span<const u8> list);
  void request(std::span<const u8> raw);
  void key(std::optional<Key> key, bool pressed);
  void pointer(u8 buttons, int x, int y);
  void mark(RfbRectangle area);
  std::vector<RfbRectangle> dirty_rectangles() const;
  void put(u64 value, unsigned width) { put_number(value, width, output_); }
  void close() { state_ = State::kClosed; }

  const RfbOptions& options_;
  const RfbScreen& screen_;
  const RfbInput& input_to_;
  std::array<u8, 16> challenge_;
  State state_ = State::kVersion;
  unsigned minor_ = 8;  // of the protocol version 3.x
  std::vector<u8> input_;
  u64 skip_ = 0;  // bytes of pasted text still to come
  std::vector<u8> output_;

  RfbEncoder encoder_;
  RfbEncoding encoding_ = RfbEncoding::kRaw;
  bool can_resize_ = false;
  bool extended_keys_ = false;
  bool relative_pointer_ = false;
  std::vector<i32> notices_;  // pseudo-rectangles that answer SetEncodings

  Size size_;  // as the viewer knows it
  bool size_changed_ = false;
  bool requested_ = false;  // the viewer waits for an update
  unsigned columns_ = 0, rows_ = 0;
  std::vector<bool> dirty_;  // by tile
  bool any_dirty_ = false;

  std::vector<bool> down_;  // by Key
  u8 buttons_ = 0;          // as the viewer numbers them
  int x_ = -1, y_ = -1;     // of the pointer; -1: not seen yet
};

}  // namespace dragoman
