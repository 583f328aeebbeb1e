#include "skipattn/inference/worker_pool.h"

#include <gtest/gtest.h>

#include <chrono>
#include <set>

namespace skipattn::inference {
namespace {

TEST(WorkerPool, EveryWorkerRunsEveryTaskOnce) {
  for (const int workers : {1, 2, 5}) {
    WorkerPool pool(workers);
    for (int round = 0; round < 200; ++round) {
      std::vector<std::atomic<int>> calls(static_cast<size_t>(workers));
      pool.run([&](int worker) { ++calls.at(static_cast<size_t>(worker)); });
      for (const auto& count : calls) EXPECT_EQ(count, 1);
    }
  }
}

TEST(WorkerPool, NobodyPassesABarrierBeforeAllHaveCome) {
  constexpr int kWorkers = 3, kRounds = 500;
  WorkerPool pool(kWorkers);
  std::atomic<int> arrived{0};
  std::atomic<bool> early{false};
  pool.run([&](int) {
    for (int round = 1; round <= kRounds; ++round) {
      ++arrived;
      pool.barrier();
      if (arrived.load() < kWorkers * round) early = true;
      pool.barrier();
    }
  });
  EXPECT_FALSE(early);
  EXPECT_EQ(arrived, kWorkers * kRounds);
}

TEST(WorkerPool, WhoWaitsDoesSomethingElseMeanwhile) {
  for (const int workers : {2, 3}) {
    WorkerPool pool(workers);
    std::atomic<int> calls{0}, passed{0};
    std::atomic<bool> late_one_called{false};
    pool.run([&](int worker) {
      if (worker == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
      pool.barrier([&] {
        if (worker == 0) late_one_called = true;
        ++calls;
        return true;  // it would go on for ever
      });
      ++passed;
    });
    EXPECT_GT(calls, 1);
    EXPECT_FALSE(late_one_called);
    EXPECT_EQ(passed, workers);
  }
}

TEST(WorkerPool, WorkersThatSleptWakeUp) {
  WorkerPool pool(2);
  for (int round = 0; round < 3; ++round) {
    std::atomic<int> calls{0};
    pool.run([&](int worker) {
      if (worker == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));  // the other sleeps at the barrier
      pool.barrier();
      ++calls;
    });
    EXPECT_EQ(calls, 2);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // and between tasks
  }
}

TEST(WorkerPool, TheCallingThreadIsWorkerZero) {
  WorkerPool pool(2);
  std::thread::id zero;
  pool.run([&](int worker) {
    if (worker == 0) zero = std::this_thread::get_id();
  });
  EXPECT_EQ(zero, std::this_thread::get_id());
}

}  // namespace
}  // namespace skipattn::inference
