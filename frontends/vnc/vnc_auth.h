// "VNC Authentication" of the Remote Framebuffer protocol: DES over a challenge.
// Documents: RFC 6143 section 7.2.2; FIPS 46-3 (DES).
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "base/types.h"

namespace dragoman {

/// DES of one block with a key of 8 bytes, whose parity bits are ignored.
std::array<u8, 8> des_encrypt(std::span<const u8, 8> key, std::span<const u8, 8> block);

/// What a client that knows the password answers to a challenge of 16 bytes. The password counts
/// up to its eighth byte, as the protocol has it.
std::array<u8, 16> vnc_response(std::string_view password, std::span<const u8, 16> challenge);

}  // namespace dragoman
