// Runs the programs of v86's tests/nasm (32-bit ELF files *.img that end with HLT) on both engines,
// compares the engines, and both with the recorded state of a processor where NAME.fixture lies
// beside NAME.img.
//
//     v86_nasm [--verbose] FOLDER|FILE.img...
//
// That project makes the fixtures with gdb, which needs a kernel that runs 32-bit programs. Exit
// status: 0 no difference, 1 differences, 2 cannot be run.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tests/suites/user_process.h"

namespace dragoman {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr u64 kData = 0x100000, kDataBytes = 0x2000;  // .bss with the stack
constexpr u64 kInstructions = 1'000'000;
constexpr u32 kFlags = kArithmeticFlags;
/// Tags that the fixtures record after MMX instructions: there are no x87 numbers to compare.
constexpr u32 kTagsOfMmx = 0xaaaa;

std::vector<u8> read_bytes(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// How a program ended, in the order of a fixture.
struct Outcome {
  std::array<u32, 8> regs{};
  u32 rip = 0, flags = 0;
  int vector = -1;  ///< -1: HLT
  std::array<long double, 8> st{};
  std::array<u32, 16> mmx{};
  std::array<u32, 32> xmm{};
  std::vector<u32> memory = std::vector<u32>(kDataBytes / 4);
  u16 tag = 0, status = 0;
};

class Runner {
 public:
  explicit Runner(BenchEngine engine) : process_(engine) {}

  /// Empty when the file is no such program, or does not end.
  std::optional<Outcome> run(std::span<const u8> elf) {
    const auto field = [&](u64 at, unsigned size) {
      u64 value = 0;
      if (at + size <= elf.size()) std::memcpy(&value, elf.data() + at, size);
      return value;
    };
    if (field(0, 4) != 0x464c457f || field(4, 1) != 1) return {};
    process_.start(true);
    const u64 headers = field(28, 4), size = field(42, 2), count = field(44, 2);
    for (u64 i = 0; i < count; ++i) {
      const u64 at = headers + i * size, offset = field(at + 4, 4), bytes = field(at + 16, 4);
      if (field(at, 4) != 1) continue;  // PT_LOAD
      if (offset + bytes > elf.size() || field(at + 20, 4) > kMiB) return {};
      process_.map(field(at + 8, 4), std::max<u64>(field(at + 20, 4), 1));
      process_.store(field(at + 8, 4), elf.subspan(offset, bytes));
    }
    CpuState& s = process_.state();
    s.rip() = field(24, 4);
    process_.changed();
    if (!process_.run(kInstructions)) return {};
    return outcome();
  }

 private:
  Outcome outcome() {
    const CpuState& s = process_.state();
    Outcome out;
    for (unsigned i = 0; i < 8; ++i) out.regs[i] = static_cast<u32>(s.regs[i]);
    out.regs[kRsp] = static_cast<u32>(process_.rsp());
    out.rip = static_cast<u32>(process_.rip());
    out.flags = process_.flags() & kFlags;
    out.vector = process_.halted() ? -1 : process_.vector();
    out.status = s.fpu.status;
    const unsigned top = (s.fpu.status >> 11) & 7;
    for (unsigned i = 0; i < 8; ++i) {
      std::memcpy(&out.st[i], s.fpu.st[(top + i) & 7].data(), 10);
      std::memcpy(&out.mmx[2 * i], s.fpu.st[i].data(), 8);
      std::memcpy(&out.xmm[4 * i], s.fpu.ymm[i].data(), 16);
    }
    process_.load(kData, {reinterpret_cast<u8*>(out.memory.data()), kDataBytes});
    return out;
  }

  UserProcess process_;
};

std::string engines_differ(const Outcome& a, const Outcome& b) {
  if (a.vector != b.vector) return fmt::format("vector {} and {}", a.vector, b.vector);
  if (a.rip != b.rip) return fmt::format("EIP {:#x} and {:#x}", a.rip, b.rip);
  if (a.regs != b.regs) return "general registers";
  if (a.flags != b.flags) return fmt::format("flags {:#x} and {:#x}", a.flags, b.flags);
  if (a.mmx != b.mmx || a.status != b.status) return "x87 and MMX state";
  if (a.xmm != b.xmm) return "XMM registers";
  return a.memory == b.memory ? "" : "memory";
}

/// What differs from the recorded state; nothing where it was recorded at a signal but for the
/// place.
std::string differs(const Outcome& got, const std::string& text) {
  static constexpr std::array<std::pair<const char*, int>, 4> kSignals = {
      {{"SIGFPE", 0}, {"SIGILL", 6}, {"SIGSEGV", 13}, {"SIGBUS", 14}}};
  int vector = -1;
  for (const auto& [name, number] : kSignals) {
    if (text.find(fmt::format("(signal {})", name)) != std::string::npos) vector = number;
  }
  std::string json = text.substr(std::min(text.size(), text.find("---BEGIN JSON---") + 16));
  json.erase(std::min(json.size(), json.find("---END JSON---")));
  // What C prints for numbers that JSON does not have.
  for (const char* name : {"-nan(0x", "nan(0x"}) {
    for (std::size_t at; (at = json.find(name)) != std::string::npos;) {
      json.replace(at, json.find(')', at) + 1 - at, "\"nan\"");
    }
  }
  for (const auto& [from, to] :
       {std::pair{" -inf,", " \"-inf\","}, std::pair{" inf,", " \"inf\","}}) {
    for (std::size_t at; (at = json.find(from)) != std::string::npos;) {
      json.replace(at, std::strlen(from), to);
    }
  }
  const Json list = Json::parse(json, nullptr, false);
  constexpr std::size_t kWords = 8 + 1 + 8 + 16 + 32 + kDataBytes / 4 + 3;
  if (!list.is_array() || list.size() != kWords) return "the fixture is not one";
  const auto word = [&](std::size_t i) {
    return list[i].is_number() ? static_cast<u32>(list[i].get<i64>()) : 0;
  };
  if (got.rip != word(8)) return fmt::format("EIP {:#x}, not {:#x}", got.rip, word(8));
  if (vector >= 0) {
    return got.vector == vector ? "" : fmt::format("vector {}, not {}", got.vector, vector);
  }
  std::string out;
  const auto compare = [&](const char* name, std::size_t i, u32 have, u32 want) {
    if (have != want && out.size() < 200)
      out += fmt::format("{}{} {:x}, not {:x}; ", name, i, have, want);
  };
  for (std::size_t i = 0; i < 8; ++i) compare("register ", i, got.regs[i], word(i));
  const u32 tag = word(kWords - 2);
  for (std::size_t i = 0; i < 8 && tag != kTagsOfMmx; ++i) {
    const Json& want = list[9 + i];
    if (want.is_number()) {
      const double have = static_cast<double>(got.st[i]);
      if (have != want.get<double>())
        out += fmt::format("st{} {}, not {}; ", i, have, want.get<double>());
    }
  }
  for (std::size_t i = 0; i < 16 && tag == kTagsOfMmx; ++i)
    compare("mm", i, got.mmx[i], word(17 + i));
  for (std::size_t i = 0; i < 32; ++i) compare("xmm", i, got.xmm[i], word(33 + i));
  for (std::size_t i = 0; i < got.memory.size(); ++i)
    compare("word ", i, got.memory[i], word(65 + i));
  compare("flags ", 0, got.flags, word(kWords - 3) & kFlags);
  return out;
}

int run(const std::vector<std::string>& arguments) {
  std::vector<fs::path> files;
  bool verbose = false;
  for (const std::string& argument : arguments) {
    if (argument == "--verbose") {
      verbose = true;
    } else if (fs::is_directory(argument)) {
      for (const auto& entry : fs::directory_iterator(argument)) {
        if (entry.path().extension() == ".img") files.push_back(entry.path());
      }
    } else {
      files.push_back(argument);
    }
  }
  if (files.empty()) {
    std::fprintf(stderr, "v86_nasm: no .img files; give the folder tests/nasm/build of v86\n");
    return 2;
  }
  std::sort(files.begin(), files.end());
  std::array<Runner, 2> runners = {Runner(BenchEngine::kInterpreter),
                                   Runner(BenchEngine::kTranslator)};
  unsigned equal = 0, recorded = 0, passed = 0;
  for (const fs::path& path : files) {
    const std::vector<u8> elf = read_bytes(path);
    const auto first = runners[0].run(elf), second = runners[1].run(elf);
    if (!first || !second) {
      std::printf("%s: is no program of the suite, or does not end\n", path.c_str());
      continue;
    }
    const std::string between = engines_differ(*first, *second);
    if (between.empty()) {
      ++equal;
    } else {
      std::printf("%s: the engines differ: %s\n", path.c_str(), between.c_str());
    }
    const fs::path fixture = fs::path(path).replace_extension(".fixture");
    if (!fs::exists(fixture)) continue;
    ++recorded;
    const std::vector<u8> text = read_bytes(fixture);
    const std::string wrong = differs(*first, {text.begin(), text.end()});
    passed += wrong.empty();
    if (!wrong.empty() || verbose) {
      std::printf("%s: %s\n", path.c_str(), wrong.empty() ? "passes" : wrong.c_str());
    }
  }
  std::printf("%zu programs: engines equal in %u; %u of %u with a fixture pass\n", files.size(),
              equal, passed, recorded);
  return equal == files.size() && passed == recorded ? 0 : 1;
}

}  // namespace
}  // namespace dragoman

int main(int count, char** arguments) { return dragoman::run({arguments + 1, arguments + count}); }
