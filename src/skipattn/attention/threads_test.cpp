// Output and gradients are the same to the bit for any number of threads, and every time.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "skipattn/attention/cases_test.h"

namespace skipattn::attention::test {
namespace {

/// So many threads for torch while it lives.
class ThreadCount {
 public:
  explicit ThreadCount(int threads) : before_(at::get_num_threads()) { at::set_num_threads(threads); }
  ~ThreadCount() { at::set_num_threads(before_); }
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;

 private:
  int before_;
};

void expect_same_bits(const Outcome& a, const Outcome& b) {
  EXPECT_TRUE(at::equal(a.result.output, b.result.output));
  EXPECT_TRUE(at::equal(a.result.logsumexp, b.result.logsumexp));
  EXPECT_TRUE(at::equal(a.grad_query, b.grad_query));
  for (size_t i = 0; i < a.grad_sources.size(); ++i) EXPECT_TRUE(at::equal(a.grad_sources[i], b.grad_sources[i])) << i;
}

void expect_same_for_any_threads(const Case& c) {
  const ::testing::ScopedTrace trace(__FILE__, __LINE__, ::testing::PrintToString(c));
  const Inputs inputs = make_inputs(c).to(c.dtype, true);
  for (const std::string& level : levels_for(c.dtype, /*with_torch=*/false)) {
    const ::testing::ScopedTrace level_trace(__FILE__, __LINE__, level);
    const ForcedLevel forced(level);
    const auto run_with = [&](int threads) {
      const ThreadCount count(threads);
      return run(routed_attention, inputs);
    };
    const Outcome one = run_with(1);
    for (const int threads : {2, 3, 4, 8, 8, 1}) {
      const ::testing::ScopedTrace threads_trace(__FILE__, __LINE__, std::to_string(threads) + " threads");
      expect_same_bits(run_with(threads), one);
    }
  }
}

TEST(Threads, DoNotChangeAnyBit) {
  // Several chunks of keys, groups of query heads, heads of many readers, memory of prepared heads used again.
  for (const Routes routes : {Routes::kJointTwo, Routes::kShared, Routes::kTwoSides, Routes::kSomeEmpty})
    expect_same_for_any_threads({.heads = 8, .kv_heads = 4, .queries = 300, .dtype = at::kBFloat16, .routes = routes});
}

TEST(Threads, DoNotChangeAnyBitOfMaskedAndDroppedWeights) {
  for (const First first : {First::kWindow, First::kAnyOrder, First::kDocuments})
    expect_same_for_any_threads({.batch = 3,
                                 .heads = 3,
                                 .kv_heads = 1,
                                 .queries = 200,
                                 .earlier_keys = 211,
                                 .first = first,
                                 .routes = Routes::kJointRepeat,
                                 .dropout_p = first == First::kWindow ? 0.2 : 0.0});
}

TEST(Threads, DoNotChangeAnyBitOfManySmallHeads) {
  expect_same_for_any_threads(
      {.batch = 7, .heads = 6, .kv_heads = 6, .queries = 20, .earlier_keys = 3, .routes = Routes::kSomeEmpty});
}

}  // namespace
}  // namespace skipattn::attention::test
