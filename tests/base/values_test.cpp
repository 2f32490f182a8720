// Bit fields, address types and interrupt lines.
#include <gtest/gtest.h>

#include <type_traits>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/bits.h"
#include "base/irq_line.h"

namespace dragoman {
namespace {

TEST(Bits, ExtractsFields) {
  EXPECT_EQ(bits<u32>(0xdeadbeef, 15, 8), 0xbeu);
  EXPECT_EQ(bits<u32>(0xdeadbeef, 31, 0), 0xdeadbeefu);
  EXPECT_EQ(bits<u64>(~u64{0}, 63, 0), ~u64{0});
  EXPECT_EQ(bits<u64>(u64{1} << 63, 63, 63), 1u);
}

TEST(Bits, ReplacesFields) {
  EXPECT_EQ(with_bits<u32>(0xffffffff, 11, 4, 0), 0xfffff00fu);
  EXPECT_EQ(with_bits<u8>(0, 7, 6, 0xff), 0xc0);  // what does not fit the field is cut
  EXPECT_EQ(with_bits<u64>(5, 63, 0, 7), 7u);
}

TEST(Bits, SignExtends) {
  EXPECT_EQ(sign_extend(0x80, 8), 0xffffffffffffff80u);
  EXPECT_EQ(sign_extend(0x17f, 8), 0x7fu);
  EXPECT_EQ(sign_extend(0x8000, 16), 0xffffffffffff8000u);
  EXPECT_EQ(sign_extend(u64{1} << 47, 48), 0xffff800000000000u);
  EXPECT_EQ(sign_extend(42, 64), 42u);
}

TEST(Bits, MasksAndAligns) {
  EXPECT_EQ(size_mask(1), 0xffu);
  EXPECT_EQ(size_mask(4), 0xffffffffu);
  EXPECT_EQ(size_mask(8), ~u64{0});
  EXPECT_EQ(align_up(0, 4096), 0u);
  EXPECT_EQ(align_up(1, 4096), 4096u);
  EXPECT_EQ(align_up(4096, 4096), 4096u);
}

TEST(AddressTypes, SpacesDoNotMix) {
  EXPECT_FALSE((std::is_convertible_v<LinearAddress, PhysicalAddress>));
  EXPECT_FALSE((std::is_constructible_v<PhysicalAddress, LinearAddress>));
  EXPECT_FALSE((std::is_convertible_v<u64, PhysicalAddress>));
}

TEST(AddressTypes, ArithmeticStaysInTheSpace) {
  EXPECT_EQ((Port(0xffff) + 1).value, 0);
  EXPECT_EQ(Port(0) - Port(1), 0xffff);
  const PhysicalAddress address(0x12345);
  EXPECT_EQ(address.page(), 0x12u);
  EXPECT_EQ(address.page_offset(), 0x345u);
  EXPECT_LT(address, address + 1);
}

TEST(IrqLine, DrivesItsPin) {
  struct Sink : IrqSink {
    std::vector<std::pair<unsigned, bool>> seen;
    void set_irq(unsigned pin, bool level) override { seen.emplace_back(pin, level); }
  } sink;
  const IrqLine line(sink, 4);
  line.raise();
  line.lower();
  line.pulse();
  EXPECT_EQ(sink.seen,
            (std::vector<std::pair<unsigned, bool>>{{4, true}, {4, false}, {4, true}, {4, false}}));
}

TEST(IrqLine, UnconnectedIsSilent) {
  const IrqLine line;
  line.pulse();
}

}  // namespace
}  // namespace dragoman
