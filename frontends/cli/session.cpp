#include "frontends/cli/session.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "bios/image_kind.h"
#include "devices/ahci/ahci.h"
#include "devices/block/memory_image.h"
#include "devices/block/open_image.h"
#include "devices/block/snapshot_image.h"
#include "frontends/cli/device_options.h"
#include "frontends/cli/nearest.h"
#include "machine/firmware_screen.h"
#include "roms/roms.h"

namespace dragoman {
namespace {

constexpr u64 kMaxKernelBytes = 1 * kGiB;

/// SIGINT and SIGTERM as input of the poll loop.
class SignalSource final : public PollSource {
 public:
  explicit SignalSource(std::function<void()> action) : action_(std::move(action)) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    fd_ = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  }
  ~SignalSource() override {
    if (fd_ >= 0) close(fd_);
  }
  int poll_fd() const override { return fd_; }
  void on_readable() override {
    signalfd_siginfo info;
    if (read(fd_, &info, sizeof(info)) == sizeof(info)) action_();
  }

 private:
  std::function<void()> action_;
  int fd_ = -1;
};

Result<std::array<u8, 16>> parse_uuid(const std::string& text) {
  std::array<u8, 16> uuid{};
  unsigned digits = 0;
  for (const char c : text) {
    if (c == '-') continue;
    const int value = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (value < 0 || digits == 32) {
      digits = 33;
      break;
    }
    uuid[digits / 2] = static_cast<u8>(uuid[digits / 2] << 4 | value);
    ++digits;
  }
  if (digits != 32) {
    return error("'{}' in -uuid is not a UUID; write it as xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx",
                 text);
  }
  return uuid;
}

}  // namespace

Session::~Session() = default;

Error Session::host_problem(Error cause) {
  failure_code_ = kExitHostError;
  return cause;
}

Result<void> Session::open_log() {
  if (!options_.log_categories.empty()) {
    if (auto ok = log_.enable(options_.log_categories); !ok) return ok;
  }
  if (options_.log_file.empty()) return {};
  if (auto ok = log_.open(options_.log_file); !ok) return host_problem(ok.error());
  return {};
}

/// A place nobody has taken; CD-ROM drives of IDE prefer the second channel.
std::optional<unsigned> Session::free_index(DriveInterface interface, unsigned controller,
                                            bool cdrom) const {
  const unsigned count =
      interface == DriveInterface::kIde ? ide_drives(config_.board) : Ahci::kPorts;
  const unsigned first = interface == DriveInterface::kIde && cdrom ? 2 : 0;
  for (unsigned n = 0; n < count; ++n) {
    const unsigned index = (first + n) % count;
    const bool used =
        std::any_of(config_.drives.begin(), config_.drives.end(), [&](const DriveConfig& d) {
          return d.interface == interface && d.controller == controller && d.index == index;
        });
    if (!used) return index;
  }
  return std::nullopt;
}

