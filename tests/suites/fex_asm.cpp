// Runs FEX-Emu's unittests/ASM and unittests/32Bit_ASM: NASM programs for a Linux process that end
// with HLT, each with a JSON header of expected registers, on both engines.
//
//     fex_asm [--engine interp|jit] [--verbose] FOLDER|FILE.asm...
//
// Programs whose expectation is not that of the manual or the host are listed with the reason
// (kExplained) and still run. Exit status: 0 no other difference, 1 differences, 2 cannot be run.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "tests/suites/user_process.h"

namespace dragoman {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

// The layout of the suite's own harness.
constexpr u64 kCode = 0x10000, kScratch = 0xe0000000, kScratchPages = 10, kSib = 0xe8000000,
              kStack32 = 0xc0000000;
constexpr u64 kInstructions = 400'000'000;

/// Of a larger region only its ends are mapped: no program needs more, and RAM is 128 MiB.
constexpr u64 kLargestRegion = 32 * kMiB, kRegionEnd = kMiB;

struct Explanation {
  std::string_view path;  ///< end of the path, without .asm
  std::string_view reason;
};
constexpr std::string_view kLinux = "makes system calls of Linux, which is not there";
constexpr std::string_view kRexFar =
    "REX.W before a far branch through memory: AMD reads m16:32, Intel m16:64 (SDM vol. 2, JMP)";
constexpr std::string_view kUmip =
    "expects what Linux makes up for SGDT, SIDT and SMSW under UMIP; SDM: SMSW r32 zero-extends";
constexpr std::string_view kUndefined = "FYL2XP1 outside its range, undefined (SDM vol. 2)";
constexpr Explanation kExplained[] = {
    {"32Bit_ASM/FEX_bugs/InlineSyscall", kLinux},
    {"ASM/FEX_bugs/32bit_syscall", kLinux},
    {"ASM/TwoByte/0F_02", kLinux},
    {"32Bit_ASM/Primary/Pop_Segments", "expects no #GP for a null selector in SS"},
    {"ASM/Primary/Primary_8C", "expects no #GP for selectors beyond the table"},
    {"ASM/Primary/Primary_8C_2", "expects no #GP for selectors beyond the table"},
    {"ASM/Primary/Primary_E8", "expects 66h to cut RIP to 16 bits as on AMD; Intel ignores it"},
    {"ASM/Primary/Primary_E9", "expects 66h to cut RIP to 16 bits as on AMD; Intel ignores it"},
    {"ASM/PrimaryGroup/5_FF_05", kRexFar},
    {"ASM/PrimaryGroup/5_FF_05_03_o64", kRexFar},
    {"ASM/PrimaryGroup/5_FF_05_03_o64_imm", kRexFar},
    {"ASM/Secondary/07_XX_00", kUmip},
    {"ASM/Secondary/07_XX_04", kUmip},
    {"32Bit_ASM/Secondary/07_XX_00", kUmip},
    {"ASM/VEX/vldmxcsr", "expects exception masks of MXCSR to stay set, as in FEX"},
    {"ASM/modrm_oob/DDD", "uses 3DNow! without naming it; CPUID does not offer it"},
    {"ASM/X87/D9_F9", kUndefined},
    {"32Bit_ASM/X87/D9_F9", kUndefined},
    {"ASM/X87/FXAM_Simple", "says itself that a processor answers 4000h"},
    {"ASM/X87/X87MMXInteraction",
     "expects tags as MMX left them; FNSAVE computes them (host: 955h)"},
};

/// The reason why a program's expectation does not count; empty when it does.
std::string_view explanation(const std::filesystem::path& path) {
  const std::string text = std::filesystem::path(path).replace_extension().string();
  for (const Explanation& e : kExplained) {
    if (text.ends_with("/" + std::string(e.path))) return e.reason;
  }
  return {};
}

struct Program {
  fs::path path;
  std::string text;
  Json config;
  bool bits32 = false;
  std::vector<u8> code;
};

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

/// A number or its text, which may be grouped by underscores.
u64 number(const Json& value) {
  if (!value.is_string()) return value.get<u64>();
  std::string text = value.get<std::string>();
  std::erase(text, '_');
  return std::strtoull(text.c_str(), nullptr, 0);
}

/// Keys in capitals, as the suite reads them.
Json capitals(const Json& object) {
  Json out = Json::object();
  for (const auto& [key, value] : object.items()) out[upper(key)] = value;
  return out;
}

Result<void> assemble(Program& program, const fs::path& includes, const fs::path& folder) {
  const fs::path source = folder / "program.asm", binary = folder / "program.bin";
  {
    std::ofstream out(source);
    out << (program.bits32 ? "BITS 32\norg 10000h\nmov eax, 0x17\nmov ds, ax\nmov es, ax\n"
                           : "BITS 64\n")
        << program.text << "\nret\n";
  }
  fs::remove(binary);
  const std::string command = "nasm -w-all -i '" + includes.string() + "/' '" + source.string() +
                              "' -o '" + binary.string() + "' 2>'" + (folder / "log").string() +
                              "'";
  if (std::system(command.c_str()) != 0) {
    std::ifstream log(folder / "log");
    std::string first;
    std::getline(log, first);
    return error("nasm: {}", first);
  }
  std::ifstream in(binary, std::ios::binary);
  program.code.assign(std::istreambuf_iterator<char>(in), {});
  return {};
}

/// Why a program asks for something that is not there; empty when it does not.
std::string missing(const CpuModel& model, const Json& config) {
  static const std::map<std::string, Feature> kFeatures = {
      {"AVX", Feature::kAvx2},          {"RAND", Feature::kRdrand},
      {"SHA", Feature::kShaNi},         {"BMI1", Feature::kBmi1},
      {"BMI2", Feature::kBmi2},         {"CLWB", Feature::kClwb},
      {"SSSE3", Feature::kSsse3},       {"SSE4.1", Feature::kSse41},
      {"SSE4.2", Feature::kSse42},      {"AES", Feature::kAes},
      {"PCLMUL", Feature::kPclmulqdq},  {"MOVBE", Feature::kMovbe},
      {"ADX", Feature::kAdx},           {"XSAVE", Feature::kXsave},
      {"RDPID", Feature::kRdpid},       {"CLFLOPT", Feature::kClflushopt},
      {"FSGSBASE", Feature::kFsgsbase}, {"AES256", Feature::kVaes},
  };
  const Json wanted = config.value("HOSTFEATURES", Json::array());
  for (const Json& name : wanted) {
    const auto found = kFeatures.find(upper(name.get<std::string>()));
    if (found == kFeatures.end() || !model.features.has(found->second)) {
      return "needs " + upper(name.get<std::string>());
    }
  }
  const Json environment = config.value("ENV", Json::object());
  for (const auto& [key, value] : environment.items()) {
    if (key == "FEX_X87REDUCEDPRECISION") return "expects x87 with 64-bit precision";
  }
  return {};
}

/// Runs programs on one engine.
class Runner {
 public:
  explicit Runner(BenchEngine engine) : process_(engine) {}
  const CpuModel& model() { return process_.model(); }

