#include "frontends/trace/text_log.h"

#include <span>

#include "cpu/disassemble/disassembler.h"
#include "frontends/trace/host_code.h"
#include "frontends/trace/trace_recorder.h"
#include "jit/plan_text.h"

namespace dragoman {
namespace {

std::string bytes_text(std::span<const u8> bytes) {
  std::string text;
  for (const u8 byte : bytes) text += fmt::format("{:02x}", byte);
  return text;
}

std::string_view flush_name(ShadowFlush what) {
  switch (what) {
    case ShadowFlush::kEverything:
      return "everything";
    case ShadowFlush::kAllButGlobal:
      return "all but global pages";
    case ShadowFlush::kAddressSpace:
      return "address space";
    case ShadowFlush::kPage:
      return "page";
    case ShadowFlush::kKept:
      return "nothing, address space changed";
  }
  return "";
}

std::string_view part_name(CodePart part) {
  switch (part) {
    case CodePart::kEntry:
      return "start";
    case CodePart::kInstruction:
      return "";
    case CodePart::kRare:
      return "rare part";
    case CodePart::kEnd:
      return "end";
    case CodePart::kLeave:
      return "leave";
  }
  return "";
}

}  // namespace

bool TraceTextLog::wanted(const Log& log) {
  return log.enabled(LogCategory::kOp) || log.enabled(LogCategory::kOutAsm) ||
         log.enabled(LogCategory::kMmu) || log.enabled(LogCategory::kPage);
}

void TraceTextLog::translated(const RegionRecord& record) {
  const RegionPlan& plan = *record.plan;
  const DecodeMode mode{static_cast<u8>(plan.code_bits)};
  if (log_.enabled(LogCategory::kOp)) {
    log_.write_line(fmt::format("OP: #{} {:016x} {} {}", record.id, record.request.rip,
                                symbols_.name_of(record.request.rip),
                                plan_summary(plan, record.request)));
    for (std::size_t b = 0; b < plan.blocks.size(); ++b) {
      if (plan.blocks.size() > 1) log_.write_line(fmt::format(" block {}:", b));
      for (const PlannedInstruction& p : plan.blocks[b].instructions) {
        log_.write_line(fmt::format(" {:016x} {:<40} {}", p.rip(),
                                    disassemble(*p.insn, p.rip(), mode), plan_line(plan, p)));
      }
    }
  }
  if (log_.enabled(LogCategory::kOutAsm)) {
    RecordedRegion region;  // what HostCode reads of one
    region.plan = plan;
    region.code.assign(record.code.begin(), record.code.end());
    region.ranges.assign(record.ranges.begin(), record.ranges.end());
    region.exits.assign(record.exits.begin(), record.exits.end());
    region.place = record.place;
    region.counters = record.counters;
    const HostCode host(*record.cpu, symbols_);
    log_.write_line(fmt::format("OUT: #{} {:016x} [size={}]", record.id, record.request.rip,
                                record.code.size()));
    for (std::size_t i = 0; i < region.ranges.size(); ++i) {
      const CodeRange& range = region.ranges[i];
      if (range.instruction >= 0) {
        const PlannedInstruction& p =
            plan.blocks[static_cast<std::size_t>(range.block)]
                .instructions[static_cast<std::size_t>(range.instruction)];
        log_.write_line(fmt::format("  -- {}{}{:016x} {}", part_name(range.part),
                                    range.part == CodePart::kRare ? " of " : "", p.rip(),
                                    disassemble(*p.insn, p.rip(), mode)));
      } else {
        log_.write_line(fmt::format("  -- {}", part_name(range.part)));
      }
      for (const HostLine& line : host.lines(region, i)) {
        log_.write_line(fmt::format("0x{:012x}:  {:<32} {}{}{}",
                                    record.place.address_of(line.offset),
                                    bytes_text({region.code.data() + line.offset, line.bytes}),
                                    line.text, line.note.empty() ? "" : "  ; ", line.note));
      }
    }
  }
}

void TraceTextLog::linked(u64 from, u64 to, u64 rip) {
  log_.write(LogCategory::kOp, "LINK: #{} to #{} at {:016x}", from, to, rip);
}

void TraceTextLog::retired(u64 id, RetireCause cause) {
  log_.write(LogCategory::kOp, "RETIRED: #{}, {}", id, retire_reason(cause));
}

void TraceTextLog::cache_emptied() {
  log_.write(LogCategory::kOp, "EMPTIED: all translations are gone");
}

void TraceTextLog::page_walked(const ShadowFill& fill) {
  if (!fill.direct) {
    log_.write(LogCategory::kPage, "PAGE: {:016x} -> {:x} stays outside the shadow page table",
               fill.linear, fill.physical);
    return;
  }
  log_.write(LogCategory::kMmu, "MMU: {:016x} -> {:x} {}{}{}, page of {} KiB", fill.linear,
             fill.physical,
             fill.fetch      ? "fetch"
             : fill.writable ? "read and write"
                             : "read",
             fill.user ? ", user" : "", fill.global ? ", global" : "", fill.page_bytes / kKiB);
}

void TraceTextLog::page_walk_failed(u64 linear, u32 error_code) {
  log_.write(LogCategory::kPage, "PAGE: {:016x} not to be had, error code {:#x}", linear,
             error_code);
}

void TraceTextLog::shadow_flushed(ShadowFlush what, u64 linear) {
  if (what == ShadowFlush::kPage) {
    log_.write(LogCategory::kMmu, "MMU: flush of page {:016x}", linear);
  } else {
    log_.write(LogCategory::kMmu, "MMU: flush of {}", flush_name(what));
  }
}

}  // namespace dragoman
