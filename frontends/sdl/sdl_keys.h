// From SDL's key positions to the keys of a PC keyboard.
#pragma once

#include <SDL2/SDL_scancode.h>

#include <optional>

#include "devices/ps2_keyboard.h"

namespace dragoman {

/// The key at the position `code` of the US layout; nothing for keys a PC keyboard does not have.
std::optional<Key> key_of_scancode(SDL_Scancode code);

}  // namespace dragoman