Result<DriveConfig> Session::open_drive(const DriveOption& drive) {
  DriveConfig config;
  config.interface = drive.interface == "virtio"   ? DriveInterface::kVirtio
                     : drive.interface == "floppy" ? DriveInterface::kFloppy
                     : drive.interface == "sata"   ? DriveInterface::kSata
                     : drive.interface == "nvme"   ? DriveInterface::kNvme
                                                   : DriveInterface::kIde;
  config.controller = drive.controller;
  config.cdrom = drive.cdrom;
  config.serial = drive.serial;
  config.boot_index = drive.boot_index;
  const bool ata =
      config.interface == DriveInterface::kIde || config.interface == DriveInterface::kSata;
  if (config.cdrom && !ata) {
    return error("a CD-ROM cannot be attached with if={}; use if=ide", drive.interface);
  }
  if (ata) {
    const unsigned count =
        config.interface == DriveInterface::kIde ? ide_drives(config_.board) : Ahci::kPorts;
    const auto index =
        drive.index ? drive.index : free_index(config.interface, config.controller, drive.cdrom);
    if (!index || *index >= count) {
      return error("there are {} {} drives (index 0 to {}); use if=virtio for more", count,
                   drive.interface, count - 1);
    }
    config.index = *index;
  } else if (config.interface == DriveInterface::kFloppy) {
    config.index = drive.index.value_or(0);
    if (config.index >= 2) return error("there are two floppy drives (index 0 and 1)");
  }
  for (const DriveConfig& other : config_.drives) {
    const bool has_place =
        config.interface != DriveInterface::kVirtio && config.interface != DriveInterface::kNvme;
    if (has_place && other.interface == config.interface && other.controller == config.controller &&
        other.index == config.index) {
      return error("two drives are attached as {} index {}; give another index=", drive.interface,
                   config.index);
    }
  }
  if (drive.file.empty()) {
    if (config.cdrom || config.interface == DriveInterface::kFloppy) return config;
    return error("a disk drive needs an image: give file= in -drive");
  }
  const bool snapshot = drive.snapshot || options_.snapshot;
  const bool read_only = drive.read_only || drive.cdrom || snapshot;
  ImageOptions options;
  options.access = read_only ? ImageAccess::kReadOnly : ImageAccess::kReadWrite;
  options.backing = drive.backing;
  if (!drive.format.empty()) {
    auto format = parse_image_format(drive.format);
    if (!format) return format.error();
    options.format = *format;
  }
  auto image = open_image(drive.file, options);
  if (!image) return host_problem(image.error());
  std::unique_ptr<BlockImage> opened = image.take();
  if (snapshot && !drive.cdrom) {
    auto overlay = SnapshotImage::create(std::move(opened));
    if (!overlay) return host_problem(overlay.error());
    opened = overlay.take();
  }
  config.image = std::move(opened);
  return config;
}

Result<void> Session::open_boot_file() {
  if (!options_.file) return {};
  const std::string& path = *options_.file;
  std::ifstream in(path, std::ios::binary);
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) {
    return host_problem(error("cannot open '{}': {}; give a disk image, ISO, floppy or kernel",
                              path, std::strerror(errno)));
  }
  if (S_ISDIR(info.st_mode)) {
    return host_problem(error("'{}' is a directory; give an image file", path));
  }
  Bytes head(std::min<u64>(static_cast<u64>(info.st_size), 16 * kMiB));
  in.read(reinterpret_cast<char*>(head.data()), static_cast<std::streamsize>(head.size()));
  if (!in) {
    return host_problem(
        error("cannot read '{}': {}; check its permissions", path, std::strerror(errno)));
  }
  if (S_ISREG(info.st_mode)) {
    auto file = HostImageFile::open(path, ImageAccess::kReadOnly);
    if (!file) return host_problem(file.error());
    auto format = probe_image(**file);
    if (!format) return host_problem(format.error());
    if (*format != ImageFormat::kRaw) {
      DriveOption disk;
      disk.file = path;
      if (options_.boot_order.empty()) options_.boot_order = "c";
      options_.drives.insert(options_.drives.begin(), disk);
      return {};
    }
  }
  auto kind = detect_image(head, static_cast<u64>(info.st_size));
  if (!kind) return host_problem(error("'{}': {}", path, kind.error().message));
  DriveOption drive;
  drive.file = path;
  switch (*kind) {
    case ImageKind::kDisk:
      break;
    case ImageKind::kCdRom:
      drive.cdrom = true;
      break;
    case ImageKind::kFloppy:
      drive.interface = "floppy";
      break;
    case ImageKind::kLinux:
    case ImageKind::kMultiboot:
    case ImageKind::kElf:
      options_.kernel = path;
      return {};
    case ImageKind::kFirmware:
      options_.bios = path;
      return {};
  }
  if (options_.boot_order.empty()) {
    options_.boot_order = drive.cdrom ? "d" : drive.interface == "floppy" ? "a" : "c";
  }
  options_.drives.insert(options_.drives.begin(), drive);
  return {};
}

Result<void> Session::open_drives() {
  // Drives with a place of their own first, so that the others find free ones.
  std::vector<const DriveOption*> ordered;
  for (const DriveOption& d : options_.drives) {
    if (d.index && d.interface != "none") ordered.push_back(&d);
  }
  for (const DriveOption& d : options_.drives) {
    if (!d.index && d.interface != "none") ordered.push_back(&d);
  }
  for (const DriveOption* d : ordered) {
    auto drive = open_drive(*d);
    if (!drive) return drive.error();
    config_.drives.push_back(drive.take());
  }
  return {};
}

