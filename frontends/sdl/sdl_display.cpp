// The machine's screen, keyboard and mouse in a window (SDL 2).
#include "frontends/sdl/sdl_display.h"

#include <algorithm>
#include <utility>

#include "frontends/sdl/sdl_keys.h"

namespace dragoman {
namespace {

constexpr int kTextWidth = 720;
constexpr int kTextHeight = 400;
constexpr unsigned kLeastSide = 64;     // smaller "screens" are a card without a mode
constexpr unsigned kSmallWidth = 400;   // screens up to this width start doubled
constexpr unsigned kMostPixels = 8192;  // a texture side the software renderer surely takes

int initial_scale(Size size) { return size.width <= kSmallWidth ? 2 : 1; }

}  // namespace

SdlDisplay::SdlDisplay(Machine& machine, std::string title, std::function<void()> closed)
    : machine_(machine),
      board_(machine.board()),
      title_(std::move(title)),
      closed_(std::move(closed)),
      watch_(*board_.vga(), board_.memory()),
      keys_down_(static_cast<std::size_t>(Key::kCount)) {}

Result<std::unique_ptr<SdlDisplay>> SdlDisplay::open(Machine& machine, std::string title,
                                                     std::function<void()> closed) {
  std::unique_ptr<SdlDisplay> display(new SdlDisplay(machine, std::move(title), std::move(closed)));
  if (auto created = display->create(); !created) return created.error();
  return display;
}

Result<void> SdlDisplay::create() {
  SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");  // Ctrl-C belongs to the run loop
  SDL_SetHint(SDL_HINT_VIDEO_ALLOW_SCREENSAVER, "1");
  SDL_SetHint(SDL_HINT_VIDEO_X11_NET_WM_BYPASS_COMPOSITOR, "0");
  // Frames go to the window as they are: without a graphics card, OpenGL would copy them in
  // software.
  SDL_SetHint(SDL_HINT_FRAMEBUFFER_ACCELERATION, "0");
  constexpr const char* kRemedy =
      "check DISPLAY or WAYLAND_DISPLAY, or use -display curses, -display none or -nographic";
  if (SDL_InitSubSystem(SDL_INIT_VIDEO) != 0) {
    return error("cannot open a window with -display sdl: {}; {}", SDL_GetError(), kRemedy);
  }
  // Without a display SDL falls back to drivers that show nothing to anybody.
  const std::string driver = SDL_GetCurrentVideoDriver();
  if ((driver == "offscreen" || driver == "dummy") && SDL_getenv("SDL_VIDEODRIVER") == nullptr) {
    return error("cannot open a window with -display sdl: no display was found; {}", kRemedy);
  }
  // The card has no mode yet; firmware begins with text of 720 x 400 pixels.
  window_ = SDL_CreateWindow(title_.c_str(), SDL_WINDOWPOS_CENTERED, SDL_WINDOWPOS_CENTERED,
                             kTextWidth, kTextHeight, SDL_WINDOW_RESIZABLE);
  if (window_ != nullptr) renderer_ = SDL_CreateRenderer(window_, -1, SDL_RENDERER_SOFTWARE);
  if (renderer_ == nullptr) {
    return error("cannot open a window with -display sdl: {}; {}", SDL_GetError(), kRemedy);
  }
  menu_ = std::make_unique<SdlMenu>(
      machine_, window_, renderer_,
      WindowActions{[this] { toggle_full_screen(); }, [this] { paste(); }, closed_});
  SDL_SetWindowSize(window_, kTextWidth, kTextHeight + bar());
  show_title();
  return {};
}

SdlDisplay::~SdlDisplay() {
  menu_.reset();
  if (texture_ != nullptr) SDL_DestroyTexture(texture_);
  if (renderer_ != nullptr) SDL_DestroyRenderer(renderer_);
  if (window_ != nullptr) SDL_DestroyWindow(window_);
  if (SDL_WasInit(SDL_INIT_VIDEO) != 0) SDL_QuitSubSystem(SDL_INIT_VIDEO);
}

void SdlDisplay::update() {
  SDL_Event event;
  while (SDL_PollEvent(&event) != 0) handle(event);
  if (watch_.take_change(board_.scheduler().now())) draw();
  if (menu_->take_change()) stale_ = true;
  if (stale_) present();
}

void SdlDisplay::handle(const SDL_Event& event) {
  if (menu_->handle(event, captured_)) return;
  switch (event.type) {
    case SDL_DROPFILE:
      menu_->insert(event.drop.file);
      SDL_free(event.drop.file);
      break;
    case SDL_QUIT:
      closed_();
      break;
    case SDL_KEYDOWN:
    case SDL_KEYUP:
      key_event(event.key);
      break;
    case SDL_WINDOWEVENT:
      window_event(event.window);
      break;
    case SDL_MOUSEBUTTONDOWN:
    case SDL_MOUSEBUTTONUP:
      button_event(event.button);
      break;
    case SDL_MOUSEMOTION:
      if (captured_) {
        board_.mouse().move(event.motion.xrel, event.motion.yrel, 0);
      } else if (absolute()) {
        point(event.motion.x, event.motion.y);
      }
      break;
    case SDL_MOUSEWHEEL:
      if (captured_ || absolute()) {
        const bool flipped = event.wheel.direction == SDL_MOUSEWHEEL_FLIPPED;
        const int away = flipped ? -event.wheel.y : event.wheel.y;
        captured_ ? board_.mouse().move(0, 0, -away) : board_.tablet()->wheel(away);
      }
      break;
    case SDL_RENDER_TARGETS_RESET:
    case SDL_RENDER_DEVICE_RESET:
      stale_ = true;
      break;
    default:
      break;
  }
}

void SdlDisplay::key_event(const SDL_KeyboardEvent& event) {
  const bool pressed = event.type == SDL_KEYDOWN;
  const auto modifiers = event.keysym.mod;
  if (pressed && (modifiers & KMOD_CTRL) != 0 && (modifiers & KMOD_ALT) != 0) {
    const SDL_Scancode code = event.keysym.scancode;
    if (code == SDL_SCANCODE_G || code == SDL_SCANCODE_F || code == SDL_SCANCODE_V) {
      if (event.repeat != 0) return;
      if (code == SDL_SCANCODE_G) {
        capture(!captured_);
      } else if (code == SDL_SCANCODE_F) {
        toggle_full_screen();
      } else {
        paste();
      }
      return;
    }
  }
  const auto key = key_of_scancode(event.keysym.scancode);
  if (!key) return;
  const auto index = static_cast<std::size_t>(*key);
  if (!pressed && !keys_down_[index]) return;  // its press was a command to the window
  keys_down_[index] = pressed;
  board_.keyboard().key(*key, pressed);
}

void SdlDisplay::window_event(const SDL_WindowEvent& event) {
  switch (event.event) {
    case SDL_WINDOWEVENT_FOCUS_LOST:
      release_keys();
      capture(false);
      break;
    case SDL_WINDOWEVENT_EXPOSED:
    case SDL_WINDOWEVENT_SHOWN:
    case SDL_WINDOWEVENT_SIZE_CHANGED:
      stale_ = true;
      break;
    default:
      break;
  }
}

void SdlDisplay::button_event(const SDL_MouseButtonEvent& event) {
  const bool pressed = event.type == SDL_MOUSEBUTTONDOWN;
  if (!captured_ && absolute()) {
    point(event.x, event.y);
  } else if (!captured_) {
    // The click that captures the mouse is not the guest's.
    if (pressed && event.button == SDL_BUTTON_LEFT) capture(true);
    return;
  }
  u8 bit = 0;
  switch (event.button) {
    case SDL_BUTTON_LEFT:
      bit = 0x01;
      break;
    case SDL_BUTTON_RIGHT:
      bit = 0x02;
      break;
    case SDL_BUTTON_MIDDLE:
      bit = 0x04;
      break;
    case SDL_BUTTON_X1:
      bit = 0x08;
      break;
    case SDL_BUTTON_X2:
      bit = 0x10;
      break;
    default:
      return;
  }
  set_buttons(static_cast<u8>(pressed ? buttons_ | bit : buttons_ & ~bit));
}

void SdlDisplay::set_buttons(u8 mask) {
  buttons_ = mask;
  captured_ || !absolute() ? board_.mouse().buttons(mask) : board_.tablet()->buttons(mask);
}

bool SdlDisplay::absolute() const {
  AbsolutePointer* const tablet = board_.tablet();
  return tablet != nullptr && tablet->ready();
}

void SdlDisplay::point(int x, int y) {
  if (target_.w < 2 || target_.h < 2) return;
  const auto scaled = [](int at, int extent) {
    return static_cast<u32>(i64{std::clamp(at, 0, extent - 1)} * AbsolutePointer::kMost /
                            (extent - 1));
  };
  board_.tablet()->move_to(scaled(x - target_.x, target_.w), scaled(y - target_.y, target_.h));
}

void SdlDisplay::capture(bool on) {
  if (on == captured_) return;
  if (SDL_SetRelativeMouseMode(on ? SDL_TRUE : SDL_FALSE) != 0 && on) return;
  SDL_SetWindowKeyboardGrab(window_, on ? SDL_TRUE : SDL_FALSE);
  captured_ = on;
  if (on) menu_->say("Ctrl+Alt+G releases the mouse");
  if (!on && buttons_ != 0) {
    buttons_ = 0;
    board_.mouse().buttons(0);
  }
  show_title();
}

void SdlDisplay::toggle_full_screen() {
  const bool wanted = !full_screen_;
  SDL_Rect screen{};
  if (wanted) {
    // Window managers make a window full screen when they are asked. Where there is none, nobody
    // does, so the window takes the place first.
    SDL_GetWindowPosition(window_, &before_.x, &before_.y);
    SDL_GetWindowSize(window_, &before_.w, &before_.h);
    if (SDL_GetDisplayBounds(std::max(SDL_GetWindowDisplayIndex(window_), 0), &screen) != 0) return;
    SDL_SetWindowPosition(window_, screen.x, screen.y);
    SDL_SetWindowSize(window_, screen.w, screen.h);
  }
  const u32 mode = wanted ? u32{SDL_WINDOW_FULLSCREEN_DESKTOP} : 0;
  const bool done = SDL_SetWindowFullscreen(window_, mode) == 0;
  if (done) full_screen_ = wanted;
  if (!full_screen_) {
    SDL_SetWindowSize(window_, before_.w, before_.h);
    SDL_SetWindowPosition(window_, before_.x, before_.y);
  }
  stale_ = true;
}

void SdlDisplay::paste() {
  char* const text = SDL_GetClipboardText();
  if (text == nullptr) return;
  release_keys();  // Ctrl and Alt of the command are no part of the text
  board_.keyboard().type_text(text);
  SDL_free(text);
}

int SdlDisplay::bar() const { return full_screen_ && captured_ ? 0 : menu_->height(); }

void SdlDisplay::release_keys() {
  for (std::size_t i = 0; i < keys_down_.size(); ++i) {
    if (keys_down_[i]) board_.keyboard().key(static_cast<Key>(i), false);
    keys_down_[i] = false;
  }
}

void SdlDisplay::show_title() {
  const std::string title = title_ + (captured_    ? " - Ctrl+Alt+G releases the mouse"
                                      : absolute() ? ""
                                                   : " - click to capture the mouse");
  SDL_SetWindowTitle(window_, title.c_str());
}

bool SdlDisplay::resize(Size size) {
  if (size == size_ && texture_ != nullptr) return true;
  if (texture_ != nullptr) SDL_DestroyTexture(texture_);
  texture_ = nullptr;
  if (size.width == 0 || size.height == 0 || size.width > kMostPixels ||
      size.height > kMostPixels) {
    return false;
  }
  texture_ = SDL_CreateTexture(renderer_, SDL_PIXELFORMAT_RGB888, SDL_TEXTUREACCESS_STREAMING,
                               static_cast<int>(size.width), static_cast<int>(size.height));
  if (texture_ == nullptr) return false;
  size_ = size;
  pixels_.assign(u64{size.width} * size.height, 0);
  const u32 own_size = SDL_WINDOW_FULLSCREEN | SDL_WINDOW_FULLSCREEN_DESKTOP | SDL_WINDOW_MAXIMIZED;
  if ((SDL_GetWindowFlags(window_) & own_size) == 0 && size.width >= kLeastSide &&
      size.height >= kLeastSide) {
    fit_window(size);
  }
  return true;
}

void SdlDisplay::fit_window(Size size) {
  const int scale = initial_scale(size);
  int width = static_cast<int>(size.width) * scale;
  int height = static_cast<int>(size.height) * scale;
  SDL_Rect room{};
  const int display = std::max(SDL_GetWindowDisplayIndex(window_), 0);
  if (SDL_GetDisplayUsableBounds(display, &room) != 0) {
    SDL_SetWindowSize(window_, width, height + bar());
    return;
  }
  int top = 0, left = 0, bottom = 0, right = 0;  // what the window manager draws around it
  SDL_GetWindowBordersSize(window_, &top, &left, &bottom, &right);
  room = {room.x + left, room.y + top, room.w - left - right, room.h - top - bottom};
  const double fit = std::min(
      {1.0, static_cast<double>(room.w) / width, static_cast<double>(room.h - bar()) / height});
  width = std::max(static_cast<int>(width * fit), 1);
  height = std::max(static_cast<int>(height * fit), 1) + bar();
  SDL_SetWindowSize(window_, width, height);
  int x = 0, y = 0;
  SDL_GetWindowPosition(window_, &x, &y);
  const int on_x = std::max(room.x, std::min(x, room.x + room.w - width));
  const int on_y = std::max(room.y, std::min(y, room.y + room.h - height));
  if (on_x != x || on_y != y) SDL_SetWindowPosition(window_, on_x, on_y);
}

void SdlDisplay::draw() {
  const VgaRenderer screen = board_.vga()->renderer();
  stale_ = true;
  if (!resize(screen.size())) return;
  screen.draw(pixels_, size_.width, board_.scheduler().now());
  SDL_UpdateTexture(texture_, nullptr, pixels_.data(), static_cast<int>(size_.width * sizeof(u32)));
}

void SdlDisplay::present() {
  stale_ = false;
  SDL_SetRenderDrawColor(renderer_, 0, 0, 0, 255);
  SDL_RenderClear(renderer_);
  int width = 0;
  int height = 0;
  if (texture_ != nullptr && SDL_GetRendererOutputSize(renderer_, &width, &height) == 0) {
    const int screen_width = static_cast<int>(size_.width);
    const int screen_height = static_cast<int>(size_.height);
    height = std::max(1, height - bar());
    const int scale = std::min(width / screen_width, height / screen_height);
    SDL_Rect target{0, 0, screen_width * scale, screen_height * scale};
    const bool whole = scale > 0 && !menu_->smooth();
    if (!whole) {  // as large as it can be, keeping the proportions
      const double fit = std::min(static_cast<double>(width) / screen_width,
                                  static_cast<double>(height) / screen_height);
      target.w = std::max(1, static_cast<int>(screen_width * fit));
      target.h = std::max(1, static_cast<int>(screen_height * fit));
    }
    SDL_SetTextureScaleMode(texture_, whole ? SDL_ScaleModeNearest : SDL_ScaleModeLinear);
    target.x = (width - target.w) / 2;
    target.y = (height - target.h) / 2 + bar();
    SDL_RenderCopy(renderer_, texture_, nullptr, &target);
    target_ = target;
  }
  if (bar() > 0) menu_->draw();
  SDL_RenderPresent(renderer_);
}

}  // namespace dragoman
