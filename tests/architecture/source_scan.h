// Reads the source tree the way a reviewer does: which room includes what, how long files are,
// which words do not belong into a repository. Works on text, so that the rules themselves can be
// tested on invented files.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace dragoman::architecture {

/// One line "file:line: what is wrong and what to do".
using Violations = std::vector<std::string>;

/// A file with its path from the repository root.
struct SourceFile {
  std::string path;
  std::string text;
};

/// The folder at the root of a path: "cpu" of "cpu/decode/decoder.h".
std::string_view room_of(std::string_view path);

/// #include lines against the arrows between the rooms and the homes of outside libraries.
Violations check_includes(const SourceFile& file);

/// Length of C++ files; tables (*.inc) and the stated exceptions may be longer.
Violations check_length(const SourceFile& file);

/// Left-overs (notes to self, paths of somebody's machine) and, in C++ code outside tests,
/// exceptions and long jumps.
Violations check_words(const SourceFile& file);

/// Every room has a README.md under the allowed length, and every folder below a room has one or
/// is described in one above it, by its path from there in backquotes. `files` are all files of
/// the repository.
Violations check_readmes(const std::vector<SourceFile>& files);

/// All first-party text files below `root`.
std::vector<SourceFile> read_tree(const std::string& root);

}  // namespace dragoman::architecture
