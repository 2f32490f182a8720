// What comes in through sockets and terminals: gdb, QMP, the monitor, VNC.
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <filesystem>

#include "frontends/gdb/gdb_server.h"
#include "frontends/monitor/qmp_server.h"
#include "frontends/vnc/rfb_connection.h"
#include "tests/frontends/debug_machine.h"
#include "tests/libfuzzer/targets.h"

namespace dragoman {
namespace {

/// Commands can write files: the process moves into a folder of its own, files stay small, and
/// contained() leaves no way out of the folder.
void enter_own_folder() {
  static const struct Folder {
    std::string name = std::filesystem::temp_directory_path() / "dragoman-fuzz-XXXXXX";
    std::filesystem::path before = std::filesystem::current_path();
    Folder() {
      FUZZ_CHECK(::mkdtemp(name.data()) != nullptr);
      std::filesystem::current_path(name);
      const rlimit limit{16 << 20, RLIM_INFINITY};
      ::setrlimit(RLIMIT_FSIZE, &limit);
      std::signal(SIGXFSZ, SIG_IGN);
    }
    ~Folder() {
      std::error_code ignored;
      std::filesystem::current_path(before, ignored);
      std::filesystem::remove_all(name, ignored);
    }
  } kFolder;
}

/// The input without slashes, in either spelling.
std::string contained(std::span<const u8> input) {
  std::string text(input.begin(), input.end());
  std::replace(text.begin(), text.end(), '/', '_');
  for (std::size_t at = 0; (at = text.find("\\u", at)) != std::string::npos; ++at) {
    text[at + 1] = 'n';
  }
  return text;
}

/// Runs what a client let go on, for a little, and holds it again.
void run_a_little(DebugMachine& pc) {
  Debugger& debugger = pc.debugger();
  for (int i = 0; i < 4 && !debugger.paused(); ++i) {
    (void)pc.machine().board().cpu().run(200);  // run_to() goes on when the debugger stops it
    debugger.after_run();
    (void)pc.machine().take_stop_reason();
  }
}

std::span<const u8> bytes_of(std::string_view text) {
  return {reinterpret_cast<const u8*>(text.data()), text.size()};
}

template <class Use>
void for_each_line(std::string_view text, Use&& use) {
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    use(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
}

}  // namespace

void fuzz_gdb(std::span<const u8> input) {
  enter_own_folder();
  DebugMachine pc(kModesProgram, false);
  Monitor monitor(pc.debugger(), MonitorHost{});
  GdbServer server(
      pc.debugger(), [](std::string_view) {},
      [&](const std::string& line) { return monitor.execute(contained(bytes_of(line))); });
  server.connected();
  for_each_line({reinterpret_cast<const char*>(input.data()), input.size()},
                [&](std::string_view line) {
                  if (line.starts_with('!')) {  // as it is, without a frame
                    server.receive(bytes_of(line.substr(1)));
                  } else {
                    u8 sum = 0;
                    for (const char c : line) sum = static_cast<u8>(sum + c);
                    server.receive(bytes_of(fmt::format("${}#{:02x}", line, sum)));
                  }
                  run_a_little(pc);
                  if (!pc.debugger().paused()) server.receive(bytes_of("\x03"));
                });
  server.disconnected();
}

void fuzz_qmp(std::span<const u8> input) {
  enter_own_folder();
  DebugMachine pc(kModesProgram, false);
  Monitor monitor(pc.debugger(), MonitorHost{});
  QmpServer server(monitor, [](std::string_view) {});
  server.connected();
  server.receive(bytes_of("{\"execute\":\"qmp_capabilities\"}\n"));
  for_each_line(contained(input), [&](std::string_view line) {
    server.receive(bytes_of(line));
    server.receive(bytes_of("\n"));
    run_a_little(pc);
  });
  server.disconnected();
}

void fuzz_monitor(std::span<const u8> input) {
  enter_own_folder();
  DebugMachine pc(kModesProgram, false);
  Monitor monitor(pc.debugger(), MonitorHost{});
  for_each_line(contained(input), [&](std::string_view line) {
    (void)Monitor::complete(std::string(line));
    (void)monitor.execute(std::string(line));
    run_a_little(pc);
  });
}

void fuzz_vnc(std::span<const u8> bytes) {
  FuzzInput input(bytes);
  const u8 how = input.byte();
  RfbOptions options;
  options.name = "fuzz";
  if (how & 1) options.password = "secret";
  RfbScreen screen;
  screen.size = {40, 30};
  screen.pixels.resize(40 * 30, 0x123456);
  RfbInput sink;
  sink.key = [](Key key, bool) { FUZZ_CHECK(key < Key::kCount); };
  sink.move = [](int, int, int) {};
  sink.buttons = [](u8) {};
  RfbConnection connection(options, screen, sink, {});
  if (how & 2) connection.feed(bytes_of("RFB 003.008\n\x01\x01"));
  while (!input.empty() && !connection.closed()) {
    connection.feed(input.take(1 + input.byte() % 64));
    if (how & 4) connection.changed({0, 0, 40, 30});
    if (how & 8 && screen.size.width == 40) {
      screen.size = {60, 20};
    }
    connection.update();
    connection.output().clear();
  }
  connection.release_keys();
}

}  // namespace dragoman