  /// The text of what went wrong, or nothing.
  std::string run(const Program& program) {
    process_.start(program.bits32);
    CpuState& s = process_.state();
    process_.map(kScratch, kScratchPages * kPageSize);
    process_.map(kSib - kPageSize, 2 * kPageSize);
    process_.map(kCode, program.code.size());
    const Json regions = program.config.value("MEMORYREGIONS", Json::object());
    for (const auto& [at, bytes] : regions.items()) {
      const u64 begin = number(at), size = number(bytes);
      if (size <= kLargestRegion) {
        process_.map(begin, size);
      } else {
        process_.map(begin, kRegionEnd);
        process_.map(begin + size - kRegionEnd, kRegionEnd);
      }
    }
    if (program.bits32) {
      process_.map(kStack32, kPageSize);
      process_.make_ldt_data();
      s.regs[kRsp] = kStack32 + kPageSize;
    }
    process_.store(kCode, program.code);
    const Json contents = program.config.value("MEMORYDATA", Json::object());
    for (const auto& [at, text] : contents.items()) {
      process_.store(number(at), bytes_of(text.get<std::string>()));
    }
    s.rip() = kCode;
    process_.changed();
    if (!process_.run(kInstructions)) return fmt::format("does not end, RIP {:#x}", s.rip());
    if (!process_.halted()) {
      return fmt::format("ends with exception {} at RIP {:#x}", process_.vector(), process_.rip());
    }
    return compare(program);
  }

