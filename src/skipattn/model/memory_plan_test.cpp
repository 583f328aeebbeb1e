#include "skipattn/model/memory_plan.h"

#include <gtest/gtest.h>

#include <random>

namespace skipattn::model {
namespace {

constexpr int64_t kPage = MemoryPlan::kAlignment;

TEST(MemoryPlan, BuffersWithLivesApartShareTheirPlace) {
  MemoryPlan plan;
  const int a = plan.add(3 * kPage, 0, 4), b = plan.add(2 * kPage, 5, 9), c = plan.add(kPage, 4, 5);
  plan.place();
  EXPECT_EQ(plan.offset(a), 0);
  EXPECT_EQ(plan.offset(b), 0);
  EXPECT_EQ(plan.offset(c), 3 * kPage);  // alive with both
  EXPECT_EQ(plan.total(), 4 * kPage);
  EXPECT_EQ(plan.lower_bound(), 4 * kPage);
}

TEST(MemoryPlan, NoTwoLivingBuffersOverlap) {
  std::mt19937 random(3);
  const auto draw = [&](int64_t below) { return static_cast<int64_t>(random() % below); };
  for (int round = 0; round < 50; ++round) {
    struct Life {
      int64_t bytes, first, last;
    };
    std::vector<Life> lives;
    MemoryPlan plan;
    for (int i = 0; i < 60; ++i) {
      const int64_t first = draw(40);
      lives.push_back({1 + draw(9 * kPage), first, first + draw(12)});
      plan.add(lives[i].bytes, lives[i].first, lives[i].last);
    }
    plan.place();
    for (int i = 0; i < 60; ++i) {
      EXPECT_EQ(plan.offset(i) % kPage, 0);
      EXPECT_LE(plan.offset(i) + lives[i].bytes, plan.total());
      for (int j = 0; j < i; ++j) {
        if (lives[j].first > lives[i].last || lives[i].first > lives[j].last) continue;
        EXPECT_TRUE(plan.offset(i) + lives[i].bytes <= plan.offset(j) ||
                    plan.offset(j) + lives[j].bytes <= plan.offset(i));
      }
    }
    EXPECT_GE(plan.total(), plan.lower_bound());
    EXPECT_LE(plan.total(), 2 * plan.lower_bound());
  }
}

}  // namespace
}  // namespace skipattn::model
