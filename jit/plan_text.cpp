#include "jit/plan_text.h"

#include <array>

#include "cpu/execute/forms.h"
#include "cpu/isa/rows.h"
#include "jit/translator.h"

namespace dragoman {
namespace {

constexpr std::array<std::string_view, 16> kGprNames = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
                                                        "rsi", "rdi", "r8",  "r9",  "r10", "r11",
                                                        "r12", "r13", "r14", "r15"};

std::string register_names(u32 set) {
  std::string text;
  for (unsigned r = 0; r < 16; ++r) {
    if ((set >> r & 1) == 0) continue;
    if (!text.empty()) text += ' ';
    text += kGprNames[r];
  }
  return text;
}

/// Where registers an instruction names are kept when it is not in the host's register of the name.
std::string register_homes(const PlannedInstruction& p) {
  u32 named = p.registers_written;
  if (p.insn->memory()) {
    if (p.insn->base < 16) named |= 1u << p.insn->base;
    if (p.insn->index < 16) named |= 1u << p.insn->index;
  }
  if (p.stack.present && p.how != Emission::kString) named |= 1u << kRsp;
  if (const OperandUses uses = operand_uses(*p.insn); uses.supported) {
    for (unsigned i = 0; i < uses.count; ++i) {
      if (uses.list[i].gpr >= 0) named |= 1u << uses.list[i].gpr;
    }
  }
  std::string text;
  const auto add = [&](std::string_view part) {
    text += text.empty() ? "" : ", ";
    text += part;
  };
  if (named >> kRsp & 1) add("rsp is host r13");
  for (unsigned r = kR13; r <= kR15; ++r) {
    if (named >> r & 1) add(fmt::format("{} is in the frame", kGprNames[r]));
  }
  return text;
}

void note_access(std::vector<PlanNote>& notes, const RegionPlan& plan, const PlannedAccess& a,
                 std::string_view what) {
  if (!a.present) return;
  const std::string_view direction = a.write ? "write" : "read";
  const std::string bytes = fmt::format("{} byte{}", a.bytes, a.bytes == 1 ? "" : "s");
  if (a.window != WindowPart::kNone) {
    const std::string_view part = a.window == WindowPart::kHigh  ? "the high"
                                  : a.window == WindowPart::kLow ? "the low"
                                                                 : "either";
    notes.push_back(
        {"window", fmt::format("{}: {} of {} through {} window, {}", what, direction, bytes, part,
                               a.leader       ? "which must serve the address"
                               : a.group >= 0 ? "address known to be served"
                                              : "at a fixed address")});
  } else if (a.group < 0) {
    notes.push_back(
        {"probe", fmt::format("{}: {} of {}, a probe of its own", what, direction, bytes)});
  } else {
    const AccessGroup& g = plan.groups[static_cast<std::size_t>(a.group)];
    if (a.leader) {
      notes.push_back(
          {"leader", fmt::format("{}: {} of {}, probes {} bytes for {} accesses (group {})", what,
                                 direction, bytes, g.high - g.low, g.members, a.group)});
    } else {
      notes.push_back({"member", fmt::format("{}: {} of {} at {:+}, no probe (group {})", what,
                                             direction, bytes, a.offset, a.group)});
    }
  }
  if (a.aligned) notes.push_back({"aligned", fmt::format("aligned to {} or #GP", a.bytes)});
}

u64 branch_target(const PlannedInstruction& p) {
  const u64 target = p.next_rip + p.insn->immediate;
  return p.insn->operand_size == 2   ? static_cast<u16>(target)
         : p.insn->operand_size == 4 ? static_cast<u32>(target)
                                     : target;
}

void note_branch(std::vector<PlanNote>& notes, const RegionPlan& plan,
                 const PlannedInstruction& p) {
  switch (p.how) {
    case Emission::kConditional:
    case Emission::kCountBranch:
    case Emission::kJump:
    case Emission::kCall:
      break;
    case Emission::kReturn:
      notes.push_back(p.target < 0 ? PlanNote{"exit", "leaves to where the stack says"}
                                   : PlanNote{"inside", fmt::format("back to block {}, if the "
                                                                    "stack says so",
                                                                    p.target)});
      return;
    default:
      return;
  }
  if (row(p.insn->row).operands[0].addressing != Addressing::kJ) {
    notes.push_back({"exit", "leaves to an address known as it runs"});
    return;
  }
  const u64 target = branch_target(p);
  if (p.target < 0) {
    const bool same = plan.on_entry_page(target).has_value();
    notes.push_back(
        {"exit", fmt::format("leaves for {:#x}, {} page", target, same ? "the same" : "another")});
  } else {
    notes.push_back(
        {p.back_edge ? "loop" : "inside",
         fmt::format("{} block {} ({:#x})", p.back_edge ? "back to" : "on to", p.target, target)});
  }
}

}  // namespace

