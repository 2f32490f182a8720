#include "frontends/test/vector_file.h"

#include <zlib.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>

namespace dragoman {
namespace {

using Json = nlohmann::json;
using R = VectorReg;

/// REGS and RMSK: bit 0 of the mask is AX.
constexpr std::array kOrder16 = {R::kAx, R::kBx, R::kCx, R::kDx, R::kCs, R::kSs, R::kDs,
                                 R::kEs, R::kSp, R::kBp, R::kSi, R::kDi, R::kIp, R::kFlags};
/// RG32 and RM32: bit 0 of the mask is CR0.
constexpr std::array kOrder32 = {R::kCr0, R::kCr3, R::kAx, R::kBx,    R::kCx,  R::kDx, R::kSi,
                                 R::kDi,  R::kBp,  R::kSp, R::kCs,    R::kDs,  R::kEs, R::kFs,
                                 R::kGs,  R::kSs,  R::kIp, R::kFlags, R::kDr6, R::kDr7};

constexpr std::array<std::string_view, kVectorRegs> kNames = {
    "ax", "bx", "cx", "dx",    "cs", "ss", "ds",  "es",  "sp",  "bp",
    "si", "di", "ip", "flags", "fs", "gs", "cr0", "cr3", "dr6", "dr7"};

/// Little-endian values of a chunk, front to back; past its end zeros are read and `bad` is set.
class Reader {
 public:
  explicit Reader(std::span<const u8> bytes) : bytes_(bytes) {}

  bool bad() const { return bad_; }
  bool at_end() const { return at_ >= bytes_.size(); }
  u32 take(unsigned width) {
    u32 value = 0;
    const std::span<const u8> piece = take_bytes(width);
    std::copy(piece.begin(), piece.end(), reinterpret_cast<u8*>(&value));
    return value;
  }
  std::span<const u8> take_bytes(u64 count) {
    if (count > bytes_.size() - at_) {
      bad_ = true;
      at_ = bytes_.size();
      return {};
    }
    const std::span<const u8> piece = bytes_.subspan(at_, count);
    at_ += count;
    return piece;
  }
  std::string take_text(u64 count) {
    const std::span<const u8> piece = take_bytes(count);
    std::string text(piece.begin(), piece.end());
    while (!text.empty() && (text.back() == ' ' || text.back() == '\0')) text.pop_back();
    return text;
  }
  /// The next chunk, or false at the end or when it is longer than what is left.
  bool next_chunk(std::string& tag, std::span<const u8>& body) {
    if (at_end()) return false;
    const std::span<const u8> name = take_bytes(4);
    tag.assign(name.begin(), name.end());
    body = take_bytes(take(4));
    return !bad_;
  }

