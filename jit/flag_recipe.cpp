#include "jit/flag_recipe.h"

#include "cpu/execute/flags.h"

namespace dragoman {
namespace {

template <class T>
LazyFlags flags_by_recipe(FlagRecipe::Kind kind, T left, T right) {
  LazyFlags flags;
  switch (kind) {
    case FlagRecipe::kTest:
      set_flags_logic<T>(flags, left & right);
      break;
    case FlagRecipe::kUndoAdd:
      set_flags_add<T>(flags, static_cast<T>(left - right), right, left);
      break;
    case FlagRecipe::kUndoSubtract:
      set_flags_sub<T>(flags, static_cast<T>(left + right), right, left);
      break;
    case FlagRecipe::kCompare:
    case FlagRecipe::kNone:
      set_flags_sub<T>(flags, left, right, static_cast<T>(left - right));
      break;
  }
  return flags;
}

}  // namespace

LazyFlags flags_by_recipe(const FlagRecipe& recipe, const CpuState& state) {
  const u64 left = state.regs[recipe.left];
  const u64 right = recipe.right >= 0 ? state.regs[static_cast<std::size_t>(recipe.right)]
                                      : static_cast<u64>(i64{recipe.constant});
  switch (recipe.bytes) {
    case 1:
      return flags_by_recipe(recipe.kind, static_cast<u8>(left), static_cast<u8>(right));
    case 2:
      return flags_by_recipe(recipe.kind, static_cast<u16>(left), static_cast<u16>(right));
    case 4:
      return flags_by_recipe(recipe.kind, static_cast<u32>(left), static_cast<u32>(right));
    default:
      return flags_by_recipe(recipe.kind, left, right);
  }
}

}  // namespace dragoman
