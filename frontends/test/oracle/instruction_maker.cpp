// Encoding: prefixes, REX or VEX, opcode, ModRM, displacement, immediates.
#include "frontends/test/oracle/instruction_maker.h"

#include <algorithm>

namespace dragoman {
namespace {

using L = CaseLayout;
constexpr unsigned kNoOverride = 6;
constexpr std::array<u8, 6> kOverrides = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};

bool implicit_memory(const Row& r) {
  for (const Operand& o : r.operands) {
    if (o.addressing == Addressing::kX || o.addressing == Addressing::kY ||
        o.addressing == Addressing::kO) {
      return true;
    }
  }
  return r.operation == Operation::kXlat || r.operation == Operation::kMaskmovq ||
         r.operation == Operation::kMaskmovdqu || r.operation == Operation::kVmaskmovdqu;
}

}  // namespace

std::string_view left_out(const Row& r, CaseMode mode, const HostTraits& host) {
  if (r.operation == Operation::kInvalid) return "not an instruction";
  if (r.mode == (mode == CaseMode::k64 ? ModeKey::kNot64 : ModeKey::kOnly64)) {
    return "not in this mode";
  }
  if (mode == CaseMode::k32 && !host.has_32_bit) return "no 32-bit segments from the host's kernel";
  if (mode == CaseMode::k16 && !host.has_16_bit) return "no 16-bit segments from the host's kernel";
  if (!host.features.has(r.feature)) return "not supported by the host processor";
  // The register form of the prefetch group is a NOP on Intel processors and #UD on AMD's.
  if (r.map == OpcodeMap::k0F && r.opcode == 0x0d && r.mod == ModKey::kRegister) {
    return "differs between vendors";
  }
  switch (r.operation) {
    case Operation::kRdrand:
    case Operation::kRdseed:
      return "random result";
    case Operation::kRdtsc:
    case Operation::kRdtscp:
    case Operation::kRdpid:
    case Operation::kRdpmc:
    case Operation::kCpuid:
    case Operation::kXgetbv:
      return "tells the host's clock or identity";
    case Operation::kSgdt:
    case Operation::kSidt:
    case Operation::kSldt:
    case Operation::kStr:
    case Operation::kSmsw:
      return "shows the tables of the host's kernel, or is emulated by it (UMIP)";
    case Operation::kSyscall:
    case Operation::kSysenter:
      return "enters the host's kernel";
    case Operation::kWrpkru:
      return "would take this process's memory away";
    case Operation::kXsave:
    case Operation::kXsaveopt:
    case Operation::kXsavec:
    case Operation::kXrstor:
      return "depends on XCR0 and on what the host tracks as unused";
    case Operation::kRdfsbase:
    case Operation::kRdgsbase:
    case Operation::kWrfsbase:
    case Operation::kWrgsbase:
    case Operation::kMovToSeg:
    case Operation::kPopSeg:
    case Operation::kLfs:
    case Operation::kLgs:
      return host.has_segment_bases ? "" : "the C library's FS could not be put back";
    case Operation::kLss:
      // A stack segment of another size would have to be undone before a signal arrives.
      return "";
    default:
      return "";
  }
}

void InstructionMaker::emit(u64 value, unsigned count) {
  for (unsigned i = 0; i < count; ++i) case_->bytes.push_back(static_cast<u8>(value >> (8 * i)));
}

CpuCase InstructionMaker::make(u16 row_index, CaseMode mode, u64 seed, u64 variation) {
  random_ = CaseRandom(~seed);
  const Oddity oddity = choose_oddity(row_index, mode);
  if (oddity != Oddity::kNone) {
    CpuCase odd = make_with(oddity, row_index, mode, seed, variation);
    if (may_ask(odd, host_)) return odd;
  }
  return make_with(Oddity::kNone, row_index, mode, seed, variation);
}

