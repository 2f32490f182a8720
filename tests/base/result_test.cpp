#include "base/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace dragoman {
namespace {

Result<int> parse_digit(char c) {
  if (c < '0' || c > '9') return error("'{}' is no digit; use 0 to 9", c);
  return c - '0';
}

Result<void> check_digit(char c) {
  if (auto digit = parse_digit(c); !digit) return digit.error();
  return {};
}

TEST(Result, HoldsAValue) {
  auto digit = parse_digit('7');
  ASSERT_TRUE(digit.ok());
  EXPECT_TRUE(static_cast<bool>(digit));
  EXPECT_EQ(*digit, 7);
  *digit = 8;
  EXPECT_EQ(digit.value(), 8);
}

TEST(Result, HoldsAFormattedError) {
  const auto digit = parse_digit('x');
  ASSERT_FALSE(digit.ok());
  EXPECT_EQ(digit.error().message, "'x' is no digit; use 0 to 9");
}

TEST(Result, OfVoidPassesAnErrorOn) {
  EXPECT_TRUE(check_digit('0').ok());
  const auto result = check_digit('y');
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message, "'y' is no digit; use 0 to 9");
}

TEST(Result, TakesMoveOnlyValuesOut) {
  Result<std::unique_ptr<std::string>> result = std::make_unique<std::string>("guest");
  EXPECT_EQ(result.value()->size(), 5u);
  std::unique_ptr<std::string> taken = result.take();
  EXPECT_EQ(*taken, "guest");
}

TEST(ResultDeathTest, ReadingTheWrongSideIsCaught) {
  const auto failed = parse_digit('x');
  EXPECT_DEATH((void)failed.value(), "ok\\(\\)");
  const auto fine = parse_digit('1');
  EXPECT_DEATH((void)fine.error(), "ok\\(\\)");
}

}  // namespace
}  // namespace dragoman
