// Directory entries of a FAT file system: short names, long names, dates.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/types.h"

namespace dragoman {

/// One entry as the file system stores it.
struct FatEntry {
  std::string name;  ///< UTF-8
  bool directory = false;
  u32 cluster = 0;
  u32 bytes = 0;          ///< 0 for directories
  i64 modified_unix = 0;  ///< seconds since 1970, shown as UTC
};

/// Gives out names of 8 + 3 characters, each once in a directory.
class FatShortNames {
 public:
  /// 11 characters padded with blanks: the name itself if it is one, else with "~1" and so on.
  std::string take(const std::string& name);

 private:
  std::set<std::string> used_;
};

/// Appends the 32-byte entries of one file: those of its long name, if it needs one, and its own.
void append_fat_entry(std::vector<u8>& directory, const FatEntry& entry, FatShortNames& names);

/// Appends an entry whose 11-character name is given as stored: "." and "..", the volume label.
void append_plain_fat_entry(std::vector<u8>& directory, const std::string& stored_name,
                            u8 attributes, const FatEntry& entry);

}  // namespace dragoman