CpuCase InstructionMaker::make_with(Oddity oddity, u16 row_index, CaseMode mode, u64 seed,
                                    u64 variation) {
  CpuCase made;
  const Row& r = row(row_index);
  *this = InstructionMaker(host_);
  random_ = CaseRandom(seed);
  odd_ = oddity;
  made.odd = oddity != Oddity::kNone;
  row_ = &r;
  case_ = &made;
  made.mode = mode;
  made.row = row_index;
  fill_registers();
  choose_form(variation);
  add_prefixes();
  add_rex_or_vex();
  add_opcode();
  add_modrm();
  fill_operand();
  shape_values();
  add_immediates();
  cut_at_page_end();
  fix_relative();
  aim_branch();
  for (u64& reg : made.before.regs) reg &= register_mask();
  if (!code64()) std::fill(made.before.regs.begin() + 8, made.before.regs.end(), u64{0});
  case_ = nullptr;
  return made;
}

/// The first variations go through the forms one by one; what follows is left to chance as well.
void InstructionMaker::choose_form(u64 variation) {
  const Row& r = *row_;
  const bool branch = category() == Category::kBranch;
  if (r.modrm && r.mod != ModKey::kRegister && !(r.attributes & kModIgnored)) {
    memory_ = r.mod == ModKey::kMemory || variation % 2 == 0;
  }
  const bool may66 =
      !r.vex && !branch && r.prefix != PrefixKey::kNp && r.prefix != PrefixKey::k66 &&
      // MOVSXD with 66h reads 16 bits on Intel processors, 32 on AMD's.
      !is(Operation::kMovsxd) && r.prefix != PrefixKey::kF2 && r.prefix != PrefixKey::kF3;
  const bool mandatory = r.prefix == PrefixKey::kF2 || r.prefix == PrefixKey::kF3;
  const bool general = category() == Category::kInteger || category() == Category::kSystem ||
                       category() == Category::kString;
  size_prefix_ = (may66 || (mandatory && general && !r.vex)) && variation / 2 % 3 == 1;
  w_ = variation / 2 % 3 == 2;
  const bool addresses =
      memory_ || implicit_memory(r) || (branch && case_->mode != CaseMode::k16 && code64());
  address_prefix_ = addresses && random_.chance(case_->mode == CaseMode::k32 ? 24 : 6);
  if ((r.attributes & kUsesSib) && !code64()) {
    address_prefix_ = case_->mode == CaseMode::k16;
  }
  address_bits_ = case_bits(case_->mode);
  if (address_prefix_) address_bits_ = address_bits_ == 32 ? 16 : 32;

  segment_ = kNoOverride;
  if (!branch && (memory_ || implicit_memory(r)) && random_.chance(6)) {
    static constexpr std::array<unsigned, 5> kChoice = {kEs, kSs, kDs, kGs, kFs};
    segment_ = kChoice[random_.below(5)];
    if (segment_ == kFs && (!host_.has_segment_bases || (!code64() && !random_.chance(8)))) {
      segment_ = kDs;
    }
  }
}

void InstructionMaker::add_prefixes() {
  const Row& r = *row_;
  std::vector<u8>& prefixes = case_->bytes;
  if (size_prefix_) prefixes.push_back(0x66);
  if (!r.vex) {
    if (r.prefix == PrefixKey::k66) prefixes.push_back(0x66);
    if (r.prefix == PrefixKey::kF2) prefixes.push_back(0xf2);
    if (r.prefix == PrefixKey::kF3) prefixes.push_back(0xf3);
    if ((r.attributes & kRepeatable) && !random_.chance(3)) {
      prefixes.push_back(random_.chance(2) ? 0xf2 : 0xf3);
    }
    if ((r.attributes & kLockable) && memory_ && random_.chance(4)) prefixes.push_back(0xf0);
  }
  if (address_prefix_) prefixes.push_back(0x67);
  if (segment_ != kNoOverride) prefixes.push_back(kOverrides[segment_]);
  for (std::size_t i = prefixes.size(); i > 1; --i) {
    std::swap(prefixes[i - 1], prefixes[random_.below(i)]);
  }
  if (odd_ != Oddity::kNone) add_odd_prefixes();
}