std::string_view emission_name(Emission how) {
  static constexpr std::array<std::string_view, 23> kNames = {
      "nothing",      "copied",       "lea",       "push",           "pop",        "leave",
      "string",       "divide",       "direction", "interrupt flag", "push flags", "pop flags",
      "read segment", "load segment", "swap gs",   "vector",         "x87",        "conditional",
      "count-branch", "jump",         "call",      "return",         "interpreted"};
  static_assert(static_cast<std::size_t>(Emission::kInterpreted) + 1 == kNames.size());
  return kNames[static_cast<std::size_t>(how)];
}

std::string_view exit_name(ExitKind kind) {
  switch (kind) {
    case ExitKind::kRetired:
      return "start";
    case ExitKind::kKnownPage:
      return "known page";
    case ExitKind::kOtherPage:
      return "other page";
    case ExitKind::kNarrow:
      return "narrow";
    case ExitKind::kHot:
      return "hot";
    case ExitKind::kNoTarget:
    case ExitKind::kState:
      return "indirect";
    case ExitKind::kCount:
      break;
  }
  return "";
}

std::string_view retire_reason(RetireCause cause) {
  switch (cause) {
    case RetireCause::kBytesChanged:
      return "its guest code was written over";
    case RetireCause::kSuperseded:
      return "a superblock took its place";
    case RetireCause::kMadeRoom:
      return "the cache was full";
  }
  return "";
}

std::string flag_names(u32 flags) {
  struct Name {
    u32 flag;
    std::string_view name;
  };
  static constexpr std::array<Name, 6> kNames = {{{kFlagCf, "cf"},
                                                  {kFlagPf, "pf"},
                                                  {kFlagAf, "af"},
                                                  {kFlagZf, "zf"},
                                                  {kFlagSf, "sf"},
                                                  {kFlagOf, "of"}}};
  std::string text;
  for (const Name& n : kNames) {
    if ((flags & n.flag) == 0) continue;
    if (!text.empty()) text += ' ';
    text += n.name;
  }
  return text.empty() ? "-" : text;
}

std::vector<PlanNote> plan_notes(const RegionPlan& plan, const PlannedInstruction& p) {
  std::vector<PlanNote> notes;
  const Row& r = row(p.insn->row);
  const OperationInfo& info = operation_info(r.operation);
  notes.push_back({emission_name(p.how), std::string(emission_name(p.how))});
  note_access(notes, plan, p.operand, "memory");
  note_access(notes, plan, p.stack, "stack");
  if (p.insn->has(kInsnLock)) notes.push_back({"locked", "locked"});
  if (p.how == Emission::kInterpreted) {
    notes.push_back({"registers", "may change any register"});
  } else {
    if (const std::string written = register_names(p.registers_written); !written.empty())
      notes.push_back({"registers", "writes " + written});
    if (const std::string homes = register_homes(p); !homes.empty())
      notes.push_back({"registers", homes});
  }
  const u32 read = info.flags_read & kArithmeticFlags;
  const u32 written = (info.flags_written | info.flags_undefined) & kArithmeticFlags;
  if (read != 0) notes.push_back({"flags-read", "reads " + flag_names(read)});
  if (p.writes_flags) {
    const u32 live = written & p.live_after;
    const u32 dead = written & ~p.live_after;
    if (live != 0) {
      notes.push_back({"flags-live", "sets " + flag_names(live) + ", wanted later"});
    } else if (p.live_after & kExactFlags) {
      notes.push_back({"flags-live", "flags wanted only if something faults"});
    }
    if (dead != 0) notes.push_back({"flags-dead", "nobody reads " + flag_names(dead)});
  }
  if (p.may_leave) notes.push_back({"may-leave", "may leave"});
  note_branch(notes, plan, p);
  return notes;
}

std::string plan_line(const RegionPlan& plan, const PlannedInstruction& p) {
  std::string text;
  for (const PlanNote& note : plan_notes(plan, p)) {
    text += text.empty() ? "" : "; ";
    text += note.text;
  }
  return text;
}

std::string plan_summary(const RegionPlan& plan, const RegionRequest& request) {
  unsigned shared = 0;
  for (const AccessGroup& g : plan.groups) shared += g.slot >= 0 ? 1 : 0;
  return fmt::format("{}, {}-bit, {} blocks, {} instructions, {} shared probes, {} more pages{}{}",
                     request.narrow ? "narrow"
                     : request.hot  ? "superblock"
                                    : "block",
                     plan.code_bits, plan.blocks.size(), plan.instructions, shared,
                     plan.pages.size(), plan.vectors ? ", vector registers" : "",
                     plan.x87 ? ", x87 registers" : "");
}

