#include "frontends/trace/trace_document.h"

#include <algorithm>

#include "cpu/disassemble/disassembler.h"
#include "frontends/cli/version.h"
#include "frontends/trace/host_code.h"
#include "jit/plan_text.h"
#include "jit/translator.h"

namespace dragoman {
namespace {

using nlohmann::json;

constexpr std::size_t kMostListed = 64;  // pages, devices, ports

/// Addresses are strings: numbers of JSON lose bits above 2^53 in a browser.
std::string hex(u64 value) { return fmt::format("{:#x}", value); }

std::string hex_bytes(std::span<const u8> bytes) {
  std::string text;
  for (const u8 byte : bytes) fmt::format_to(std::back_inserter(text), "{:02x}", byte);
  return text;
}

/// Mode key in words, see Cpu::update_mode().
std::string key_text(u32 key) {
  static constexpr std::array<unsigned, 4> kBits = {16, 32, 64, 64};
  static constexpr std::array<std::string_view, 8> kViews = {
      "supervisor", "user", "supervisor, SMAP lifted", "every access checked"};
  std::string text = fmt::format("{}-bit code, CPL {}", kBits[key & 3], key >> 3 & 3);
  if (key >> 5 & 1) text += ", virtual-8086";
  if ((key >> 6 & 1) == 0) text += ", real mode";
  if (key >> 8 & 1) text += ", CR0.EM";
  if (key >> 9 & 1) text += ", CR0.TS";
  if (key >> 12 & 1) text += ", AVX enabled";
  if (!kViews[key >> 13 & 7].empty())
    text += fmt::format(", shadow table of the {}", kViews[key >> 13 & 7]);
  return text;
}

std::string_view kind_of(const RegionRequest& request) {
  return request.narrow ? "narrow" : request.hot ? "superblock" : "block";
}

std::string why_made(const RecordedRegion& r) {
  if (r.request.narrow)
    return "the accesses of a group met the end of a page, so that they could not share a probe";
  if (r.request.hot)
    return fmt::format(
        "its block ran {} counted times as a translation: now with the blocks around it", r.runs);
  return fmt::format("its first block ran {} time{} in the interpreter", r.runs,
                     r.runs == 1 ? "" : "s");
}

std::string_view event_kind(EventKind kind) {
  switch (kind) {
    case EventKind::kException:
      return "exception";
    case EventKind::kExternal:
      return "interrupt";
    case EventKind::kNmi:
      return "nmi";
    case EventKind::kDebugTrap:
      return "debug trap";
    case EventKind::kSoftware:
      return "int n";
  }
  return "";
}

/// SDM vol. 3, table 6-1.
std::string event_name(EventKind kind, u8 vector) {
  static constexpr std::array<std::string_view, 22> kNames = {"#DE divide error",
                                                              "#DB debug",
                                                              "NMI",
                                                              "#BP breakpoint",
                                                              "#OF overflow",
                                                              "#BR bound",
                                                              "#UD invalid opcode",
                                                              "#NM no FPU",
                                                              "#DF double fault",
                                                              "",
                                                              "#TS invalid TSS",
                                                              "#NP segment not present",
                                                              "#SS stack fault",
                                                              "#GP general protection",
                                                              "#PF page fault",
                                                              "",
                                                              "#MF x87 error",
                                                              "#AC alignment check",
                                                              "#MC machine check",
                                                              "#XM SIMD error",
                                                              "#VE virtualization",
                                                              "#CP control protection"};
  if (kind == EventKind::kExternal) return fmt::format("interrupt {:#04x}", vector);
  if (kind == EventKind::kSoftware) return fmt::format("int {:#04x}", vector);
  if (vector < kNames.size() && !kNames[vector].empty()) return std::string(kNames[vector]);
  return fmt::format("vector {:#04x}", vector);
}

json timeline_json(const TraceRecorder& recorder, const Symbols& symbols) {
  const Timeline& t = recorder.timeline();
  json j;
  j["slot_ns"] = t.slot_ns();
  json names = json::array();
  for (std::size_t i = 0; i < kTimelineCounts; ++i)
    names.push_back(timeline_count_name(static_cast<TimelineCount>(i)));
  j["counts"] = std::move(names);
  j["slots"] = t.slots();
  json phases = json::array();
  for (const auto& p : t.phases())
    phases.push_back({{"ns", p.time.ns}, {"instructions", p.time.instructions}, {"name", p.name}});
  j["phases"] = std::move(phases);
  json events = json::array();
  for (const auto& e : t.events()) {
    json item = {{"ns", e.time.ns},
                 {"instructions", e.time.instructions},
                 {"kind", event_kind(e.record.kind)},
                 {"name", event_name(e.record.kind, e.record.vector)},
                 {"vector", e.record.vector},
                 {"rip", hex(e.record.rip)},
                 {"cpl", e.record.cpl}};
    if (std::string name = symbols.name_of(e.record.rip); !name.empty())
      item["symbol"] = std::move(name);
    if (e.record.has_error_code) item["error"] = e.record.error_code;
    if (e.record.vector == kVectorPf && e.record.kind == EventKind::kException)
      item["address"] = hex(e.record.cr2);
    events.push_back(std::move(item));
  }
  j["events"] = std::move(events);
  j["events_seen"] = t.events_seen();
  json vectors = json::array();
  for (const auto& [key, count] : t.vectors()) {
    vectors.push_back({{"kind", event_kind(key.first)},
                       {"vector", key.second},
                       {"name", event_name(key.first, key.second)},
                       {"count", count}});
  }
  j["vectors"] = std::move(vectors);
  return j;
}

json shadow_json(const TraceRecorder& recorder, const TraceContext& context) {
  const TraceRecorder::Totals& t = recorder.totals();
  json j = {{"fills_read", t.fills_read},     {"fills_write", t.fills_write},
            {"fills_fetch", t.fills_fetch},   {"outside", t.outside},
            {"failed_walks", t.failed_walks}, {"small_pages", t.fills_small},
            {"large_pages", t.fills_large},   {"giant_pages", t.fills_giant},
            {"global", t.fills_global},       {"user", t.fills_user}};
  static constexpr std::array<const char*, kShadowFlushes> kFlushes = {
      "everything", "all_but_global", "address_space", "page", "kept"};
  for (std::size_t i = 0; i < kShadowFlushes; ++i) j["flushes"][kFlushes[i]] = t.flushes[i];
  json pages = json::array();
  for (const auto& [page, count] : recorder.pages().most(kMostListed)) {
    json item = {{"linear", hex(page)}, {"walks", count}};
    if (std::string name = context.symbols->name_of(page); !name.empty())
      item["symbol"] = std::move(name);
    pages.push_back(std::move(item));
  }
  j["pages"] = std::move(pages);
  j["pages_seen"] = recorder.pages().size();
  json spaces = json::array();
  for (const auto& [cr3, count] : recorder.spaces().most(kMostListed))
    spaces.push_back({{"cr3", hex(cr3)}, {"selected", count}});
  j["spaces"] = std::move(spaces);
  j["entries"] = ShadowTable::kEntries;
  return j;
}

json io_json(const TraceRecorder& recorder, const TraceContext& context) {
  json devices = json::array(), ports = json::array();
  for (const auto& [address, count] : recorder.devices().most(kMostListed)) {
    json item = {{"address", hex(address)}, {"count", count}};
    for (const auto& s : context.cpu->memory().sections()) {
      if (address >= s.first && address <= s.last && !s.name.empty()) item["device"] = s.name;
    }
    devices.push_back(std::move(item));
  }
  for (const auto& [port, count] : recorder.ports().most(kMostListed)) {
    json item = {{"port", hex(port)}, {"count", count}};
    for (const auto& r : context.cpu->ports().ranges()) {
      if (r.enabled && port >= r.first && port < u64{r.first} + r.count) item["device"] = r.name;
    }
    ports.push_back(std::move(item));
  }
  const TraceRecorder::Totals& t = recorder.totals();
  return {{"device_reads", t.device_reads}, {"device_writes", t.device_writes},
          {"port_reads", t.port_reads},     {"port_writes", t.port_writes},
          {"devices", std::move(devices)},  {"ports", std::move(ports)}};
}

json totals_json(const TraceRecorder& recorder) {
  const TraceRecorder::Totals& t = recorder.totals();
  return {{"ns", t.ns},
          {"instructions", t.executed},
          {"blocks", t.blocks},
          {"superblocks", t.superblocks},
          {"narrow", t.narrow},
          {"links", t.links},
          {"bytes_changed", t.bytes_changed},
          {"superseded", t.superseded},
          {"cache_full", t.full},
          {"cache_emptied", t.emptied},
          {"guest_instructions", t.guest_instructions},
          {"guest_bytes", t.guest_bytes},
          {"host_bytes", t.host_bytes},
          {"filtered", t.filtered},
          {"forgotten", t.forgotten},
          {"samples", t.samples},
          {"samples_in_code", t.samples_in_code}};
}

}  // namespace

// The code of one region, explained line by line.
class TraceDocument::Writer {
 public:
  explicit Writer(const TraceContext& context)
      : context_(context), host_(*context.cpu, *context.symbols) {}