 private:
  std::span<const u8> bytes_;
  std::size_t at_ = 0;
  bool bad_ = false;
};

using RegisterFile = std::array<std::optional<u32>, kVectorRegs>;

bool read_registers(std::span<const u8> body, bool wide, RegisterFile& out) {
  Reader in(body);
  const unsigned bytes = wide ? 4 : 2;
  const std::span<const VectorReg> order =
      wide ? std::span<const VectorReg>(kOrder32) : std::span<const VectorReg>(kOrder16);
  const u32 present = in.take(bytes);
  for (std::size_t i = 0; i < order.size(); ++i) {
    if ((present >> i) & 1) out[static_cast<std::size_t>(order[i])] = in.take(bytes);
  }
  return !in.bad();
}

/// REGS, RG32, RMSK and RM32; false for a broken one. Other tags are none of its business.
bool read_register_chunk(std::string_view tag, std::span<const u8> body, RegisterFile& values,
                         RegisterFile& masks) {
  if (tag == "REGS" || tag == "RG32") return read_registers(body, tag == "RG32", values);
  if (tag == "RMSK" || tag == "RM32") return read_registers(body, tag == "RM32", masks);
  return true;
}

bool read_state(std::span<const u8> chunk, VectorState& out) {
  Reader in(chunk);
  std::string tag;
  std::span<const u8> body;
  while (in.next_chunk(tag, body)) {
    if (!read_register_chunk(tag, body, out.regs, out.masks)) return false;
    if (tag != "RAM ") continue;
    Reader entries(body);
    const u32 count = entries.take(4);
    if (count > body.size() / 5) return false;
    out.ram.reserve(count);
    for (u32 i = 0; i < count; ++i) {
      const u32 address = entries.take(4);
      out.ram.push_back({address, static_cast<u8>(entries.take(1))});
    }
    if (entries.bad()) return false;
  }
  return !in.bad();
}

bool read_test(std::span<const u8> chunk, VectorTest& test) {
  Reader in(chunk);
  test.index = in.take(4);
  std::string tag;
  std::span<const u8> body;
  while (in.next_chunk(tag, body)) {
    Reader field(body);
    if (tag == "NAME") {
      test.name = field.take_text(field.take(4));
    } else if (tag == "BYTS") {
      const std::span<const u8> bytes = field.take_bytes(field.take(4));
      test.bytes.assign(bytes.begin(), bytes.end());
    } else if (tag == "EXCP") {
      const u8 number = static_cast<u8>(field.take(1));
      test.exception = VectorException{number, field.take(4)};
    } else if (tag == "INIT" || tag == "FINA") {
      if (!read_state(body, tag == "INIT" ? test.initial : test.final)) return false;
    }
    if (field.bad()) return false;
  }
  return !in.bad();
}

Result<VectorFile> parse_moo(std::span<const u8> bytes, std::string_view name) {
  VectorFile file;
  Reader in(bytes);
  std::string tag;
  std::span<const u8> body;
  u32 promised = 0;
  while (in.next_chunk(tag, body)) {
    Reader field(body);
    if (tag == "MOO ") {
      const u32 version = field.take(1);
      (void)field.take(3);
      promised = field.take(4);
      file.cpu = field.take_text(4);
      if (version != 1) {
        return error("'{}' is MOO version {}; this program reads version 1", name, version);
      }
    } else if (tag == "META") {
      (void)field.take_bytes(7);
      file.mnemonic = field.take_text(8);
    } else if (tag == "TEST") {
      VectorTest test;
      if (!read_test(body, test)) {
        return error("'{}': test {} has a chunk longer than the test; is the file cut off?", name,
                     test.index);
      }
      file.tests.push_back(std::move(test));
    } else {
      RegisterFile none;
      if (!read_register_chunk(tag, body, none, file.masks)) {
        return error("'{}': broken {} chunk; is the file cut off?", name, tag);
      }
    }
    if (field.bad()) return error("'{}': broken {} chunk; is the file cut off?", name, tag);
  }
  if (in.bad() || file.tests.size() != promised) {
    return error("'{}' ends after {} of {} tests; fetch it again", name, file.tests.size(),
                 promised);
  }
  return file;
}

// --- JSON
// ------------------------------------------------------------------------------------------

std::optional<u32> number(const Json& value) {
  if (!value.is_number_unsigned()) return std::nullopt;
  const u64 wide = value.get<u64>();
  if (wide > std::numeric_limits<u32>::max()) return std::nullopt;
  return static_cast<u32>(wide);
}

/// Member `key` of an object; a null value when it is missing or `object` is none.
const Json& member(const Json& object, const char* key, const Json& none) {
  if (!object.is_object()) return none;
  const auto found = object.find(key);
  return found == object.end() ? none : *found;
}

std::optional<VectorReg> register_named(std::string_view name) {
  if (name.size() > 2 && name[0] == 'e') name.remove_prefix(1);  // "eax", "eflags", but not "es"
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<VectorReg>(found - kNames.begin());
}

bool read_json_state(const Json& state, VectorState& out) {
  const Json none;
  const Json& regs = member(state, "regs", none);
  if (!regs.is_object()) return false;
  for (const auto& [name, value] : regs.items()) {
    const auto reg = register_named(name);
    if (!reg) continue;
    const auto content = number(value);
    if (!content) return false;
    out.regs[static_cast<std::size_t>(*reg)] = *content;
  }
  const Json& ram = member(state, "ram", none);
  if (ram.is_null()) return true;
  if (!ram.is_array()) return false;
  for (const Json& entry : ram) {
    if (!entry.is_array() || entry.size() != 2) return false;
    const auto address = number(entry[0]), value = number(entry[1]);
    if (!address || !value || *value > 0xff) return false;
    out.ram.push_back({*address, static_cast<u8>(*value)});
  }
  return true;
}

bool read_json_test(const Json& item, VectorTest& test, std::size_t position) {
  const Json none;
  const Json& name = member(item, "name", none);
  if (name.is_string()) test.name = name.get<std::string>();
  test.index = number(member(item, "idx", none)).value_or(static_cast<u32>(position));
  const Json& bytes = member(item, "bytes", none);
  if (bytes.is_array()) {
    for (const Json& byte : bytes) {
      const auto value = number(byte);
      if (!value || *value > 0xff) return false;
      test.bytes.push_back(static_cast<u8>(*value));
    }
  }
  const Json& exception = member(item, "exception", none);
  if (exception.is_object()) {
    const auto vector = number(member(exception, "number", none));
    const auto address = number(member(exception, "flag_address", none));
    if (!vector || *vector > 0xff) return false;
    test.exception = VectorException{static_cast<u8>(*vector), address.value_or(0)};
  }
  return read_json_state(member(item, "initial", none), test.initial) &&
         read_json_state(member(item, "final", none), test.final);
}

Result<VectorFile> parse_json(std::span<const u8> bytes, std::string_view name) {
  const Json document = Json::parse(bytes.begin(), bytes.end(), nullptr, false);
  if (!document.is_array()) {
    return error("'{}' is neither a MOO file nor a JSON list of tests", name);
  }
  VectorFile file;
  for (const Json& item : document) {
    VectorTest test;
    if (!read_json_test(item, test, file.tests.size())) {
      return error("'{}': entry {} is not a test: it needs numbers in 'initial' and 'final'", name,
                   file.tests.size());
    }
    file.tests.push_back(std::move(test));
  }
  // The form does not name its processor; only the register file of the 80386 has CR0.
  if (!file.tests.empty() && file.tests[0].initial.reg(R::kCr0)) file.cpu = "386";
  return file;
}

}  // namespace

std::string_view vector_reg_name(VectorReg reg) { return kNames[static_cast<std::size_t>(reg)]; }

Result<VectorFile> parse_vectors(std::span<const u8> bytes, std::string_view name) {
  if (bytes.size() >= 4 && std::memcmp(bytes.data(), "MOO ", 4) == 0) return parse_moo(bytes, name);
  return parse_json(bytes, name);
}

Result<std::vector<u8>> read_maybe_compressed(const std::string& path) {
  constexpr std::size_t kMost = std::size_t{1} << 30;
  constexpr std::size_t kPiece = 1 << 18;
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(path.c_str(), "rb"), &gzclose);
  if (file == nullptr) {
    return error("cannot open '{}': {}", path, std::strerror(errno));
  }
  std::vector<u8> bytes;
  for (;;) {
    const std::size_t before = bytes.size();
    bytes.resize(before + kPiece);
    const int got = gzread(file.get(), bytes.data() + before, kPiece);
    if (got < 0) {
      int code = 0;
      return error("cannot read '{}': {}", path, gzerror(file.get(), &code));
    }
    bytes.resize(before + static_cast<std::size_t>(got));
    if (got == 0) break;
    if (bytes.size() > kMost) return error("'{}' is larger than 1 GiB; split it", path);
  }
  int code = Z_OK;
  const char* text = gzerror(file.get(), &code);
  if (code == Z_BUF_ERROR) return error("'{}' ends inside its compressed data: {}", path, text);
  return bytes;
}

