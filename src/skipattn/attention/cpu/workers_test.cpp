#include "skipattn/attention/cpu/workers.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "skipattn/attention/cpu/turns.h"

namespace skipattn::attention::cpu {
namespace {

/// So many threads for torch while a test runs.
class Workers : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override { at::set_num_threads(GetParam()); }
  void TearDown() override { at::set_num_threads(before_); }
  const int before_ = at::get_num_threads();
};
INSTANTIATE_TEST_SUITE_P(Threads, Workers, ::testing::Values(1, 2, 3, 8));

TEST_P(Workers, DoEveryTaskOnce) {
  EXPECT_EQ(worker_count(), GetParam());
  for (const int64_t count : {0, 1, 2, 7, 1000}) {
    std::vector<std::atomic<int>> done(count);
    std::atomic<int> strangers{0};
    run_tasks(count, [&](int64_t index, int worker) {
      ++done[index];
      if (worker < 0 || worker >= worker_count()) ++strangers;
    });
    for (const std::atomic<int>& times : done) EXPECT_EQ(times, 1);
    EXPECT_EQ(strangers, 0);
  }
}

TEST_P(Workers, BelongToOneThreadAtATime) {
  std::vector<std::atomic<bool>> busy(GetParam());
  std::atomic<int> meetings{0};
  run_tasks(2000, [&](int64_t, int worker) {
    if (busy[worker].exchange(true)) ++meetings;
    busy[worker] = false;
  });
  EXPECT_EQ(meetings, 0);
}

TEST_P(Workers, MayWaitForEarlierTasks) {
  // Each task waits for the one before it: only an order of beginning lets this end, and only turns make it right.
  constexpr int kTasks = 500;
  Turns turns(2);
  std::vector<int> order;
  run_tasks(2 * kTasks, [&](int64_t index, int) {
    const int64_t place = index % 2;
    turns.wait(place, static_cast<int>(index / 2));
    if (place == 0) order.push_back(static_cast<int>(index / 2));
    turns.finish(place);
  });
  ASSERT_EQ(order.size(), kTasks);
  for (int i = 0; i < kTasks; ++i) EXPECT_EQ(order[i], i);
}

TEST_P(Workers, WaitForAllPartsOfWhatIsDone) {
  constexpr int kParts = 40;
  Done done(3);
  std::vector<int> written(kParts);
  std::atomic<int> sum{0};
  run_tasks(kParts + 8, [&](int64_t index, int) {
    if (index < kParts) {
      written[index] = 1;
      done.finish(2);
      return;
    }
    done.wait(0, 0);  // nothing to wait for
    done.wait(2, kParts);
    for (const int part : written) sum += part;
  });
  EXPECT_EQ(sum, 8 * kParts);
}

TEST_P(Workers, InsideOthersAreOneThread) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the thread sanitizer does not see how OpenMP's threads begin and end";
#endif
  std::atomic<int> done{0};
  at::parallel_for(0, 4, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) run_tasks(25, [&](int64_t, int) { ++done; });
  });
  EXPECT_EQ(done, 100);
}

}  // namespace
}  // namespace skipattn::attention::cpu
