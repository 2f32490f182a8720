#include "frontends/sdl/sdl_menu.h"

#include <backends/imgui_impl_sdl.h>
#include <imgui.h>

#include <ctime>
#include <fstream>

#include "bios/image_kind.h"
#include "frontends/monitor/screen_file.h"
#include "frontends/sdl/imgui_draw.h"
#include "machine/clock.h"

namespace dragoman {
namespace {

constexpr u64 kMs = 1'000'000;
constexpr u64 kLightNs = 120 * kMs;
constexpr u64 kMeasureNs = 1000 * kMs;
constexpr u64 kMessageNs = 6000 * kMs;

/// By DriveInfo::Kind.
constexpr std::array<const char*, SdlMenu::kLights> kLightNames = {"disk", "CD", "floppy"};

/// A drive for a file by what is in it: ide*-cd* for a CD image, floppy* for a floppy image.
Result<std::string> drive_for(const std::string& path, const std::vector<DriveInfo>& drives) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  if (!in) return error("cannot open '{}'", path);
  const u64 size = static_cast<u64>(in.tellg());
  std::vector<u8> head(std::min<u64>(size, 128 * kKiB));
  in.seekg(0);
  in.read(reinterpret_cast<char*>(head.data()), static_cast<std::streamsize>(head.size()));
  const auto kind = detect_image(head, size);
  const bool cd = kind && *kind == ImageKind::kCdRom;
  if (!cd && !(kind && *kind == ImageKind::kFloppy)) {
    return error("'{}' is neither a CD nor a floppy image; disks are given at the start (-hda)",
                 path);
  }
  for (const DriveInfo& drive : drives) {
    if (drive.removable() && (drive.kind == DriveInfo::Kind::kCdRom) == cd) return drive.name;
  }
  return error("there is no {} drive; start with {}", cd ? "CD-ROM" : "floppy",
               cd ? "-drive if=ide,media=cdrom" : "-fda FILE");
}

}  // namespace

SdlMenu::SdlMenu(Machine& machine, SDL_Window* window, SDL_Renderer* renderer,
                 WindowActions actions)
    : machine_(machine), window_(window), renderer_(renderer), actions_(std::move(actions)) {
  context_ = ImGui::CreateContext();
  ImGui::SetCurrentContext(context_);
  ImGuiIO& io = ImGui::GetIO();
  io.IniFilename = nullptr;
  io.ConfigFlags |= ImGuiConfigFlags_NoMouseCursorChange;
  ImGui::StyleColorsDark();
  ImGui_ImplSDL2_InitForSDLRenderer(window_);
  font_ = make_imgui_font(renderer_);
  height_ = static_cast<int>(ImGui::GetFontSize() + 2 * ImGui::GetStyle().FramePadding.y);
  if (height_ <= 8) height_ = 19;  // no font yet: that of the first frame
}

SdlMenu::~SdlMenu() {
  ImGui::SetCurrentContext(context_);
  ImGui_ImplSDL2_Shutdown();
  if (font_ != nullptr) SDL_DestroyTexture(font_);
  ImGui::DestroyContext(context_);
}

bool SdlMenu::handle(const SDL_Event& event, bool captured) {
  ImGui::SetCurrentContext(context_);
  const ImGuiIO& io = ImGui::GetIO();
  switch (event.type) {
    case SDL_MOUSEMOTION:
    case SDL_MOUSEBUTTONDOWN:
    case SDL_MOUSEBUTTONUP:
    case SDL_MOUSEWHEEL: {
      if (captured) return false;
      const bool was_ours = io.WantCaptureMouse;
      int y = height_;
      SDL_GetMouseState(nullptr, &y);
      ImGui_ImplSDL2_ProcessEvent(&event);
      const bool ours = was_ours || y < height_;
      if (ours || event.type != SDL_MOUSEMOTION) settle_ = 2;
      return ours;
    }
    case SDL_KEYDOWN:
    case SDL_KEYUP:
    case SDL_TEXTINPUT:
      if (!io.WantTextInput) return false;
      ImGui_ImplSDL2_ProcessEvent(&event);
      settle_ = 2;
      return true;
    case SDL_WINDOWEVENT:
      ImGui_ImplSDL2_ProcessEvent(&event);
      settle_ = 2;
      return false;
    default:
      return false;
  }
}

std::vector<DriveInfo> SdlMenu::drives() const {
  return host_.drives ? host_.drives() : std::vector<DriveInfo>();
}

void SdlMenu::measure(u64 now) {
  if (now - measured_at_ < kMeasureNs) return;
  const u64 instructions = machine_.instructions();
  const u64 in_host_code = machine_.translated_instructions();
  const u64 done = instructions - instructions_;
  const double seconds = static_cast<double>(now - measured_at_) / 1e9;
  if (measured_at_ != 0 && instructions >= instructions_) {
    const double translated = done == 0 ? 0
                                        : static_cast<double>(in_host_code - host_instructions_) /
                                              static_cast<double>(done);
    const std::string speed = fmt::format("{:.1f} M instructions/s, {:.0f} % translated",
                                          static_cast<double>(done) / seconds / 1e6,
                                          100 * std::clamp(translated, 0.0, 1.0));
    if (speed != speed_) settle_ = std::max(settle_, 1);
    speed_ = speed;
  }
  measured_at_ = now;
  instructions_ = instructions;
  host_instructions_ = in_host_code;
}