void InstructionMaker::add_rex_or_vex() {
  const Row& r = *row_;
  const bool extended = code64();
  rex_r_ = extended && random_.chance(2) ? 8 : 0;
  rex_x_ = extended && random_.chance(2) ? 8 : 0;
  rex_b_ = extended && !(r.attributes & kRexB0) && random_.chance(2) ? 8 : 0;
  if (r.vex) {
    l_ = (r.attributes & kVexL1) || (!(r.attributes & kVexL0) && random_.chance(2));
    w_ = (r.attributes & kVexW1) || (!(r.attributes & kVexW0) && w_);
    vvvv_ = (r.attributes & kVexNds) ? static_cast<unsigned>(random_.below(extended ? 16 : 8)) : 0;
    if (odd_ == Oddity::kVexFields) change_vex_fields();
    const unsigned pp = r.prefix == PrefixKey::k66   ? 1
                        : r.prefix == PrefixKey::kF3 ? 2
                        : r.prefix == PrefixKey::kF2 ? 3
                                                     : 0;
    const unsigned tail = (~vvvv_ & 15) << 3 | (l_ ? 4 : 0) | pp;
    if (r.map == OpcodeMap::k0F && !w_ && vex_map_ == 0 && random_.chance(2)) {
      rex_x_ = rex_b_ = 0;
      emit(0xc5, 1);
      emit((rex_r_ ? 0 : 0x80) | tail, 1);
    } else {
      const unsigned own = r.map == OpcodeMap::k0F ? 1 : r.map == OpcodeMap::k0F38 ? 2 : 3;
      const unsigned map = vex_map_ != 0 ? vex_map_ : own;
      emit(0xc4, 1);
      emit((rex_r_ ? 0 : 0x80) | (rex_x_ ? 0 : 0x40) | (rex_b_ ? 0 : 0x20) | map, 1);
      emit((w_ ? 0x80 : 0) | tail, 1);
    }
  } else {
    w_ = extended && ((r.attributes & kRexWSelects) || (!(r.attributes & kRexW0) && w_));
    if (w_ || (extended && random_.chance(2))) {
      emit(0x40 | (w_ ? 8 : 0) | rex_r_ >> 1 | rex_x_ >> 2 | rex_b_ >> 3, 1);
    } else {
      rex_r_ = rex_x_ = rex_b_ = 0;
    }
  }
  const bool half = (case_->mode == CaseMode::k16) != size_prefix_;
  const bool wide = extended && (w_ || (r.attributes & kForce64) ||
                                 ((r.attributes & kDefault64) && !size_prefix_));
  size_ = wide ? 8 : half ? 2 : 4;
}

void InstructionMaker::add_opcode() {
  const Row& r = *row_;
  if (odd_ == Oddity::kOpcode) return add_unknown_opcode();
  if (!r.vex && r.map != OpcodeMap::kOne) {
    emit(0x0f, 1);
    if (r.map == OpcodeMap::k0F38) emit(0x38, 1);
    if (r.map == OpcodeMap::k0F3A) emit(0x3a, 1);
  }
  if (r.opcode_mask != 0xff) {
    opcode_reg_ = static_cast<unsigned>(random_.below(8));
    // 90h is NOP unless REX.B; the XCHG row does not own it.
    if (is(Operation::kXchg) && opcode_reg_ == 0) opcode_reg_ = 3;
  }
  emit(r.opcode | opcode_reg_, 1);
}

void InstructionMaker::add_modrm() {
  const Row& r = *row_;
  if (!r.modrm) return;
  reg_ = r.reg >= 0 ? static_cast<unsigned>(r.reg) : static_cast<unsigned>(random_.below(8));
  rm_ = r.rm >= 0 ? static_cast<unsigned>(r.rm) : static_cast<unsigned>(random_.below(8));
  if (is(Operation::kMovFromSeg) || is(Operation::kMovToSeg)) {
    if (!random_.chance(16)) reg_ %= 6;
    if (is(Operation::kMovToSeg) && reg_ == kCs && !random_.chance(4)) reg_ = kDs;
  }
  if (!memory_) {
    emit(0xc0 | reg_ << 3 | rm_, 1);
  } else if (address_bits_ == 16) {
    add_memory16(reg_, rm_);
  } else {
    if (r.attributes & kUsesSib) rm_ = 4;
    add_memory(reg_, rm_);
  }
}

