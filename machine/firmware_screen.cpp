#include "machine/firmware_screen.h"

#include <algorithm>

#include "machine/machine.h"

namespace dragoman {
namespace {

constexpr u64 kStep = 50'000;  // instructions between two looks
constexpr u64 kMostInstructions = 100'000'000;
constexpr unsigned kPlaneBytes = 64 * kKiB;
constexpr u64 kScreenBytes = 4 * kPlaneBytes;  // what a VGA has; nothing is behind it in text modes
constexpr unsigned kColumns = 80;
constexpr unsigned kRows = 25;
constexpr u8 kBlank = ' ';
constexpr u8 kGreyOnBlack = 0x07;
constexpr u8 kCursorHigh = 0x0e;  // registers of the CRT controller
constexpr u8 kCursorLow = 0x0f;

bool has_text(const VgaRenderer& screen) {
  const auto text = screen.text_screen();
  return text && text->columns == kColumns && text->rows == kRows &&
         std::any_of(text->cells.begin(), text->cells.end(),
                     [](const auto& cell) { return cell.character > kBlank; });
}

}  // namespace

std::shared_ptr<const VgaScreen> firmware_screen(const RomImage& firmware,
                                                 const RomImage& vga_rom) {
  MachineConfig config;
  auto cpu = parse_cpu_model("");
  if (!cpu) return nullptr;
  config.cpu = cpu.take();
  config.ram_bytes = 32 * kMiB;
  config.icount_shift = 3;
  config.firmware = firmware;
  config.vga_rom = vga_rom;
  Log log;
  auto created = Machine::create(config, log);
  if (!created) return nullptr;
  const std::unique_ptr<Machine> machine = created.take();
  StdVga& card = *machine->board().vga();
  // The first characters come from the firmware itself, after the video BIOS has set mode 3.
  for (u64 count = kStep; !has_text(card.renderer()); count += kStep) {
    const bool goes_on = machine->run_to(count) == Machine::Pause::kReached;
    if (!goes_on || count > kMostInstructions) return nullptr;
  }
  auto screen = std::make_shared<VgaScreen>();
  screen->registers = card.state();
  screen->registers.crtc[kCursorHigh] = screen->registers.crtc[kCursorLow] = 0;
  const auto memory = card.video_memory().first(kScreenBytes);
  screen->memory.assign(memory.begin(), memory.end());
  // A character is at every other offset of plane 0, its attribute beside it in plane 1; plane 2
  // holds the font.
  for (u64 at = 0; at < kScreenBytes; at += 8) {
    screen->memory[at] = kBlank;
    screen->memory[at + 1] = kGreyOnBlack;
  }
  return screen;
}

}  // namespace dragoman
