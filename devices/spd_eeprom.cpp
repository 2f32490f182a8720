#include "devices/spd_eeprom.h"

#include <algorithm>
#include <bit>
#include <string_view>
#include <utility>

namespace dragoman {
namespace {

constexpr u64 kLargestRank = 512 * kMiB;
constexpr u64 kSmallestRank = 4 * kMiB;
constexpr unsigned kChecksum = 63;
constexpr unsigned kPartNumber = 73;
constexpr std::string_view kPart = "DRAGOMAN";

/// A module of one or two ranks of `rank` bytes, 64 bits wide, of chips that are eight bits wide
/// and have four banks.
std::array<u8, 256> make_module(u64 rank, unsigned ranks) {
  std::array<u8, 256> spd{};
  // rank = 8 bytes * 4 banks * 2^(row + column bits).
  const unsigned address_bits = static_cast<unsigned>(std::countr_zero(rank)) - 5;
  const unsigned columns = address_bits > 21 ? address_bits - 13 : 8;
  // clang-format off
  const std::array<u8, 37> head = {
      128,                                    // bytes that are used
      8,                                      // log2 of the size of the EEPROM
      4,                                      // SDRAM
      static_cast<u8>(address_bits - columns),
      static_cast<u8>(columns),
      static_cast<u8>(ranks),
      64, 0,                                  // data width
      1,                                      // LVTTL
      0x75,                                   // 7.5 ns a cycle at CAS latency 3
      0x54,                                   // 5.4 ns from clock to data
      0,                                      // neither parity nor ECC
      0x82,                                   // refreshed every 7.8 us, by itself if need be
      8, 0,                                   // chips of eight bits
      1,                                      // cycles between column addresses
      0x8f,                                   // bursts of 1, 2, 4, 8 and a page
      4,                                      // banks
      0x06,                                   // CAS latencies 2 and 3
      0x01, 0x01,                             // CS and WE latencies of 0
      0x00,                                   // neither buffered nor registered
      0x0e,                                   // precharge all, auto precharge, write 1, read burst
      0xa0, 0x60,                             // 10 ns and 6 ns at CAS latency 2
      0, 0,                                   // nothing at 1
      20, 15, 20, 45,                         // tRP, tRRD, tRCD, tRAS in ns
      static_cast<u8>(rank / kSmallestRank),  // of a rank: bit 0 for 4 MiB to bit 7 for 512
      0x15, 0x08, 0x15, 0x08,                 // setup and hold times
      0,
  };
  // clang-format on
  std::copy(head.begin(), head.end(), spd.begin());
  spd[62] = 0x12;  // revision 1.2
  for (unsigned i = 0; i < kChecksum; ++i)
    spd[kChecksum] = static_cast<u8>(spd[kChecksum] + spd[i]);
  std::copy(kPart.begin(), kPart.end(), spd.begin() + kPartNumber);
  std::fill(spd.begin() + kPartNumber + kPart.size(), spd.begin() + 91, u8{' '});
  spd[126] = 0x85;  // 133 MHz
  spd[127] = 0x87;  // CAS latencies 2 and 3, concurrent auto precharge, clock 0
  return spd;
}

}  // namespace

SpdEeprom::SpdEeprom(std::string name, u64 ram_bytes) : StatefulDevice(std::move(name)) {
  while (ram_bytes >= kSmallestRank && modules_.size() < kSlots) {
    const u64 largest = std::bit_floor(ram_bytes);
    const unsigned ranks = largest > kLargestRank ? 2 : 1;
    const u64 rank = std::min(largest, kLargestRank);
    modules_.push_back(make_module(rank, ranks));
    ram_bytes -= rank * ranks;
  }
}

bool SpdEeprom::answers(u8 address) const {
  return address >= kFirstAddress && address < kFirstAddress + modules_.size();
}

u8 SpdEeprom::read(u8 address, u8 command) {
  (void)send(address, command);
  return receive(address);
}

u8 SpdEeprom::receive(u8 address) {
  const unsigned slot = address - kFirstAddress;
  return modules_[slot][state_.places[slot]++];
}

bool SpdEeprom::send(u8 address, u8 command) {
  state_.places[address - kFirstAddress] = command;
  return true;
}

}  // namespace dragoman
