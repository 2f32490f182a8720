#include "frontends/cli/options.h"

#include <unistd.h>
#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>

#include "cpu/model/cpu_model.h"
#include "devices/block/open_image.h"
#include "frontends/cli/accel_options.h"
#include "frontends/cli/audio_options.h"
#include "frontends/cli/nearest.h"
#include "frontends/cli/version.h"
#include "frontends/vnc/vnc_display.h"

namespace dragoman {
namespace {

/// Splits at single commas; ",," is a comma.
std::vector<std::string> split_commas(std::string_view text) {
  std::vector<std::string> parts(1);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != ',') {
      parts.back() += text[i];
    } else if (i + 1 < text.size() && text[i + 1] == ',') {
      parts.back() += ',';
      ++i;
    } else {
      parts.emplace_back();
    }
  }
  return parts;
}

Result<bool> parse_switch(std::string_view option, std::string_view key, std::string_view value) {
  if (value == "on" || value == "yes" || value == "true") return true;
  if (value == "off" || value == "no" || value == "false") return false;
  return error("'{}={}' in {}: use on or off", key, value, option);
}

Result<unsigned> parse_number(std::string_view option, std::string_view key,
                              std::string_view value) {
  unsigned number = 0;
  const auto [end, status] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (status != std::errc() || end != value.data() + value.size()) {
    return error("'{}={}' in {} is not a number", key, value, option);
  }
  return number;
}

Result<DriveOption> parse_drive(std::string_view text) {
  KeyValues values = KeyValues::parse(text, "file");
  DriveOption drive;
  if (auto v = values.take("file")) drive.file = *v;
  if (auto v = values.take("format")) drive.format = *v;
  if (auto v = values.take("if")) drive.interface = *v;
  if (auto v = values.take("id")) drive.id = *v;
  if (auto v = values.take("serial")) drive.serial = *v;
  if (auto v = values.take("media")) {
    if (*v != "disk" && *v != "cdrom") {
      return error("'media={}' in -drive: use media=disk or media=cdrom", *v);
    }
    drive.cdrom = *v == "cdrom";
  }
  for (const auto& [key, target] :
       {std::pair{"index", &drive.index}, std::pair{"unit", &drive.index},
        std::pair{"bootindex", &drive.boot_index}}) {
    if (auto v = values.take(key)) {
      auto number = parse_number("-drive", key, *v);
      if (!number) return number.error();
      *target = *number;
    }
  }
  for (const auto& [key, target] :
       {std::pair{"readonly", &drive.read_only}, std::pair{"read-only", &drive.read_only},
        std::pair{"snapshot", &drive.snapshot}, std::pair{"backing", &drive.backing}}) {
    if (auto v = values.take(key)) {
      auto on = parse_switch("-drive", key, *v);
      if (!on) return on.error();
      *target = *on;
    }
  }
  (void)values.take("cache");  // writes go to the host's page cache and are synced on flush
  (void)values.take("aio");
  (void)values.take("discard");
  if (auto ok = values.expect_empty(
          "-drive",
          "file, format, if, index, media, readonly, snapshot, backing, serial, id, bootindex, "
          "cache");
      !ok) {
    return ok.error();
  }
  static constexpr std::array kInterfaces = {"ide", "virtio", "floppy", "none"};
  if (std::find(kInterfaces.begin(), kInterfaces.end(), drive.interface) == kInterfaces.end()) {
    return error("'if={}' in -drive is not available; use ide, virtio, floppy or none",
                 drive.interface);
  }
  if (!drive.format.empty()) {
    if (auto format = parse_image_format(drive.format); !format) return format.error();
  }
  return drive;
}

Result<void> check_display(const Options& o) {
  if (o.display.starts_with("vnc=")) {
    if (auto address = VncAddress::parse(o.display.substr(4)); !address) return address.error();
  } else if (!o.display.empty() && o.display != "sdl" && o.display != "curses" &&
             o.display != "none") {
    return error("display '{}' in -display is not available; use sdl, curses, vnc=:N or none",
                 o.display);
  }
  if (o.nographic && !o.display.empty() && o.display != "none") {
    return error("-nographic and '-display {}' exclude each other; leave out one of them",
                 o.display);
  }
  if (o.accel == "lockstep" && !o.display.empty() && o.display != "none") {
    return error(
        "'-display {}' does not go with -accel lockstep, whose two machines have no "
        "keyboard; use -display none with a -serial",
        o.display);
  }
  if (o.vga == "none" && !o.display.empty() && o.display != "none") {
    return error("'-display {}' needs a graphics card; leave out -vga none", o.display);
  }
  if (o.display == "curses" && o.uses_stdio()) {
    return error(
        "-display curses needs the terminal for itself; use another -serial than stdio, "
        "such as -serial file:PATH");
  }
  return {};
}

