#include "skipattn/training/schedule.h"

#include <gtest/gtest.h>

namespace skipattn::training {
namespace {

Schedule make(const std::string& kind) {
  return {.kind = kind, .peak = 1.0, .minimum = 0.1, .warmup_steps = 9, .total_steps = 109, .decay_fraction = 0.5};
}

TEST(Schedule, WarmsUpLinearly) {
  for (const char* kind : {"cosine", "constant", "wsd"}) {
    EXPECT_DOUBLE_EQ(make(kind).at(1), 0.1);
    EXPECT_DOUBLE_EQ(make(kind).at(9), 0.9);
  }
}

TEST(Schedule, CosineFallsFromPeakThroughTheMiddleToTheMinimum) {
  const Schedule schedule = make("cosine");
  EXPECT_NEAR(schedule.at(10), 1.0, 1e-3);
  EXPECT_NEAR(schedule.at(59), 0.55, 1e-9);
  EXPECT_NEAR(schedule.at(109), 0.1, 1e-12);
  EXPECT_NEAR(schedule.at(500), 0.1, 1e-12);
}

TEST(Schedule, ConstantStaysAndWsdDecaysInItsLastPart) {
  EXPECT_DOUBLE_EQ(make("constant").at(109), 1.0);
  const Schedule wsd = make("wsd");
  EXPECT_DOUBLE_EQ(wsd.at(54), 1.0);
  EXPECT_NEAR(wsd.at(109), 0.1, 1e-12);
  EXPECT_NEAR(wsd.at(82) - wsd.at(83), 0.9 / 54.5, 1e-9);
}

}  // namespace
}  // namespace skipattn::training
