// The human monitor: one line in, text out. Whoever has a way in for lines (terminal, socket, QMP,
// gdb's `monitor`) shares it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "devices/block/counted_image.h"
#include "machine/debugger.h"
#include "machine/machine.h"

namespace dragoman {

/// A drive as monitors name it.
struct DriveInfo {
  enum class Kind : u8 { kDisk, kCdRom, kFloppy };
  Kind kind = Kind::kDisk;
  std::string name;  ///< ide1-cd0, floppy0, ide0-hd0, virtio0
  std::string file;  ///< empty: no medium
  std::string format = "raw";
  u64 bytes = 0;
  bool removable() const { return kind != Kind::kDisk; }
  bool read_only = false;
  bool tray_open = false;
  bool locked = false;          ///< the guest holds the medium
  CountedImage::Counts counts;  ///< since the medium is in
};

/// A character device, as QMP names it.
struct CharacterInfo {
  std::string label;     ///< serial0, parallel0, compat_monitor0
  std::string filename;  ///< its host end
};

/// What the monitors ask of the program around the machine; functions may be empty.
struct MonitorHost {
  std::string name;  ///< of the machine
  std::array<u8, 16> uuid{};
  u64 ram_bytes = 0;
  std::vector<CharacterInfo> characters;
  std::function<std::vector<DriveInfo>()> drives;
  std::function<Result<void>(const std::string& drive, const std::string& file, bool force)> change;
  std::function<Result<void>(const std::string& drive, bool force)> eject;
  /// Asks to be told when the tray of a CD-ROM drive moves.
  std::function<void(std::function<void(const std::string& drive, bool open)>)> watch_trays;
};

class Monitor {
 public:
  Monitor(Debugger& debugger, MonitorHost host) : debugger_(debugger), host_(std::move(host)) {}

  /// Executes one line; what it prints ends with a newline, or is empty.
  std::string execute(const std::string& line);
  /// Words that may stand where `line` ends, for completion; `drives` are the machine's.
  static std::vector<std::string> complete(const std::string& line,
                                           const std::vector<std::string>& drives = {});
  std::vector<std::string> drive_names() const;

  Debugger& debugger() { return debugger_; }
  MonitorHost& host() { return host_; }

  /// Writes the screen into a file: PNG for a name that ends in .png, else PPM.
  Result<void> screendump(const std::string& path, bool png);
  /// Strikes keys such as "ctrl-alt-delete"; all go down in order and up in reverse.
  Result<void> send_keys(const std::vector<std::string>& names);

 private:
  struct Arguments;
  using Handler = std::string (Monitor::*)(Arguments&);
  struct Command {
    const char* name;
    const char* alias;
    const char* usage;
    const char* help;
    Handler handler;
  };
  static const std::vector<Command>& commands();
  static const std::vector<Command>& info_commands();

  std::string help(Arguments& a);
  std::string info(Arguments& a);
  std::string stop(Arguments& a);
  std::string cont(Arguments& a);
  std::string step(Arguments& a);
  std::string reverse_step(Arguments& a);
  std::string reverse_continue(Arguments& a);
  std::string reset(Arguments& a);
  std::string powerdown(Arguments& a);
  std::string quit(Arguments& a);
  std::string nmi(Arguments& a);
  std::string examine(Arguments& a);
  std::string examine_physical(Arguments& a);
  std::string print(Arguments& a);
  std::string memsave(Arguments& a);
  std::string pmemsave(Arguments& a);
  std::string gva2gpa(Arguments& a);
  std::string sendkey(Arguments& a);
  std::string mouse_move(Arguments& a);
  std::string mouse_button(Arguments& a);
  std::string screendump_command(Arguments& a);
  std::string change(Arguments& a);
  std::string eject(Arguments& a);
  std::string catch_exceptions(Arguments& a);
  std::string rdmsr(Arguments& a);
  std::string wrmsr(Arguments& a);
  std::string read_port(Arguments& a);
  std::string write_port(Arguments& a);

  std::string info_registers(Arguments& a);
  std::string info_mem(Arguments& a);
  std::string info_tlb(Arguments& a);
  std::string info_mtree(Arguments& a);
  std::string info_qtree(Arguments& a);
  std::string info_pic(Arguments& a);
  std::string info_lapic(Arguments& a);
  std::string info_jit(Arguments& a);
  std::string info_block(Arguments& a);
  std::string info_cpus(Arguments& a);
  std::string info_status(Arguments& a);
  std::string info_version(Arguments& a);
  std::string info_name(Arguments& a);
  std::string info_break(Arguments& a);
  std::string info_blockstats(Arguments& a);
  std::string info_history(Arguments& a);

  std::string dump(Arguments& a, bool physical);
  std::string save_memory(Arguments& a, bool physical);

  Debugger& debugger_;
  MonitorHost host_;
  u64 next_address_ = 0;  ///< `x` without an address goes on here
};

}  // namespace dragoman
