// `-display vnc=HOST:N`: the machine's screen, keyboard and mouse for VNC viewers.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/poll_source.h"
#include "frontends/screen_watch.h"
#include "frontends/vnc/rfb_connection.h"
#include "machine/pc_board.h"

namespace dragoman {

/// What stands after "vnc=".
struct VncAddress {
  std::string host = "127.0.0.1";
  u16 port = 5900;
  std::string password_file;

  /// "HOST:N[,password-file=PATH]", without HOST this host only; port 5900 + N. An Error when a
  /// host is named that others reach and there is no password.
  static Result<VncAddress> parse(std::string_view text);
};

class VncDisplay {
 public:
  static constexpr unsigned kViewers = 4;

  /// The board, which has a VGA card, outlives the display.
  static Result<std::unique_ptr<VncDisplay>> open(const VncAddress& address, PcBoard& board,
                                                  std::string name);
  ~VncDisplay();
  VncDisplay(const VncDisplay&) = delete;
  VncDisplay& operator=(const VncDisplay&) = delete;

  /// Shows the screen if it changed. Called about every 16 ms.
  void update();
  /// For the run loop: the listening socket and one for each viewer.
  std::vector<PollSource*> poll_sources();
  /// The port that is listened on.
  u16 port() const;

 private:
  class Listener;
  class Viewer;

  VncDisplay(PcBoard& board, std::string name, std::string password, int listener);
  void accept_viewer();
  void draw();

  PcBoard& board_;
  RfbOptions options_;
  RfbInput input_;
  RfbScreen screen_;
  ScreenWatch watch_;
  std::vector<u32> next_;  // the picture being drawn
  std::unique_ptr<Listener> listener_;
  std::vector<std::unique_ptr<Viewer>> viewers_;
};

}  // namespace dragoman