  json region_json(const RecordedRegion& r) const {
    json j;
    j["id"] = r.id;
    j["kind"] = kind_of(r.request);
    j["rip"] = hex(r.request.rip);
    add_symbol(j, r.request.rip);
    if (r.physical != ~u64{0}) j["physical"] = hex(r.physical);
    j["cpl"] = r.cpl;
    j["bits"] = r.plan.code_bits;
    j["cr3"] = hex(r.cr3);
    j["key"] = hex(r.mode_key);
    j["key_text"] = key_text(r.mode_key);
    j["plan"] = plan_summary(r.plan, r.request);
    j["made"] = {{"ns", r.made.ns}, {"instructions", r.made.instructions}, {"why", why_made(r)}};
    j["generation"] = r.generation;
    if (r.retired_at) {
      j["retired"] = {{"ns", r.retired_at->ns},
                      {"instructions", r.retired_at->instructions},
                      {"why", r.retired ? retire_reason(*r.retired) : "the cache was emptied"}};
    }
    if (r.counters != nullptr) j["entries"] = r.counters->entries;
    j["executed"] = r.executed();
    j["samples"] = r.samples;
    j["guest_instructions"] = r.plan.instructions;
    j["guest_bytes"] = r.guest_bytes();
    j["host_address"] = hex(r.place.main);
    j["host_bytes"] = r.code.size();
    add_blocks(j, r);
    add_groups(j, r);
    add_exits(j, r);
    return j;
  }

