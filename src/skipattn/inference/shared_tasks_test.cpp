#include "skipattn/inference/shared_tasks.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "skipattn/inference/worker_pool.h"

namespace skipattn::inference {
namespace {

TEST(SharedTasks, EveryTaskIsTakenOnce) {
  for (const int workers : {1, 2, 5})
    for (const int64_t count : {0, 1, 3, 1000}) {
      SharedTasks tasks(workers);
      WorkerPool pool(workers);
      std::vector<std::atomic<int>> taken(static_cast<size_t>(count));
      for (int round = 1; round <= 20; ++round) {
        tasks.reset(count);
        pool.run([&](int worker) {
          for (int64_t task; (task = tasks.take(worker)) >= 0;) ++taken.at(static_cast<size_t>(task));
        });
        for (const auto& times : taken) ASSERT_EQ(times, round);
      }
    }
}

TEST(SharedTasks, AWorkerGoesThroughItsOwnRunInOrder) {
  SharedTasks tasks(2);
  tasks.reset(7);
  for (const int64_t task : {3, 4, 5, 6}) {
    EXPECT_EQ(tasks.next(1), task);
    EXPECT_EQ(tasks.take(1), task);
  }
  EXPECT_EQ(tasks.next(1), -1);
}

TEST(SharedTasks, WhoHasEndedTakesFromTheEndOfOthers) {
  SharedTasks tasks(3);
  tasks.reset(6);
  std::vector<int64_t> order;
  for (int64_t task; (task = tasks.take(1)) >= 0;) order.push_back(task);
  EXPECT_EQ(order, (std::vector<int64_t>{2, 3, 5, 4, 1, 0}));
  EXPECT_EQ(tasks.take(0), -1);
}

}  // namespace
}  // namespace skipattn::inference