Result<void> take_trace(const std::string& trace, const std::vector<std::string>& symbols,
                        Options& o) {
  if (!trace.empty()) {
    if (o.accel == "lockstep")
      return error("-trace does not go with -accel lockstep; use -accel jit or interp");
    auto options = parse_trace_options(trace);
    if (!options) return options.error();
    o.trace = options.take();
  }
  for (const std::string& text : symbols) {
    auto file = parse_symbol_file(text);
    if (!file) return file.error();
    o.trace_symbols.push_back(file.take());
  }
  return {};
}

Result<void> parse_sound(const std::vector<std::string>& audiodevs,
                         const std::vector<std::string>& audio,
                         const std::vector<std::string>& soundhw, Options& o) {
  for (const std::string& text : audiodevs) {
    auto option = parse_audiodev(text);
    if (!option) return option.error();
    o.audiodevs.push_back(option.take());
  }
  for (const std::string& text : audio) {
    if (auto ok = parse_audio(text, o); !ok) return ok;
  }
  for (const std::string& text : soundhw) {
    if (auto ok = parse_soundhw(text, o); !ok) return ok;
  }
  for (const AudioOption& option : o.audiodevs) {
    if (o.accel == "lockstep" && option.driver != "none") {
      return error("'-audiodev {}' does not go with -accel lockstep; leave it out", option.driver);
    }
  }
  return {};
}

DriveOption plain_drive(std::string file, std::string interface, unsigned index, bool cdrom) {
  DriveOption drive;
  drive.file = std::move(file);
  drive.interface = std::move(interface);
  drive.index = index;
  drive.cdrom = cdrom;
  return drive;
}

/// Rewrites the command line for CLI11: every option, with one dash or two, becomes "--name" or
/// "--name=value", so that values may begin with a dash.
Result<std::vector<std::string>> normalized(int argc, const char* const* argv, CLI::App& app) {
  std::vector<std::string> known;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) known.push_back(name);
  }
  std::vector<std::string> arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--") {
      arguments.insert(arguments.end(), argv + i, argv + argc);
      break;
    }
    if (word.size() < 2 || word[0] != '-') {
      arguments.push_back(word);
      continue;
    }
    const std::size_t begin = word[1] == '-' ? 2 : 1;
    const std::size_t equals = word.find('=');
    const std::string name = word.substr(begin, equals - begin);
    const CLI::Option* option = name.size() == 1 ? app.get_option_no_throw("-" + name)
                                                 : app.get_option_no_throw("--" + name);
    if (option == nullptr) {
      const std::string nearest = nearest_word(name, known);
      return error("unknown option '{}'{}; 'dragoman -h' lists all", word.substr(0, equals),
                   nearest.empty() ? "" : fmt::format(", did you mean '-{}'?", nearest));
    }
    const std::string long_name = "--" + option->get_lnames().front();
    if (option->get_items_expected_max() == 0) {
      if (equals != std::string::npos) {
        return error("option '-{}' takes no value; leave out '{}'", name, word.substr(equals));
      }
      arguments.push_back(long_name);
      continue;
    }
    std::string value;
    if (equals != std::string::npos) {
      value = word.substr(equals + 1);
    } else if (++i < argc) {
      value = argv[i];
    } else {
      return error("option '-{}' needs a value; 'dragoman -h' tells which", name);
    }
    if (value.empty()) {
      if (name == "append") continue;  // no command line is the default
      return error("option '-{}' was given an empty value; 'dragoman -h' tells which it takes",
                   name);
    }
    arguments.push_back(long_name + "=" + value);
  }
  return arguments;
}

}  // namespace