 private:
  json host_lines(const RecordedRegion& r, std::size_t range) const {
    json lines = json::array();
    for (const HostLine& line : host_.lines(r, range)) {
      json item = json::array(
          {line.offset, hex_bytes({r.code.data() + line.offset, line.bytes}), line.text});
      if (!line.note.empty() || !line.topic.empty()) item.push_back(line.note);
      if (!line.topic.empty()) item.push_back(line.topic);
      lines.push_back(std::move(item));
    }
    return lines;
  }
  static void append(json& to, json&& lines) {
    if (to.is_null()) to = json::array();
    for (json& line : lines) to.push_back(std::move(line));
  }

  void add_symbol(json& j, u64 address) const {
    if (std::string name = context_.symbols->name_of(address); !name.empty())
      j["symbol"] = std::move(name);
  }

  void add_blocks(json& j, const RecordedRegion& r) const {
    json blocks = json::array();
    for (std::size_t b = 0; b < r.plan.blocks.size(); ++b) {
      const PlannedBlock& block = r.plan.blocks[b];
      json item;
      item["rip"] = hex(block.rip);
      add_symbol(item, block.rip);
      if (r.counters != nullptr && b < r.counters->blocks.size())
        item["runs"] = r.counters->blocks[b];
      if (block.next >= 0) item["next"] = block.next;
      if (block.parent >= 0) item["parent"] = {block.parent, block.parent_index};
      if (block.loop_head) item["loop"] = true;
      json instructions = json::array();
      std::size_t at = 0;
      for (const PlannedInstruction& p : block.instructions) {
        const std::size_t length = std::min<std::size_t>(p.insn->length, r.bytes[b].size() - at);
        json insn;
        insn["rip"] = hex(p.rip());
        insn["bytes"] = hex_bytes({r.bytes[b].data() + at, length});
        insn["text"] = disassemble(*p.insn, p.rip(), DecodeMode{static_cast<u8>(r.plan.code_bits)});
        json notes = json::array();
        for (const PlanNote& note : plan_notes(r.plan, p)) notes.push_back({note.topic, note.text});
        insn["plan"] = std::move(notes);
        if (p.target >= 0) insn["target"] = p.target;
        instructions.push_back(std::move(insn));
        at += length;
      }
      item["instructions"] = std::move(instructions);
      blocks.push_back(std::move(item));
    }
    for (std::size_t i = 0; i < r.ranges.size(); ++i) {
      const CodeRange& range = r.ranges[i];
      json lines = host_lines(r, i);
      if (lines.empty()) continue;
      json* owner = &j;
      if (range.block >= 0) {
        owner = &blocks[static_cast<std::size_t>(range.block)];
        if (range.instruction >= 0)
          owner = &(*owner)["instructions"][static_cast<std::size_t>(range.instruction)];
      }
      static constexpr std::array<const char*, 5> kNames = {"start", "host", "rare", "end",
                                                            "leave"};
      append((*owner)[kNames[static_cast<std::size_t>(range.part)]], std::move(lines));
    }
    j["blocks"] = std::move(blocks);
  }

