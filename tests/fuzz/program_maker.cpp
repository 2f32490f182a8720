#include "tests/fuzz/program_maker.h"

#include <algorithm>

#include "cpu/state.h"

namespace dragoman {
namespace {

/// What ends or derails a program too often to be tried as often as the rest.
bool rare(Operation operation) {
  switch (operation) {
    case Operation::kHlt:
    case Operation::kMwait:
    case Operation::kMovToCr:
    case Operation::kMovToDr:
    case Operation::kLgdt:
    case Operation::kLidt:
    case Operation::kLtr:
    case Operation::kLldt:
    case Operation::kLmsw:
    case Operation::kWrmsr:
    case Operation::kSysexit:
    case Operation::kSysret:
      return true;
    default:
      return false;
  }
}

}  // namespace

FuzzProgramMaker::FuzzProgramMaker(const FeatureSet& features) : features_(features) {
  for (const Row& r : rows()) {
    if (r.operation == Operation::kInvalid) continue;
    const Category category = operation_info(r.operation).category;
    const Group group = category == Category::kInteger  ? kInteger
                        : category == Category::kString ? kString
                        : category == Category::kBranch ? kBranch
                        : category == Category::kSystem ? kSystem
                        : category == Category::kX87    ? kX87
                                                        : kVector;
    rows_[group].push_back(&r);
  }
}

const Row& FuzzProgramMaker::pick_row() {
  static constexpr unsigned kShares[kGroups] = {58, 6, 9, 6, 8, 13};
  for (;;) {
    u64 share = random_.below(100);
    unsigned group = 0;
    while (share >= kShares[group]) share -= kShares[group++];
    const Row& r = *rows_[group][random_.below(rows_[group].size())];
    if (r.mode == (bits_ == 64 ? ModeKey::kNot64 : ModeKey::kOnly64) && !random_.chance(50))
      continue;
    if (rare(r.operation) && !random_.chance(20)) continue;
    if (!features_.has(r.feature) && !random_.chance(30)) continue;
    if (((r.attributes & kPrivileged) || r.vex) && !random_.chance(8) &&
        (r.vex ? program_.mode <= FuzzMode::kV86 : !fuzz_kernel(program_.mode))) {
      continue;
    }
    return r;
  }
}

FuzzProgram FuzzProgramMaker::make(u64 seed) {
  FuzzRandom random(seed ^ 0x5deece66d);
  // 64-bit code is most of what there is to translate.
  static constexpr FuzzMode kMore[] = {FuzzMode::kKernel64, FuzzMode::kUser64, FuzzMode::kUser64,
                                       FuzzMode::kUser32, FuzzMode::kKernel32};
  const u64 n = random.below(static_cast<u64>(FuzzMode::kCount) + std::size(kMore));
  return make(seed, n < std::size(kMore) ? kMore[n] : static_cast<FuzzMode>(n - std::size(kMore)));
}

FuzzProgram FuzzProgramMaker::make(u64 seed, FuzzMode mode) {
  random_ = FuzzRandom(seed * 0xd1342543de82ef95 + 1);
  start(mode);
  slots_ = 1 + static_cast<unsigned>(random_.below(random_.chance(4) ? 24 : 6));
  body(slots_);
  loop_end();
  FuzzProgram done = std::move(program_);
  program_ = {};
  return done;
}

void FuzzProgramMaker::start(FuzzMode mode) {
  program_ = {};
  program_.mode = mode;
  bits_ = fuzz_code_bits(mode);
  if (fuzz_long_mode(mode)) {
    program_.paging = FuzzPaging::kLong;
  } else if (mode == FuzzMode::kReal16) {
    program_.paging = FuzzPaging::kNone;
  } else {
    program_.paging = static_cast<FuzzPaging>(random_.below(3));
  }
  for (u64& reg : program_.regs) {
    reg = random_.chance(3) ? aim() : random_.value();
    if (bits_ != 64) reg = static_cast<u32>(reg);
  }
  if (bits_ == 16 && !random_.chance(4)) {
    for (u64& reg : program_.regs) reg &= 0xffff;
  }
  program_.flags = kFlagFixed | (static_cast<u32>(random_.number()) & kArithmeticFlags);
  if (random_.chance(2)) program_.flags |= kFlagIf;
  if (random_.chance(10)) program_.flags |= kFlagDf;
  if (random_.chance(12)) program_.flags |= kFlagAc;
  if (random_.chance(40)) program_.flags |= kFlagTf;
  if (random_.chance(2)) program_.flags |= kFlagIopl;
  if (random_.chance(2)) program_.cr0_bits |= kCr0Wp;
  if (random_.chance(2)) program_.cr0_bits |= kCr0Am;
  if (random_.chance(40)) program_.cr0_bits |= kCr0Ts;
  if (random_.chance(40)) program_.cr0_bits |= kCr0Em;
  if (random_.chance(2)) program_.cr4_bits |= kCr4Pge;
  if (random_.chance(4)) program_.cr4_bits |= kCr4Tsd;
  if (random_.chance(4)) program_.cr4_bits |= kCr4Umip;
  if (random_.chance(4)) program_.cr4_bits |= kCr4De;
  if (mode == FuzzMode::kV86 && random_.chance(2)) program_.cr4_bits |= kCr4Vme;
  if (mode == FuzzMode::kKernel64 && random_.chance(16)) program_.cr4_bits |= kCr4Smap;
  program_.fs_base = FuzzLayout::kData + 0x100 * random_.below(8);
  program_.gs_base = random_.chance(3) ? FuzzLayout::kCode : FuzzLayout::kData + random_.below(64);
  if (random_.chance(30)) program_.gs_base = 0x00007ffffffff000;
  if (mode == FuzzMode::kKernel32 || mode == FuzzMode::kUser32 || mode == FuzzMode::kCompatible32) {
    // Small, expanding down, read-only, code's alias: see the GDT of fuzz_machine.cpp.
    static constexpr u16 kOthers[] = {0x43, 0x4b, 0x53, 0x7b};
    for (const unsigned i : {0u, 3u, 4u, 5u}) {
      if (random_.chance(i < 4 ? 6 : 2)) {
        program_.selectors[i] = kOthers[random_.below(std::size(kOthers))];
      }
    }
  }
  if (random_.chance(4)) program_.mxcsr = 0x1f80 ^ (static_cast<u32>(random_.number()) & 0xe040);
  if (random_.chance(8)) program_.mxcsr &= ~u32{static_cast<u32>(random_.number()) & 0x1f80};
  if (random_.chance(4)) {
    program_.fpu_control = static_cast<u16>(0x40 | (random_.number() & 0xf00) | 0x3f);
  }
  if (random_.chance(8)) program_.fpu_control &= static_cast<u16>(~(random_.number() & 0x3f));
  program_.rounds = 1 + static_cast<u32>(random_.below(random_.chance(8) ? 40 : 5));
  program_.schedule = random_.chance(2) ? random_.number() | 1 : 0;
  program_.limit = random_.chance(8) ? 6000 : 1500;
  if ((mode == FuzzMode::kReal16 || mode == FuzzMode::kV86) && random_.chance(2)) {
    program_.code_start = static_cast<u16>(FuzzLayout::kSlot * random_.below(64));
  }
}

void FuzzProgramMaker::raw(std::initializer_list<unsigned> list, bool part) {
  if (part) {
    program_.parts.push_back(
        {static_cast<u32>(program_.code.size()), static_cast<u32>(list.size())});
  }
  for (const unsigned v : list) program_.code.push_back(static_cast<u8>(v));
}

void FuzzProgramMaker::pad_slot() {
  const u64 left = room() % FuzzLayout::kSlot;
  if (left > 12 && random_.chance(2)) {
    raw({0xeb, static_cast<unsigned>(left - 2)});
    program_.code.resize(program_.code.size() + left - 2, 0xcc);
  } else {
    program_.code.resize(program_.code.size() + left, 0x90);
  }
}

void FuzzProgramMaker::load(unsigned reg, u64 value) {
  const auto put = [&](u64 v, unsigned width) {
    for (unsigned i = 0; i < width; ++i) loads_.push_back(static_cast<u8>(v >> (8 * i)));
  };
  if (bits_ == 64) {
    if (value >> 32 == 0) {
      if (reg >= 8) loads_.push_back(0x41);
      loads_.push_back(static_cast<u8>(0xb8 | (reg & 7)));
      put(value, 4);
    } else {
      loads_.push_back(static_cast<u8>(0x48 | reg >> 3));
      loads_.push_back(static_cast<u8>(0xb8 | (reg & 7)));
      put(value, 8);
    }
  } else {
    const bool wide = bits_ == 32 || address_size_ == 4;
    if (wide != (bits_ == 32)) loads_.push_back(0x66);
    loads_.push_back(static_cast<u8>(0xb8 | (reg & 7)));
    put(value, wide ? 4 : 2);
  }
}

void FuzzProgramMaker::commit() {
  const std::size_t total = loads_.size() + insn_.size();
  if (total > room() && total <= FuzzLayout::kSlot) pad_slot();
  std::vector<u8>& code = program_.code;
  if (!loads_.empty()) {
    program_.parts.push_back({static_cast<u32>(code.size()), static_cast<u32>(loads_.size())});
    code.insert(code.end(), loads_.begin(), loads_.end());
  }
  const u64 at = code.size();
  const u64 next = origin() + at + insn_.size();
  const auto fix = [&](std::size_t where, unsigned width, u64 v) {
    for (unsigned i = 0; i < width; ++i) insn_[where + i] = static_cast<u8>(v >> (8 * i));
  };
  if (fix_relative_ != 0) fix(fix_relative_, 4, relative_goal_ - next);
  if (fix_branch_ != 0) {
    u64 distance = branch_goal_ - next;
    if (branch_width_ == 1 && static_cast<i64>(distance) != static_cast<i8>(distance)) {
      distance = FuzzLayout::kSlot - (at + insn_.size()) % FuzzLayout::kSlot;
    }
    fix(fix_branch_, branch_width_, distance);
  }
  program_.parts.push_back({static_cast<u32>(at), static_cast<u32>(insn_.size())});
  code.insert(code.end(), insn_.begin(), insn_.end());
  loads_.clear();
  insn_.clear();
  fix_relative_ = fix_branch_ = 0;
}

namespace {
/// Byte `i` of a number.
constexpr unsigned n(u64 value, unsigned i) {
  return static_cast<unsigned>(value >> (8 * i)) & 0xff;
}
}  // namespace

u64 FuzzProgramMaker::slot_target() {
  const u64 here = program_.code.size() / FuzzLayout::kSlot;
  u64 slot = here + 1 + random_.below(3);
  if (random_.chance(7)) slot = random_.below(here + 1);  // backwards
  return origin() + std::min<u64>(slot, slots_) * FuzzLayout::kSlot;
}

void FuzzProgramMaker::body(unsigned slots) {
  // The stack pointer is put right at the start of every round.
  const u64 top = (bits_ == 16 ? 0 : FuzzLayout::kStack) + 0x1e00 + random_.below(3);
  if (bits_ == 64) {
    const u64 stack = top + (random_.chance(2) ? FuzzLayout::kHigh : 0);
    raw({0x48, 0xbc, n(stack, 0), n(stack, 1), n(stack, 2), n(stack, 3), n(stack, 4), n(stack, 5),
         n(stack, 6), n(stack, 7)});
  } else if (bits_ == 32) {
    raw({0xbc, static_cast<unsigned>(top & 0xff), static_cast<unsigned>(top >> 8 & 0xff),
         static_cast<unsigned>(top >> 16), 0});
  } else {
    raw({0xbc, static_cast<unsigned>(top & 0xff), static_cast<unsigned>(top >> 8)});
  }
  while (program_.code.size() < u64{slots} * FuzzLayout::kSlot) {
    switch (random_.below(40)) {
      case 0:
        patch_own_code();
        break;
      case 1:
        inner_loop();
        break;
      case 2:
        jump_to_slot_through_register();
        break;
      default:
        instruction(pick_row());
        break;
    }
  }
  pad_slot();
}

void FuzzProgramMaker::loop_end() {
  slots_ = static_cast<unsigned>(program_.code.size() / FuzzLayout::kSlot);
  const u64 counter = FuzzLayout::kCounter;
  if (bits_ == 64) {
    raw({0xff, 0x0c, 0x25, n(counter, 0), n(counter, 1), n(counter, 2), n(counter, 3)});
  } else if (bits_ == 32) {
    raw({0x36, 0xff, 0x0d, n(counter, 0), n(counter, 1), n(counter, 2), n(counter, 3)});
  } else {
    raw({0x36, 0xff, 0x0e, n(counter - FuzzLayout::kStack, 0), n(counter - FuzzLayout::kStack, 1)});
  }
  const u64 back = u64{0} - (program_.code.size() + (bits_ == 16 ? 4 : 6));
  raw({0x0f, 0x85, n(back, 0), n(back, 1)});
  if (bits_ != 16) raw({n(back, 2), n(back, 3)});
  pad_slot();
  while (program_.code.size() < (slots_ + 3) * FuzzLayout::kSlot) raw({0xcd, FuzzLayout::kEnd});
}

/// An immediate or opcode byte of the program is overwritten.
void FuzzProgramMaker::patch_own_code() {
  const u64 length = std::max<u64>(slots_ * FuzzLayout::kSlot, program_.code.size() + 1);
  const u64 at = random_.chance(2) ? random_.below(length)
                                   : program_.code.size() + random_.below(24);  // the same block
  const u64 linear =
      (program_.paging != FuzzPaging::kNone && random_.chance(3) ? FuzzLayout::kCodeAlias
                                                                 : FuzzLayout::kCode) +
      at;
  if (bits_ == 64) {
    raw({0xc6, 0x04, 0x25, static_cast<unsigned>(linear & 0xff),
         static_cast<unsigned>(linear >> 8 & 0xff), static_cast<unsigned>(linear >> 16), 0,
         static_cast<unsigned>(random_.below(256))},
        true);
  } else if (bits_ == 32) {
    raw({0xc6, 0x05, static_cast<unsigned>(linear & 0xff),
         static_cast<unsigned>(linear >> 8 & 0xff), static_cast<unsigned>(linear >> 16), 0,
         static_cast<unsigned>(random_.below(256))},
        true);
  } else {  // GS is the code in 16-bit modes
    raw({0x65, 0xc6, 0x06, static_cast<unsigned>(at & 0xff), static_cast<unsigned>(at >> 8),
         static_cast<unsigned>(random_.below(256))},
        true);
  }
}

void FuzzProgramMaker::inner_loop() {
  pad_slot();
  address_size_ = bits_ == 16 ? 2 : 4;
  load(1, 1 + random_.below(12));
  program_.code.insert(program_.code.end(), loads_.begin(), loads_.end());
  loads_.clear();
  const u64 top = program_.code.size();
  const u64 slot = top / FuzzLayout::kSlot;
  for (unsigned i = 1 + static_cast<unsigned>(random_.below(3)); i != 0; --i) {
    if (room() < 48) break;
    instruction(*rows_[kInteger][random_.below(rows_[kInteger].size())]);
  }
  if (program_.code.size() / FuzzLayout::kSlot != slot || room() < 4) return;
  const u64 back = u64{0} - (program_.code.size() + 2 - top);
  raw({0xe2, static_cast<unsigned>(back & 0xff)}, true);  // LOOP
}

void FuzzProgramMaker::jump_to_slot_through_register() {
  address_size_ = bits_ == 16 ? 2 : 4;
  const u64 goal = slot_target();
  load(0, goal);
  const bool call = random_.chance(2);
  if (random_.chance(3) && !call) {
    byte(0x50);  // push rax; ret
    byte(0xc3);
  } else {
    byte(0xff);
    byte(call ? 0xd0 : 0xe0);
  }
  commit();
}

}  // namespace dragoman
