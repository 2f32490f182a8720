// From what the user wrote (`-serial SPEC`) to a character back end.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "devices/character/host_character.h"

namespace dragoman {

struct OpenedCharacter {
  std::unique_ptr<HostCharacter> backend;
  /// The spec began with "mon:": put a CharacterMux on top and give its second channel to the
  /// monitor.
  bool multiplexed = false;
  /// Something the user needs to know (name of the pty, port of the server); to be printed before
  /// `backend->wait_for_peer()` is called.
  std::string notice;
};

/// Checks the form of a spec without opening anything.
Result<void> check_character(std::string_view spec);

/// Known forms: null, stdio, mon:stdio, file:PATH, pty, tcp:HOST:PORT[,server][,nowait].
Result<OpenedCharacter> open_character(std::string_view spec);

}  // namespace dragoman