Result<CharacterBackend*> Session::open_character_device(const std::string& spec,
                                                         bool watch_expect) {
  if (spec == "none") return static_cast<CharacterBackend*>(nullptr);
  if (auto form = check_character(spec); !form) return form.error();
  auto opened = open_character(spec);
  if (!opened) return host_problem(opened.error());
  if (!opened->notice.empty()) fmt::print(stderr, "{}\n", opened->notice);
  opened->backend->wait_for_peer();
  characters_.push_back(std::move(opened->backend));
  CharacterBackend* backend = characters_.back().get();
  if (opened->multiplexed) {
    CharacterMux::Callbacks callbacks;
    callbacks.quit = [this] { stop({StopCause::kRequested, 0, ""}); };
    callbacks.send_break = [this] { send_break(); };
    callbacks.focus_changed = [this](CharacterMux::Channel channel) {
      debug_ports_.focus_changed(channel == CharacterMux::kMonitor);
    };
    muxes_.push_back(std::make_unique<CharacterMux>(*backend, std::move(callbacks)));
    backend = &muxes_.back()->channel(CharacterMux::kSerial);
  }
  if (watch_expect && !options_.expect.empty()) {
    tees_.push_back(std::make_unique<ExpectTee>(*backend, options_.expect, [this] {
      stop({StopCause::kPowerOff, 0, ""});
    }));
    backend = tees_.back().get();
  }
  return backend;
}

void Session::stop(StopReason reason) {
  if (lockstep_ != nullptr) {
    lockstep_->stop(std::move(reason));
  } else {
    machine_->stop(std::move(reason));
  }
}

void Session::send_break() {
  if (lockstep_ != nullptr) {
    lockstep_->send_break();
    return;
  }
  for (unsigned i = 0; i < 4; ++i) {
    if (machine_->board().serial(i) == nullptr) continue;
    machine_->debugger().send_break(i);
    break;
  }
}

Result<void> Session::open_characters() {
  std::vector<std::string>& serial = options_.serial;
  if (serial.empty()) serial.push_back(options_.nographic ? "mon:stdio" : "null");
  if (serial.size() > 4)
    return error("there are four serial ports; {} -serial options were given", serial.size());
  for (std::size_t i = 0; i < serial.size(); ++i) {
    if (serial[i] == "msmouse") {
      if (config_.serial_mouse) return error("-serial msmouse: there can be one serial mouse");
      config_.serial_mouse = static_cast<unsigned>(i);
      continue;
    }
    auto backend = open_character_device(serial[i], true);
    if (!backend) return backend.error();
    config_.serial[i] = *backend;
  }
  for (const std::string& spec : options_.parallel) {
    auto backend = open_character_device(spec, false);
    if (!backend) return backend.error();
    config_.parallel = *backend;
  }
  for (const std::string& spec : options_.debugcon) {
    auto backend = open_character_device(spec, true);
    if (!backend) return backend.error();
    config_.debug_console = *backend;
  }
  return {};
}

Result<void> Session::add_devices() {
  for (DeviceOption& option : options_.devices) {
    DeviceContext context{
        options_,
        config_,
        ahci_ids_,
        [this](const std::string& spec) { return open_character_device(spec, true); },
        [this](const DriveOption& drive) { return open_drive(drive); },
        [this](const std::optional<std::string>& id) { return audio_.find(id); },
        [this](const std::string& path) -> Result<MidiOutput*> {
          if (options_.accel == "lockstep") {
            return error("'midi={}' in -device sb16: not with -accel lockstep; leave it out", path);
          }
          auto file = audio_.record_midi(path);
          if (!file) return host_problem(file.error());
          return file;
        }};
    if (auto ok = add_device_option(option, context); !ok) return ok;
  }
  return {};
}

