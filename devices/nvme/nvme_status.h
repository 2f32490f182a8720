// Status values of NVMe completions (NVM Express 1.4, 4.6.1): code in bits 7:0, type in bits 10:8,
// "do not retry" in bit 14.
#pragma once

#include "base/types.h"

namespace dragoman::nvme {

inline constexpr u16 kSpecific = 1 << 8;  // command specific
inline constexpr u16 kMedia = 2 << 8;     // media and data integrity errors
inline constexpr u16 kDnr = 1 << 14;

inline constexpr u16 kSuccess = 0;
inline constexpr u16 kInvalidOpcode = 0x01 | kDnr;
inline constexpr u16 kInvalidField = 0x02 | kDnr;
inline constexpr u16 kAbortRequested = 0x07;
inline constexpr u16 kInvalidNamespace = 0x0b | kDnr;
inline constexpr u16 kInvalidPrpOffset = 0x13 | kDnr;
inline constexpr u16 kWriteProtected = 0x20 | kDnr;
inline constexpr u16 kLbaOutOfRange = 0x80 | kDnr;
inline constexpr u16 kCompletionQueueInvalid = 0x00 | kSpecific | kDnr;
inline constexpr u16 kInvalidQueue = 0x01 | kSpecific | kDnr;
inline constexpr u16 kInvalidQueueSize = 0x02 | kSpecific | kDnr;
inline constexpr u16 kEventLimit = 0x05 | kSpecific | kDnr;
inline constexpr u16 kInvalidVector = 0x08 | kSpecific | kDnr;
inline constexpr u16 kInvalidLogPage = 0x09 | kSpecific | kDnr;
inline constexpr u16 kInvalidQueueDeletion = 0x0c | kSpecific | kDnr;
inline constexpr u16 kNotSaveable = 0x0d | kSpecific | kDnr;
inline constexpr u16 kWriteFault = 0x80 | kMedia;
inline constexpr u16 kUnrecoveredRead = 0x81 | kMedia;

}  // namespace dragoman::nvme
