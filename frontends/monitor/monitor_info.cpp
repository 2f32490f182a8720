// The topics of `info`.
#include <algorithm>

#include "frontends/cli/version.h"
#include "frontends/monitor/expression.h"
#include "frontends/monitor/monitor.h"
#include "frontends/monitor/monitor_arguments.h"

namespace dragoman {
namespace {

constexpr std::size_t kMostLines = 4000;  // of one answer: some 200 KiB
constexpr u64 kAddressBits = 0x000ffffffffff000;
enum EntryBit : u64 {
  kPresent = 1,
  kWritable = 2,
  kUser = 4,
  kAccessed = 0x20,
  kDirty = 0x40,
  kLarge = 0x80,
  kGlobal = 0x100,
  kNoExecute = u64{1} << 63,
};

struct Mapping {
  u64 linear = 0;
  u64 physical = 0;
  u64 bytes = 0;
  u64 flags = 0;  ///< of the leaf; user, writable and no-execute of the whole way
};

/// Calls `found` for each leaf of the page tables that does not end before `from`, by rising linear
/// address, until it says false.
class TableWalk {
 public:
  TableWalk(Cpu& cpu, u64 from, std::function<bool(const Mapping&)> found)
      : cpu_(cpu), from_(from), found_(std::move(found)) {}

  void run() {
    const CpuState& s = cpu_.state;
    constexpr u64 kRights = kUser | kWritable;
    if (!(s.cr4 & kCr4Pae)) {
      table(s.cr3 & 0xfffff000, 22, 10, 0, kRights);
    } else if (!cpu_.long_mode()) {
      for (u64 i = 0; i < 4 && going_; ++i) {
        if (s.pdpte[i] & kPresent) table(s.pdpte[i] & kAddressBits, 21, 9, i << 30, kRights);
      }
    } else {
      table(s.cr3 & kAddressBits, 39, 9, 0, kRights);
    }
  }

 private:
  void table(u64 base, unsigned shift, unsigned index_bits, u64 linear, u64 rights) {
    const unsigned entry_bytes = index_bits == 10 ? 4 : 8;
    for (u64 i = 0; i < u64{1} << index_bits && going_; ++i) {
      u64 entry = 0;
      const u64 at = (base + i * entry_bytes) & cpu_.a20_mask();
      const auto page = cpu_.memory().page(PhysicalAddress(at));
      if (page.read == nullptr) return;
      __builtin_memcpy(&entry, page.read + (at & kPageMask), entry_bytes);
      if (!(entry & kPresent)) continue;
      u64 address = linear | i << shift;
      if (shift == 39) address = sign_extend(address, 48);
      if ((address | ((u64{1} << shift) - 1)) < from_) continue;
      const u64 way = (rights & entry & (kUser | kWritable)) | ((rights | entry) & kNoExecute);
      const bool may_be_large =
          shift == 22 ? (cpu_.state.cr4 & kCr4Pse) != 0 : shift == 21 || shift == 30;
      if (shift == 12 || (may_be_large && (entry & kLarge))) {
        const u64 bytes = u64{1} << shift;
        u64 physical = entry & kAddressBits & ~(bytes - 1);
        if (shift == 22) physical = (entry & 0xffc00000) | bits(entry, 20, 13) << 32;
        constexpr u64 kOfLeaf = kAccessed | kDirty | kGlobal;
        going_ = found_({address, physical, bytes, way | (entry & kOfLeaf) | kPresent});
      } else {
        table(entry & kAddressBits, shift - index_bits, index_bits, address, way);
      }
    }
  }

