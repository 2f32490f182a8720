// What a session's sound goes to.
#include "frontends/cli/session.h"

namespace dragoman {

Result<void> Session::open_audio() {
  if (auto ok = audio_.open(options_.audiodevs); !ok) return host_problem(ok.error());
  std::optional<std::string> speaker;
  if (!options_.speaker_audiodev.empty()) speaker = options_.speaker_audiodev;
  auto found = audio_.find(speaker);
  if (!found) return found.error();
  config_.sound.speaker = *found;
  return {};
}

}  // namespace dragoman
