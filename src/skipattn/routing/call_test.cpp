#include "skipattn/routing/call.h"

#include <gtest/gtest.h>

namespace skipattn::routing {
namespace {

using Arguments = std::vector<std::pair<std::string, std::string>>;

TEST(ParseAmount, TakesSharesRoundedDownAndWholeNumbers) {
  EXPECT_EQ(parse_amount("9")->of(12), 9);
  EXPECT_EQ(parse_amount("3/4")->of(10), 7);
  EXPECT_EQ(parse_amount("0.75")->of(12), 9);
  EXPECT_EQ(parse_amount(".5")->of(7), 3);
  EXPECT_EQ(parse_amount("1.0")->of(7), 7);
  EXPECT_EQ(parse_amount("1")->of(7), 1);
}

TEST(ParseAmount, IsExactWhereBinaryFloatingPointIsNot) {
  EXPECT_LT(static_cast<int>(0.29 * 100), 29);
  EXPECT_EQ(parse_amount("0.29")->of(100), 29);
}

TEST(ParseAmount, RefusesWhatIsNoCountAndNoShare) {
  for (const char* text :
       {"", "x", "3/", "/4", "0/4", "5/4", "1/0", "1.5", "1.", "1e3", "9x", "--3", "1234567890", "-1/2"})
    EXPECT_FALSE(parse_amount(text)) << text;
}

TEST(ParseCall, CutsNameAndArguments) {
  FaultList faults;
  const Call call = parse_call(" sla ( distance = 9 , which = [0, 3] ) ", faults);
  EXPECT_TRUE(faults.empty());
  EXPECT_EQ(call.name, "sla");
  EXPECT_EQ(call.arguments, (Arguments{{"distance", "9"}, {"which", "[0, 3]"}}));
  EXPECT_TRUE(parse_call("sla()", faults).arguments.empty());
  EXPECT_TRUE(parse_call("sla", faults).arguments.empty());
  EXPECT_TRUE(faults.empty());
}

TEST(ParseCall, ReportsMissingBracketsAndNames) {
  for (const auto& [text, fault] : {std::pair{"sla(distance=9", "a closing ')' is missing at the end"},
                                    std::pair{"sla(distance=9) x", "a closing ')' is missing at the end"},
                                    std::pair{"sla(9)", "'9' has no name, write name=value"},
                                    std::pair{"sla(heads=2,)", "'' has no name, write name=value"}}) {
    FaultList faults;
    parse_call(text, faults);
    EXPECT_EQ(faults.faults(), std::vector<std::string>{fault}) << text;
  }
}

}  // namespace
}  // namespace skipattn::routing
