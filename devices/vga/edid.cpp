// Extended display identification data. VESA E-EDID Standard release A, revision 2, section 3.
#include "devices/vga/edid.h"

#include <algorithm>
#include <string_view>

namespace dragoman {
namespace {

struct Timing {  // VESA DMT
  unsigned clock_10khz;
  unsigned width, horizontal_front, horizontal_sync, horizontal_blank;
  unsigned height, vertical_front, vertical_sync, vertical_blank;
};
constexpr Timing k1024x768 = {6500, 1024, 24, 136, 320, 768, 3, 6, 38};

// Detailed timing descriptor, table 3.21.
void put_timing(u8* out, const Timing& t) {
  out[0] = static_cast<u8>(t.clock_10khz);
  out[1] = static_cast<u8>(t.clock_10khz >> 8);
  out[2] = static_cast<u8>(t.width);
  out[3] = static_cast<u8>(t.horizontal_blank);
  out[4] = static_cast<u8>((t.width >> 8) << 4 | t.horizontal_blank >> 8);
  out[5] = static_cast<u8>(t.height);
  out[6] = static_cast<u8>(t.vertical_blank);
  out[7] = static_cast<u8>((t.height >> 8) << 4 | t.vertical_blank >> 8);
  out[8] = static_cast<u8>(t.horizontal_front);
  out[9] = static_cast<u8>(t.horizontal_sync);
  out[10] = static_cast<u8>((t.vertical_front & 15) << 4 | (t.vertical_sync & 15));
  out[17] = 0x18;  // digital separate sync
}

// Display descriptor with text, padded with a line feed and blanks, section 3.10.3.
void put_text(u8* out, u8 tag, std::string_view text) {
  out[3] = tag;
  for (unsigned i = 0; i < 13; ++i) {
    out[5 + i] = i < text.size() ? static_cast<u8>(text[i]) : i == text.size() ? 0x0a : 0x20;
  }
}

}  // namespace

std::array<u8, 128> make_edid() {
  std::array<u8, 128> edid{};
  constexpr std::array<u8, 8> kHeader = {0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00};
  std::copy(kHeader.begin(), kHeader.end(), edid.begin());
  constexpr unsigned kMaker = ('D' - 64) << 10 | ('R' - 64) << 5 | ('G' - 64);
  edid[8] = kMaker >> 8;
  edid[9] = kMaker & 0xff;
  edid[10] = 1;   // product
  edid[16] = 1;   // week of manufacture
  edid[17] = 30;  // 2020
  edid[18] = 1;   // EDID 1.4
  edid[19] = 4;
  edid[20] = 0xa0;  // digital, 8 bits per primary
  edid[21] = 27;    // centimetres
  edid[22] = 20;
  edid[23] = 120;   // gamma 2.2
  edid[24] = 0x06;  // sRGB, preferred timing is native
  constexpr std::array<u8, 10> kSrgb = {0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54};
  std::copy(kSrgb.begin(), kSrgb.end(), edid.begin() + 25);
  edid[35] = 0x21;                                    // established: 640x480 and 800x600 at 60 Hz
  edid[36] = 0x08;                                    // 1024x768 at 60 Hz
  for (unsigned i = 38; i < 54; ++i) edid[i] = 0x01;  // standard timings: unused
  edid[38] = 0x81;  // 1280x1024 at 60 Hz: (1280 / 8) - 31, aspect 5:4
  edid[39] = 0x80;
  put_timing(&edid[54], k1024x768);
  put_text(&edid[72], 0xfc, "Dragoman");
  put_text(&edid[90], 0xff, "1");
  constexpr std::array<u8, 18> kLimits = {0,  0,    0,  0xfd, 0,    50,   125,  30,   160,
                                          30, 0x01, 10, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20};
  std::copy(kLimits.begin(), kLimits.end(), edid.begin() + 108);
  u8 sum = 0;
  for (const u8 byte : edid) sum = static_cast<u8>(sum + byte);
  edid[127] = static_cast<u8>(-sum);
  return edid;
}

}  // namespace dragoman