  static void add_groups(json& j, const RecordedRegion& r) {
    json groups = json::array();
    for (const AccessGroup& g : r.plan.groups) {
      if (g.slot < 0) {
        groups.push_back(nullptr);
      } else {
        groups.push_back({{"write", g.write},
                          {"bytes", g.high - g.low},
                          {"members", g.members},
                          {"slot", g.slot}});
      }
    }
    j["groups"] = std::move(groups);
  }

  /// Where an exit led that has no address of its own, most frequent first.
  void add_targets(json& item, const RegionCounters::Exit& exit) const {
    if (exit.targets.empty()) return;
    auto sorted = exit.targets;
    std::stable_sort(sorted.begin(), sorted.end(),
                     [](const auto& a, const auto& b) { return a.samples > b.samples; });
    json targets = json::array();
    for (const auto& target : sorted) {
      json t = {{"rip", hex(target.rip)}, {"count", exit.times(target)}};
      add_symbol(t, target.rip);
      targets.push_back(std::move(t));
    }
    item["targets"] = std::move(targets);
  }

  void add_exits(json& j, const RecordedRegion& r) const {
    json exits = json::array();
    if (r.counters != nullptr) {
      for (const auto& exit : r.counters->exits) {
        json item = {{"kind", exit_name(exit.kind)},
                     {"count", exit.count},
                     {"block", exit.block},
                     {"instruction", exit.instruction}};
        if (exit.rip != 0 || exit.kind != ExitKind::kState) {
          item["rip"] = hex(exit.rip);
          add_symbol(item, exit.rip);
        }
        for (const auto& link : r.links) {
          if (link.rip == exit.rip && exit.kind != ExitKind::kHot) item["to"] = link.to;
        }
        add_targets(item, exit);
        exits.push_back(std::move(item));
      }
      if (const auto& exit = r.counters->handled; exit.count != 0) {
        json item = {
            {"kind", "handler"}, {"count", exit.count}, {"block", -1}, {"instruction", -1}};
        add_targets(item, exit);
        exits.push_back(std::move(item));
      }
    }
    j["exits"] = std::move(exits);
    json links = json::array();
    for (const auto& link : r.links) links.push_back({{"to", link.to}, {"rip", hex(link.rip)}});
    j["links"] = std::move(links);
  }