Result<VectorFile> read_vector_file(const std::string& path) {
  const auto bytes = read_maybe_compressed(path);
  if (!bytes) return bytes.error();
  return parse_vectors(*bytes, path);
}

std::string vector_opcode(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  std::string_view name = slash == std::string_view::npos ? path : path.substr(slash + 1);
  for (const std::string_view ending : {".gz", ".MOO", ".moo", ".json"}) {
    if (name.ends_with(ending)) name.remove_suffix(ending.size());
  }
  std::string opcode(name);
  for (char& c : opcode) {
    if (c >= 'a' && c <= 'f') c = static_cast<char>(c - 'a' + 'A');
  }
  return opcode;
}

const VectorOpcode* VectorMetadata::find(std::string_view opcode) const {
  for (;;) {
    const auto found = opcodes.find(opcode);
    if (found != opcodes.end()) return &found->second;
    if (opcode.size() <= 2 || !(opcode.starts_with("66") || opcode.starts_with("67"))) {
      return nullptr;
    }
    opcode.remove_prefix(2);
  }
}

Result<VectorMetadata> parse_vector_metadata(std::string_view text, std::string_view name) {
  const Json document = Json::parse(text.begin(), text.end(), nullptr, false);
  const Json none;
  const Json& opcodes = member(document, "opcodes", none);
  if (!opcodes.is_object()) {
    return error("'{}' has no list of opcodes; give the metadata.json of the set", name);
  }
  VectorMetadata metadata;
  const Json& cpu = member(document, "cpu", none);
  if (cpu.is_string()) metadata.cpu = cpu.get<std::string>();
  const auto add = [&](const std::string& opcode, const Json& entry) {
    VectorOpcode& out = metadata.opcodes[opcode];
    const Json& status = member(entry, "status", none);
    if (status.is_string()) out.status = status.get<std::string>();
    // Bits above the mask's 16 are beside the point, but the mask must not hide them.
    if (const auto mask = number(member(entry, "flags-mask", none))) {
      out.defined_flags = *mask <= 0xffff ? *mask | 0xffff0000 : *mask;
    }
  };
  for (const auto& [opcode, entry] : opcodes.items()) {
    const Json& group = member(entry, "reg", none);
    add(opcode, entry);
    if (!group.is_object()) continue;
    for (const auto& [digit, form] : group.items()) add(opcode + "." + digit, form);
  }
  return metadata;
}

}  // namespace dragoman