Result<void> Session::open_firmware() {
  config_.has_vga = options_.vga != "none";
  if (options_.vga != "none" && options_.vga != "std") {
    return error("graphics card '{}' in -vga is not available; use std or none", options_.vga);
  }
  if (!options_.kernel.empty() && options_.bios.empty()) return {};
  auto firmware = load_firmware(options_.bios.empty() ? kDefaultFirmware : options_.bios);
  if (!firmware) return host_problem(firmware.error());
  config_.firmware = firmware.take();
  if (config_.has_vga) {
    auto rom = load_option_rom(kDefaultVgaRom);
    if (!rom) return host_problem(rom.error());
    config_.vga_rom = rom.take();
  }
  return {};
}

Result<void> Session::open_kernel() {
  if (options_.kernel.empty()) {
    if (!options_.initrd.empty()) return error("-initrd needs a -kernel to go with");
    if (!options_.append.empty()) return error("-append needs a -kernel to go with");
    return {};
  }
  auto kernel = module_of_file(options_.kernel, "kernel", kMaxKernelBytes);
  if (!kernel) return host_problem(kernel.error());
  KernelConfig config;
  config.kernel = kernel.take();
  config.name = options_.kernel;
  config.command_line = options_.append;
  if (!options_.initrd.empty()) {
    auto image = config.kernel->read_all();
    if (!image) return host_problem(image.error());
    if (is_linux_kernel(*image)) {
      auto initrd = module_of_file(options_.initrd, "initial RAM disk", kMaxKernelBytes);
      if (!initrd) return host_problem(initrd.error());
      config.modules.push_back({initrd.take(), ""});
    } else {
      for (const ModuleName& module : parse_module_list(options_.initrd)) {
        auto contents = module_of_file(module.path, "boot module", kMaxKernelBytes);
        if (!contents) return host_problem(contents.error());
        config.modules.push_back({contents.take(), module.command_line});
      }
    }
  }
  if (config_.has_vga) {
    // Without firmware on this host the kernel has to set a mode itself.
    auto firmware = load_firmware(kDefaultFirmware);
    auto rom = load_option_rom(kDefaultVgaRom);
    if (firmware && rom) config.screen = firmware_screen(*firmware, *rom);
  }
  config_.kernel = std::make_shared<const KernelConfig>(std::move(config));
  config_.firmware.reset();
  return {};
}

void Session::set_boot_order() {
  // Letters as QEMU knows them; drives with a bootindex of their own keep it.
  const std::string order = options_.boot_order.empty() ? "cad" : options_.boot_order;
  unsigned next = 100;
  for (const char letter : order) {
    for (DriveConfig& drive : config_.drives) {
      if (drive.boot_index) continue;
      const bool matches = letter == 'a'   ? drive.interface == DriveInterface::kFloppy
                           : letter == 'd' ? drive.cdrom
                           : letter == 'c'
                               ? !drive.cdrom && drive.interface != DriveInterface::kFloppy
                               : false;
      if (matches) drive.boot_index = next++;
    }
  }
}

Result<void> Session::prepare() {
  if (auto ok = open_log(); !ok) return ok;
  auto cpu = parse_cpu_model(options_.cpu);
  if (!cpu) return cpu.error();
  config_.cpu = cpu.take();
  config_.name = options_.name;
  config_.board = options_.machine == "q35" ? BoardType::kQ35 : BoardType::kPc;
  config_.ram_bytes = options_.ram_bytes;
  config_.jit = options_.accel == "jit";
  config_.translator = options_.translator;
  config_.reboot = !options_.no_reboot;
  config_.shutdown = !options_.no_shutdown;
  config_.boot_menu = options_.boot_menu;
  if (!options_.uuid.empty()) {
    auto uuid = parse_uuid(options_.uuid);
    if (!uuid) return uuid.error();
    config_.uuid = *uuid;
  }
  if (auto ok = DebugPorts::check(options_); !ok) return ok;
  for (const auto& step :
       {&Session::parse_time, &Session::parse_rewind, &Session::open_boot_file,
        &Session::open_firmware, &Session::open_kernel, &Session::open_drives,
        &Session::open_characters, &Session::open_audio, &Session::add_devices}) {
    if (auto ok = (this->*step)(); !ok) return ok;
  }
  if (config_.drives.empty() && !config_.kernel && options_.bios.empty()) {
    const auto image = welcome_image();
    DriveConfig drive;
    drive.image = std::make_shared<MemoryImage>(std::vector<u8>(image.begin(), image.end()), false,
                                                "Dragoman's built-in image");
    config_.drives.push_back(std::move(drive));
  }
  set_boot_order();
  if (auto ok = build_machine(); !ok) return host_problem(ok.error());
  for (const auto& character : characters_) {
    machine().add_poll_source(*character);
    machine().add_housekeeping([c = character.get()] { c->flush(); });
  }
  poll_sources_.push_back(std::make_unique<SignalSource>([this] {
    stop({StopCause::kRequested, 0, "signal"});
  }));
  machine().add_poll_source(*poll_sources_.back());
  if (auto ok = open_display(); !ok) return ok;
  return open_debug_ports();
}