  Cpu& cpu_;
  u64 from_;
  std::function<bool(const Mapping&)> found_;
  bool going_ = true;
};

std::string range_line(u64 first, u64 end, u64 flags) {
  return fmt::format("{:016x}-{:016x} {:016x} {}{}{}{}\n", first, end, end - first,
                     flags & kUser ? 'u' : '-', 'r', flags & kWritable ? 'w' : '-',
                     flags & kNoExecute ? '-' : 'x');
}

}  // namespace

const std::vector<Monitor::Command>& Monitor::info_commands() {
  using M = Monitor;
  static const std::vector<Command> list = {
      {"registers", "", "[-a]",
       "the processor: registers, segments, page walk of RIP; -a: x87, vectors",
       &M::info_registers},
      {"cpus", "", "", "the processors", &M::info_cpus},
      {"status", "", "", "running or stopped, and why", &M::info_status},
      {"version", "", "", "version of the program", &M::info_version},
      {"name", "", "", "name of the machine", &M::info_name},
      {"mem", "", "[ADDRESS]", "ranges of linear memory with their rights, from ADDRESS on",
       &M::info_mem},
      {"tlb", "", "[ADDRESS]", "every page of the page tables, from ADDRESS on", &M::info_tlb},
      {"mtree", "", "", "physical address space", &M::info_mtree},
      {"qtree", "", "[-v]", "devices; -v: with their state", &M::info_qtree},
      {"pic", "", "", "interrupt controllers", &M::info_pic},
      {"lapic", "", "", "local APIC", &M::info_lapic},
      {"jit", "", "", "what the translator did", &M::info_jit},
      {"block", "", "", "drives and their media", &M::info_block},
      {"blockstats", "", "", "what was read from drives and written to them", &M::info_blockstats},
      {"break", "", "", "breakpoints, watchpoints and caught exceptions", &M::info_break},
      {"history", "", "", "how far back the machine can go (-rewind)", &M::info_history},
  };
  return list;
}

std::string Monitor::info_registers(Arguments& a) {
  std::string text = debugger_.cpu().describe();
  if (a.word() != "-a") return text;
  const FpuState& f = debugger_.cpu().state.fpu;
  if (!text.empty() && text.back() != '\n') text += '\n';
  text += fmt::format(
      "fcw={:04x} fsw={:04x} (top {}) ftw={:02x} fop={:03x} fip={:016x} fdp={:016x} "
      "mxcsr={:08x}\n",
      f.control, f.status, f.status >> 11 & 7, f.tag, f.opcode, f.fip, f.fdp, f.mxcsr);
  const auto number = [](std::span<const u8> bytes) {
    std::string digits;
    for (std::size_t i = bytes.size(); i-- > 0;) digits += fmt::format("{:02x}", bytes[i]);
    return digits;
  };
  for (unsigned i = 0; i < f.st.size(); ++i) {
    text +=
        fmt::format("st{}={}{}", i, number(std::span(f.st[i]).first(10)), i % 2 == 0 ? "  " : "\n");
  }
  for (unsigned i = 0; i < f.ymm.size(); ++i) {
    text += fmt::format("ymm{:<2}={}\n", i, number(f.ymm[i]));
  }
  return text;
}

std::string Monitor::info_cpus(Arguments&) {
  Cpu& cpu = debugger_.cpu();
  return fmt::format("* CPU #0: pc={:#x} {}-bit CPL {}{}\n", debugger_.pc(),
                     cpu.decode_mode().code_bits, cpu.cpl(),
                     cpu.state.activity == Activity::kHalted ? " (halted)" : "");
}

std::string Monitor::info_status(Arguments&) {
  if (debugger_.machine().powered_off()) return "VM status: paused (shutdown)\n";
  if (!debugger_.paused()) return "VM status: running\n";
  const Debugger::Stop& stop = debugger_.stop();
  switch (stop.cause) {
    case DebugPoints::Cause::kBreakpoint:
      return fmt::format("VM status: paused (debug): breakpoint at {:#x}\n", stop.address);
    case DebugPoints::Cause::kWatch:
      return fmt::format("VM status: paused (debug): {:#x} was {}\n", stop.address,
                         stop.write ? "written" : "read");
    case DebugPoints::Cause::kStep:
      return fmt::format("VM status: paused (debug): stepped to {:#x}\n", stop.address);
    case DebugPoints::Cause::kException:
      return fmt::format("VM status: paused (debug): exception {} (error code {:#x}) at {:#x}\n",
                         stop.vector, stop.error_code, stop.address);
    default:
      return debugger_.machine().instructions() == 0 ? "VM status: paused (prelaunch)\n"
                                                     : "VM status: paused\n";
  }
}

std::string Monitor::info_version(Arguments&) { return DRAGOMAN_VERSION "\n"; }

std::string Monitor::info_name(Arguments&) { return host_.name + "\n"; }

std::string Monitor::info_mem(Arguments& a) {
  Cpu& cpu = debugger_.cpu();
  if (!(cpu.state.cr0 & kCr0Pg)) return "PG disabled\n";
  auto from = a.done() ? Result<u64>(u64{0}) : evaluate(a.rest(), cpu);
  if (!from) return from.error().message + "\n";
  constexpr u64 kShown = kUser | kWritable | kNoExecute;
  std::string text;
  std::size_t lines = 0;
  Mapping range;
  const auto put = [&] {
    if (range.bytes != 0) text += range_line(range.linear, range.linear + range.bytes, range.flags);
  };
  TableWalk(cpu, *from, [&](const Mapping& m) {
    if (range.bytes != 0 && m.linear == range.linear + range.bytes &&
        ((m.flags ^ range.flags) & kShown) == 0) {
      range.bytes += m.bytes;
      return true;
    }
    put();
    range = m;
    return ++lines <= kMostLines;
  }).run();
  if (lines <= kMostLines) put();
  return lines <= kMostLines ? text : text + fmt::format("more: info mem {:#x}\n", range.linear);
}

std::string Monitor::info_tlb(Arguments& a) {
  Cpu& cpu = debugger_.cpu();
  if (!(cpu.state.cr0 & kCr0Pg)) return "PG disabled\n";
  auto from = a.done() ? Result<u64>(u64{0}) : evaluate(a.rest(), cpu);
  if (!from) return from.error().message + "\n";
  std::string text;
  std::size_t lines = 0;
  TableWalk(cpu, *from, [&](const Mapping& m) {
    if (++lines > kMostLines) {
      text += fmt::format("more: info tlb {:#x}\n", m.linear);
      return false;
    }
    text += fmt::format("{:016x}: {:016x} {}{}{}{}{}{}{}\n", m.linear, m.physical,
                        m.flags & kNoExecute ? 'X' : '-', m.flags & kGlobal ? 'G' : '-',
                        m.bytes > kPageSize ? 'P' : '-', m.flags & kDirty ? 'D' : '-',
                        m.flags & kAccessed ? 'A' : '-', m.flags & kUser ? 'U' : '-',
                        m.flags & kWritable ? 'W' : '-');
    return true;
  }).run();
  return text;
}

std::string Monitor::info_mtree(Arguments&) {
  std::string text = "address space: memory\n";
  for (const MemoryMap::Section& s : debugger_.cpu().memory().sections()) {
    text += fmt::format("  {:016x}-{:016x} {} {}\n", s.first, s.last,
                        s.read_handler != nullptr ? "i/o"
                        : s.write != nullptr      ? "ram"
                                                  : "rom",
                        s.name);
  }
  return text;
}

std::string Monitor::info_qtree(Arguments& a) {
  const bool states = a.word() == "-v";
  std::string text;
  for (const auto& device : debugger_.machine().board().devices()) {
    text += fmt::format("dev: {}\n", device->name());
    if (states) text += device->print();
    if (!text.empty() && text.back() != '\n') text += '\n';
  }
  for (const DriveInfo& d : host_.drives ? host_.drives() : std::vector<DriveInfo>{}) {
    text += fmt::format("drive: {}{}{}\n", d.name, d.file.empty() ? "" : ", " + d.file,
                        d.read_only ? " (read-only)" : "");
  }
  return text;
}

std::string Monitor::info_jit(Arguments&) {
  const std::string text = debugger_.machine().translator_statistics();
  if (text.empty()) return "code is interpreted (-accel interp)\n";
  return text.back() == '\n' ? text : text + "\n";
}

std::string Monitor::info_block(Arguments&) {
  std::string text;
  for (const DriveInfo& d : host_.drives ? host_.drives() : std::vector<DriveInfo>{}) {
    text += d.file.empty()
                ? fmt::format("{}: [not inserted]\n", d.name)
                : fmt::format("{}: {}{}\n", d.name, d.file, d.read_only ? " (read-only)" : "");
    if (d.removable()) {
      text += fmt::format("    Removable device: {}, tray {}\n", d.locked ? "locked" : "not locked",
                          d.tray_open ? "open" : "closed");
    }
  }
  return text;
}

std::string Monitor::info_blockstats(Arguments&) {
  std::string text;
  for (const DriveInfo& d : host_.drives ? host_.drives() : std::vector<DriveInfo>{}) {
    text += fmt::format(
        "{}: rd_bytes={} wr_bytes={} rd_operations={} wr_operations={} flush_operations={}\n",
        d.name, d.counts.bytes_read, d.counts.bytes_written, d.counts.reads, d.counts.writes,
        d.counts.flushes);
  }
  return text;
}

std::string Monitor::info_history(Arguments&) {
  History* const history = debugger_.machine().history();
  if (history == nullptr) return "nothing is recorded; -icount shift=3 -rewind on\n";
  return history->describe();
}

std::string Monitor::info_break(Arguments&) {
  const DebugPoints& points = debugger_.points();
  std::string text;
  for (const u64 b : points.breakpoints) text += fmt::format("breakpoint at {:#x}\n", b);
  for (const DebugPoints::Watch& w : points.watches) {
    text += fmt::format("watch {}{} of {} bytes at {:#x}\n", w.on_read ? "r" : "",
                        w.on_write ? "w" : "", w.bytes, w.address);
  }
  if (points.caught_vectors != 0) {
    Arguments none("");
    text += catch_exceptions(none);
  }
  return text.empty() ? "none\n" : text;
}

}  // namespace dragoman
