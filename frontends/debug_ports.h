// The ways into a running machine that the command line opened: gdb, monitors, QMP.
#pragma once

#include <memory>
#include <vector>

#include "devices/character/mux.h"
#include "frontends/cli/options.h"
#include "frontends/gdb/gdb_server.h"
#include "frontends/monitor/monitor.h"
#include "frontends/monitor/monitor_terminal.h"
#include "frontends/monitor/qmp_server.h"
#include "frontends/socket_server.h"

namespace dragoman {

class DebugPorts {
 public:
  /// Checks the forms of -gdb, -monitor and -qmp without opening anything.
  static Result<void> check(const Options& options);
  /// Listens; clients are served once attach() was called.
  Result<void> open(const Options& options);
  /// Connects everything to the machine, which outlives this object's use. Waits for clients that
  /// are to be waited for.
  void attach(Machine& machine, MonitorHost host, bool start_paused);
  /// Gives the monitor a terminal, such as the second channel of `mon:stdio`.
  void add_terminal(CharacterBackend& terminal, bool hidden);
  /// A mux changed its focus to or from the monitor.
  void focus_changed(bool monitor);
  Monitor* monitor() { return monitor_.get(); }

 private:
  struct Port {
    std::unique_ptr<SocketServer> socket;
    std::unique_ptr<GdbServer> gdb;
    std::unique_ptr<QmpServer> qmp;
    std::unique_ptr<MonitorTerminal> terminal;
  };
  enum class Kind : u8 { kGdb, kMonitor, kQmp };
  std::vector<std::pair<Kind, Port>> ports_;
  std::vector<CharacterInfo> characters_;  ///< until there is a monitor to tell about them
  std::unique_ptr<Monitor> monitor_;
  std::vector<std::unique_ptr<MonitorTerminal>> terminals_;
};

}  // namespace dragoman
