#include "frontends/test/oracle/host_judge.h"

#include <algorithm>

namespace dragoman {

Result<std::unique_ptr<HostJudge>> HostJudge::create(unsigned engines, bool compare_undefined) {
  std::unique_ptr<HostJudge> judge(new HostJudge(engines, compare_undefined));
  if (!judge->runner_.problem().empty()) {
    return error("the host processor cannot judge: {}", judge->runner_.problem());
  }
  return judge;
}

HostJudge::HostJudge(unsigned engines, bool compare_undefined)
    : model_(host_identity()),
      compare_undefined_(compare_undefined),
      host_(std::make_unique<CpuOutcome>()),
      guest_(std::make_unique<CpuOutcome>()) {
  if (!runner_.problem().empty()) return;
  for (unsigned e = 0; e < kEngines; ++e) {
    if ((engines >> e) & 1) {
      guests_[e] = std::make_unique<GuestRunner>(
          e == 0 ? BenchEngine::kInterpreter : BenchEngine::kTranslator, runner_.pkru());
    }
  }
  traits_ = {model_.features, runner_.has_32_bit(), runner_.has_16_bit(),
             runner_.has_segment_bases()};
  maker_ = std::make_unique<InstructionMaker>(traits_);
  for (unsigned i = 1; i < rows().size(); ++i) {
    const u16 index = static_cast<u16>(i);
    for (unsigned m = 0; m < kCaseModes; ++m) {
      const CaseForm form{index, static_cast<CaseMode>(m)};
      const std::string_view reason = left_out(row(index), form.mode, traits_);
      if (reason.empty()) {
        forms_.push_back(form);
      } else if (reason != "not in this mode") {
        omitted_[std::string(reason)].push_back(form);
      }
    }
  }
}

CpuCase HostJudge::make(u64 seed, u64 index) {
  const CaseForm& form = form_of(index);
  // Any mixing of the two numbers serves, as long as neighbours do not share a sequence.
  CaseRandom mix(seed * 0x2545f4914f6cdd1d + index);
  return maker_->make(form.row, form.mode, mix(), index / forms_.size());
}

HostJudge::Verdict HostJudge::judge(const CpuCase& test) {
  Verdict verdict;
  if (!runner_.bears(test)) return verdict;
  verdict.judged = true;
  runner_.run(test, *host_);
  verdict.intended = host_->fault != kVectorUd;
  for (unsigned e = 0; e < kEngines; ++e) {
    if (guests_[e] == nullptr) continue;
    guests_[e]->run(test, *guest_);
    verdict.differences[e] = compare_outcomes(test, *host_, *guest_, compare_undefined_);
    if (verdict.differences[e].parts != 0) verdict.engine_mask |= 1u << e;
  }
  return verdict;
}

u32 HostJudge::parts_of(const CpuCase& test, unsigned engine) {
  runner_.run(test, *host_);
  guests_[engine]->run(test, *guest_);
  return compare_outcomes(test, *host_, *guest_, compare_undefined_).parts;
}

/// Leaves out bytes of an odd encoding, as far as the host can be asked about what is left.
void HostJudge::shorten(CpuCase& test, unsigned engine, u32 parts) {
  if (!test.odd) return;
  for (std::size_t i = test.bytes.size(); i-- > 0;) {
    CpuCase smaller = test;
    smaller.bytes.erase(smaller.bytes.begin() + static_cast<std::ptrdiff_t>(i));
    if (smaller.cut > i) --smaller.cut;
    if ((test.cut != 0 && smaller.cut == 0) || !may_ask(smaller, traits_)) continue;
    if (parts_of(smaller, engine) == parts) test = std::move(smaller);
  }
}

CpuCase HostJudge::minimise(CpuCase test, unsigned engine, u32 parts) {
  const auto attempt = [&](auto&& change) {
    CpuCase smaller = test;
    change(smaller);
    if (parts_of(smaller, engine) != parts) return false;
    test = std::move(smaller);
    return true;
  };
  shorten(test, engine, parts);
  for (unsigned round = 0; round < 2; ++round) {
    for (std::size_t i = test.memory.size(); i-- > 0;) {
      (void)attempt(
          [&](CpuCase& c) { c.memory.erase(c.memory.begin() + static_cast<std::ptrdiff_t>(i)); });
    }
    for (std::size_t i = 0; i < test.memory.size(); ++i) {
      // Halves, then single bytes, become zero.
      for (std::size_t piece = std::max<std::size_t>(test.memory[i].bytes.size() / 2, 1); piece > 0;
           piece /= 2) {
        for (std::size_t at = 0; at < test.memory[i].bytes.size(); at += piece) {
          const auto first = test.memory[i].bytes.begin() + static_cast<std::ptrdiff_t>(at);
          const auto last = first + static_cast<std::ptrdiff_t>(
                                        std::min(piece, test.memory[i].bytes.size() - at));
          if (std::all_of(first, last, [](u8 b) { return b == 0; })) continue;
          (void)attempt([&](CpuCase& c) {
            std::fill_n(c.memory[i].bytes.begin() + static_cast<std::ptrdiff_t>(at), last - first,
                        u8{0});
          });
        }
      }
    }
    for (unsigned r = 0; r < 16; ++r) {
      if (test.before.regs[r] == 0 || r == kRsp) continue;
      if (attempt([&](CpuCase& c) { c.before.regs[r] = 0; })) continue;
      if (attempt([&](CpuCase& c) { c.before.regs[r] = 1; })) continue;
      (void)attempt([&](CpuCase& c) { c.before.regs[r] &= 0xffffffff; });
    }
    for (const u32 flag :
         {kFlagCf, kFlagPf, kFlagAf, kFlagZf, kFlagSf, kFlagOf, kFlagDf, kFlagAc}) {
      if (test.before.flags & flag) {
        (void)attempt([&](CpuCase& c) { c.before.flags &= ~u64{flag}; });
      }
    }
    (void)attempt([](CpuCase& c) {
      c.before.fpu.control = 0x37f;
      c.before.fpu.status = 0;
      c.before.fpu.tag = 0;
      c.before.fpu.st = {};
    });
    (void)attempt([](CpuCase& c) { c.before.fpu.control = 0x37f; });
    (void)attempt([](CpuCase& c) { c.before.fpu.status &= 0x3800; });
    (void)attempt([](CpuCase& c) { c.before.fpu.mxcsr = 0x1f80; });
    for (auto& st : test.before.fpu.st) {
      const std::size_t i = static_cast<std::size_t>(&st - test.before.fpu.st.data());
      (void)attempt([&](CpuCase& c) { c.before.fpu.st[i] = {}; });
    }
    for (std::size_t i = 0; i < 16; ++i) {
      (void)attempt([&](CpuCase& c) { c.before.fpu.ymm[i] = {}; });
      (void)attempt([&](CpuCase& c) {
        std::fill(c.before.fpu.ymm[i].begin() + 16, c.before.fpu.ymm[i].end(), u8{0});
      });
      for (std::size_t at = 0; at < 16; at += 4) {
        (void)attempt([&](CpuCase& c) {
          std::fill_n(c.before.fpu.ymm[i].begin() + static_cast<std::ptrdiff_t>(at), 4, u8{0});
        });
      }
    }
  }
  return test;
}

std::string HostJudge::describe(const CpuCase& test, unsigned engine) {
  const u32 parts = parts_of(test, engine);
  return fmt::format("{}: {} differs in {}\n{}", describe_instruction(test), engine_name(engine),
                     outcome_parts(parts), describe_difference(test, *host_, *guest_, parts));
}

}  // namespace dragoman
