#include "frontends/test/oracle/guest_runner.h"

#include <cpuid.h>

#include <cstring>

namespace dragoman {
namespace {

using L = CaseLayout;

/// Descriptor of a 64 KiB segment for user code.
constexpr u64 small_descriptor(u64 base, bool code) {
  return u64{0xffff} | (base & 0xffffff) << 16 | u64{code ? 0xfbu : 0xf3u} << 40 |
         (base >> 24) << 56;
}
constexpr Segment small_segment(u64 base, u16 selector, bool code) {
  return {base, 0xffff, selector, static_cast<u16>(code ? 0xfb : 0xf3)};
}

}  // namespace

CpuModel host_identity() {
  CpuModel model;
  u32 a = 0, b = 0, c = 0, d = 0;
  __get_cpuid(0, &a, &b, &c, &d);
  std::array<char, 12> vendor;
  std::memcpy(&vendor[0], &b, 4);
  std::memcpy(&vendor[4], &d, 4);
  std::memcpy(&vendor[8], &c, 4);
  model.vendor.assign(vendor.data(), vendor.size());
  __get_cpuid(1, &a, &b, &c, &d);
  const unsigned family = (a >> 8) & 15;
  model.family = family == 15 ? family + ((a >> 20) & 0xff) : family;
  model.model = ((a >> 4) & 15) | (family == 6 || family == 15 ? (a >> 12) & 0xf0 : 0);
  model.stepping = a & 15;
  std::array<u32, 12> brand{};
  bool named = true;
  for (unsigned i = 0; i < 3 && named; ++i) {
    named = __get_cpuid(0x80000002 + i, &brand[4 * i], &brand[4 * i + 1], &brand[4 * i + 2],
                        &brand[4 * i + 3]) != 0;
  }
  if (named) {
    std::array<char, 49> text{};
    std::memcpy(text.data(), brand.data(), 48);
    model.brand = text.data();
  }
  model.features.add(Feature::kBase);
  const auto add = [&](Feature feature, u32 leaf, u32 subleaf, char reg, unsigned bit_number) {
    a = b = c = d = 0;
    if (!__get_cpuid_count(leaf, subleaf, &a, &b, &c, &d)) return;
    const u32 value = reg == 'a' ? a : reg == 'b' ? b : reg == 'c' ? c : d;
    if ((value >> bit_number) & 1) model.features.add(feature);
  };
#define FEATURE(name, flag, leaf, subleaf, reg, bit_number) \
  add(Feature::k##name, leaf, subleaf, reg, bit_number);
#include "cpu/isa/features.inc"
#undef FEATURE
  return model;
}

GuestRunner::GuestRunner(BenchEngine engine, u32 pkru)
    : bench_(InstructionBench::create(host_identity(), kRam, engine).take()), pkru_(pkru) {
  bench_->enter(BenchMode::kUser64);
  bench_->allow(L::kCode, kPageSize, BenchAccess::kReadExecute);
  bench_->allow(L::kData, L::kDataBytes, BenchAccess::kReadWrite);
  bench_->allow(L::kStack, L::kStackBytes, BenchAccess::kReadWrite);
  const CpuState& s = bench_->state();
  code64_ = s.segments[kCs];
  flat_ = s.segments[kDs];
  const std::array<u64, 3> local = {small_descriptor(L::kCodeBase16, true),
                                    small_descriptor(L::kDataBase16, false),
                                    small_descriptor(L::kStackBase16, false)};
  bench_->write(s.segments[kLdtr].base, {reinterpret_cast<const u8*>(local.data()), sizeof(local)});
}

void GuestRunner::set_segments(CaseMode mode) {
  auto& segments = bench_->state().segments;
  segments[kFs] = {0, 0, 0, 0};
  switch (mode) {
    case CaseMode::k64:
      segments[kCs] = code64_;
      segments[kEs] = segments[kSs] = segments[kDs] = flat_;
      segments[kFs].base = L::kFsBase;
      segments[kGs] = {L::kGsBase, 0, 0, 0};
      break;
    case CaseMode::k32:
      segments[kCs] = code64_;
      segments[kCs].selector = L::kCode32;
      segments[kCs].attributes = 0xc0fb;
      segments[kEs] = segments[kSs] = segments[kDs] = segments[kGs] = flat_;
      break;
    case CaseMode::k16:
      segments[kCs] = small_segment(L::kCodeBase16, L::kCode16, true);
      segments[kEs] = segments[kDs] = segments[kGs] =
          small_segment(L::kDataBase16, L::kData16, false);
      segments[kSs] = small_segment(L::kStackBase16, L::kStack16, false);
      break;
  }
}

void GuestRunner::run(const CpuCase& test, CpuOutcome& out) {
  test.fill(out.memory);
  bench_->write(L::kData, {out.memory.data(), L::kDataBytes});
  bench_->write(L::kStack, {out.memory.data() + L::kDataBytes, L::kStackBytes});
  CpuState& s = bench_->state();
  std::copy(test.before.regs.begin(), test.before.regs.end(), s.regs.begin());
  s.rip() = test.start();
  s.fpu = test.before.fpu;
  s.pkru = pkru_;
  s.cpl = 3;
  s.activity = Activity::kRunning;
  s.interrupt_shadow = 0;
  s.pending_debug = 0;
  s.cr2 = 0;
  set_segments(test.mode);
  bench_->set_flags(static_cast<u32>(test.before.flags));
  bench_->registers_changed();

  const BenchOutcome outcome = bench_->execute(test.bytes);

  out.fault = outcome.vector;
  out.error = outcome.error_code;
  // The bench keeps tables and handlers there; to the program these pages are as absent as others.
  const u64 own = bench_->ram_size() - bench_->system_bytes();
  if (out.fault == kVectorPf && outcome.address >= own && outcome.address < bench_->ram_size()) {
    out.error &= ~u32{1};
  }
  out.cr2 = outcome.address;
  out.finished = outcome.finished;
  std::copy_n(s.regs.begin(), 16, out.after.regs.begin());
  out.rip = s.rip();
  out.after.flags = bench_->flags();
  out.after.fpu = s.fpu;
  for (unsigned i = 0; i < 6; ++i) out.after.selectors[i] = s.segments[i].selector;
  for (u64 i = 0; i < 3; ++i) {
    const u64 page = i < 2 ? L::kData + i * kPageSize : L::kStack;
    std::memcpy(out.memory.data() + i * kPageSize, bench_->page(page >> kPageShift).data(),
                kPageSize);
  }
}

}  // namespace dragoman
