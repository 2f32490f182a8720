#include "frontends/test/oracle/case_random.h"

#include <algorithm>
#include <iterator>

namespace dragoman {
namespace {

constexpr u64 kEdges[] = {0,
                          1,
                          2,
                          7,
                          8,
                          9,
                          15,
                          16,
                          17,
                          31,
                          32,
                          33,
                          63,
                          64,
                          65,
                          0x7f,
                          0x80,
                          0x81,
                          0xff,
                          0x100,
                          0x7fff,
                          0x8000,
                          0x8001,
                          0xffff,
                          0x10000,
                          0x7fffffff,
                          0x80000000,
                          0x80000001,
                          0xffffffff,
                          0x100000000,
                          0x7fffffffffffffff,
                          0x8000000000000000,
                          0x8000000000000001,
                          0xfffffffffffffffe,
                          0xffffffffffffffff,
                          0xffffffff80000000,
                          0xffffffffffff8000,
                          0xffffffffffffff80};
constexpr u32 kSingles[] = {0,          0x80000000, 1,          0x807fffff, 0x00800000,
                            0x7f7fffff, 0xff800000, 0x7f800000, 0x7fc00001, 0x7f800001,
                            0x3f800000, 0xbf800001, 0x00800001, 0x4f000000, 0x33800000};
constexpr u64 kDoubles[] = {0,
                            0x8000000000000000,
                            1,
                            0x800fffffffffffff,
                            0x0010000000000000,
                            0x7fefffffffffffff,
                            0x7ff0000000000000,
                            0xfff0000000000000,
                            0x7ff8000000000001,
                            0x7ff0000000000001,
                            0x3ff0000000000000,
                            0xbff0000000000001,
                            0x36a0000000000000,
                            0x47f0000000000000,
                            0x43e0000000000000};
constexpr u16 kExponents[] = {0,      0,      1,      0x3fff, 0x4000, 0x3ffe,
                              0x403e, 0x7ffe, 0x7fff, 0x3c01, 0x3f81, 0x43ff};
constexpr u64 kMantissas[] = {0,       u64{1} << 63,       u64{3} << 62, 1,
                              ~u64{0}, (u64{1} << 63) | 1, u64{5} << 61};

}  // namespace

u64 CaseRandom::value() {
  switch (below(4)) {
    case 0:
      return kEdges[below(std::size(kEdges))];
    case 1:
      return kEdges[below(std::size(kEdges))] + below(3) - 1;
    case 2:
      return (*this)() >> below(64);
    default:
      return (*this)();
  }
}

void CaseRandom::fill(std::span<u8> out) {
  const u64 kind = below(5);
  for (std::size_t i = 0; i < out.size(); i += 8) {
    u64 v = (*this)();
    if (kind == 0) {
      v = kSingles[v % std::size(kSingles)] | u64{kSingles[(v >> 32) % std::size(kSingles)]} << 32;
    } else if (kind == 1) {
      v = kDoubles[v % std::size(kDoubles)];
    } else if (kind == 2) {
      v &= 0x0000003f0000003f;
    } else if (kind == 3 && v % 2 != 0) {
      v = value();
    }
    std::memcpy(out.data() + i, &v, std::min<std::size_t>(8, out.size() - i));
  }
}

std::array<u8, 16> CaseRandom::extended() {
  u16 exponent = kExponents[below(std::size(kExponents))];
  u64 mantissa = kMantissas[below(std::size(kMantissas))];
  if (chance(2)) {  // an ordinary number
    exponent = static_cast<u16>(0x3fff - 40 + below(80));
    mantissa = (*this)() | u64{1} << 63;
  }
  if (chance(2)) exponent |= 0x8000;
  std::array<u8, 16> out{};
  std::memcpy(out.data(), &mantissa, 8);
  std::memcpy(out.data() + 8, &exponent, 2);
  return out;
}

}  // namespace dragoman
