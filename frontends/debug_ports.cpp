#include "frontends/debug_ports.h"

#include <cstdio>

namespace dragoman {
namespace {

bool is_none(const std::string& spec) { return spec.empty() || spec == "none" || spec == "null"; }

/// -gdb allows a bare port and "tcp::PORT"; "-s" is tcp::1234.
std::string gdb_spec(const std::string& spec) {
  const bool number = spec.find_first_not_of("0123456789") == std::string::npos;
  return number ? "tcp:" + spec : spec;
}

}  // namespace

Result<void> DebugPorts::check(const Options& options) {
  for (const std::string& spec : options.gdb) {
    if (is_none(spec)) continue;
    if (auto ok = SocketServer::check("-gdb", gdb_spec(spec)); !ok) return ok;
  }
  for (const std::string& spec : options.qmp) {
    if (is_none(spec)) continue;
    if (auto ok = SocketServer::check("-qmp", spec); !ok) return ok;
  }
  if (!is_none(options.monitor) && options.monitor != "stdio" && options.monitor != "/dev/null") {
    if (auto ok = SocketServer::check("-monitor", options.monitor); !ok) return ok;
  }
  return {};
}

Result<void> DebugPorts::open(const Options& options) {
  for (std::size_t i = 0; i < options.serial.size(); ++i) {
    const std::string& spec = options.serial[i];
    characters_.push_back(
        {fmt::format("serial{}", i), spec.starts_with("mon:") ? spec.substr(4) : spec});
  }
  for (std::size_t i = 0; i < options.parallel.size(); ++i) {
    characters_.push_back({fmt::format("parallel{}", i), options.parallel[i]});
  }
  unsigned monitors = 0;
  const auto listen = [&](Kind kind, const char* option, const std::string& spec) -> Result<void> {
    if (is_none(spec) || spec == "stdio" || spec == "/dev/null") return {};
    auto socket = SocketServer::open(option, spec);
    if (!socket) return socket.error();
    Port port;
    port.socket = socket.take();
    const bool waits = kind != Kind::kGdb && port.socket->waits();
    fmt::print(stderr, "{} listens on {}{}\n", option + 1, port.socket->address(),
               waits ? ", waiting for a client" : "");
    if (kind != Kind::kGdb) {
      const std::string& at = port.socket->address();
      characters_.push_back(
          {fmt::format("compat_monitor{}", monitors++),
           fmt::format("{}{},server=on", spec.starts_with("unix:") ? "unix:" : "tcp:", at)});
    }
    ports_.emplace_back(kind, std::move(port));
    return {};
  };
  for (const std::string& spec : options.gdb) {
    if (auto ok = listen(Kind::kGdb, "-gdb", gdb_spec(spec)); !ok) return ok;
  }
  if (auto ok = listen(Kind::kMonitor, "-monitor", options.monitor); !ok) return ok;
  for (const std::string& spec : options.qmp) {
    if (auto ok = listen(Kind::kQmp, "-qmp", spec); !ok) return ok;
  }
  return {};
}

void DebugPorts::attach(Machine& machine, MonitorHost host, bool start_paused) {
  Debugger& debugger = machine.debugger();
  host.characters = std::move(characters_);
  monitor_ = std::make_unique<Monitor>(debugger, std::move(host));
  if (start_paused) debugger.pause();
  for (auto& [kind, port] : ports_) {
    SocketServer* const socket = port.socket.get();
    const auto send = [socket](std::string_view text) { socket->send(text); };
    SocketServer::Callbacks callbacks;
    switch (kind) {
      case Kind::kGdb: {
        port.gdb = std::make_unique<GdbServer>(
            debugger, send, [this](const std::string& line) { return monitor_->execute(line); });
        GdbServer* const gdb = port.gdb.get();
        callbacks = {[gdb] { gdb->connected(); }, [gdb] { gdb->disconnected(); },
                     [gdb](std::span<const u8> bytes) { gdb->receive(bytes); }};
        break;
      }
      case Kind::kQmp: {
        port.qmp = std::make_unique<QmpServer>(*monitor_, send);
        QmpServer* const qmp = port.qmp.get();
        if (monitor_->host().watch_trays) {
          monitor_->host().watch_trays(
              [qmp](const std::string& drive, bool open) { qmp->tray_moved(drive, open); });
        }
        callbacks = {[qmp] { qmp->connected(); }, [qmp] { qmp->disconnected(); },
                     [qmp](std::span<const u8> bytes) { qmp->receive(bytes); }};
        break;
      }
      case Kind::kMonitor: {
        port.terminal = std::make_unique<MonitorTerminal>(*monitor_, send);
        MonitorTerminal* const terminal = port.terminal.get();
        callbacks = {[terminal] { terminal->greet(); }, [] {},
                     [terminal](std::span<const u8> bytes) { terminal->receive(bytes); }};
        break;
      }
    }
    socket->set_callbacks(std::move(callbacks));
    machine.add_poll_source(*socket);
    if (kind != Kind::kGdb && socket->waits()) socket->wait_for_client();
  }
}

void DebugPorts::add_terminal(CharacterBackend& terminal, bool hidden) {
  terminals_.push_back(
      std::make_unique<MonitorTerminal>(*monitor_, [&terminal](std::string_view text) {
        terminal.send({reinterpret_cast<const u8*>(text.data()), text.size()});
      }));
  terminal.set_receiver(terminals_.back().get());
  if (!hidden) terminals_.back()->greet();
}

void DebugPorts::focus_changed(bool monitor) {
  if (monitor && !terminals_.empty()) terminals_.front()->greet();
}

}  // namespace dragoman