  const TraceContext& context_;
  HostCode host_;
};

TraceDocument::TraceDocument(const TraceRecorder& recorder, const TraceContext& context)
    : recorder_(recorder), context_(context), writer_(std::make_unique<Writer>(context)) {}

TraceDocument::~TraceDocument() = default;

json TraceDocument::frame() const {
  json switches;
  for (const auto& [name, on] : context_.switches) switches[name] = on;
  return {{"dragoman_trace", kTraceSchema},
          {"version", DRAGOMAN_VERSION},
          {"command", context_.command},
          {"order", recorder_.options().hottest ? "hottest" : "first"},
          {"counters", recorder_.options().counters},
          {"switches", std::move(switches)},
          {"totals", totals_json(recorder_)},
          {"timeline", timeline_json(recorder_, *context_.symbols)},
          {"shadow", shadow_json(recorder_, context_)},
          {"io", io_json(recorder_, context_)},
          {"statistics", context_.statistics}};
}

json TraceDocument::region(std::size_t number) const {
  return writer_->region_json(*recorder_.regions()[number]);
}

std::string TraceDocument::text() const {
  std::string text = json_text(frame());
  text.pop_back();
  text += ",\"regions\":[";
  for (std::size_t i = 0; i < regions(); ++i) {
    if (i != 0) text += ',';
    text += json_text(region(i));
  }
  text += "]}";
  return text;
}

std::string json_text(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

json trace_events(const TraceRecorder& recorder, const TraceContext& context) {
  // One process with a thread each for phases, translations and events; counters beside them.
  constexpr int kProcess = 1, kPhases = 1, kTranslations = 2, kEvents = 3;
  json events = json::array();
  const auto us = [](u64 ns) { return static_cast<double>(ns) / 1000.0; };
  // Every event has all six common members: some readers insist.
  const auto add_metadata = [&](const char* what, int thread, const std::string& name) {
    events.push_back({{"ph", "M"},
                      {"name", what},
                      {"cat", "__metadata"},
                      {"pid", kProcess},
                      {"tid", thread},
                      {"ts", 0},
                      {"args", {{"name", name}}}});
  };
  add_metadata("process_name", 0, "Dragoman: " + context.command);
  add_metadata("thread_name", kPhases, "phases");
  add_metadata("thread_name", kTranslations, "translations alive");
  add_metadata("thread_name", kEvents, "exceptions and interrupts");
  const Timeline& t = recorder.timeline();
  const u64 end = recorder.totals().ns;
  for (std::size_t i = 0; i < t.phases().size(); ++i) {
    const u64 from = t.phases()[i].time.ns;
    const u64 to = i + 1 < t.phases().size() ? t.phases()[i + 1].time.ns : end;
    events.push_back({{"ph", "X"},
                      {"name", t.phases()[i].name},
                      {"cat", "phase"},
                      {"pid", kProcess},
                      {"tid", kPhases},
                      {"ts", us(from)},
                      {"dur", us(to - std::min(from, to))}});
  }
  for (const auto& e : t.events()) {
    json args = {
        {"rip", hex(e.record.rip)}, {"cpl", e.record.cpl}, {"instructions", e.time.instructions}};
    if (std::string name = context.symbols->name_of(e.record.rip); !name.empty())
      args["symbol"] = std::move(name);
    if (e.record.vector == kVectorPf) args["address"] = hex(e.record.cr2);
    events.push_back({{"ph", "i"},
                      {"s", "t"},
                      {"name", event_name(e.record.kind, e.record.vector)},
                      {"cat", event_kind(e.record.kind)},
                      {"pid", kProcess},
                      {"tid", kEvents},
                      {"ts", us(e.time.ns)},
                      {"args", std::move(args)}});
  }
  for (const auto& r : recorder.regions()) {
    const std::string symbol = context.symbols->name_of(r->request.rip);
    const u64 gone = r->retired_at ? r->retired_at->ns : end;
    // Asynchronous: lives of translations overlap.
    json common = {{"name", symbol.empty() ? hex(r->request.rip) : symbol},
                   {"cat", kind_of(r->request)},
                   {"id", r->id},
                   {"pid", kProcess},
                   {"tid", kTranslations}};
    json begin = common, stop = common;
    begin["ph"] = "b";
    begin["ts"] = us(r->made.ns);
    begin["args"] = {{"rip", hex(r->request.rip)},
                     {"cpl", r->cpl},
                     {"guest_bytes", r->guest_bytes()},
                     {"host_bytes", r->code.size()},
                     {"executed", r->executed()},
                     {"samples", r->samples},
                     {"why", why_made(*r)}};
    stop["ph"] = "e";
    stop["ts"] = us(std::max(gone, r->made.ns));
    events.push_back(std::move(begin));
    events.push_back(std::move(stop));
  }
  struct Track {
    const char* name;
    std::vector<TimelineCount> counts;
  };
  using C = TimelineCount;
  const std::array<Track, 6> tracks = {
      {{"where the processor was (us)",
        {C::kTimeReal, C::kTimeProtected, C::kTimeKernel, C::kTimeUser, C::kTimeHalted}},
       {"exceptions and interrupts",
        {C::kExceptions, C::kPageFaults, C::kInterrupts, C::kSoftwareInterrupts}},
       {"device registers", {C::kDeviceReads, C::kDeviceWrites}},
       {"ports", {C::kPortReads, C::kPortWrites}},
       {"shadow page tables", {C::kWalks, C::kFailedWalks, C::kFlushes}},
       {"translator", {C::kTranslated, C::kRetired}}}};
  for (std::size_t i = 0; i < t.slots().size(); ++i) {
    for (const Track& track : tracks) {
      json args;
      for (const TimelineCount c : track.counts)
        args[std::string(timeline_count_name(c))] = t.slots()[i][static_cast<std::size_t>(c)];
      events.push_back({{"ph", "C"},
                        {"name", track.name},
                        {"cat", "counter"},
                        {"pid", kProcess},
                        {"tid", kEvents},
                        {"ts", us(i * t.slot_ns())},
                        {"args", std::move(args)}});
    }
  }
  return {{"traceEvents", std::move(events)}, {"displayTimeUnit", "ms"}};
}

}  // namespace dragoman
