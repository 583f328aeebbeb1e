#include "skipattn/core/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <vector>

#include "skipattn/core/stop.h"

namespace skipattn {
namespace {

TEST(Parallel, EveryTaskRunsExactlyOnce) {
  for (const int threads : {0, 1, 3, 8}) {
    std::vector<std::atomic<int>> runs(101);
    parallel_tasks(runs.size(), threads, [&](size_t i) { ++runs[i]; });
    for (const auto& count : runs) EXPECT_EQ(count.load(), 1);
  }
  parallel_tasks(0, 4, [](size_t) { FAIL(); });
}

TEST(Parallel, TheFirstExceptionComesOut) {
  EXPECT_THROW(parallel_tasks(100, 4,
                              [](size_t i) {
                                if (i == 7) throw std::runtime_error("7");
                              }),
               std::runtime_error);
}

TEST(Stop, RequestsAreSeenAndForgotten) {
  EXPECT_FALSE(stop_requested());
  request_stop();
  EXPECT_TRUE(stop_requested());
  clear_stop_request();
  EXPECT_FALSE(stop_requested());
}

}  // namespace
}  // namespace skipattn
