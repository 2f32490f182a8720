// Compares SSE and x87 arithmetic of both engines with Berkeley TestFloat: loops over all operands
// that testfloat_gen gives for a function, in every rounding mode and, on the x87, precision.
//
//     testfloat TESTFLOAT_GEN [--level 1|2] [FUNCTION...]
//
// The generator is to be built with SPECIALIZE_TYPE=8086-SSE. Exit status: 0 no difference, 1
// differences, 2 cannot be run.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/suites/user_process.h"

namespace dragoman {
namespace {

namespace fs = std::filesystem;

constexpr u64 kCode = 0x10000, kControl = 0x20000, kInput = 0x10000000, kOutput = 0x20000000;
constexpr u64 kOperandBytes = 16, kMostOperands = 3, kCaseBytes = kOperandBytes * kMostOperands;
constexpr u64 kResultBytes = 32, kFlagsOffset = 16;
constexpr u64 kBatch = 400'000;  // cases at a time

struct Function {
  const char* name;
  bool x87;
  unsigned operands;
  unsigned result_bytes;
  const char* code;  ///< operands at [rsi], [rsi+16], [rsi+32]; the result goes to [rdi]
};

// One operand or two in XMM registers, an instruction, the result.
#define SSE2(op) "movq xmm0,[rsi]\n movq xmm1,[rsi+16]\n " op " xmm0,xmm1\n movq [rdi],xmm0"
#define SSE1(op) "movq xmm1,[rsi]\n pxor xmm0,xmm0\n " op "\n movq [rdi],xmm0"
#define SSEI(op) "movq xmm1,[rsi]\n " op "\n mov [rdi],rax"
#define SSEC(op, set) \
  "movq xmm0,[rsi]\n movq xmm1,[rsi+16]\n xor eax,eax\n " op "\n " set "\n mov [rdi],rax"
#define X872(op) "fld tword [rsi]\n fld tword [rsi+16]\n " op "\n fstp tword [rdi]"
#define X871(op) "fld tword [rsi]\n " op "\n fstp tword [rdi]"

#define EQUAL "setnp dl\n setz al\n and al,dl"
// ST0 = a, ST1 = b, or the other way round for "less", which then is "above".
#define X87EQ(op)                                                                \
  "fld tword [rsi+16]\n fld tword [rsi]\n xor eax,eax\n " op " st0,st1\n " EQUAL \
  "\n mov "                                                                      \
  "[rdi],rax"
#define X87LT(op, set) \
  "fld tword [rsi]\n fld tword [rsi+16]\n xor eax,eax\n " op " st0,st1\n " set "\n mov [rdi],rax"
#define FMA(op)                                                     \
  "movq xmm0,[rsi]\n movq xmm1,[rsi+16]\n movq xmm2,[rsi+32]\n " op \
  " xmm0,xmm1,xmm2\n movq [rdi],xmm0"
// That of smaller formats is not compared: of two NaNs the x87 chooses another one than SSE.
#define REMAINDER(size)                          \
  "fld " size " [rsi+16]\n fld " size            \
  " [rsi]\n.r: fprem1\n fnstsw ax\n test ah,4\n" \
  " jnz .r\n fstp st1\n fstp " size " [rdi]"
#define INTEGER(load, op) load "\n " op "\n movq [rdi],xmm0"

constexpr Function kFunctions[] = {
    {"f32_add", false, 2, 4, SSE2("addss")},
    {"f32_sub", false, 2, 4, SSE2("subss")},
    {"f32_mul", false, 2, 4, SSE2("mulss")},
    {"f32_div", false, 2, 4, SSE2("divss")},
    {"f32_mulAdd", false, 3, 4, FMA("vfmadd213ss")},
    {"f32_sqrt", false, 1, 4, SSE1("sqrtss xmm0,xmm1")},
    {"f32_roundToInt", false, 1, 4, SSE1("roundss xmm0,xmm1,4")},
    {"f32_to_i32", false, 1, 4, SSEI("cvtss2si eax,xmm1")},
    {"f32_to_i32_r_minMag", false, 1, 4, SSEI("cvttss2si eax,xmm1")},
    {"f32_to_i64", false, 1, 8, SSEI("cvtss2si rax,xmm1")},
    {"f32_to_i64_r_minMag", false, 1, 8, SSEI("cvttss2si rax,xmm1")},
    {"f32_eq", false, 2, 1, SSEC("ucomiss xmm0,xmm1", EQUAL)},
    {"f32_eq_signaling", false, 2, 1, SSEC("comiss xmm0,xmm1", EQUAL)},
    {"f32_le", false, 2, 1, SSEC("comiss xmm1,xmm0", "setae al")},
    {"f32_le_quiet", false, 2, 1, SSEC("ucomiss xmm1,xmm0", "setae al")},
    {"f32_lt", false, 2, 1, SSEC("comiss xmm1,xmm0", "seta al")},
    {"f32_lt_quiet", false, 2, 1, SSEC("ucomiss xmm1,xmm0", "seta al")},
    {"f64_add", false, 2, 8, SSE2("addsd")},
    {"f64_sub", false, 2, 8, SSE2("subsd")},
    {"f64_mul", false, 2, 8, SSE2("mulsd")},
    {"f64_div", false, 2, 8, SSE2("divsd")},
    {"f64_mulAdd", false, 3, 8, FMA("vfmadd213sd")},
    {"f64_sqrt", false, 1, 8, SSE1("sqrtsd xmm0,xmm1")},
    {"f64_roundToInt", false, 1, 8, SSE1("roundsd xmm0,xmm1,4")},
    {"f64_to_i32", false, 1, 4, SSEI("cvtsd2si eax,xmm1")},
    {"f64_to_i32_r_minMag", false, 1, 4, SSEI("cvttsd2si eax,xmm1")},
    {"f64_to_i64", false, 1, 8, SSEI("cvtsd2si rax,xmm1")},
    {"f64_to_i64_r_minMag", false, 1, 8, SSEI("cvttsd2si rax,xmm1")},
    {"f64_eq", false, 2, 1, SSEC("ucomisd xmm0,xmm1", EQUAL)},
    {"f64_eq_signaling", false, 2, 1, SSEC("comisd xmm0,xmm1", EQUAL)},
    {"f64_le", false, 2, 1, SSEC("comisd xmm1,xmm0", "setae al")},
    {"f64_le_quiet", false, 2, 1, SSEC("ucomisd xmm1,xmm0", "setae al")},
    {"f64_lt", false, 2, 1, SSEC("comisd xmm1,xmm0", "seta al")},
    {"f64_lt_quiet", false, 2, 1, SSEC("ucomisd xmm1,xmm0", "seta al")},
    {"f16_to_f32", false, 1, 4, SSE1("vcvtph2ps xmm0,xmm1")},
    {"f32_to_f16", false, 1, 2, SSE1("vcvtps2ph xmm0,xmm1,4")},
    {"f32_to_f64", false, 1, 8, SSE1("cvtss2sd xmm0,xmm1")},
    {"f64_to_f32", false, 1, 4, SSE1("cvtsd2ss xmm0,xmm1")},
    {"i32_to_f32", false, 1, 4, INTEGER("pxor xmm0,xmm0", "cvtsi2ss xmm0,dword [rsi]")},
    {"ui32_to_f32", false, 1, 4, INTEGER("mov eax,[rsi]", "cvtsi2ss xmm0,rax")},
    {"i64_to_f32", false, 1, 4, INTEGER("pxor xmm0,xmm0", "cvtsi2ss xmm0,qword [rsi]")},
    {"i32_to_f64", false, 1, 8, INTEGER("pxor xmm0,xmm0", "cvtsi2sd xmm0,dword [rsi]")},
    {"ui32_to_f64", false, 1, 8, INTEGER("mov eax,[rsi]", "cvtsi2sd xmm0,rax")},
    {"i64_to_f64", false, 1, 8, INTEGER("pxor xmm0,xmm0", "cvtsi2sd xmm0,qword [rsi]")},
    {"extF80_add", true, 2, 10, X872("faddp")},
    {"extF80_sub", true, 2, 10, X872("fsubp")},
    {"extF80_mul", true, 2, 10, X872("fmulp")},
    {"extF80_div", true, 2, 10, X872("fdivp")},
    {"extF80_sqrt", true, 1, 10, X871("fsqrt")},
    {"extF80_rem", true, 2, 10, REMAINDER("tword")},
    {"extF80_roundToInt", true, 1, 10, X871("frndint")},
    {"extF80_to_i32", true, 1, 4, "fld tword [rsi]\n fistp dword [rdi]"},
    {"extF80_to_i32_r_minMag", true, 1, 4, "fld tword [rsi]\n fisttp dword [rdi]"},
    {"extF80_to_i64", true, 1, 8, "fld tword [rsi]\n fistp qword [rdi]"},
    {"extF80_to_i64_r_minMag", true, 1, 8, "fld tword [rsi]\n fisttp qword [rdi]"},
    {"extF80_to_f32", true, 1, 4, "fld tword [rsi]\n fstp dword [rdi]"},
    {"f32_to_extF80", true, 1, 10, "fld dword [rsi]\n fstp tword [rdi]"},
    {"extF80_to_f64", true, 1, 8, "fld tword [rsi]\n fstp qword [rdi]"},
    {"f64_to_extF80", true, 1, 10, "fld qword [rsi]\n fstp tword [rdi]"},
    {"i32_to_extF80", true, 1, 10, "fild dword [rsi]\n fstp tword [rdi]"},
    {"i64_to_extF80", true, 1, 10, "fild qword [rsi]\n fstp tword [rdi]"},
    {"ui32_to_extF80", true, 1, 10, "fild qword [rsi]\n fstp tword [rdi]"},
    {"extF80_eq", true, 2, 1, X87EQ("fucomi")},
    {"extF80_eq_signaling", true, 2, 1, X87EQ("fcomi")},
    {"extF80_le", true, 2, 1, X87LT("fcomi", "setae al")},
    {"extF80_le_quiet", true, 2, 1, X87LT("fucomi", "setae al")},
    {"extF80_lt", true, 2, 1, X87LT("fcomi", "seta al")},
    {"extF80_lt_quiet", true, 2, 1, X87LT("fucomi", "seta al")},
};

struct Rounding {
  const char* option;
  unsigned control;  ///< RC of MXCSR and of the control word
};
constexpr Rounding kRoundings[] = {{"-rnear_even", 0}, {"-rmin", 1}, {"-rmax", 2}, {"-rminMag", 3}};
struct Precision {
  const char* option;
  unsigned control;  ///< PC of the control word
};
constexpr Precision kPrecisions[] = {{"", 3}, {"-precision64", 2}, {"-precision32", 0}};

std::vector<u8> assemble(const Function& function, const fs::path& folder) {
  const fs::path source = folder / "loop.asm", binary = folder / "loop.bin";
  std::ofstream(source) << "BITS 64\norg " << kCode << "\nmov rbx," << kControl << "\n.l:\n"
                        << (function.x87 ? "fninit\n fldcw [rbx]\n" : "ldmxcsr [rbx]\n")
                        << function.code << "\n"
                        << (function.x87 ? "fnstsw [rdi+16]\n" : "stmxcsr [rdi+16]\n") << "add rsi,"
                        << kCaseBytes << "\nadd rdi," << kResultBytes << "\ndec rcx\njnz .l\nhlt\n";
  fs::remove(binary);
  if (std::system(("nasm -w-all '" + source.string() + "' -o '" + binary.string() + "'").c_str()) !=
      0) {
    return {};
  }
  std::ifstream in(binary, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Bytes of a hexadecimal number, lowest first.
void put_hex(const std::string& text, std::span<u8> out) {
  std::fill(out.begin(), out.end(), u8{0});
  for (std::size_t i = 0; i < text.size() && i / 2 < out.size(); ++i) {
    const char c = text[text.size() - 1 - i];
    const u8 digit = static_cast<u8>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    out[i / 2] |= static_cast<u8>(digit << (i % 2 * 4));
  }
}

/// Invalid, infinite, overflow, underflow, inexact from bits 4 to 0, as TestFloat counts them.
u8 flags_of(u32 word) {
  return static_cast<u8>((word & 1) << 4 | (word & 4) << 1 | (word & 8) >> 1 | (word & 16) >> 3 |
                         (word & 32) >> 5);
}

class Comparison {
 public:
  explicit Comparison(std::string generator) : generator_(std::move(generator)) {
    std::string name = fs::temp_directory_path() / "testfloat-XXXXXX";
    if (::mkdtemp(name.data()) != nullptr) folder_ = name;
  }
  ~Comparison() { fs::remove_all(folder_); }

  /// False when it cannot be run.
  bool run(const Function& function, unsigned level) {
    const std::vector<u8> code = assemble(function, folder_);
    if (code.empty()) return false;
    for (const Rounding& rounding : kRoundings) {
      const bool precise = std::string_view(function.name).starts_with("extF80_") &&
                           function.result_bytes == 10 &&
                           !std::string_view(function.name).ends_with("rem") &&
                           !std::string_view(function.name).ends_with("roundToInt");
      for (const Precision& precision : kPrecisions) {
        if (!precise && precision.control != 3) continue;
        // The generator knows truncating conversions as a rounding, whatever ours is set to.
        constexpr std::string_view kTruncates = "_r_minMag";
        std::string name = function.name;
        const bool truncates = name.ends_with(kTruncates);
        if (truncates) name.erase(name.size() - kTruncates.size());
        const std::string command =
            fmt::format("'{}' -level {} -tininessafter -exact {} {} {}", generator_, level,
                        truncates ? "-rminMag" : rounding.option, precision.option, name);
        FILE* pipe = popen(command.c_str(), "r");
        if (pipe == nullptr) return false;
        const u32 control = function.x87 ? 0x3f | precision.control << 8 | rounding.control << 10
                                         : 0x1f80 | rounding.control << 13;
        const bool any = compare(function, code, control, pipe, command);
        if (pclose(pipe) != 0 || !any) return false;
      }
    }
    std::printf("%s: %llu cases, %u differences\n", function.name,
                static_cast<unsigned long long>(cases_), differences_);
    std::fflush(stdout);
    total_cases += std::exchange(cases_, 0);
    total_differences += std::exchange(differences_, 0);
    return true;
  }

  u64 total_cases = 0;
  u64 total_differences = 0;

 private:
  bool compare(const Function& function, std::span<const u8> code, u32 control, FILE* pipe,
               const std::string& what) {
    bool any = false;
    char line[256];
    for (bool more = true; more;) {
      std::vector<u8> input, wanted;
      while (input.size() < kBatch * kCaseBytes &&
             (more = std::fgets(line, sizeof(line), pipe) != nullptr)) {
        std::istringstream words(line);
        std::string word;
        std::array<u8, kCaseBytes> one{};
        for (unsigned i = 0; i < function.operands && words >> word; ++i) {
          put_hex(word, std::span(one).subspan(i * kOperandBytes, kOperandBytes));
        }
        std::array<u8, kResultBytes> result{};
        if (words >> word) put_hex(word, std::span(result).first(kFlagsOffset));
        if (words >> word) put_hex(word, std::span(result).subspan(kFlagsOffset, 1));
        input.insert(input.end(), one.begin(), one.end());
        wanted.insert(wanted.end(), result.begin(), result.end());
      }
      if (input.empty()) break;
      any = true;
      cases_ += input.size() / kCaseBytes;
      for (UserProcess& engine : engines_) {
        compare_batch(engine, function, code, control, input, wanted, what);
      }
    }
    return any;
  }

  void compare_batch(UserProcess& engine, const Function& function, std::span<const u8> code,
                     u32 control, std::span<const u8> input, std::span<const u8> wanted,
                     const std::string& what) {
    const u64 count = input.size() / kCaseBytes;
    engine.start(false);
    engine.map(kCode, code.size());
    engine.map(kControl, 8);
    engine.map(kInput, input.size());
    engine.map(kOutput, wanted.size());
    engine.store(kCode, code);
    engine.store(kControl, {reinterpret_cast<const u8*>(&control), sizeof(control)});
    engine.store(kInput, input);
    CpuState& s = engine.state();
    s.rip() = kCode;
    s.regs[kRsi] = kInput;
    s.regs[kRdi] = kOutput;
    s.regs[kRcx] = count;
    engine.changed();
    std::vector<u8> got(wanted.size());
    const bool ended = engine.run(count * 10'000 + 1000) && engine.halted();
    if (ended) engine.load(kOutput, got);
    const char* const name = &engine == &engines_[0] ? "interpreter" : "translator";
    if (!ended) std::printf("%s: %s does not end\n", name, what.c_str());
    for (u64 i = 0; i < count; ++i) {
      const auto g = std::span(got).subspan(i * kResultBytes, kResultBytes);
      const auto w = wanted.subspan(i * kResultBytes, kResultBytes);
      u32 word = 0;
      std::copy_n(g.begin() + kFlagsOffset, 4, reinterpret_cast<u8*>(&word));
      if (std::equal(g.begin(), g.begin() + function.result_bytes, w.begin()) &&
          flags_of(word) == w[kFlagsOffset]) {
        continue;
      }
      if (++differences_ > 5) continue;
      const auto hex = [](std::span<const u8> bytes) {
        std::string text;
        for (std::size_t n = bytes.size(); n-- > 0;) text += fmt::format("{:02x}", bytes[n]);
        return text;
      };
      std::printf("%s %s: %s %s gives %s %02x, not %s %02x\n", name, what.c_str(),
                  hex(input.subspan(i * kCaseBytes, 10)).c_str(),
                  hex(input.subspan(i * kCaseBytes + kOperandBytes, 10)).c_str(),
                  hex(g.first(function.result_bytes)).c_str(), flags_of(word),
                  hex(w.first(function.result_bytes)).c_str(), w[kFlagsOffset]);
    }
  }

  std::string generator_;
  fs::path folder_;
  std::array<UserProcess, 2> engines_ = {UserProcess(BenchEngine::kInterpreter),
                                         UserProcess(BenchEngine::kTranslator)};
  u64 cases_ = 0;
  unsigned differences_ = 0;
};

int run(std::vector<std::string> arguments) {
  if (arguments.empty()) {
    std::fprintf(stderr, "testfloat: give the path of testfloat_gen\n");
    return 2;
  }
  Comparison comparison(arguments[0]);
  arguments.erase(arguments.begin());
  unsigned level = 1;
  if (arguments.size() >= 2 && arguments[0] == "--level") {
    level = arguments[1] == "2" ? 2 : 1;
    arguments.erase(arguments.begin(), arguments.begin() + 2);
  }
  for (const Function& function : kFunctions) {
    const bool wanted = arguments.empty() || std::find(arguments.begin(), arguments.end(),
                                                       function.name) != arguments.end();
    if (wanted && !comparison.run(function, level)) {
      std::fprintf(stderr, "testfloat: %s cannot be run; are testfloat_gen and nasm there?\n",
                   function.name);
      return 2;
    }
  }
  std::printf("%llu cases on both engines, %llu differences\n",
              static_cast<unsigned long long>(comparison.total_cases),
              static_cast<unsigned long long>(comparison.total_differences));
  return comparison.total_differences == 0 ? 0 : 1;
}

}  // namespace
}  // namespace dragoman

int main(int count, char** arguments) { return dragoman::run({arguments + 1, arguments + count}); }
