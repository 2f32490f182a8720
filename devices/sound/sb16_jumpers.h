// Lines of a Sound Blaster 16.
#pragma once

#include "base/types.h"

namespace dragoman {

/// How the card's jumpers are set at power-on; software may change the lines (80h, 81h).
struct Sb16Jumpers {
  u8 irq = 5;    ///< 2 (the same as 9), 5, 7 or 10
  u8 dma8 = 1;   ///< 0, 1 or 3
  u8 dma16 = 5;  ///< 5, 6 or 7; as `dma8`: words travel by the channel for bytes
};

}  // namespace dragoman
