// Where the guest's arithmetic flags are while generated code runs: in the host's register, in
// memory, or nowhere while an instruction's operands can still bring them back.
#include "cpu/execute/forms.h"
#include "cpu/isa/rows.h"
#include "jit/emit/region_emitter.h"

namespace dragoman {

using asmjit::Imm;
namespace x86 = asmjit::x86;

void RegionEmitter::save_flags() {
  a_.mov(kScratch, x86::rax);
  a_.lahf();
  a_.seto(x86::al);
  // One store: a load behind it is served from the store buffer.
  a_.mov(frame_mem(&cpu_.frame.flags, 2), x86::ax);
  a_.mov(x86::rax, kScratch);
}

void RegionEmitter::load_flags() { emit_load_flags(a_, cpu_); }

/// Runs the recipe again. Operands come out as they went in.
void RegionEmitter::follow_recipe(const Recipe& recipe) {
  const Gp left = guest(recipe.left, recipe.bytes);
  const auto emit = [&](asmjit::InstId id) {
    if (recipe.right >= 0) {
      a_.emit(id, left, guest(static_cast<unsigned>(recipe.right), recipe.bytes));
    } else {
      a_.emit(id, left, Imm(recipe.constant));
    }
  };
  namespace I = asmjit::x86::Inst;
  switch (recipe.kind) {
    case Recipe::kCompare:
      emit(I::kIdCmp);
      break;
    case Recipe::kTest:
      emit(I::kIdTest);
      break;
    case Recipe::kUndoAdd:
      emit(I::kIdSub);
      emit(I::kIdAdd);
      break;
    case Recipe::kUndoSubtract:
      emit(I::kIdAdd);
      emit(I::kIdSub);
      break;
    case Recipe::kNone:
      break;
  }
}

void RegionEmitter::want_flags_in_host() {
  if (flags_.in == FlagsIn::kMemory) {
    load_flags();
    flags_.in = FlagsIn::kBoth;
    flags_.recipe = {};
  } else if (flags_.in == FlagsIn::kRecipe) {
    follow_recipe(flags_.recipe);
    flags_.in = FlagsIn::kHost;
  }
}

void RegionEmitter::want_flags_in_memory() {
  if (flags_.in == FlagsIn::kRecipe) {
    follow_recipe(flags_.recipe);
    flags_.in = FlagsIn::kHost;
  }
  if (flags_.in == FlagsIn::kHost) {
    save_flags();
    flags_.in = FlagsIn::kBoth;
  }
}

/// Host code follows that changes the host's flags.
void RegionEmitter::flags_about_to_be_lost() {
  if (flags_.in == FlagsIn::kHost) {
    if (flags_.recipe.kind != Recipe::kNone) {
      flags_.in = FlagsIn::kRecipe;
      return;
    }
    save_flags();
    flags_.in = FlagsIn::kMemory;
  } else if (flags_.in == FlagsIn::kBoth) {
    flags_.in = FlagsIn::kMemory;
  }
}

/// The instruction is about to overwrite registers: flags that only they can bring back must come
/// back now, unless nobody wants them any more.
void RegionEmitter::keep_recipe_alive(const PlannedInstruction& p) {
  if (flags_.recipe.kind == Recipe::kNone) return;
  if (!(p.registers_written & flags_.recipe.registers())) return;
  const bool replaced = p.writes_flags && !p.needs_flags;
  if (flags_.in == FlagsIn::kRecipe && !replaced) {
    if (p.live_after != 0 || p.needs_flags) {
      follow_recipe(flags_.recipe);
      flags_.in = FlagsIn::kHost;
    } else {
      flags_.in = FlagsIn::kMemory;  // nobody looks at them again
    }
  }
  flags_.recipe = {};
}

/// The instruction just emitted left the guest's flags in the host's register.
void RegionEmitter::note_flags_written(const PlannedInstruction& p) {
  flags_.in = FlagsIn::kHost;
  flags_.recipe = {};
  if (p.how != Emission::kCopied) return;
  const Instruction& insn = *p.insn;
  const OperandUses& uses = p.uses;
  if (uses.memory || uses.any_high || uses.count < 2 || uses.list[0].gpr < 0) return;
  Recipe recipe;
  recipe.left = static_cast<u8>(uses.list[0].gpr);
  recipe.bytes = uses.list[0].bytes;
  if (!pinned(recipe.left)) return;
  if (uses.list[1].gpr >= 0) {
    recipe.right = uses.list[1].gpr;
    if (!pinned(static_cast<unsigned>(recipe.right))) return;
  } else if (uses.list[1].immediate) {
    recipe.constant = static_cast<i32>(sign_extend(insn.immediate, 8 * recipe.bytes));
  } else {
    return;
  }
  const bool wide = recipe.bytes >= 4;
  switch (row(insn.row).operation) {
    case Operation::kCmp:
      recipe.kind = Recipe::kCompare;
      break;
    case Operation::kTest:
      recipe.kind = Recipe::kTest;
      break;
    case Operation::kAnd:
    case Operation::kOr:
    case Operation::kXor:
      recipe.kind = Recipe::kTest;
      recipe.right = static_cast<i8>(recipe.left);
      break;
    case Operation::kAdd:
      if (!wide || recipe.right == static_cast<i8>(recipe.left)) return;
      recipe.kind = Recipe::kUndoAdd;
      break;
    case Operation::kSub:
      if (!wide || recipe.right == static_cast<i8>(recipe.left)) return;
      recipe.kind = Recipe::kUndoSubtract;
      break;
    default:
      return;
  }
  flags_.recipe = recipe;
}

namespace {
/// From its start on the block reads no flags and leaves these registers alone until it has set all
/// flags anew; before that only C++ looks at them.
bool replaces_flags_first(const PlannedBlock& block, u32 registers) {
  for (const PlannedInstruction& p : block.instructions) {
    switch (p.how) {
      case Emission::kNothing:
      case Emission::kCopied:
      case Emission::kLea:
      case Emission::kPush:
      case Emission::kPop:
      case Emission::kVector:
        break;
      default:
        return false;
    }
    if (p.needs_flags || p.passes_flags) return false;
    for (const PlannedAccess* a : {&p.operand, &p.stack}) {
      // Leaders of groups may leave for code that knows nothing of this.
      if (a->present && a->leader && a->window == WindowPart::kNone) return false;
    }
    if (p.writes_flags) return true;
    if (p.registers_written & registers) return false;
  }
  return false;
}
}  // namespace

/// Round a loop: instead of the flags, which recipe makes them again goes to memory. True when that
/// will do until they are set anew.
bool RegionEmitter::note_recipe(const PlannedBlock& to) {
  if (to.live_in != kExactFlags || flags_.recipe.kind == Recipe::kNone ||
      (flags_.in != FlagsIn::kHost && flags_.in != FlagsIn::kRecipe) ||
      !replaces_flags_first(to, flags_.recipe.registers()))
    return false;
  const std::optional<u32> number = cache_.recipe_number(flags_.recipe);
  if (!number) return false;
  a_.mov(frame_mem(&cpu_.frame.flags, 4), Imm(noted_recipe(*number)));
  flags_.in = FlagsIn::kRecipe;
  return true;
}

}  // namespace dragoman