KeyValues KeyValues::parse(std::string_view text, std::string_view implied_key) {
  KeyValues values;
  if (text.empty()) return values;
  bool first = true;
  for (std::string& part : split_commas(text)) {
    const std::size_t equals = part.find('=');
    if (equals == std::string::npos) {
      values.items_.emplace_back(first ? std::string(implied_key) : part, first ? part : "on");
    } else {
      values.items_.emplace_back(part.substr(0, equals), part.substr(equals + 1));
    }
    first = false;
  }
  return values;
}

std::optional<std::string> KeyValues::take(std::string_view key) {
  for (auto it = items_.begin(); it != items_.end(); ++it) {
    if (it->first == key) {
      std::string value = std::move(it->second);
      items_.erase(it);
      return value;
    }
  }
  return std::nullopt;
}

std::optional<std::pair<std::string, std::string>> KeyValues::take_first() {
  if (items_.empty()) return std::nullopt;
  auto item = std::move(items_.front());
  items_.erase(items_.begin());
  return item;
}

Result<void> KeyValues::expect_empty(std::string_view option, std::string_view known) const {
  if (items_.empty()) return {};
  return error("unknown property '{}={}' in {}; known are {}", items_.front().first,
               items_.front().second, option, known);
}

bool Options::uses_stdio() const {
  if (monitor == "stdio") return true;
  for (const auto* specs : {&serial, &parallel, &debugcon}) {
    for (const std::string& spec : *specs) {
      if (spec == "stdio" || spec == "mon:stdio") return true;
    }
  }
  return nographic;
}

Result<u64> parse_memory_size(std::string_view text) {
  const std::string_view given = text;
  if (text.starts_with("size=")) text.remove_prefix(5);
  double number = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  u64 scale = kMiB;
  if (unit == "k" || unit == "K")
    scale = kKiB;
  else if (unit == "g" || unit == "G")
    scale = kGiB;
  else if (unit == "t" || unit == "T")
    scale = 1024 * kGiB;
  else if (unit != "m" && unit != "M" && !unit.empty())
    number = -1;
  if (status != std::errc() || !(number > 0)) {
    return error(
        "memory size '{}' in -m is not a positive size; give MiB or a unit, such as -m 512 "
        "or -m 2G",
        given);
  }
  const double bytes = number * static_cast<double>(scale);
  const u64 host =
      static_cast<u64>(sysconf(_SC_PHYS_PAGES)) * static_cast<u64>(sysconf(_SC_PAGE_SIZE));
  if (bytes > static_cast<double>(host)) {
    return error("memory size '{}' in -m is more than this host has ({} MiB); use a smaller -m",
                 given, host / kMiB);
  }
  const u64 rounded = static_cast<u64>(bytes) & ~(kMiB - 1);
  if (rounded < kMiB) {
    return error("memory size '{}' in -m is too small; a PC needs at least 1M", given);
  }
  return rounded;
}

