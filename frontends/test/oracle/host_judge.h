// The host processor as judge: makes numbered cases from all rows, runs each on the host, the
// interpreter and the translator, and reduces a failing one to what matters.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "frontends/test/oracle/case_compare.h"
#include "frontends/test/oracle/guest_runner.h"
#include "frontends/test/oracle/host_runner.h"
#include "frontends/test/oracle/instruction_maker.h"

namespace dragoman {

/// A row in a mode.
struct CaseForm {
  u16 row = 0;
  CaseMode mode = CaseMode::k64;
};

class HostJudge {
 public:
  static constexpr unsigned kEngines = 2;
  static std::string_view engine_name(unsigned engine) {
    return engine == 0 ? "interpreter" : "translator";
  }
  /// `engines`: bit 0 the interpreter, bit 1 the translator. An error when the host cannot judge.
  static Result<std::unique_ptr<HostJudge>> create(unsigned engines, bool compare_undefined);

  /// All rows the host can judge, by mode. Their order is fixed.
  const std::vector<CaseForm>& forms() const { return forms_; }
  /// Row and mode pairs that exist but are not judged, by reason.
  const std::map<std::string, std::vector<CaseForm>>& omitted() const { return omitted_; }
  /// Case `index` of the sequence `seed`. Forms take turns, so forms().size() cases have seen all.
  CpuCase make(u64 seed, u64 index);
  const CaseForm& form_of(u64 index) const { return forms_[index % forms_.size()]; }

  struct Verdict {
    bool judged = false;  ///< false: nothing that this host can be asked
    u32 engine_mask = 0;  ///< engines that differ, as bits
    std::array<OutcomeDifference, kEngines> differences;
    bool intended = true;  ///< the host took it as the row says: no #UD
  };
  Verdict judge(const CpuCase& test);
  /// The smallest state found in which `engine` still differs in `parts` and nothing else.
  CpuCase minimise(CpuCase test, unsigned engine, u32 parts);
  /// The case with both sides of `engine`, for people.
  std::string describe(const CpuCase& test, unsigned engine);

  const CpuOutcome& host_outcome() const { return *host_; }
  const HostRunner& host() const { return runner_; }
  const CpuModel& model() const { return model_; }
  u64 blocks_translated() const {
    return guests_[1] != nullptr ? guests_[1]->bench().blocks_translated() : 0;
  }

 private:
  HostJudge(unsigned engines, bool compare_undefined);
  u32 parts_of(const CpuCase& test, unsigned engine);
  void shorten(CpuCase& test, unsigned engine, u32 parts);

  HostRunner runner_;
  CpuModel model_;
  HostTraits traits_;
  bool compare_undefined_;
  std::array<std::unique_ptr<GuestRunner>, kEngines> guests_;
  std::unique_ptr<InstructionMaker> maker_;
  std::vector<CaseForm> forms_;
  std::map<std::string, std::vector<CaseForm>> omitted_;
  std::unique_ptr<CpuOutcome> host_, guest_;
};

}  // namespace dragoman
