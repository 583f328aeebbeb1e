#include "skipattn/core/text.h"

#include <gtest/gtest.h>

#include "skipattn/core/errors.h"

namespace skipattn {
namespace {

TEST(Text, ShortForms) {
  EXPECT_EQ(short_count(9999), "9999");
  EXPECT_EQ(short_count(1234567), "1.23M");
  EXPECT_EQ(short_bytes(1536), "1.50 KiB");
  EXPECT_EQ(short_bytes(100), "100 B");
  EXPECT_EQ(short_seconds(75), "1m15s");
  EXPECT_EQ(short_seconds(0.0042), "4.2 ms");
  EXPECT_EQ(short_seconds(7260), "2h01m");
}

TEST(Text, NearestNameFindsSlipsAndNothingElse) {
  const std::vector<std::string> names = {"learning_rate", "batch_size", "steps"};
  EXPECT_EQ(nearest_name("learning_rat", names), "learning_rate");
  EXPECT_EQ(nearest_name("bacth_size", names), "batch_size");
  EXPECT_EQ(nearest_name("temperature", names), "");
  EXPECT_EQ(did_you_mean("step", names), " (did you mean 'steps'?)");
}

TEST(Text, SplitOutsideBracketsLeavesCallsWhole) {
  EXPECT_EQ(split_outside_brackets("a=sla(x=1,y=[2,3]),b=\"u,v\"", ','),
            (std::vector<std::string>{"a=sla(x=1,y=[2,3])", "b=\"u,v\""}));
  EXPECT_EQ(split_outside_brackets("", ','), std::vector<std::string>{""});
  EXPECT_EQ(trim("  a b\t"), "a b");
  EXPECT_EQ(trim(" \n"), "");
}

TEST(FaultList, ReportsEveryFaultAtOnce) {
  FaultList faults;
  EXPECT_NO_THROW(faults.throw_if_any("[x] "));
  faults.add("a={} is wrong", 1);
  faults.add("b={} is wrong", 2);
  try {
    faults.throw_if_any("[x] ");
    FAIL();
  } catch (const InputError& error) {
    EXPECT_STREQ(error.what(), "[x] a=1 is wrong\n[x] b=2 is wrong");
  }
}

}  // namespace
}  // namespace skipattn