 private:
  /// Numbers in hexadecimal, each written as its bytes from the lowest on.
  static std::vector<u8> bytes_of(const std::string& text) {
    std::vector<u8> bytes;
    std::string word;
    for (std::size_t i = 0; i <= text.size(); ++i) {
      if (i < text.size() && text[i] != ' ') {
        word += text[i];
        continue;
      }
      if (word.starts_with("0x")) word.erase(0, 2);
      while (!word.empty()) {
        const std::size_t digits = std::min<std::size_t>(2, word.size());
        bytes.push_back(
            static_cast<u8>(std::stoul(word.substr(word.size() - digits), nullptr, 16)));
        word.resize(word.size() - digits);
      }
    }
    return bytes;
  }

  /// 64-bit pieces of a register as the suite names it; empty when there is no such register.
  std::vector<u64> pieces(const std::string& name) {
    static constexpr std::array kNames = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
                                          "R8",  "R9",  "R10", "R11", "R12", "R13", "R14", "R15"};
    const CpuState& s = process_.state();
    if (name == "RIP") return {process_.rip()};
    if (name == "RSP") return {process_.rsp()};
    if (name == "FS") return {s.segments[kFs].base};
    if (name == "GS") return {s.segments[kGs].base};
    for (std::size_t i = 0; i < kNames.size(); ++i) {
      if (name == kNames[i]) return {s.regs[i]};
    }
    const auto split = [](std::span<const u8> bytes) {
      std::vector<u64> out((bytes.size() + 7) / 8);
      std::copy(bytes.begin(), bytes.end(), reinterpret_cast<u8*>(out.data()));
      return out;
    };
    if (name.starts_with("XMM")) return split(s.fpu.ymm.at(std::stoul(name.substr(3)) % 16));
    if (name.starts_with("MM")) {
      return split(std::span<const u8>(s.fpu.st.at(std::stoul(name.substr(2)) % 8)).first(10));
    }
    return {};
  }

  std::string compare(const Program& program) {
    std::string text;
    const Json expected = capitals(program.config.value("REGDATA", Json::object()));
    for (const auto& [name, value] : expected.items()) {
      const std::vector<u64> got = pieces(name);
      const Json list = value.is_array() ? value : Json::array({value});
      for (std::size_t i = 0; i < list.size(); ++i) {
        const u64 want = number(list[i]);
        if (i < got.size() && got[i] == want) continue;
        text += fmt::format("{}{}[{}] is {:x}, not {:x}", text.empty() ? "" : "; ", name, i,
                            i < got.size() ? got[i] : 0, want);
      }
    }
    return text;
  }

  UserProcess process_;
};

Result<Program> read_program(const fs::path& path) {
  Program program;
  program.path = path;
  std::ifstream in(path);
  program.text.assign(std::istreambuf_iterator<char>(in), {});
  const std::size_t begin = program.text.find("%ifdef CONFIG");
  const std::size_t end = program.text.find("%endif", begin);
  if (begin == std::string::npos || end == std::string::npos) return error("has no header");
  const std::string header = program.text.substr(begin + 13, end - begin - 13);
  const Json config = Json::parse(header, nullptr, false);
  if (!config.is_object()) return error("has a header that is not JSON");
  program.config = capitals(config);
  program.bits32 = upper(program.config.value("MODE", std::string("64BIT"))) == "32BIT" ||
                   path.string().find("32Bit_ASM") != std::string::npos;
  return program;
}

