// For the tests of this module: a routing text must be refused with exactly these faults.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "skipattn/core/errors.h"
#include "skipattn/core/text.h"
#include "skipattn/routing/routing.h"

namespace skipattn::routing {

/// Each line of the error begins with "[plan] "; line i must hold parts[i] and there are no others.
inline void expect_faults(const std::string& text, const Shape& shape, const std::vector<std::string>& parts) {
  try {
    parse_routing(text, shape);
    ADD_FAILURE() << text << " was accepted";
  } catch (const InputError& error) {
    const std::vector<std::string> lines = split(error.what(), '\n');
    ASSERT_EQ(lines.size(), parts.size()) << error.what();
    for (size_t i = 0; i < lines.size(); ++i) {
      EXPECT_THAT(lines[i], testing::StartsWith("[plan] "));
      EXPECT_THAT(lines[i], testing::HasSubstr(": " + parts[i]));
    }
  }
}

}  // namespace skipattn::routing
