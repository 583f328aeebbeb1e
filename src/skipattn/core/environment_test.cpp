#include "skipattn/core/environment.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "skipattn/core/errors.h"

namespace skipattn {
namespace {

TEST(Environment, SaysYesUnlessItSaysNo) {
  constexpr const char* kVariable = "SKIPATTN_TEST_SWITCH";
  const auto says = [&] { return environment_says(kVariable, "fast", "slow"); };
  unsetenv(kVariable);
  EXPECT_TRUE(says());
  setenv(kVariable, "", 1);
  EXPECT_TRUE(says());
  setenv(kVariable, "fast", 1);
  EXPECT_TRUE(says());
  setenv(kVariable, "slow", 1);
  EXPECT_FALSE(says());
  setenv(kVariable, "slowly", 1);
  try {
    says();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const InputError& error) {
    EXPECT_STREQ(error.what(), "SKIPATTN_TEST_SWITCH must be 'fast' or 'slow', got 'slowly'");
  }
  unsetenv(kVariable);
}

}  // namespace
}  // namespace skipattn
