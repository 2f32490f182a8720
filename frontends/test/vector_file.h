// The public single-instruction test vectors captured from real processors (SingleStepTests): the
// binary MOO format (versions 1.0 and 1.1) and the JSON form of the same, either also gzip'ed, and
// the metadata.json that lies beside the files of a set.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace dragoman {

/// Registers of a vector by one numbering for the 16-bit and the 32-bit register files.
enum class VectorReg : u8 {
  kAx,
  kBx,
  kCx,
  kDx,
  kCs,
  kSs,
  kDs,
  kEs,
  kSp,
  kBp,
  kSi,
  kDi,
  kIp,
  kFlags,
  kFs,
  kGs,
  kCr0,
  kCr3,
  kDr6,
  kDr7,
  kCount
};
inline constexpr std::size_t kVectorRegs = static_cast<std::size_t>(VectorReg::kCount);
/// "ax" ... "flags", "fs" ...
std::string_view vector_reg_name(VectorReg reg);

struct VectorState {
  std::array<std::optional<u32>, kVectorRegs> regs;
  std::array<std::optional<u32>, kVectorRegs> masks;  ///< bits that count, where not all do
  struct Byte {
    u32 address;
    u8 value;
  };
  std::vector<Byte> ram;

  const std::optional<u32>& reg(VectorReg r) const { return regs[static_cast<std::size_t>(r)]; }
};

struct VectorException {
  u8 number = 0;
  u32 flag_address = 0;  ///< of the flags word on the handler's stack
};

struct VectorTest {
  u32 index = 0;
  std::string name;
  std::vector<u8> bytes;
  VectorState initial;
  VectorState final;  ///< what changed, unless the set lists everything
  std::optional<VectorException> exception;
};

struct VectorFile {
  std::string cpu;       ///< as the set calls it: "8086", "C286", "386E"; empty when not said
  std::string mnemonic;  ///< may be empty
  std::array<std::optional<u32>, kVectorRegs> masks;  ///< for every test of the file
  std::vector<VectorTest> tests;
};

/// `name` is for error sentences. The form is recognized by the contents.
Result<VectorFile> parse_vectors(std::span<const u8> bytes, std::string_view name);
Result<VectorFile> read_vector_file(const std::string& path);

/// What metadata.json says of one opcode ("00", or "F6.6" for an opcode with a ModRM group).
struct VectorOpcode {
  std::string status;  ///< "normal", "undocumented", "undefined" ...
  u32 defined_flags = 0xffffffff;
};
struct VectorMetadata {
  std::string cpu;
  std::map<std::string, VectorOpcode, std::less<>> opcodes;

  /// The entry for the opcode of a file name. Size prefixes (66, 67) of 80386 files are left out
  /// where the set does not list them.
  const VectorOpcode* find(std::string_view opcode) const;
};
Result<VectorMetadata> parse_vector_metadata(std::string_view text, std::string_view name);

/// "F6.6" of "/somewhere/F6.6.MOO.gz".
std::string vector_opcode(std::string_view path);

/// The whole file, uncompressed if it was gzip'ed. At most 1 GiB.
Result<std::vector<u8>> read_maybe_compressed(const std::string& path);

}  // namespace dragoman
