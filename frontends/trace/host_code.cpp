#include "frontends/trace/host_code.h"

#include <capstone/capstone.h>
#include <fmt/format.h>

#include <cstring>

#include "frontends/trace/symbols.h"
#include "frontends/trace/trace_recorder.h"
#include "jit/plan_text.h"
#include "jit/translator.h"

namespace dragoman {
namespace {

std::string_view topic_of_member(std::string_view name) {
  if (name == "flags") return "flags-saved";
  if (name == "budget") return "budget";
  if (name == "shadow_table") return "probe";
  if (name == "memory_stub" || name == "window_stub") return "slow-path";
  if (name == "interpret_stub") return "handler";
  if (name == "exit_stub") return "exit";
  if (name == "miss_stub" || name == "dispatch_stub" || name.starts_with("jump_"))
    return "indirect";
  if (name == "fetch_context") return "fetch-context";
  if (name.starts_with("deltas")) return "member";
  if (name == "mxcsr" || name.starts_with("vectors")) return "vector-state";
  if (name == "guard_stub") return "fetch-context";
  if (name.ends_with("_base") || name.ends_with("_limit") || name.ends_with("able"))
    return "segment";
  if (name == "rip") return "exit";
  return "registers";
}

bool is_scratch(x86_reg reg) {
  switch (reg) {
    case X86_REG_R14:
    case X86_REG_R14D:
    case X86_REG_R14W:
    case X86_REG_R14B:
    case X86_REG_R15:
    case X86_REG_R15D:
    case X86_REG_R15W:
    case X86_REG_R15B:
      return true;
    default:
      return false;
  }
}

/// Of an instruction that reaches nothing with a name: part of a probe, the guest's access itself,
/// or other work in the scratch registers.
std::string_view scratch_topic(const cs_insn& insn) {
  const cs_x86& x86 = insn.detail->x86;
  const auto touches = [](const cs_x86_op& op) {
    return op.type == X86_OP_REG   ? is_scratch(op.reg)
           : op.type == X86_OP_MEM ? is_scratch(op.mem.base) || is_scratch(op.mem.index)
                                   : false;
  };
  const cs_x86_op* memory = nullptr;
  bool any = false;
  for (unsigned i = 0; i < x86.op_count; ++i) {
    any |= touches(x86.operands[i]);
    if (x86.operands[i].type == X86_OP_MEM && touches(x86.operands[i])) memory = &x86.operands[i];
  }
  if (!any) return "";
  if (x86.operands[0].type == X86_OP_REG && is_scratch(x86.operands[0].reg)) {
    const u8 opcode = x86.opcode[0];
    constexpr u8 kGroup1 = 0x81, kGroup1Short = 0x83, kSubtract = 0x2b, kAdd = 0x03;
    if (insn.id == X86_INS_RORX || opcode == kGroup1 || opcode == kGroup1Short) return "probe";
    if (memory != nullptr && memory->mem.base == X86_REG_R15 && memory->mem.disp <= 24)
      return "probe";
    return opcode == kSubtract || opcode == kAdd ? "probe" : "scratch";
  }
  return memory != nullptr ? "access" : "scratch";
}

}  // namespace

struct HostCode::Library {
  csh handle = 0;
  cs_insn* insn = nullptr;
  ~Library() {
    if (insn != nullptr) cs_free(insn, 1);
    if (handle != 0) cs_close(&handle);
  }
};

HostCode::HostCode(const Cpu& cpu, const Symbols& symbols)
    : cpu_(cpu), symbols_(symbols), library_(std::make_unique<Library>()) {
  if (cs_open(CS_ARCH_X86, CS_MODE_64, &library_->handle) != CS_ERR_OK) return;
  cs_option(library_->handle, CS_OPT_DETAIL, CS_OPT_ON);
  library_->insn = cs_malloc(library_->handle);
}

HostCode::~HostCode() = default;

std::string HostCode::note_target(const RecordedRegion& region, u32 target) const {
  const CodeRange* range = nullptr;
  for (const CodeRange& r : region.ranges) {
    if (r.begin > target) break;
    range = &r;
  }
  if (range == nullptr) return "";
  switch (range->part) {
    case CodePart::kEntry:
      return range->block < 0 ? "entry" : fmt::format("block {}", range->block);
    case CodePart::kInstruction:
      return range->instruction == 0 && range->begin == target
                 ? fmt::format("block {}", range->block)
                 : fmt::format("instruction {}.{}", range->block, range->instruction);
    case CodePart::kRare:
      return "rare part";
    case CodePart::kEnd:
      return fmt::format("end of block {}", range->block);
    case CodePart::kLeave:
      return "leave at the start";
  }
  return "";
}

/// A 64-bit constant that is the address of an exit record, or of what C++ has to know.
std::string HostCode::note_constant(const RecordedRegion& region, u64 address) const {
  for (const ExitNote& exit : region.exits) {
    if (exit.record != address) continue;
    const std::string name = symbols_.name_of(exit.rip);
    return fmt::format("exit record: {}, {:#x}{}{}", exit_name(exit.kind), exit.rip,
                       name.empty() ? "" : " ", name);
  }
  return "";
}

std::vector<HostLine> HostCode::lines(const RecordedRegion& region, std::size_t range) const {
  std::vector<HostLine> lines;
  if (library_->insn == nullptr) return lines;
  const u32 begin = region.ranges[range].begin;
  const std::size_t end =
      range + 1 < region.ranges.size() ? region.ranges[range + 1].begin : region.code.size();
  const u8* code = region.code.data() + begin;
  std::size_t left = end - begin;
  u64 address = region.place.address_of(begin);
  cs_insn* insn = library_->insn;
  while (left != 0 && cs_disasm_iter(library_->handle, &code, &left, &address, insn)) {
    HostLine line;
    line.offset = region.place.offset_of(insn->address);
    line.bytes = insn->size;
    line.text = insn->op_str[0] == '\0' ? insn->mnemonic
                                        : fmt::format("{} {}", insn->mnemonic, insn->op_str);
    const cs_x86& x86 = insn->detail->x86;
    bool scratch = false;
    for (unsigned i = 0; i < x86.op_count; ++i) {
      const cs_x86_op& op = x86.operands[i];
      if (op.type == X86_OP_REG) scratch |= is_scratch(op.reg);
      if (op.type == X86_OP_MEM) {
        scratch |= is_scratch(op.mem.base) || is_scratch(op.mem.index);
        if (op.mem.base == X86_REG_RSP && op.mem.index == X86_REG_INVALID) {
          line.note = frame_member_name(cpu_, op.mem.disp);
          if (!line.note.empty()) line.topic = topic_of_member(line.note);
        } else if (op.mem.base == X86_REG_RSP) {
          line.note = frame_member_name(cpu_, op.mem.disp);
          if (line.note.starts_with("jump_table")) line.topic = "indirect";
        }
      }
      const bool branch = cs_insn_group(library_->handle, insn, CS_GRP_JUMP) ||
                          cs_insn_group(library_->handle, insn, CS_GRP_CALL);
      if (op.type == X86_OP_IMM && branch) {
        const u64 target = static_cast<u64>(op.imm);
        if (std::string stub = probe_stub_name(cpu_, target); !stub.empty()) {
          line.note = std::move(stub);
          line.topic = "probe";
          continue;
        }
        line.note = note_target(region, region.place.offset_of(target));
        // A jump forward into rare code leads to an exit: it waits for its link.
        const bool forward = region.place.offset_of(target) > line.offset;
        line.topic = forward && insn->id == X86_INS_JMP && line.note == "rare part" ? "link"
                     : line.note == "leave at the start"                            ? "budget"
                                                                                    : "branch";
        if (line.topic == "link") line.note = "to be patched when the target has code";
      } else if (op.type == X86_OP_IMM && insn->id == X86_INS_MOVABS && scratch &&
                 !(line.note = note_constant(region, static_cast<u64>(op.imm))).empty()) {
        line.topic = "exit";
      } else if (op.type == X86_OP_IMM && region.counters != nullptr && scratch) {
        const auto is = [&](const u64& counter) {
          return static_cast<u64>(op.imm) == reinterpret_cast<u64>(&counter);
        };
        bool counter = is(region.counters->entries);
        for (const u64& block : region.counters->blocks) counter |= is(block);
        const bool sample =
            static_cast<u64>(op.imm) == reinterpret_cast<u64>(region.counters->sample_stub);
        for (const auto& exit : region.counters->exits) {
          counter |= is(exit.count) || static_cast<u64>(op.imm) == reinterpret_cast<u64>(&exit);
        }
        if (sample) {
          line.note = "notes where the branch goes";
          line.topic = "counter";
        } else if (counter) {
          line.note = "a counter of this trace";
          line.topic = "counter";
        }
      }
    }
    switch (insn->id) {
      case X86_INS_LAHF:
      case X86_INS_SETO:
        line.topic = "flags-saved";
        break;
      case X86_INS_SAHF:
        line.topic = "flags-loaded";
        break;
      default:
        if (line.topic.empty()) line.topic = scratch_topic(*insn);
        break;
    }
    lines.push_back(std::move(line));
  }
  if (left != 0) {
    lines.push_back(
        {region.place.offset_of(address), static_cast<unsigned>(left), "(not understood)", "", ""});
  }
  return lines;
}

}  // namespace dragoman
