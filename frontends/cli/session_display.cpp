// The display of a session: which one, and what it needs.
#include <unistd.h>

#include <cstdlib>

#include "frontends/cli/session.h"

namespace dragoman {

Result<void> Session::open_display() {
  std::string display = options_.display;
  if (lockstep_ != nullptr || options_.nographic || machine_->board().vga() == nullptr)
    display = "none";
  if (display.empty()) {
    const auto is_set = [](const char* name) {
      const char* value = std::getenv(name);
      return value != nullptr && *value != '\0';
    };
    display = is_set("DISPLAY") || is_set("WAYLAND_DISPLAY")         ? "sdl"
              : isatty(STDOUT_FILENO) != 0 && !options_.uses_stdio() ? "curses"
                                                                     : "none";
  }
  const auto quit = [this] { machine_->stop({StopCause::kRequested, 0, ""}); };
  if (display == "sdl") {
    auto window = SdlDisplay::open(*machine_, options_.name, quit);
    if (!window) return host_problem(window.error());
    window_ = window.take();
    machine_->add_housekeeping([this] { window_->update(); });
  } else if (display.starts_with("vnc=")) {
    auto address = VncAddress::parse(display.substr(4));
    if (!address) return address.error();
    auto vnc = VncDisplay::open(*address, machine_->board(), options_.name);
    if (!vnc) return host_problem(vnc.error());
    vnc_ = vnc.take();
    for (PollSource* source : vnc_->poll_sources()) machine_->add_poll_source(*source);
    machine_->add_housekeeping([this] { vnc_->update(); });
  } else if (display == "curses") {
    if (isatty(STDOUT_FILENO) == 0) {
      return host_problem(
          error("-display curses needs a terminal, and standard output is none; use "
                "-display none with -serial file:PATH"));
    }
    terminal_ = std::make_unique<StdioCharacter>();
    terminal_display_ = std::make_unique<TerminalDisplay>(*terminal_, machine_->board(), quit);
    machine_->add_poll_source(*terminal_);
    machine_->add_housekeeping([this] { terminal_display_->update(); });
  }
  return {};
}

}  // namespace dragoman
