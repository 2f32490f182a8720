// Decoder, disassembler, and a processor in any state.
#include <array>
#include <string>

#include "cpu/decode/early_decoder.h"
#include "cpu/disassemble/disassembler.h"
#include "cpu/isa/rows.h"
#include "machine/instruction_bench.h"
#include "tests/libfuzzer/targets.h"

namespace dragoman {
namespace {

CpuModel named_model(const char* name) { return parse_cpu_model(name).take(); }

void decode_one(const CpuModel& model, std::span<const u8> bytes, DecodeMode mode) {
  Instruction insn;
  const DecodeResult result = decode_for(model, bytes, mode, insn);
  FUZZ_CHECK(insn.row < rows().size());
  if (result == DecodeResult::kNeedMoreBytes) {
    FUZZ_CHECK(bytes.size() < kMaxInstructionLength);
    return;
  }
  FUZZ_CHECK(!disassemble(insn, 0x1000, mode).empty());
  if (result == DecodeResult::kInvalid && model.quirks.empty()) {
    // Its length tells all bytes that decide: as long as one is missing, nothing is known.
    FUZZ_CHECK(insn.length >= 1 && insn.length <= bytes.size());
    Instruction same;
    FUZZ_CHECK(decode_for(model, bytes.first(insn.length), mode, same) == DecodeResult::kInvalid);
    FUZZ_CHECK(decode_for(model, bytes.first(insn.length - 1u), mode, same) ==
               DecodeResult::kNeedMoreBytes);
  }
  if (result != DecodeResult::kOk) return;
  FUZZ_CHECK(insn.length >= 1 && insn.length <= kMaxInstructionLength);
  FUZZ_CHECK(insn.length <= bytes.size());
  // What stands behind an instruction means nothing, and with one byte less there is none.
  Instruction same;
  FUZZ_CHECK(decode_for(model, bytes.first(insn.length), mode, same) == DecodeResult::kOk);
  FUZZ_CHECK(same.length == insn.length && same.row == insn.row);
  FUZZ_CHECK(disassemble(same, 0x1000, mode) == disassemble(insn, 0x1000, mode));
  FUZZ_CHECK(decode_for(model, bytes.first(insn.length - 1u), mode, same) ==
             DecodeResult::kNeedMoreBytes);
}

}  // namespace

void fuzz_decoder(std::span<const u8> input) {
  static const std::array kModels = {named_model("max"), named_model("qemu64"), named_model("386"),
                                     named_model("286"), named_model("8086")};
  for (const CpuModel& model : kModels) {
    for (const u8 bits : {16, 32, 64}) decode_one(model, input, {bits});
  }
}

void fuzz_cpu_state(std::span<const u8> bytes) {
  static const std::array kBenches = {
      InstructionBench::create(named_model("max"), kMiB, BenchEngine::kInterpreter).take(),
      InstructionBench::create(named_model("max"), kMiB, BenchEngine::kTranslator).take()};
  for (const auto& bench : kBenches) {
    FuzzInput input(bytes);
    bench->enter(static_cast<BenchMode>(input.byte() % 7));
    std::vector<u8> saved;
    bench->cpu().save(saved);
    for (unsigned changes = input.byte() % 32; changes != 0; --changes) {
      std::size_t at = input.number<u16>();
      for (const u8 byte : input.take(1 + input.byte() % 8)) saved[at++ % saved.size()] = byte;
    }
    std::span<const u8> in(saved);
    FUZZ_CHECK(bench->cpu().load(in).ok());
    std::array<u8, 64> code;
    code.fill(0x90);
    const auto given = input.take(code.size());
    std::copy(given.begin(), given.end(), code.begin());
    const u64 at = bench->state().segments[kCs].base + bench->state().rip();
    bench->write(at, code);
    (void)bench->run(200);
    (void)bench->cpu().describe();
  }
}

}  // namespace dragoman
