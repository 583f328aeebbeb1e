#include "skipattn/core/operation_timer.h"

#include <gtest/gtest.h>

#include <thread>

namespace skipattn {
namespace {

class OperationTimers : public ::testing::Test {
 protected:
  void SetUp() override { reset_operation_times(); }
  void TearDown() override {
    enable_operation_timers(false);
    reset_operation_times();
  }
};

void pause() {
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
}

TEST_F(OperationTimers, CountNothingUntilEnabled) {
  { const OperationTimer timer("gemm forward"); }
  EXPECT_TRUE(operation_times().empty());
}

TEST_F(OperationTimers, AnInnerTimerTakesItsTimeOutOfTheOuter) {
  enable_operation_timers(true);
  {
    const OperationTimer outer("other");
    for (int i = 0; i < 2; ++i) {
      const OperationTimer inner("gemm forward");
      pause();
    }
  }
  const std::vector<OperationTime> times = operation_times();
  ASSERT_EQ(times.size(), 2u);
  EXPECT_EQ(times[0].name, "gemm forward");
  EXPECT_EQ(times[0].calls, 2);
  EXPECT_GE(times[0].seconds, 0.040);
  EXPECT_EQ(times[1].name, "other");
  EXPECT_EQ(times[1].calls, 1);
  EXPECT_LT(times[1].seconds, 0.020);
  reset_operation_times();
  EXPECT_TRUE(operation_times().empty());
}

TEST_F(OperationTimers, OtherThreadsCountNothing) {
  enable_operation_timers(true);
  std::thread([] { const OperationTimer timer("elsewhere"); }).join();
  EXPECT_TRUE(operation_times().empty());
}

}  // namespace
}  // namespace skipattn
