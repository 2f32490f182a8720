// From what VNC viewers send for keys to the keys of a PC keyboard.
#pragma once

#include <optional>

#include "devices/ps2_keyboard.h"

namespace dragoman {

/// The key that gives an X11 keysym on the US layout, with or without Shift: the viewer sends the
/// modifiers as keys of their own.
std::optional<Key> key_of_keysym(u32 keysym);

/// The key of a scan code of set 1, as extended key events carry it: E0h before a code is E0xxh or
/// bit 7.
std::optional<Key> key_of_scan_code(u32 code);

}  // namespace dragoman
