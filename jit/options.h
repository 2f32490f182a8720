// How the translator works: the size of its cache, and a switch for every optimisation, so that a
// wrong one can be found by turning them off one by one (-accel jit,NAME=off).
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/types.h"

namespace dragoman {

struct TranslatorOptions {
  u64 cache_bytes = 384 * kMiB;                ///< of host code, its records, and decoded blocks
  u32 runs_before_translation = 3;             ///< of a block by the interpreter
  u32 runs_before_superblock = 1000;           ///< of a counted block before it becomes a head
  u32 instructions_before_window = 3'000'000;  ///< of a program, see LinearWindow
  bool links = true;                           ///< jumps from block to block without a look-up
  bool flag_liveness = true;                   ///< flags nobody reads are not saved
  bool shared_probes = true;   ///< one look at the shadow page table for nearby accesses
  bool called_probes = true;   ///< the first tier looks pages up by calls of shared code
  bool windows = true;         ///< user code reaches memory without look-ups
  bool returns = true;         ///< RET and indirect jumps look up in place
  bool strings = true;         ///< repeated ones in page-sized pieces, others in host code
  bool vectors = true;         ///< MMX, SSE and AVX rows in host registers
  bool x87 = true;             ///< x87 and MMX rows in host registers
  bool superblocks = true;     ///< hot loops and paths as one translation
  bool sampling = true;        ///< runs are counted only around blocks found running often
  bool calls = true;           ///< superblocks go into functions and other pages
  bool address_spaces = true;  ///< shadow tables of other CR3 values are kept
  bool legacy = true;          ///< 16- and 32-bit code too
  bool counters = false;       ///< regions count their runs, for traces
  bool perfmap = false;        ///< /tmp/perf-PID.map names translated code for perf
};

/// One `name=value` of -accel jit. Sizes take K, M and G; switches on and off.
struct TranslatorOptionInfo {
  std::string_view name;
  std::string_view help;
};
std::span<const TranslatorOptionInfo> translator_option_infos();

/// Sets the option `name`; an Error says which value was wrong or which name was meant.
Result<void> set_translator_option(TranslatorOptions& options, std::string_view name,
                                   std::string_view value);

}  // namespace dragoman
