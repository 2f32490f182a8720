#include "cpu/isa/rows.h"

#include "cpu/isa/row_table.h"
#include "cpu/state.h"

namespace dragoman {
namespace {

constexpr u32 CF = kFlagCf;
constexpr u32 PF = kFlagPf;
constexpr u32 AF = kFlagAf;
constexpr u32 ZF = kFlagZf;
constexpr u32 SF = kFlagSf;
constexpr u32 IF = kFlagIf;
constexpr u32 DF = kFlagDf;
constexpr u32 OF = kFlagOf;
constexpr u32 SZAPC = SF | ZF | AF | PF | CF;
constexpr u32 OSZAPC = OF | SZAPC;
constexpr u32 OSZPC = OSZAPC & ~AF;
constexpr u32 OSZAP = OSZAPC & ~CF;

}  // namespace

constexpr std::array<OperationInfo, static_cast<std::size_t>(Operation::kCount)> kOperations = {{
#define OPERATION(name, mnemonic, category, flags_read, flags_written, flags_undefined) \
  {mnemonic, Category::category, flags_read, flags_written, flags_undefined},
#include "cpu/isa/operations.inc"
#undef OPERATION
}};

std::span<const Row> rows() { return isa::kRowTable; }

const Row& row(u16 index) { return isa::kRowTable[index]; }

}  // namespace dragoman
