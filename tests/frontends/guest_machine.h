// A machine in which a program of roms/tests runs: it says on COM1 what it has done and waits there
// until it may go on. Time is counted, so a run repeats itself.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "devices/block/memory_image.h"
#include "machine/clock.h"
#include "machine/machine.h"

namespace dragoman {

struct Picture {
  Size size;
  std::vector<u32> pixels;
  u32 at(unsigned x, unsigned y) const { return pixels[u64{y} * size.width + x]; }
};

class GuestMachine final : CharacterBackend {
 public:
  /// The bytes of roms/tests/NAME.asm; empty when it was not built.
  static std::vector<u8> program(const std::string& name) {
    std::ifstream in(DRAGOMAN_BINARY_DIR "/roms/tests/" + name + ".img", std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  /// False where SeaBIOS is not installed.
  bool start() {
    auto firmware = load_firmware(kDefaultFirmware);
    auto vga = load_option_rom(kDefaultVgaRom);
    if (!firmware || !vga) return false;
    config.firmware = firmware.take();
    config.vga_rom = vga.take();
    auto cpu = parse_cpu_model("");
    config.cpu = cpu.take();
    config.jit = true;
    config.ram_bytes = 32 * kMiB;
    config.icount_shift = 3;
    config.serial[0] = this;
    auto created = Machine::create(config, log_);
    EXPECT_TRUE(created.ok());
    if (!created) return false;
    machine_ = created.take();
    return true;
  }

  /// Runs to the end of the guest's next line; "" when it stops otherwise or takes minutes.
  std::string next_line() {
    line_.clear();
    machine_->set_host_deadline(host_time_ns() + 300'000'000'000);
    if (machine_->run().cause != StopCause::kRequested) return "";
    if (!line_.empty()) line_.pop_back();
    return line_;
  }
  /// Sends the guest a byte; it runs until it takes it.
  void send_byte(u8 byte) {
    while (receiver_->can_receive() == 0) {
      (void)machine_->run_to(machine_->instructions() + 1000);
    }
    receiver_->receive({&byte, 1});
  }
  /// Lets the guest go on.
  void go_on() { send_byte('\r'); }

  Machine& machine() { return *machine_; }

  /// What the screen shows at a point of virtual time; now, if none is given.
  Picture picture(std::optional<u64> now = std::nullopt) {
    const VgaRenderer renderer = machine_->board().vga()->renderer();
    Picture picture{renderer.size(), {}};
    picture.pixels.resize(u64{picture.size.width} * picture.size.height, 0xdeadbeef);
    renderer.draw(picture.pixels, picture.size.width,
                  now.value_or(machine_->board().scheduler().now()));
    return picture;
  }

  MachineConfig config;

 private:
  void send(std::span<const u8> bytes) override {
    line_.append(bytes.begin(), bytes.end());
    if (line_.ends_with('\n')) machine_->stop({StopCause::kRequested, 0, ""});
  }
  void set_receiver(CharacterReceiver* receiver) override { receiver_ = receiver; }

  Log log_;
  std::unique_ptr<Machine> machine_;
  CharacterReceiver* receiver_ = nullptr;
  std::string line_;
};

}  // namespace dragoman