int run(const std::vector<std::string>& arguments) {
  std::vector<BenchEngine> engines = {BenchEngine::kInterpreter, BenchEngine::kTranslator};
  std::vector<fs::path> files;
  bool verbose = false;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--engine" && i + 1 < arguments.size()) {
      engines = {arguments[++i] == "jit" ? BenchEngine::kTranslator : BenchEngine::kInterpreter};
    } else if (arguments[i] == "--verbose") {
      verbose = true;
    } else if (fs::is_directory(arguments[i])) {
      for (const auto& entry : fs::recursive_directory_iterator(arguments[i])) {
        if (entry.path().extension() == ".asm") files.push_back(entry.path());
      }
    } else {
      files.push_back(arguments[i]);
    }
  }
  if (files.empty()) {
    std::fprintf(stderr, "fex_asm: no .asm files; give the folder unittests of FEX-Emu\n");
    return 2;
  }
  std::sort(files.begin(), files.end());
  std::string folder = fs::temp_directory_path() / "fex-asm-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) {
    std::fprintf(stderr, "fex_asm: cannot make a folder %s\n", folder.c_str());
    return 2;
  }
  std::vector<Runner> runners;
  for (const BenchEngine engine : engines) runners.emplace_back(engine);
  std::map<std::string, unsigned> skipped;
  std::map<std::string_view, unsigned> explained;
  std::vector<unsigned> failed(engines.size());
  unsigned ran = 0;
  for (const fs::path& path : files) {
    auto program = read_program(path);
    std::string reason =
        program ? missing(runners[0].model(), program->config) : program.error().message;
    if (reason.empty()) {
      fs::path includes = path.parent_path();
      while (includes.has_relative_path() && !fs::exists(includes / "Includes")) {
        includes = includes.parent_path();
      }
      if (auto done = assemble(*program, includes / "Includes", folder); !done) {
        reason = "does not assemble";
        std::printf("%s: %s\n", path.c_str(), done.error().message.c_str());
      }
    }
    if (!reason.empty()) {
      ++skipped[reason];
      if (verbose) std::printf("skip %s: %s\n", path.c_str(), reason.c_str());
      continue;
    }
    const std::string_view why = explanation(path);
    std::string first;
    for (std::size_t i = 0; i < engines.size(); ++i) {
      std::string wrong = runners[i].run(*program);
      if (i == 0) first = wrong;
      bool counts = !wrong.empty();
      if (!why.empty()) {
        counts = wrong.empty() || wrong != first;
        wrong = wrong.empty() ? "passes, against its explanation"
                              : fmt::format("{} (explained: {})", wrong, why);
      }
      failed[i] += counts;
      if (!counts && (why.empty() || !verbose)) continue;
      std::printf("%s %s: %s\n",
                  engines[i] == BenchEngine::kInterpreter ? "interpreter" : "translator",
                  path.c_str(), wrong.c_str());
      std::fflush(stdout);
    }
    why.empty() ? ++ran : ++explained[why];
  }
  fs::remove_all(folder);
  bool different = false;
  for (std::size_t i = 0; i < engines.size(); ++i) {
    std::printf("%s: %u of %u pass\n",
                engines[i] == BenchEngine::kInterpreter ? "interpreter" : "translator",
                ran - std::min(ran, failed[i]), ran);
    different = different || failed[i] != 0;
  }
  for (const auto& [reason, count] : explained) {
    std::printf("%u explained: %s\n", count, std::string(reason).c_str());
  }
  for (const auto& [reason, count] : skipped)
    std::printf("%u skipped: %s\n", count, reason.c_str());
  return different ? 1 : 0;
}

}  // namespace
}  // namespace dragoman

int main(int count, char** arguments) { return dragoman::run({arguments + 1, arguments + count}); }
