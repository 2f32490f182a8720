#include "tests/architecture/source_scan.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <set>

namespace dragoman::architecture {
namespace {

struct Arrow {
  std::string_view room;
  std::string_view may_include;  // separated by blanks; every room includes itself
};

// The plan of the house. CMakeLists.txt of the rooms link along the same arrows.
constexpr std::array kArrows = {
    Arrow{"base", ""},
    Arrow{"memory", "base"},
    Arrow{"cpu", "base memory"},
    Arrow{"jit", "base memory cpu"},
    Arrow{"devices", "base memory"},
    Arrow{"bios", "base memory"},
    Arrow{"machine", "base memory cpu jit devices bios"},
    Arrow{"frontends", "base memory cpu jit devices bios machine roms"},
    Arrow{"roms", "base"},
    Arrow{"tests", "base memory cpu jit devices bios machine frontends roms"},
};

struct LibraryHome {
  std::string_view prefix;  // of the path between the brackets
  std::string_view home;    // the folders whose files may include it, separated by blanks
};

// Outside libraries that only one place may know, so that they can be replaced there.
constexpr std::array kLibraryHomes = {
    LibraryHome{"asmjit", "jit/emit/"},     LibraryHome{"SDL", "frontends/"},
    LibraryHome{"imgui", "frontends/sdl/"}, LibraryHome{"backends/imgui", "frontends/sdl/"},
    LibraryHome{"CLI/", "frontends/"},      LibraryHome{"gtest/", "tests/"},
    LibraryHome{"gmock/", "tests/"},        LibraryHome{"capstone/", "tests/ frontends/trace/"},
    LibraryHome{"Zydis/", "tests/"},        LibraryHome{"Zycore/", "tests/"},
};

constexpr std::size_t kMaxLines = 620;
constexpr std::size_t kMaxReadmeLines = 60;

// Files that may be longer, each with its reason.
constexpr std::array<std::string_view, 0> kLongFiles = {};

bool starts_with(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

bool ends_with(std::string_view text, std::string_view suffix) {
  return text.size() >= suffix.size() && text.substr(text.size() - suffix.size()) == suffix;
}

/// `folders` is a list with blanks between.
bool lives_in(std::string_view path, std::string_view folders) {
  while (!folders.empty()) {
    const std::size_t end = std::min(folders.find(' '), folders.size());
    if (starts_with(path, folders.substr(0, end))) return true;
    folders.remove_prefix(std::min(end + 1, folders.size()));
  }
  return false;
}

bool is_cpp(std::string_view path) {
  return ends_with(path, ".cpp") || ends_with(path, ".cc") || ends_with(path, ".h") ||
         ends_with(path, ".inc");
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    text = end == std::string_view::npos ? "" : text.substr(end + 1);
  }
  return lines;
}

std::string_view skip_blanks(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  return first == std::string_view::npos ? "" : text.substr(first);
}

struct Include {
  std::string_view path;
  bool quoted;
};

std::optional<Include> include_of(std::string_view line) {
  line = skip_blanks(line);
  if (!starts_with(line, "#")) return std::nullopt;
  line = skip_blanks(line.substr(1));
  if (!starts_with(line, "include")) return std::nullopt;
  line = skip_blanks(line.substr(7));
  if (line.empty() || (line[0] != '"' && line[0] != '<')) return std::nullopt;
  const bool quoted = line[0] == '"';
  line = line.substr(1);
  const std::size_t end = line.find(quoted ? '"' : '>');
  if (end == std::string_view::npos) return std::nullopt;
  return Include{line.substr(0, end), quoted};
}

const Arrow* arrow_of(std::string_view room) {
  for (const Arrow& arrow : kArrows) {
    if (arrow.room == room) return &arrow;
  }
  return nullptr;
}

bool allows(const Arrow& arrow, std::string_view room) {
  return room == arrow.room ||
         fmt::format(" {} ", arrow.may_include).find(fmt::format(" {} ", room)) !=
             std::string::npos;
}

/// `text` with comments and the contents of string and character literals blanked, line for line.
/// Raw strings are not understood: what is in them counts as code.
std::string code_only(std::string_view text) {
  std::string code(text);
  enum { kCode, kLine, kBlock, kString, kCharacter } where = kCode;
  for (std::size_t i = 0; i < code.size(); ++i) {
    const char c = code[i];
    const char next = i + 1 < code.size() ? code[i + 1] : '\0';
    const bool separator = i > 0 && std::isxdigit(static_cast<unsigned char>(code[i - 1])) != 0;
    if (c == '\n') {
      if (where != kBlock) where = kCode;
      continue;
    }
    switch (where) {
      case kCode:
        if (c == '/' && next == '/') where = kLine;
        if (c == '/' && next == '*') where = kBlock;
        if (c == '"') where = kString;
        if (c == '\'' && !separator) where = kCharacter;  // not the ' of 1'000
        continue;
      case kBlock:
        if (c == '*' && next == '/') {
          code[i + 1] = ' ';
          where = kCode;
        }
        break;
      case kString:
      case kCharacter:
        if (c == (where == kString ? '"' : '\'')) {
          where = kCode;
          continue;
        }
        if (c == '\\' && next != '\n' && next != '\0') code[++i] = ' ';
        break;
      case kLine:
        break;
    }
    code[i] = ' ';
  }
  return code;
}

bool has_word(std::string_view line, std::string_view word) {
  const auto part_of_name = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
  };
  for (std::size_t at = line.find(word); at != std::string_view::npos;
       at = line.find(word, at + 1)) {
    const std::size_t end = at + word.size();
    const bool whole = (at == 0 || !part_of_name(line[at - 1])) &&
                       (end == line.size() || !part_of_name(line[end]));
    if (whole) return true;
  }
  return false;
}

}  // namespace

