// Flags that are nowhere, but can be had again from registers.
#pragma once

#include "cpu/execute/flags.h"
#include "cpu/state.h"

namespace dragoman {

/// An instruction that sets all arithmetic flags as the last one of the guest did that wrote them,
/// from registers as that one left them.
struct FlagRecipe {
  enum Kind : u8 { kNone, kCompare, kTest, kUndoAdd, kUndoSubtract } kind = kNone;
  u8 bytes = 8;
  u8 left = 0;       ///< general register
  i8 right = -1;     ///< general register, or -1 for `constant`
  i32 constant = 0;  ///< sign-extended
  bool operator==(const FlagRecipe&) const = default;
  u32 registers() const { return 1u << left | (right >= 0 ? 1u << right : 0u); }
};

/// Guest flags as TranslatorFrame holds them, from RFLAGS.
constexpr u64 packed_flags(u64 flags) {
  return ((flags & 0xd5) | kFlagFixed) << 8 | ((flags & kFlagOf) ? 1 : 0);
}
inline u64 packed_flags(const LazyFlags& lazy) { return packed_flags(arithmetic_flags(lazy)); }

/// Instead of flags TranslatorFrame may hold the number of a recipe that makes them, as long as the
/// registers are those it needs. LAHF sets bit 1 of AH.
constexpr u32 noted_recipe(u32 number) { return number << 16; }
constexpr bool is_noted_recipe(u64 packed) { return (packed & 0x200) == 0; }
constexpr u32 noted_recipe_number(u64 packed) { return static_cast<u32>(packed) >> 16; }

/// Those flags.
LazyFlags flags_by_recipe(const FlagRecipe& recipe, const CpuState& state);

}  // namespace dragoman