std::string frame_member_name(const Cpu& cpu, i64 offset) {
  const auto* at = reinterpret_cast<const u8*>(&cpu.frame) + offset;
  const TranslatorFrame& f = cpu.frame;
  struct Member {
    const void* where;
    std::size_t bytes;
    std::string_view name;
  };
  const std::array members = {
      Member{&f.budget, sizeof f.budget, "budget"},
      Member{&f.flags, sizeof f.flags, "flags"},
      Member{&f.target, sizeof f.target, "target"},
      Member{&f.delta, sizeof f.delta, "delta"},
      Member{&f.shadow, sizeof f.shadow, "shadow_table"},
      Member{&f.fetch_context, sizeof f.fetch_context, "fetch_context"},
      Member{&f.block_invalidated, sizeof f.block_invalidated, "block_invalidated"},
      Member{&f.host_mxcsr, sizeof f.host_mxcsr, "host_mxcsr"},
      Member{&f.vectors_live, sizeof f.vectors_live, "vectors_live"},
      Member{&f.vectors_stub, sizeof f.vectors_stub, "vectors_stub"},
      Member{&f.x87_live, sizeof f.x87_live, "x87_live"},
      Member{&f.x87_stub, sizeof f.x87_stub, "x87_stub"},
      Member{&f.x87_ip, sizeof f.x87_ip, "x87_ip"},
      Member{&f.x87_dp, sizeof f.x87_dp, "x87_dp"},
      Member{&f.x87_opcode, sizeof f.x87_opcode, "x87_opcode"},
      Member{&f.x87_data, sizeof f.x87_data, "x87_data"},
      Member{&f.x87_image, sizeof f.x87_image, "x87_image"},
      Member{&f.guard_stub, sizeof f.guard_stub, "guard_stub"},
      Member{&f.jump_key, sizeof f.jump_key, "jump_key"},
      Member{&f.exit_stub, sizeof f.exit_stub, "exit_stub"},
      Member{&f.miss_stub, sizeof f.miss_stub, "miss_stub"},
      Member{&f.dispatch_stub, sizeof f.dispatch_stub, "dispatch_stub"},
      Member{&f.memory_stub, sizeof f.memory_stub, "memory_stub"},
      Member{&f.interpret_stub, sizeof f.interpret_stub, "interpret_stub"},
      Member{&cpu.jump_table, sizeof cpu.jump_table, "jump_table"},
      Member{&cpu.run_counters, sizeof cpu.run_counters, "run_counters"},
      Member{&cpu.state.flags, sizeof cpu.state.flags, "rflags"},
      Member{&cpu.state.fpu.mxcsr, sizeof cpu.state.fpu.mxcsr, "mxcsr"},
      Member{&cpu.state.regs[kRip], sizeof cpu.state.regs[kRip], "rip"},
  };
  const auto inside = [&](const void* where, std::size_t bytes) {
    const auto* first = static_cast<const u8*>(where);
    return at >= first && at < first + bytes;
  };
  for (const Member& m : members) {
    if (inside(m.where, m.bytes)) return std::string(m.name);
  }
  if (inside(&f.high, sizeof f.high)) {
    const auto index = (at - reinterpret_cast<const u8*>(&f.high)) / 8;
    return std::string(kGprNames[static_cast<std::size_t>(kR13 + index)]);
  }
  if (inside(&f.deltas, sizeof f.deltas))
    return fmt::format("deltas[{}]", (at - reinterpret_cast<const u8*>(&f.deltas)) / 8);
  static constexpr std::array<std::string_view, 6> kSegments = {"es", "cs", "ss", "ds", "fs", "gs"};
  for (unsigned s = 0; s < kSegments.size(); ++s) {
    if (offset == TranslatorAccess::active_base(cpu, s))
      return fmt::format("{}_base", kSegments[s]);
    const SegmentOffsets o = TranslatorAccess::segment(cpu, s);
    if (offset == o.base) return fmt::format("{}_base", kSegments[s]);
    if (offset == o.limit) return fmt::format("{}_limit", kSegments[s]);
    if (offset == o.read_fast) return fmt::format("{}_readable", kSegments[s]);
    if (offset == o.write_fast) return fmt::format("{}_writable", kSegments[s]);
  }
  return "";
}

std::string probe_stub_name(const Cpu& cpu, u64 address) {
  const auto& stubs = cpu.frame.probe_stubs;
  for (unsigned i = 0; i < ProbeStubs::kCount; ++i) {
    if (reinterpret_cast<u64>(stubs[i]) != address) continue;
    const bool write = i >= ProbeStubs::index(true, ProbeStubs::kDelta, 1);
    return fmt::format("probe of {} bytes for {}", 1u << i % ProbeStubs::kSpans,
                       write ? "writing" : "reading");
  }
  return "";
}

}  // namespace dragoman
