// Names of guest addresses, from lists of symbols and ELF files.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "frontends/trace/trace_options.h"

namespace dragoman {

class Symbols {
 public:
  /// Reads a System.map or /proc/kallsyms ("address type name" a line) or the symbol tables of an
  /// ELF file, and adds what it holds.
  Result<void> add(const SymbolFile& file);
  /// The same from bytes; `name` is for errors.
  Result<void> add(std::span<const u8> bytes, const std::string& name, i64 slide, bool find_slide);

  /// Moves a Linux kernel whose place was randomized to where it runs: `entry` is IA32_LSTAR, which
  /// holds the address of entry_SYSCALL_64. Files whose slide was given stay.
  void set_system_call_entry(u64 entry);

  /// "name" or "name+0x12"; "" when nothing is known within 1 MiB below.
  std::string name_of(u64 address) const;
  /// Address of a symbol, as it is now.
  std::optional<u64> address_of(std::string_view name) const;
  std::size_t size() const { return symbols_.size(); }

 private:
  struct Symbol {
    u64 address = 0;
    u32 group = 0;       ///< file it came from
    bool thing = false;  ///< data, not code
    std::string name;
  };
  void add_symbol(u64 address, bool thing, std::string_view name, i64 slide);
  Result<void> add_elf(std::span<const u8> bytes, const std::string& name, i64 slide);
  void add_list(std::string_view text, i64 slide);
  void sort();

  std::vector<Symbol> symbols_;  // by address
  std::vector<bool> movable_;    // by group
};

}  // namespace dragoman