Result<ParsedCommand> parse_options(int argc, const char* const* argv) {
  ParsedCommand command;
  Options& o = command.options;
  CLI::App app("Dragoman " DRAGOMAN_VERSION
               ": a PC in software. Runs operating systems without hardware virtualization.\n"
               "Options take one dash or two; spellings are those of QEMU.");
  app.name("dragoman");
  app.set_help_flag("-h,--help", "Show this text");
  std::vector<std::string> files, drives, devices, hd(4), cdroms, floppies(2), accel, smp, memory,
      m_opt;
  std::vector<std::string> audiodevs, audio, soundhw, usb_devices;
  std::string boot, machine, vnc, trace;
  std::vector<std::string> trace_symbols;
  bool version = false, gdb_1234 = false;

  app.add_option("FILE", files, "Disk image, ISO, floppy, Linux kernel, multiboot or ELF image");
  const char* kMachine = "Machine";
  app.add_option("-m,--memory", memory, "RAM: MiB, or with a unit (512M, 2G); default 128M")
      ->group(kMachine);
  app.add_option("--smp", smp, "Number of processors (1)")->group(kMachine);
  app.add_option("--cpu", o.cpu, "Processor model and +feature,-feature; 'help' lists them")
      ->group(kMachine);
  app.add_option("-M,--machine", machine, "Board: pc (default) or q35")->group(kMachine);
  app.add_option(
         "--accel", accel,
         "How guest code runs: jit (default), interp or lockstep, with options; 'help' lists them")
      ->group(kMachine);
  app.add_option("--rtc", o.rtc, "base=utc|localtime|YYYY-MM-DDTHH:MM:SS")->group(kMachine);
  app.add_option("--uuid", o.uuid, "System UUID in SMBIOS")->group(kMachine);
  app.add_option("--name", o.name, "Name of the machine")->group(kMachine);
  app.add_option("--device", devices, "Add a device, such as virtio-rng-pci; 'help' lists them")
      ->group(kMachine);
  bool usb = false;
  app.add_flag("--usb", usb, "Add the USB controller")->group(kMachine);
  app.add_option("--usbdevice", usb_devices, "Add a USB device: tablet")->group(kMachine);
  app.add_option("--audiodev", audiodevs,
                 "Where sound goes: sdl, wav,path=FILE or none, id=NAME; 'help' tells more")
      ->group(kMachine);
  app.add_option("--audio", audio, "An -audiodev with its card, such as sdl,model=sb16")
      ->group(kMachine);
  app.add_option("--soundhw", soundhw, "Sound cards: sb16,adlib,ac97,pcspk or all")
      ->group(kMachine);
  app.add_option("--vga", o.vga, "Graphics card: std or none")->group(kMachine);
  app.add_option("--icount", o.icount, "Repeatable run, shift=N: 2^N ns per instruction")
      ->group(kMachine);
  app.add_option("--rewind", o.rewind,
                 "Keep the past of an -icount run to go back in: on, off, size=MiB (512); "
                 "on with -gdb")
      ->group(kMachine);
  const char* kBoot = "Boot and media";
  app.add_option("--kernel", o.kernel, "Linux, multiboot or ELF kernel, started without firmware")
      ->group(kBoot);
  app.add_option("--initrd", o.initrd, "Initial RAM disk or multiboot modules")->group(kBoot);
  app.add_option("--append", o.append, "Kernel command line")->group(kBoot);
  app.add_option("--bios", o.bios, "Firmware image (default: SeaBIOS)")->group(kBoot);
  app.add_option("--boot", boot, "order=acdn, menu=on|off")->group(kBoot);
  app.add_option("--drive", drives,
                 "file=,format=,if=ide|virtio|floppy,index=,media=disk|cdrom,readonly=,"
                 "snapshot=,backing=")
      ->group(kBoot);
  for (unsigned i = 0; i < 4; ++i) {
    const std::string name = std::string("--hd") + static_cast<char>('a' + i);
    app.add_option(name, hd[i], fmt::format("IDE hard disk {} image", i))->group(kBoot);
  }
  app.add_option("--cdrom", cdroms, "CD-ROM image (IDE, second channel)")->group(kBoot);
  app.add_option("--fda", floppies[0], "Floppy image in drive A")->group(kBoot);
  app.add_option("--fdb", floppies[1], "Floppy image in drive B")->group(kBoot);
  app.add_flag("--snapshot", o.snapshot, "Write to temporary files instead of the images")
      ->group(kBoot);
  const char* kConsole = "Display and consoles";
  app.add_flag("--nographic", o.nographic,
               "No window; serial port and monitor keys on the terminal")
      ->group(kConsole);
  app.add_option("--display", o.display,
                 "sdl (window), curses (text on the terminal), vnc=HOST:N or none")
      ->group(kConsole);
  app.add_option("--vnc", vnc, "Like --display vnc=: HOST:N or :N, password-file=PATH; or none")
      ->group(kConsole);
  app.add_option("--serial", o.serial,
                 "stdio, mon:stdio, file:PATH, null, pty, tcp:127.0.0.1:PORT[,server], msmouse")
      ->group(kConsole);
  app.add_option("--parallel", o.parallel, "Like --serial, for the printer port")->group(kConsole);
  app.add_option("--debugcon", o.debugcon, "Like --serial, for the debug port E9h")
      ->group(kConsole);
  app.add_option("--monitor", o.monitor,
                 "Monitor on stdio, tcp:127.0.0.1:PORT[,nowait], unix:PATH[,nowait], or none")
      ->group(kConsole);
  app.add_option("--qmp", o.qmp, "QMP on tcp:127.0.0.1:PORT[,wait=off] or unix:PATH[,wait=off]")
      ->group(kConsole);
  const char* kRun = "Running";
  app.add_option("--gdb", o.gdb, "Wait for gdb on tcp:127.0.0.1:PORT or unix:PATH")->group(kRun);
  app.add_flag("-s,--gdb-1234", gdb_1234, "Same as -gdb tcp:127.0.0.1:1234")->group(kRun);
  app.add_flag("-S,--start-paused", o.start_paused, "Stop before the first instruction")
      ->group(kRun);
  app.add_flag("--no-reboot", o.no_reboot, "A reset ends the program")->group(kRun);
  app.add_flag("--no-shutdown", o.no_shutdown, "Power off keeps the program running")->group(kRun);
  app.add_option("--timeout", o.timeout_seconds, "End after so many seconds (exit code 124)")
      ->group(kRun);
  app.add_option("--expect", o.expect, "End with 0 when this text appears on a serial port")
      ->group(kRun);
  app.add_flag("--state-hash", o.print_state,
               "At the end print instruction count and a hash of RAM and registers")
      ->group(kRun);
  app.add_option("-d,--log", o.log_categories,
                 "Log: int,in_asm,op,out_asm,exec,cpu,mmu,page,guest_errors,unimp,jit-stats")
      ->group(kRun);
  app.add_option("-D,--log-file", o.log_file, "Log file (default: stderr)")->group(kRun);
  app.add_option("--trace", trace,
                 "Teaching trace: FILE.html, .json or .trace.json, with limit=N, first, hottest, "
                 "range=A-B, ring=N, cr3=X")
      ->group(kRun);
  app.add_option("--trace-symbols", trace_symbols,
                 "Names for -trace and -d: a System.map or an ELF file, with slide=N")
      ->group(kRun);
  app.add_flag("--version", version, "Show the version")->group(kRun);
  app.footer(
      "The display is a window where DISPLAY or WAYLAND_DISPLAY is set, else the terminal.\n"
      "In the window: Ctrl+Alt+G captures and releases the mouse, Ctrl+Alt+F is full screen.\n"
      "On the terminal (-nographic, -display curses, mon:stdio): Ctrl-A X leaves.\n"
      "Exit codes: 0 power off, --expect seen, window closed or -no-reboot after a reset;\n"
      "1 a file or the host failed, 2 wrong option or value, 4 triple fault with -no-reboot,\n"
      "6 lockstep found a difference, 124 --timeout; isa-debug-exit: (value << 1) | 1.");

  for (CLI::Option* option : app.get_options()) {
    if (option->get_positional()) continue;
    // An option that may be repeated takes one value each time; what follows is the image file.
    // Of the others the last one counts.
    if (option->get_expected_max() > 1) {
      option->allow_extra_args(false);
    } else if (option->get_items_expected_max() == 1) {
      option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    }
  }
  auto words = normalized(argc, argv, app);
  if (!words) return words.error();
  std::vector<std::string> arguments = words.take();
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
  try {
    app.parse(arguments);
  } catch (const CLI::CallForHelp&) {
    command.text = app.help();
    return command;
  } catch (const CLI::ParseError& problem) {
    return error("{}; 'dragoman -h' lists all options", problem.what());
  }
  if (version) {
    command.text = "dragoman " DRAGOMAN_VERSION "\n";
    return command;
  }
  if (o.cpu == "help" || o.cpu == "?") {
    std::string text = "Processor models for -cpu:\n";
    for (const std::string& name : cpu_model_names()) text += "  " + name + "\n";
    command.text = text;
    return command;
  }

  for (const std::string& text : audiodevs) {
    if (text == "help" || text == "?") {
      command.text = audiodev_help();
      return command;
    }
  }
  if (gdb_1234) o.gdb.push_back("tcp:127.0.0.1:1234");
  if (files.size() > 1) {
    return error("more than one image file given ('{}' and '{}'); use -drive for further ones",
                 files[0], files[1]);
  }
  if (!files.empty()) o.file = files[0];
  if (o.timeout_seconds && !(*o.timeout_seconds > 0 && *o.timeout_seconds < 1e9)) {
    return error("'--timeout {}' is not a positive number of seconds", *o.timeout_seconds);
  }
  if (!memory.empty()) {
    auto size = parse_memory_size(memory.back());
    if (!size) return size.error();
    o.ram_bytes = *size;
  }
  if (!smp.empty()) {
    KeyValues values = KeyValues::parse(smp.back(), "cpus");
    for (const char* key : {"cpus", "sockets", "cores", "threads", "maxcpus", "dies"}) {
      if (auto v = values.take(key); v && *v != "1") {
        return error("-smp {}: this version runs one processor; use -smp 1", smp.back());
      }
    }
    if (auto ok = values.expect_empty("-smp", "cpus, sockets, cores, threads, maxcpus"); !ok) {
      return ok.error();
    }
  }
  if (!machine.empty()) {
    KeyValues values = KeyValues::parse(machine, "type");
    if (auto v = values.take("type")) o.machine = *v;
    if (auto v = values.take("accel")) accel.push_back(*v);
    if (auto v = values.take("pcspk-audiodev")) o.speaker_audiodev = *v;
    for (const char* harmless : {"usb", "kernel_irqchip", "graphics", "hpet", "acpi"})
      (void)values.take(harmless);
    if (auto ok = values.expect_empty("-machine", "type, accel, pcspk-audiodev"); !ok)
      return ok.error();
    if (o.machine == "help") {
      command.text =
          "Boards for -machine:\n"
          "  pc   i440FX, PIIX3, PIIX4; IDE (default)\n"
          "  q35  82G33, ICH9; SATA, memory-mapped PCI configuration space\n";
      return command;
    }
    if (o.machine.starts_with("pc-i440fx")) o.machine = "pc";
    if (o.machine.starts_with("pc-q35")) o.machine = "q35";
    if (o.machine != "pc" && o.machine != "q35") {
      return error("board '{}' in -machine is not available; use pc or q35", o.machine);
    }
  }
  if (!accel.empty()) {
    if (accel.back() == "help" || accel.back() == "?") {
      command.text = accel_help();
      return command;
    }
    if (auto ok = parse_accel(accel.back(), o); !ok) return ok.error();
  }
  if (!vnc.empty() && o.display.empty()) o.display = vnc == "none" ? "none" : "vnc=" + vnc;
  if (o.accel == "lockstep" && (o.start_paused || !o.gdb.empty() || !o.qmp.empty())) {
    return error("-S, -gdb and -qmp do not go with -accel lockstep; use -accel jit or interp");
  }
  if (auto ok = check_display(o); !ok) return ok.error();
  if (auto ok = take_trace(trace, trace_symbols, o); !ok) return ok.error();
  for (int i = 0; i < argc; ++i) o.command += (i == 0 ? "" : " ") + std::string(argv[i]);
  if (!boot.empty()) {
    KeyValues values = KeyValues::parse(boot, "order");
    if (auto v = values.take("order")) o.boot_order = *v;
    if (auto v = values.take("once")) o.boot_order = *v;
    if (auto v = values.take("menu")) {
      auto on = parse_switch("-boot", "menu", *v);
      if (!on) return on.error();
      o.boot_menu = *on;
    }
    (void)values.take("strict");
    if (auto ok = values.expect_empty("-boot", "order, once, menu, strict"); !ok) return ok.error();
    if (o.boot_order.find_first_not_of("acdn") != std::string::npos) {
      return error(
          "boot order '{}' in -boot: use letters a (floppy), c (disk), d (CD-ROM), n (network)",
          o.boot_order);
    }
  }
  for (unsigned i = 0; i < 4; ++i) {
    if (!hd[i].empty()) o.drives.push_back(plain_drive(hd[i], "ide", i, false));
  }
  for (const std::string& file : cdroms) o.drives.push_back(plain_drive(file, "ide", 2, true));
  for (unsigned i = 0; i < 2; ++i) {
    if (!floppies[i].empty()) o.drives.push_back(plain_drive(floppies[i], "floppy", i, false));
  }
  for (const std::string& text : drives) {
    auto drive = parse_drive(text);
    if (!drive) return drive.error();
    o.drives.push_back(drive.take());
  }
  for (const std::string& text : devices) {
    KeyValues values = KeyValues::parse(text, "driver");
    const std::string driver = values.take("driver").value_or("");
    o.devices.push_back({driver, std::move(values)});
  }
  if (usb) o.devices.push_back({"piix3-usb-uhci", KeyValues::parse("", "driver")});
  for (const std::string& name : usb_devices) {
    if (name != "tablet") return error("-usbdevice {}: there is 'tablet' only", name);
    o.devices.push_back({"usb-tablet", KeyValues::parse("", "driver")});
  }
  if (auto ok = parse_sound(audiodevs, audio, soundhw, o); !ok) return ok.error();
  return command;
}

}  // namespace dragoman