std::string_view room_of(std::string_view path) {
  const std::size_t slash = path.find('/');
  return slash == std::string_view::npos ? "" : path.substr(0, slash);
}

Violations check_includes(const SourceFile& file) {
  Violations violations;
  if (!is_cpp(file.path)) return violations;
  const std::string_view room = room_of(file.path);
  const Arrow* arrow = arrow_of(room);
  if (arrow == nullptr) {
    violations.push_back(fmt::format(
        "{}: C++ code lives in one of the rooms; a new room needs its arrows in kArrows",
        file.path));
    return violations;
  }
  const auto lines = lines_of(file.text);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const auto include = include_of(lines[i]);
    if (!include) continue;
    const auto report = [&](const std::string& what) {
      violations.push_back(fmt::format("{}:{}: {}", file.path, i + 1, what));
    };
    const std::string_view target = room_of(include->path);
    if (arrow_of(target) != nullptr) {
      if (!allows(*arrow, target)) {
        report(fmt::format("{}/ must not include {}/ (\"{}\")", room, target, include->path));
      }
    } else if (include->quoted) {
      report(fmt::format("\"{}\": write the path from the repository root, or <> for a library",
                         include->path));
    }
    if (include->path.find("..") != std::string_view::npos) {
      report(fmt::format("\"{}\": write the path from the repository root", include->path));
    }
    for (const LibraryHome& library : kLibraryHomes) {
      if (starts_with(include->path, library.prefix) && !lives_in(file.path, library.home)) {
        report(fmt::format("<{}> may be included in {} only", include->path, library.home));
      }
    }
  }
  return violations;
}

Violations check_length(const SourceFile& file) {
  if (!is_cpp(file.path) || ends_with(file.path, ".inc")) return {};
  if (std::find(kLongFiles.begin(), kLongFiles.end(), file.path) != kLongFiles.end()) return {};
  const std::size_t lines = lines_of(file.text).size();
  if (lines < kMaxLines) return {};
  return {fmt::format("{}: {} lines; split it by subject to stay below {}", file.path, lines,
                      kMaxLines)};
}