u64 InstructionMaker::target(bool on_stack) {
  const u64 first = on_stack ? L::kStack : L::kData;
  const u64 last = first + (on_stack ? L::kStackBytes : L::kDataBytes);
  if (random_.chance(32)) return last - random_.below(36);   // may run into the page behind
  if (random_.chance(32)) return first - random_.below(36);  // and the one before
  if (random_.chance(4)) return first + 0xfe0 + random_.below(48);
  const u64 misaligned = random_.chance(3) ? random_.below(16) : 0;
  return first + (on_stack ? 0x100 : 0x800) + 16 * random_.below(64) + misaligned;
}

void InstructionMaker::add_memory16(unsigned reg, unsigned rm) {
  // SDM vol. 2, table 2-1: pairs of base and index, BP-based ones in SS.
  static constexpr std::array<std::array<unsigned, 2>, 8> kPairs = {{{kRbx, kRsi},
                                                                     {kRbx, kRdi},
                                                                     {kRbp, kRsi},
                                                                     {kRbp, kRdi},
                                                                     {kRsi, 16},
                                                                     {kRdi, 16},
                                                                     {kRbp, 16},
                                                                     {kRbx, 16}}};
  const unsigned mod = static_cast<unsigned>(random_.below(3));
  const bool absolute = mod == 0 && rm == 6;
  const bool by_bp = !absolute && (rm == 2 || rm == 3 || rm == 6);
  const unsigned segment = segment_ != kNoOverride ? segment_ : unsigned{by_bp ? kSs : kDs};
  const bool small = case_->mode == CaseMode::k16;
  segment_base_ = !small ? 0 : segment == kSs ? L::kStackBase16 : L::kDataBase16;
  case_->touched = target(small && segment == kSs);
  u64 goal = case_->touched - segment_base_;
  emit(mod << 6 | reg << 3 | rm, 1);
  u64 displacement = 0;
  if (mod == 1) displacement = static_cast<u64>(static_cast<i64>(static_cast<i8>(random_.value())));
  if (mod == 2) displacement = random_();
  if (absolute) {
    emit(goal, 2);
    return;
  }
  if (mod != 0) emit(displacement, mod);
  auto& regs = case_->before.regs;
  base_ = kPairs[rm][0];
  index_ = kPairs[rm][1];
  goal -= displacement;
  if (index_ < 16) {
    regs[index_] = random_();
    goal -= regs[index_];
  }
  regs[base_] = (goal & 0xffff) | (random_() & 0xffff0000);
}

