// The machine's screen, keyboard and mouse in a window (SDL 2).
#pragma once

#include <SDL2/SDL.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "frontends/screen_watch.h"
#include "frontends/sdl/sdl_menu.h"
#include "machine/machine.h"

namespace dragoman {

/// One window. SDL itself is one per process, and so is this.
class SdlDisplay {
 public:
  /// `closed` is called when the user closes the window. The machine outlives the display and
  /// has a VGA card. An Error when SDL finds no display.
  static Result<std::unique_ptr<SdlDisplay>> open(Machine& machine, std::string title,
                                                  std::function<void()> closed);
  ~SdlDisplay();
  SdlDisplay(const SdlDisplay&) = delete;
  SdlDisplay& operator=(const SdlDisplay&) = delete;

  /// Gives the menu the drives.
  void set_media(MonitorHost host) { menu_->set_media(std::move(host)); }
  /// Takes the window's events and shows the screen if it changed. Called about every 16 ms.
  void update();

 private:
  SdlDisplay(Machine& machine, std::string title, std::function<void()> closed);
  Result<void> create();
  void handle(const SDL_Event& event);
  void key_event(const SDL_KeyboardEvent& event);
  void window_event(const SDL_WindowEvent& event);
  void button_event(const SDL_MouseButtonEvent& event);
  void capture(bool on);
  /// The guest has a pointer that follows the host's without being captured.
  bool absolute() const;
  void point(int x, int y);
  void set_buttons(u8 mask);
  void toggle_full_screen();
  /// Gives the window room for a screen of this size, but keeps it on the host's.
  void fit_window(Size size);
  void release_keys();
  void paste();
  /// Lines at the top that are not the guest's.
  int bar() const;
  void show_title();
  /// Fits the texture and, while it is an ordinary one, the window to the size of the screen.
  bool resize(Size size);
  void draw();
  void present();

  Machine& machine_;
  PcBoard& board_;
  std::string title_;
  std::function<void()> closed_;
  ScreenWatch watch_;
  SDL_Window* window_ = nullptr;
  SDL_Renderer* renderer_ = nullptr;
  SDL_Texture* texture_ = nullptr;
  std::unique_ptr<SdlMenu> menu_;
  Size size_;
  SDL_Rect target_{};  ///< where in the window the screen is
  std::vector<u32> pixels_;
  std::vector<bool> keys_down_;  ///< by Key: what the guest believes is held
  u8 buttons_ = 0;
  bool captured_ = false;
  bool full_screen_ = false;
  SDL_Rect before_{};  ///< place and size of the window while it is full screen
  bool stale_ = true;  ///< the window must be drawn again although the screen did not change
};

}  // namespace dragoman