Violations check_words(const SourceFile& file) {
  Violations violations;
  const auto lines = lines_of(file.text);
  // In two pieces, so that this file passes its own check.
  static constexpr std::array<std::string_view, 2> kPaths = {
      "/wor"
      "k/",
      "/ho"
      "me/"};
  static constexpr std::array<std::string_view, 3> kNotes = {
      "TO"
      "DO",
      "FIX"
      "ME",
      "X"
      "XX"};
  for (std::size_t i = 0; i < lines.size(); ++i) {
    for (const std::string_view path : kPaths) {
      if (lines[i].find(path) != std::string_view::npos) {
        violations.push_back(
            fmt::format("{}:{}: '{}' is a path of one machine", file.path, i + 1, path));
      }
    }
    for (const std::string_view note : kNotes) {
      if (has_word(lines[i], note)) {
        violations.push_back(
            fmt::format("{}:{}: '{}' left behind; do it or drop it", file.path, i + 1, note));
      }
    }
  }
  if (!is_cpp(file.path) || room_of(file.path) == "tests") return violations;
  const std::string code = code_only(file.text);
  const auto code_lines = lines_of(code);
  for (std::size_t i = 0; i < code_lines.size(); ++i) {
    for (const std::string_view word : {"throw", "longjmp", "siglongjmp"}) {
      if (has_word(code_lines[i], word)) {
        violations.push_back(fmt::format(
            "{}:{}: '{}': faults of the guest are values, errors of the host are Results",
            file.path, i + 1, word));
      }
    }
  }
  return violations;
}

Violations check_readmes(const std::vector<SourceFile>& files) {
  Violations violations;
  std::map<std::string, std::string, std::less<>> readmes;  // folder -> text
  std::set<std::string> folders;
  for (const SourceFile& file : files) {
    const std::filesystem::path path(file.path);
    if (path.filename() == "README.md") readmes[path.parent_path().string()] = file.text;
    if (arrow_of(room_of(file.path)) == nullptr) continue;
    for (auto folder = path.parent_path(); !folder.empty(); folder = folder.parent_path()) {
      folders.insert(folder.string());
    }
  }
  for (const std::string& folder : folders) {
    if (readmes.contains(folder)) continue;
    const bool is_room = folder.find('/') == std::string::npos;
    bool described = false;
    for (std::size_t slash = folder.rfind('/'); slash != std::string::npos && !described;
         slash = slash == 0 ? std::string::npos : folder.rfind('/', slash - 1)) {
      const auto above = readmes.find(folder.substr(0, slash));
      described =
          above != readmes.end() &&
          above->second.find(fmt::format("`{}/", folder.substr(slash + 1))) != std::string::npos;
    }
    if (described) continue;
    violations.push_back(is_room ? fmt::format("{}/ has no README.md", folder)
                                 : fmt::format("{}/ has no README.md and no README.md above "
                                               "describes it by its path in backquotes",
                                               folder));
  }
  for (const auto& [folder, text] : readmes) {
    const std::size_t lines = lines_of(text).size();
    if (folder.empty() || lines < kMaxReadmeLines) continue;
    violations.push_back(fmt::format("{}/README.md: {} lines; a stranger reads a page, below {}",
                                     folder, lines, kMaxReadmeLines));
  }
  return violations;
}

std::vector<SourceFile> read_tree(const std::string& root) {
  namespace fs = std::filesystem;
  static constexpr std::array<std::string_view, 15> kText = {
      ".cpp", ".cc", ".h", ".inc", ".md", ".txt", ".cmake", ".json",
      ".asm", ".s",  ".S", ".sh",  ".ld", ".yml", ""};
  constexpr std::uintmax_t kLargestText = 1 << 20;
  std::vector<SourceFile> files;
  std::error_code failure;
  fs::recursive_directory_iterator it(root, failure);
  for (; !failure && it != fs::recursive_directory_iterator(); it.increment(failure)) {
    const std::string path = fs::relative(it->path(), root).string();
    const std::string name = it->path().filename().string();
    if (it->is_directory()) {
      const bool build = it.depth() == 0 && starts_with(name, "build");
      if (build || name == ".git" || name == ".cache") it.disable_recursion_pending();
      continue;
    }
    const std::string extension = it->path().extension().string();
    const bool text = std::find(kText.begin(), kText.end(), extension) != kText.end();
    if (!text || !it->is_regular_file() || it->file_size() > kLargestText) continue;
    std::ifstream stream(it->path(), std::ios::binary);
    SourceFile file{path, {std::istreambuf_iterator<char>(stream), {}}};
    if (file.text.find('\0') != std::string::npos) continue;  // a binary without extension
    files.push_back(std::move(file));
  }
  std::sort(files.begin(), files.end(),
            [](const SourceFile& a, const SourceFile& b) { return a.path < b.path; });
  return files;
}

}  // namespace dragoman::architecture