void InstructionMaker::add_memory(unsigned reg, unsigned rm) {
  auto& regs = case_->before.regs;
  const bool vsib = (row_->attributes & kUsesSib) != 0;
  const unsigned mod = static_cast<unsigned>(random_.below(3));
  emit(mod << 6 | reg << 3 | rm, 1);
  unsigned base = rm | rex_b_;
  unsigned index = 16;
  unsigned scale = 0;
  bool has_base = true;
  bool relative = false;
  if (rm == 4) {
    const unsigned sib_base = static_cast<unsigned>(random_.below(8));
    const unsigned sib_index = static_cast<unsigned>(random_.below(8));
    scale = static_cast<unsigned>(random_.below(4));
    emit(scale << 6 | sib_index << 3 | sib_base, 1);
    base = sib_base | rex_b_;
    if (vsib) {
      vector_index_ = sib_index | rex_x_;
    } else if ((sib_index | rex_x_) != 4) {
      index = sib_index | rex_x_;
    }
    has_base = !(mod == 0 && sib_base == 5);
  } else if (mod == 0 && rm == 5) {
    relative = code64();
    has_base = false;
  }
  // The default segment (SDM vol. 1, table 3-5) matters where stack and data have other bases.
  const bool small = case_->mode == CaseMode::k16;
  const bool by_stack = has_base && (base == kRsp || base == kRbp);
  const unsigned segment = segment_ != kNoOverride ? segment_ : unsigned{by_stack ? kSs : kDs};
  segment_base_ = 0;
  if (small) segment_base_ = segment == kSs ? L::kStackBase16 : L::kDataBase16;
  if (code64() && segment == kGs) segment_base_ = L::kGsBase;
  if (code64() && segment == kFs) segment_base_ = L::kFsBase;
  case_->touched = target(small && segment == kSs);
  const u64 goal = case_->touched - segment_base_;
  if (relative) {
    relative_ = case_->bytes.size();
    emit(0, 4);
    return;
  }
  u64 displacement = 0;
  if (mod == 1) displacement = static_cast<u64>(static_cast<i64>(static_cast<i8>(random_.value())));
  if (mod == 2) displacement = random_.below(0x2000) - 0x1000;
  if (index < 16 && index != base) regs[index] = random_.below(64);
  const u64 offset = index < 16 && index != base ? regs[index] << scale : 0;
  if (!has_base) {
    displacement = goal;
    if (index < 16) {
      regs[index] = random_.below(64);
      displacement -= regs[index] << scale;
    }
    emit(displacement, 4);
  } else {
    u64 start = (goal - displacement - offset) & address_mask();
    if (index == base) {
      const u64 factor = 1 + (u64{1} << scale);
      case_->touched -= start % factor;
      start /= factor;
    }
    regs[base] = start;
    if (mod == 1) emit(displacement, 1);
    if (mod == 2) emit(displacement, 4);
  }
  if (address_prefix_ && code64()) {  // only the low halves count
    if (has_base && index != base) regs[base] = static_cast<u32>(regs[base]) | random_() << 32;
    if (index < 16 && index != base) regs[index] |= random_() << 32;
  }
  base_ = has_base ? base : 16;
  index_ = index;
  if (code64() && has_base && random_.chance(300)) regs[base] = random_.value();  // anywhere
}

void InstructionMaker::add_immediates() {
  for (const Operand& o : row_->operands) {
    switch (o.addressing) {
      case Addressing::kJ:
        emit(L::kBranch, o.width == Width::kB ? 1 : case_->mode == CaseMode::k16 ? 2 : 4);
        break;
      case Addressing::kO:
        case_->touched = target(false);
        if (case_->mode == CaseMode::k16) segment_base_ = L::kDataBase16;
        if (case_->mode == CaseMode::k16 && segment_ == kSs) segment_base_ = L::kStackBase16;
        if (code64() && segment_ == kGs) segment_base_ = L::kGsBase;
        if (code64() && segment_ == kFs) segment_base_ = L::kFsBase;
        fill_operand();
        emit(case_->touched - segment_base_, address_bits_ / 8);
        break;
      case Addressing::kA: {  // far pointer to the branch target
        const unsigned bytes = size_ == 2 ? 2 : 4;
        const u64 next = L::start(case_->mode) + case_->bytes.size() + bytes + 2;
        emit(next + L::kBranch, bytes);
        emit(random_.chance(4)              ? far_selector()
             : case_->mode == CaseMode::k32 ? L::kCode32
                                            : L::kCode16,
             2);
        break;
      }
      case Addressing::kL:
        emit(random_(), 1);
        break;
      case Addressing::kI: {
        u64 v = random_.value();
        if (is(Operation::kEnter)) v = o.width == Width::kW ? random_.below(64) : v & 0x87;
        if (is(Operation::kRetNear) || is(Operation::kRetFar)) v = random_.below(64);
        if (is(Operation::kInt) && (v & 0xff) == 0x80) v = 0x81;  // a system call
        const unsigned z = size_ == 2 ? 2 : 4;
        emit(v, o.width == Width::kB || o.width == Width::kBs ? 1
                : o.width == Width::kW                        ? 2
                : o.width == Width::kZ                        ? z
                                                              : size_);
        break;
      }
      default:
        break;
    }
  }
}

void InstructionMaker::fix_relative() {
  if (relative_ == 0) return;
  const u32 distance = static_cast<u32>(case_->touched - segment_base_ -
                                        (case_->linear_start() + case_->bytes.size()));
  std::memcpy(case_->bytes.data() + relative_, &distance, 4);
}

}  // namespace dragoman