bool SdlMenu::take_change() {
  const u64 now = host_time_ns();
  measure(now);
  std::array<u64, kLights> accesses{};
  for (const DriveInfo& drive : drives()) {
    accesses[static_cast<std::size_t>(drive.kind)] += drive.counts.reads + drive.counts.writes;
  }
  unsigned lit = 0;
  for (unsigned i = 0; i < kLights; ++i) {
    if (accesses[i] != seen_accesses_[i]) lit_until_[i] = now + kLightNs;
    seen_accesses_[i] = accesses[i];
    if (now < lit_until_[i]) lit |= 1u << i;
  }
  const bool paused = machine_.debugger().paused();
  bool changed = lit != lit_ || paused != paused_ || settle_ > 0;
  if (!message_.empty() && now > message_until_) {
    message_.clear();
    changed = true;
  }
  lit_ = lit;
  paused_ = paused;
  if (settle_ > 0) --settle_;
  return changed;
}

void SdlMenu::draw() {
  ImGui::SetCurrentContext(context_);
  ImGui_ImplSDL2_NewFrame();
  ImGui::NewFrame();
  if (ImGui::BeginMainMenuBar()) {
    machine_menu();
    media_menu();
    view_menu();
    status();
    ImGui::EndMainMenuBar();
  }
  ImGui::Render();
  draw_imgui(renderer_, *ImGui::GetDrawData());
}

void SdlMenu::machine_menu() {
  if (!ImGui::BeginMenu("Machine")) return;
  Debugger& debugger = machine_.debugger();
  if (ImGui::MenuItem(debugger.paused() ? "Go on" : "Pause")) {
    debugger.paused() ? debugger.resume() : debugger.pause();
  }
  if (ImGui::MenuItem("Reset")) debugger.system_reset();
  if (ImGui::MenuItem("Power button")) debugger.press_power_button();
  ImGui::Separator();
  if (ImGui::MenuItem("Screenshot")) screenshot();
  if (ImGui::MenuItem("Paste as typing", "Ctrl+Alt+V")) actions_.paste();
  ImGui::Separator();
  if (ImGui::MenuItem("Quit")) actions_.quit();
  ImGui::EndMenu();
}

void SdlMenu::media_menu() {
  if (!ImGui::BeginMenu("Media")) return;
  ImGui::InputText("file", path_.data(), path_.size());
  const std::string path = path_.data();
  for (const DriveInfo& drive : drives()) {
    if (!drive.removable()) continue;
    ImGui::Separator();
    ImGui::Text("%s: %s", drive.name.c_str(), drive.file.empty() ? "empty" : drive.file.c_str());
    if (ImGui::MenuItem(("Insert the file into " + drive.name).c_str(), nullptr, false,
                        !path.empty())) {
      say_result(host_.change(drive.name, path, true), path + " is in " + drive.name);
    }
    const char* const held = drive.locked ? ", which the guest holds" : "";
    if (ImGui::MenuItem(("Eject " + drive.name + held).c_str(), nullptr, false,
                        !drive.file.empty())) {
      say_result(host_.eject(drive.name, true), drive.name + " is empty");
    }
  }
  ImGui::Separator();
  ImGui::TextDisabled("A file dropped on the window goes into the drive it fits.");
  ImGui::EndMenu();
}

void SdlMenu::view_menu() {
  if (!ImGui::BeginMenu("View")) return;
  if (ImGui::MenuItem("Full screen", "Ctrl+Alt+F")) actions_.full_screen();
  ImGui::MenuItem("Smooth scaling", nullptr, &smooth_);
  ImGui::EndMenu();
}

void SdlMenu::status() {
  const float line = ImGui::GetFontSize();
  for (unsigned i = 0; i < kLights; ++i) {
    const ImVec2 place = ImGui::GetCursorScreenPos();
    const ImU32 colour = (lit_ >> i & 1) ? IM_COL32(80, 255, 80, 255) : IM_COL32(60, 70, 60, 255);
    ImGui::GetWindowDrawList()->AddRectFilled(ImVec2(place.x, place.y + 6),
                                              ImVec2(place.x + 8, place.y + 14), colour);
    ImGui::Dummy(ImVec2(8, line));
    ImGui::TextUnformatted(kLightNames[i]);
  }
  ImGui::Separator();
  ImGui::TextUnformatted(!message_.empty() ? message_.c_str()
                         : paused_         ? "paused"
                                           : speed_.c_str());
}

void SdlMenu::say(const std::string& text) {
  message_ = text;
  message_until_ = host_time_ns() + kMessageNs;
  settle_ = 2;
}

void SdlMenu::say_result(const Result<void>& done, const std::string& good) {
  say(done ? good : done.error().message);
}

void SdlMenu::insert(const std::string& path) {
  const auto drive = drive_for(path, drives());
  if (!drive) return say(drive.error().message);
  say_result(host_.change(*drive, path, true), path + " is in " + *drive);
}

void SdlMenu::screenshot() {
  const VgaRenderer screen = machine_.board().vga()->renderer();
  const Size size = screen.size();
  std::vector<u32> pixels(u64{size.width} * size.height);
  screen.draw(pixels, size.width, machine_.board().scheduler().now());
  const std::time_t now = std::time(nullptr);
  std::array<char, 64> name{};
  std::tm local{};
  std::strftime(name.data(), name.size(), "dragoman-%Y%m%d-%H%M%S.png", localtime_r(&now, &local));
  say_result(write_picture(name.data(), true, size, pixels),
             fmt::format("the picture is in {}", name.data()));
}

}  // namespace dragoman
