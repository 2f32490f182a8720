#include "tests/suites/user_process.h"

#include <algorithm>

namespace dragoman {
namespace {
constexpr u64 kFree = 8 * kMiB;  // physical pages from here on belong to the program
}

UserProcess::UserProcess(BenchEngine engine)
    : bench_(InstructionBench::create(parse_cpu_model("max").take(), kRam, engine).take()) {}

void UserProcess::start(bool bits32) {
  next_page_ = kFree;
  bench_->enter(bits32 ? BenchMode::kUser32 : BenchMode::kUser64);
  bench_->set_flags(kFlagFixed | kFlagIf);
  bench_->cpu().set_tsc(u64{1} << 40);  // no process begins with the clock
}

u64 UserProcess::get(u64 physical) {
  u64 value = 0;
  for (unsigned i = 0; i < 8; ++i) value |= u64{bench_->read(physical + i)} << (8 * i);
  return value;
}

void UserProcess::put(u64 physical, u64 value) {
  bench_->write(physical, std::span<const u8>(reinterpret_cast<const u8*>(&value), 8));
}

u64 UserProcess::page() {
  next_page_ += kPageSize;
  return next_page_ - kPageSize;
}

/// The page table entry of a linear address; tables are made on the way.
u64 UserProcess::entry(u64 linear) {
  u64 table = bench_->state().cr3;
  for (unsigned shift = 39; shift > 12; shift -= 9) {
    const u64 at = table + (linear >> shift & 511) * 8;
    if (!(get(at) & 1)) put(at, page() | 7);
    table = get(at) & ~u64{kPageMask};
  }
  return table + (linear >> 12 & 511) * 8;
}

void UserProcess::map(u64 linear, u64 bytes) {
  for (u64 at = linear & ~u64{kPageMask}; at < linear + bytes; at += kPageSize) {
    if (const u64 e = entry(at); !(get(e) & 1)) put(e, page() | 7);
  }
}

bool UserProcess::walk(u64 linear, u64& physical) {
  const u64 e = get(entry(linear));
  physical = (e & ~u64{kPageMask} & ~bit(63)) | (linear & kPageMask);
  return e & 1;
}

void UserProcess::store(u64 linear, std::span<const u8> bytes) {
  for (const u8 byte : bytes) {
    u64 physical;
    if (walk(linear++, physical)) bench_->write(physical, byte);
  }
}

void UserProcess::load(u64 linear, std::span<u8> bytes) {
  for (u8& byte : bytes) {
    u64 physical;
    byte = walk(linear++, physical) ? bench_->read(physical) : u8{0};
  }
}

void UserProcess::changed() { bench_->state_changed(); }

void UserProcess::make_ldt_data() {
  put(bench_->state().segments[kLdtr].base + 0x10, 0x00cff3000000ffff);
}

bool UserProcess::run(u64 instructions) {
  bench_->cpu().fault_log = FaultLog{};
  if (bench_->run(instructions) != RunExit::kHalted) return false;
  // The frame below the stack that IST1 names: SS, RSP, RFLAGS, CS, RIP.
  const u64 top = get(bench_->state().segments[kTr].base + 0x24);
  rip_ = get(top - 40);
  flags_ = static_cast<u32>(get(top - 24));
  rsp_ = get(top - 16);
  vector_ = bench_->cpu().fault_log.newest(0).vector;
  return true;
}

bool UserProcess::halted() {
  u8 byte = 0;
  load(rip_, {&byte, 1});
  return vector_ == kVectorGp && byte == 0xf4;
}

}  // namespace dragoman