Result<void> Session::open_debug_ports() {
  if (lockstep_ != nullptr) return {};
  if (options_.monitor == "stdio" && terminal_ != nullptr) {
    return error("-monitor stdio and -display curses both want the terminal; use another display");
  }
  if (auto ok = debug_ports_.open(options_); !ok) return host_problem(ok.error());
  media_ = std::make_unique<MediaBay>(*machine_, config_);
  if (window_ != nullptr) window_->set_media(media_->host());
  debug_ports_.attach(*machine_, media_->host(), options_.start_paused);
  if (options_.monitor == "stdio") {
    monitor_terminal_ = std::make_unique<StdioCharacter>();
    machine_->add_poll_source(*monitor_terminal_);
    machine_->add_housekeeping([this] { monitor_terminal_->flush(); });
    debug_ports_.add_terminal(*monitor_terminal_, false);
  }
  for (const auto& mux : muxes_) {
    debug_ports_.add_terminal(mux->channel(CharacterMux::kMonitor), true);
  }
  return {};
}

Result<void> Session::build_machine() {
  if (options_.accel == "lockstep") {
    auto lockstep = Lockstep::create(config_, options_.lockstep, log_);
    if (!lockstep) return lockstep.error();
    lockstep_ = lockstep.take();
    return {};
  }
  if (auto ok = trace_.open(options_.trace, options_.trace_symbols, options_.command); !ok)
    return ok;
  trace_.observe(config_);
  if (config_.history && config_.sound.heard()) {
    log_.write_line("history: sound is silent while it is recorded; -rewind off to hear it");
  }
  MediaBay::count(config_);
  auto machine = Machine::create(config_, log_);
  if (!machine) return machine.error();
  machine_ = machine.take();
  return {};
}

int Session::run() {
  if (options_.timeout_seconds) {
    const u64 deadline = host_time_ns() + static_cast<u64>(*options_.timeout_seconds * 1e9);
    lockstep_ != nullptr ? lockstep_->set_host_deadline(deadline)
                         : machine_->set_host_deadline(deadline);
  }
  if (machine_ != nullptr) trace_.begin(machine_->board().cpu(), config_.translator);
  const StopReason reason = lockstep_ != nullptr ? lockstep_->run() : machine_->run();
  if (machine_ != nullptr) {
    if (auto ok = trace_.finish(machine_->translator_statistics()); !ok) {
      fmt::print(stderr, "dragoman: {}\n", ok.error().message);
      return kExitHostError;
    }
  }
  for (const auto& character : characters_) character->flush();
  terminal_display_.reset();  // what follows belongs on the ordinary screen
  audio_.report();
  if (options_.print_state) {
    fmt::print(stderr, "instructions {} hash {:016x}\n", machine().instructions(),
               machine().state_hash());
  }
  switch (reason.cause) {
    case StopCause::kPowerOff:
    case StopCause::kRequested:
      return kExitOk;
    case StopCause::kDebugExit:
      return reason.status;
    case StopCause::kTripleFault:
      return kExitTripleFault;
    case StopCause::kReset:
      return kExitOk;
    case StopCause::kTimeout:
      fmt::print(stderr, "dragoman: stopped after the --timeout of {} s\n",
                 *options_.timeout_seconds);
      return kExitTimeout;
    case StopCause::kDifference:
      fmt::print(stderr, "dragoman: lockstep: {}", reason.message);
      return kExitDifference;
    case StopCause::kHostError:
      fmt::print(stderr, "dragoman: {}\n", reason.message);
      return kExitHostError;
  }
  return kExitHostError;
}

}  // namespace dragoman
