// Golden code: what typical blocks become. A change of the translator shows here as text, so that
// worse code is seen in review. `DRAGOMAN_UPDATE_GOLDEN=1 build/test_jit --gtest_filter=Golden*`
// writes the files of tests/jit/golden anew.
#include <capstone/capstone.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "jit/plan_text.h"
#include "tests/jit/translator_bench.h"

namespace dragoman {
namespace {

using L = BenchLayout;

struct GoldenCase {
  const char* name;
  std::vector<u8> code;
  bool superblock = false;  ///< a loop by RCX, run until the second tier has it
};

class Capture final : public RegionObserver {
 public:
  void translated(const RegionRecord& r) override {
    if (r.request.rip != L::kCode || r.request.narrow) return;
    code.assign(r.code.begin(), r.code.begin() + r.place.main_bytes);
    place = r.place;
    hot = r.request.hot;
    guest = r.plan->instructions;
  }
  std::vector<u8> code;
  HostPlace place;
  bool hot = false;
  unsigned guest = 0;
};

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  if (const auto at = text.find(from); at != std::string::npos) text.replace(at, from.size(), to);
  return text;
}

/// The main line in Intel's notation, without what differs from run to run.
std::string listing(const Cpu& cpu, const Capture& region) {
  csh handle = 0;
  if (cs_open(CS_ARCH_X86, CS_MODE_64, &handle) != CS_ERR_OK) return "";
  cs_option(handle, CS_OPT_DETAIL, CS_OPT_ON);
  cs_insn* insn = cs_malloc(handle);
  const u8* code = region.code.data();
  std::size_t left = region.code.size();
  u64 address = region.place.main;
  std::string out;
  unsigned count = 0;
  while (left != 0 && cs_disasm_iter(handle, &code, &left, &address, insn)) {
    std::string operands = insn->op_str;
    const cs_x86& x86 = insn->detail->x86;
    for (unsigned i = 0; i < x86.op_count; ++i) {
      const cs_x86_op& op = x86.operands[i];
      if (op.type == X86_OP_MEM && op.mem.base == X86_REG_RSP) {
        std::string name = frame_member_name(cpu, op.mem.disp);
        if (name.empty()) name = "state";
        const auto open = operands.find('['), close = operands.find(']');
        operands.replace(open + 1, close - open - 1, name);
      } else if (op.type == X86_OP_IMM && (insn->id == X86_INS_JMP || insn->id == X86_INS_CALL ||
                                           cs_insn_group(handle, insn, CS_GRP_JUMP))) {
        const u32 at = region.place.offset_of(static_cast<u64>(op.imm));
        const std::string stub = probe_stub_name(cpu, static_cast<u64>(op.imm));
        operands = !stub.empty()                  ? "(" + stub + ")"
                   : at == ~u32{0}                ? "elsewhere"
                   : at < region.place.main_bytes ? fmt::format("+{}", at)
                                                  : "rare";
      } else if (op.type == X86_OP_IMM && op.imm > i64{1} << 44 && op.imm < i64{1} << 47) {
        operands = replaced(operands, fmt::format("{:#x}", op.imm), "ADDRESS");
      }
    }
    out += fmt::format("{:4} {} {}\n", insn->address - region.place.main, insn->mnemonic, operands);
    ++count;
  }
  cs_free(insn, 1);
  cs_close(&handle);
  return fmt::format("{} guest instructions, {} host instructions, {} bytes{}\n", region.guest,
                     count, region.code.size(), region.hot ? ", superblock" : "") +
         out;
}

class Golden : public testing::TestWithParam<GoldenCase> {};

TEST_P(Golden, Code) {
  if (!__builtin_cpu_supports("bmi2") || !__builtin_cpu_supports("avx2")) {
    GTEST_SKIP() << "the files are those of a host with BMI2 and AVX2";
  }
  const GoldenCase& c = GetParam();
  BenchMachine m(false);
  TranslatorOptions options;
  options.runs_before_translation = 1;
  options.runs_before_superblock = 1000;
  options.sampling = false;
  m.translator = std::make_unique<Translator>(*m.cpu, options);
  Capture capture;
  m.translator->set_observer(&capture);
  m.code(L::kCode, c.code);
  CpuState& s = m.cpu->state;
  for (unsigned r = 0; r < 16; ++r) s.regs[r] = L::kData + 0x100 * r;
  s.regs[kRsp] = L::kStack;
  s.fpu.control = 0x037f;  // as after FNINIT: all exceptions masked
  s.regs[kRcx] = c.superblock ? 100'000 : 3;
  for (u64 i = 0; i < 64; ++i) m.put(L::kStack + 8 * i, L::kCode + c.code.size() - 1);
  (void)m.cpu->run(c.superblock ? 1'000'000 : 100);
  ASSERT_FALSE(capture.code.empty());
  EXPECT_EQ(capture.hot, c.superblock);
  const std::string text = listing(*m.cpu, capture);
  m.translator->set_observer(nullptr);
  const std::string path =
      std::string(DRAGOMAN_SOURCE_DIR) + "/tests/jit/golden/" + c.name + ".txt";
  if (std::getenv("DRAGOMAN_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(path) << text;
    return;
  }
  std::ifstream file(path);
  std::stringstream expected;
  expected << file.rdbuf();
  EXPECT_EQ(text, expected.str()) << "if this is meant: DRAGOMAN_UPDATE_GOLDEN=1";
}

// Each ends with HLT (F4), where the block ends.
const GoldenCase kCases[] = {
    {"mov_load", {0x48, 0x8b, 0x07, 0xf4}},                           // mov rax, [rdi]
    {"mov_store", {0x48, 0x89, 0x47, 0x08, 0xf4}},                    // mov [rdi+8], rax
    {"mov_store_byte_high", {0x88, 0x27, 0xf4}},                      // mov [rdi], ah
    {"mov_indexed", {0x8b, 0x44, 0x8f, 0x10, 0xf4}},                  // mov eax, [rdi+rcx*4+16]
    {"mov_rip_relative", {0x48, 0x8b, 0x05, 0, 1, 0, 0, 0xf4}},       // mov rax, [rip+256]
    {"mov_absolute", {0x48, 0xa1, 0, 0, 0x10, 0, 0, 0, 0, 0, 0xf4}},  // mov rax, [abs 100000h]
    {"mov_gs", {0x65, 0x48, 0x8b, 0x04, 0x25, 0, 1, 0, 0, 0xf4}},     // mov rax, gs:[256]
    {"mov_homeless", {0x4d, 0x89, 0xee, 0x4d, 0x8b, 0x3f, 0xf4}},  // mov r14, r13; mov r15, [r15]
    {"struct_fields",
     {0x48, 0x8b, 0x47, 0x08, 0x03, 0x47, 0x10, 0x89, 0x47, 0x18, 0xf4}},  // one group off rdi
    {"add_register", {0x48, 0x01, 0xd8, 0xf4}},
    {"add_memory", {0x48, 0x01, 0x07, 0xf4}},
    {"add_immediate_memory", {0x81, 0x07, 1, 2, 3, 4, 0xf4}},
    {"adc_chain", {0x48, 0x01, 0xd8, 0x48, 0x11, 0xf2, 0xf4}},
    {"cmp_memory_jcc", {0x48, 0x3b, 0x07, 0x74, 0x01, 0x90, 0xf4}},
    {"test_jcc", {0x85, 0xc0, 0x75, 0x01, 0x90, 0xf4}},
    {"cmp_then_load", {0x48, 0x39, 0xd8, 0x48, 0x8b, 0x17, 0x72, 0x01, 0x90, 0xf4}},
    {"shift_then_load", {0xc1, 0xe0, 4, 0x48, 0x8b, 0x17, 0xf4}},
    {"shift_by_cl", {0x48, 0xd3, 0xe0, 0xf4}},
    {"lea", {0x48, 0x8d, 0x44, 0x8f, 0x10, 0xf4}},
    {"imul", {0x48, 0x0f, 0xaf, 0xc3, 0xf4}},
    {"mul", {0x48, 0xf7, 0xe3, 0xf4}},
    {"div", {0x31, 0xd2, 0x48, 0xf7, 0xf3, 0xf4}},
    {"idiv", {0x48, 0x99, 0x48, 0xf7, 0xfb, 0xf4}},
    {"setcc_cmov", {0x48, 0x39, 0xd8, 0x0f, 0x92, 0xc1, 0x48, 0x0f, 0x42, 0xc3, 0xf4}},
    {"movzx_movsx", {0x0f, 0xb6, 0x07, 0x48, 0x63, 0xd8, 0xf4}},
    {"bt_register", {0x48, 0x0f, 0xba, 0xe0, 5, 0xf4}},
    {"popcnt_tzcnt", {0xf3, 0x48, 0x0f, 0xb8, 0xc3, 0xf3, 0x48, 0x0f, 0xbc, 0xd3, 0xf4}},
    {"mulx_andn", {0xc4, 0xe2, 0xe3, 0xf6, 0xc6, 0xc4, 0xe2, 0xe0, 0xf2, 0xc6, 0xf4}},
    {"xchg_locked", {0x48, 0x87, 0x07, 0xf4}},
    {"lock_add", {0xf0, 0x83, 0x07, 1, 0xf4}},
    {"cmpxchg", {0xf0, 0x48, 0x0f, 0xb1, 0x1f, 0xf4}},
    {"push_pop", {0x50, 0x53, 0x5b, 0x58, 0xf4}},
    {"prologue", {0x55, 0x48, 0x89, 0xe5, 0x41, 0x54, 0x48, 0x83, 0xec, 0x10, 0xf4}},
    {"leave_ret", {0xc9, 0xc3, 0xf4}},
    {"call_direct", {0xe8, 0, 1, 0, 0, 0xf4}},
    {"call_indirect", {0xff, 0xd0, 0xf4}},
    {"jump_table", {0xff, 0x24, 0xdf, 0xf4}},
    {"ret", {0xc3, 0xf4}},
    {"sse_add", {0xf2, 0x0f, 0x58, 0xc1, 0xf4}},
    {"sse_load_store", {0x0f, 0x10, 0x07, 0x0f, 0x11, 0x47, 0x10, 0xf4}},
    {"sse_aligned", {0x66, 0x0f, 0x6f, 0x07, 0xf4}},
    {"avx_fma", {0xc4, 0xe2, 0xf5, 0xb8, 0x07, 0xf4}},
    {"vzeroupper", {0xc5, 0xf8, 0x77, 0xf4}},
    {"aes", {0x66, 0x0f, 0x38, 0xdc, 0xc1, 0xf4}},
    {"x87_dot", {0xdd, 0x07, 0xdc, 0x0e, 0xde, 0xc1, 0xdd, 0x5f, 0x08, 0xf4}},
    {"x87_compare", {0xdf, 0xe9, 0x77, 0x01, 0x90, 0xdf, 0xe0, 0xf4}},
    {"x87_control", {0xd9, 0x3f, 0xd9, 0x2e, 0xf4}},
    {"mmx_add", {0x0f, 0x6f, 0x07, 0x0f, 0xfe, 0xc1, 0x0f, 0x7f, 0x07, 0x0f, 0x77, 0xf4}},
    {"pushf", {0x9c, 0xf4}},
    {"popf", {0x9d, 0xf4}},
    {"strings", {0xa4, 0xab, 0xac, 0xf4}},
    {"cli_sti", {0xfa, 0xfb, 0x90, 0xf4}},
    {"swapgs", {0x0f, 0x01, 0xf8, 0xf4}},
    // loop: add rax, [rdi]; dec rcx; jnz loop
    {"loop_sum", {0x48, 0x03, 0x07, 0x48, 0xff, 0xc9, 0x75, 0xf8, 0xf4}, true},
    // loop: mov [rdi+rdx], al; inc rdx; and edx, 255; dec rcx; jnz loop
    {"loop_store",
     {0x88, 0x04, 0x17, 0xff, 0xc2, 0x81, 0xe2, 0xff, 0, 0, 0, 0x48, 0xff, 0xc9, 0x75, 0xf0, 0xf4},
     true},
    // loop: call f; dec rcx; jnz loop; hlt; f: inc rax; ret
    {"loop_call",
     {0xe8, 0x06, 0, 0, 0, 0x48, 0xff, 0xc9, 0x75, 0xf6, 0xf4, 0x48, 0xff, 0xc0, 0xc3, 0xf4},
     true},
};

INSTANTIATE_TEST_SUITE_P(Blocks, Golden, testing::ValuesIn(kCases),
                         [](const auto& p) { return std::string(p.param.name); });

}  // namespace
}  // namespace dragoman
