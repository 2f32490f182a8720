// The bar above the machine's screen: menus, status lights, speed (Dear ImGui).
#pragma once

#include <SDL2/SDL.h>

#include <array>
#include <functional>
#include <string>

#include "frontends/monitor/monitor.h"
#include "machine/machine.h"

struct ImGuiContext;

namespace dragoman {

/// What the menu asks of the window.
struct WindowActions {
  std::function<void()> full_screen;
  std::function<void()> paste;
  std::function<void()> quit;
};

/// Owns ImGui's context; one per window.
class SdlMenu {
 public:
  static constexpr unsigned kLights = 3;  ///< one for each DriveInfo::Kind

  SdlMenu(Machine& machine, SDL_Window* window, SDL_Renderer* renderer, WindowActions actions);
  ~SdlMenu();
  SdlMenu(const SdlMenu&) = delete;
  SdlMenu& operator=(const SdlMenu&) = delete;

  void set_media(MonitorHost host) { host_ = std::move(host); }
  /// Lines of the window that the bar takes.
  int height() const { return height_; }
  /// Shows the event to the menu; true when it is the menu's and nobody else's. Mouse events with
  /// `captured` are the guest's.
  bool handle(const SDL_Event& event, bool captured);
  /// True when the bar must be drawn again: after events, when a light or the speed changed.
  bool take_change();
  /// Lays out and draws the bar into the window, over what is there.
  void draw();
  /// A sentence to the user, shown in the bar for a while.
  void say(const std::string& text);
  /// A file was dropped on the window: into the drive it fits.
  void insert(const std::string& path);
  /// The guest's screen may be smoothed when it does not fit in whole pixels.
  bool smooth() const { return smooth_; }

 private:
  void machine_menu();
  void media_menu();
  void view_menu();
  void status();
  std::vector<DriveInfo> drives() const;
  void measure(u64 now);
  void screenshot();
  void say_result(const Result<void>& done, const std::string& good);

  Machine& machine_;
  SDL_Window* window_;
  SDL_Renderer* renderer_;
  WindowActions actions_;
  MonitorHost host_;
  ImGuiContext* context_ = nullptr;
  SDL_Texture* font_ = nullptr;
  int height_ = 0;
  int settle_ = 2;  ///< frames to draw after an event: ImGui needs two to come to rest
  bool smooth_ = false;
  std::array<u64, kLights> seen_accesses_{};
  std::array<u64, kLights> lit_until_{};
  unsigned lit_ = 0;  ///< lights drawn last, a bit each
  bool paused_ = false;
  u64 measured_at_ = 0;
  u64 instructions_ = 0;
  u64 host_instructions_ = 0;
  std::string speed_;
  std::string message_;
  u64 message_until_ = 0;
  std::array<char, 1024> path_{};
};

}  // namespace dragoman
