// One process of `dragoman-test host`: judges its share of a sequence and tells what it found.
#pragma once

#include <array>
#include <atomic>
#include <string>
#include <vector>

#include "frontends/test/host_command.h"
#include "frontends/test/oracle/host_judge.h"

namespace dragoman {

/// Numbers a worker keeps in memory shared with its parent.
struct WorkerProgress {
  static constexpr unsigned kMaxForms = 16384;
  std::atomic<u64> done{0};     ///< cases judged
  std::atomic<u64> current{0};  ///< number of the case under way
  u64 different = 0, explained = 0;
  u64 blocks = 0;  ///< translated
  std::array<u64, kCaseModes> by_mode{};
  std::array<u8, kMaxForms> seen{};  ///< forms judged at least once, by their index
};

/// What workers tell their parent.
enum class FindingKind : u8 { kDifference, kCount, kUndefined, kText, kProblem };
struct Finding {
  FindingKind kind = FindingKind::kText;
  u64 number = 0;    ///< of the case, or a count
  std::string key;   ///< mnemonic, mode, engine and what differs
  std::string text;  ///< the minimised case
};
/// For the pipe between them.
std::string pack(const Finding& finding);
/// Takes the first finding off `bytes`; false when it is not complete yet.
bool unpack(std::string& bytes, Finding& finding);

/// Which numbers of the sequence a run looks at: all, or those of one mnemonic.
std::vector<u32> chosen_forms(const HostJudge& judge, const std::string& only);
inline u64 case_number(u64 n, const std::vector<u32>& forms, u64 all_forms) {
  return n / forms.size() * all_forms + forms[n % forms.size()];
}

/// Judges cases first, first + step, ... below `end` and writes findings to `pipe`.
void run_worker(const HostOptions& options, u64 first, u64 step, u64 end, WorkerProgress& progress,
                int pipe);

}  // namespace dragoman
