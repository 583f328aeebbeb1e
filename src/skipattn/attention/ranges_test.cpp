// What scores may be: huge, tiny, equal, rising past the forward pass's stale maximum, infinite, NaN.
#include <gtest/gtest.h>

#include <limits>

#include "skipattn/attention/cases_test.h"

namespace skipattn::attention::test {
namespace {

constexpr int64_t kKeys = 4, kValues = 5;  // sources that Routes::kOwn reads
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

class Ranges : public ::testing::TestWithParam<at::ScalarType> {
 protected:
  /// Four heads of 64: their scores are products of the query's and the key's numbers divided by 8.
  Inputs inputs(int64_t queries = 330) const {
    return make_inputs({.batch = 1, .heads = 2, .kv_heads = 2, .queries = queries, .head_width = 64, .dtype = dtype_});
  }
  /// The same with scores that slope(query) * height(key) is added to.
  template <class Slope, class Height>
  Inputs with_ramp(const Slope& slope, const Height& height) const {
    Inputs all = inputs();
    for (int64_t i = 0; i < 330; ++i) {
      all.query.select(2, i).select(2, 0).fill_(8 * slope(i));
      all.sources[kKeys].select(2, i).select(2, 0).fill_(height(i));
    }
    return all;
  }
  void judge(const Inputs& all) const { expect_accurate_at(levels_, all); }

  const at::ScalarType dtype_ = GetParam();
  const std::vector<std::string> levels_ = levels_for(dtype_, /*with_torch=*/false);
  const OneThread one_thread_;
};
INSTANTIATE_TEST_SUITE_P(Levels, Ranges, ::testing::Values(at::kFloat, at::kBFloat16),
                         [](const auto& param_info) { return std::string(toString(param_info.param)); });

TEST_P(Ranges, ScoresOfTenThousandEitherWay) {
  Inputs all = inputs();
  all.query.mul_(100);
  all.sources[kKeys].mul_(100);
  judge(all);
}

TEST_P(Ranges, AllScoresFarFromZero) {
  for (const double level : {1e4, -1e4})
    judge(with_ramp([](int64_t) { return 100; }, [&](int64_t) { return level / 100; }));
}

TEST_P(Ranges, MaximaThatRiseAgainAndAgain) {
  // By up to 3 a key, so that the reference of a query is raised every tenth key, beside queries whose scores fall.
  constexpr std::array<double, 5> kSlopes = {3, -1, 0.2, 1, 0};
  judge(with_ramp([&](int64_t i) { return kSlopes[i % 5]; }, [](int64_t j) { return j; }));
  // All at once by 200, now and then, in the middle of a register tile.
  judge(with_ramp([&](int64_t i) { return i % 2 == 0 ? 1 : 0.5; }, [](int64_t j) { return 200 * ((j + 3) / 64); }));
}

TEST_P(Ranges, MaximaThatRiseLeaveOtherQueriesAlone) {
  // One query of each vector is raised a hundred times; to the bit nothing changes for those beside it.
  const auto height = [](int64_t j) { return j; };
  const Inputs calm = with_ramp([](int64_t) { return 0; }, height);
  const Inputs rising = with_ramp([](int64_t i) { return i % 8 == 5 ? 9 : 0; }, height);
  const at::Tensor others = at::arange(330).remainder(8).ne(5).nonzero().squeeze(1);
  for (const std::string& level : levels_) {
    const ForcedLevel forced(level);
    const Result a = routed_attention(calm.query, calm.sources, calm.pairs, calm.options);
    const Result b = routed_attention(rising.query, rising.sources, rising.pairs, rising.options);
    EXPECT_TRUE(at::equal(a.output.index_select(2, others), b.output.index_select(2, others))) << level;
    EXPECT_TRUE(at::equal(a.logsumexp.index_select(2, others), b.logsumexp.index_select(2, others))) << level;
  }
}

TEST_P(Ranges, MaximaThatRiseWithinTheSlack) {
  // 27 nats are 2^39: the first keys stay the reference, and the sums hold what is far above it.
  judge(
      with_ramp([](int64_t i) { return i % 3 == 0 ? 1 : 0.7; }, [](int64_t j) { return j < 8 ? 0 : 27.0 * j / 330; }));
}

TEST_P(Ranges, EqualScores) {
  Inputs all = inputs();
  all.query.zero_();
  judge(all);
  const at::Tensor values = all.sources[kValues];
  for (const std::string& level : levels_) {
    const ForcedLevel forced(level);
    const Result result = routed_attention(all.query, all.sources, all.pairs, all.options);
    const double allowed = level == "avx512_bf16" ? 1e-4 : 2e-6;
    EXPECT_LT(max_difference(result.logsumexp[0][1][299], at::scalar_tensor(std::log(300.0))), allowed) << level;
    EXPECT_LT(max_difference(result.output[0][1][0], values[0][1][0]), 1e-6) << level;
  }
}

TEST_P(Ranges, ScalesOfAnySize) {
  for (const double scale : {1e-50, 1e-38, 1e-20, 0.5, 30.0}) {
    Inputs all = inputs(/*queries=*/70);
    all.options.scale = scale;
    judge(all);
  }
}

TEST_P(Ranges, ValuesAndGradientsOfAnySize) {
  for (const double size : {1e20, 1e-20}) {
    Inputs all = with_ramp([](int64_t i) { return i % 2; }, [](int64_t j) { return j; });
    all.sources[kValues].mul_(size);
    all.grad_output.mul_(size < 1 ? 1e10 : 1e-10);
    judge(all);
  }
}

/// Output and gradients of the definition and of every level with some numbers replaced by NaN or infinities.
class NotFinite : public Ranges {
 protected:
  /// Checks that NaN is at the same places of output and logsumexp as in the definition. (Gradients are sums of
  /// products with zeros too, in which the definition itself spreads NaN further than it must.)
  void expect_as_defined(const Inputs& all) const {
    const Outcome truth = run(routed_attention_reference, all.to(dtype_, true));
    for (const std::string& level : levels_) {
      const ::testing::ScopedTrace trace(__FILE__, __LINE__, level);
      const Outcome ours = run_at(level, all);
      EXPECT_TRUE(at::equal(ours.result.output.isnan(), truth.result.output.isnan()));
      EXPECT_TRUE(at::equal(ours.result.logsumexp.isnan(), truth.result.logsumexp.isnan()));
    }
  }
  Outcome run_at(const std::string& level, const Inputs& all) const {
    const ForcedLevel forced(level);
    return run(routed_attention, all.to(dtype_, true));
  }
};
INSTANTIATE_TEST_SUITE_P(Levels, NotFinite, ::testing::Values(at::kFloat, at::kBFloat16),
                         [](const auto& param_info) { return std::string(toString(param_info.param)); });

TEST_P(NotFinite, AKeyReachesThoseThatSeeIt) {
  for (const int64_t key : {0, 70, 199, 329})
    for (const double wrong : {kNan, kInfinity}) {
      Inputs all = inputs();
      all.query.select(3, 9).abs_().add_(0.1);
      const std::string level = levels_.back();
      const Outcome clean = run_at(level, all);
      all.sources[kKeys].select(2, key).select(2, 9).fill_(wrong);
      if (wrong != kInfinity) expect_as_defined(all);
      const Outcome broken = run_at(level, all);
      EXPECT_TRUE(broken.result.output.narrow(2, key, 330 - key).isnan().all().item<bool>());
      EXPECT_TRUE(broken.grad_query.narrow(2, key, 330 - key).isnan().all().item<bool>());
      EXPECT_TRUE(broken.grad_sources[kValues].select(2, key).isnan().all().item<bool>());
      const at::Tensor before = broken.result.output.narrow(2, 0, key);
      EXPECT_TRUE(at::equal(before, clean.result.output.narrow(2, 0, key)));
      EXPECT_TRUE(at::equal(broken.result.logsumexp.narrow(2, 0, key), clean.result.logsumexp.narrow(2, 0, key)));
    }
}

TEST_P(NotFinite, AQueryHarmsItselfAlone) {
  Inputs all = inputs();
  std::vector<Outcome> clean;
  for (const std::string& level : levels_) clean.push_back(run_at(level, all));
  all.query.select(2, 100).select(2, 3).fill_(kNan);
  expect_as_defined(all);
  for (size_t i = 0; i < levels_.size(); ++i) {
    const Outcome broken = run_at(levels_[i], all);
    EXPECT_TRUE(broken.grad_query.select(2, 100).isnan().all().item<bool>());
    EXPECT_TRUE(broken.grad_sources[kKeys].narrow(2, 0, 101).isnan().all().item<bool>());
    EXPECT_FALSE(broken.grad_sources[kKeys].narrow(2, 128, 330 - 128).isnan().any().item<bool>());  // later blocks
    for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 100}, {101, 330}}) {
      const auto part = [&](const at::Tensor& tensor) { return tensor.narrow(2, begin, end - begin); };
      EXPECT_TRUE(at::equal(part(broken.result.output), part(clean[i].result.output))) << levels_[i];
      EXPECT_TRUE(at::equal(part(broken.result.logsumexp), part(clean[i].result.logsumexp))) << levels_[i];
      EXPECT_TRUE(at::equal(part(broken.grad_query), part(clean[i].grad_query))) << levels_[i];
    }
  }
}

TEST_P(NotFinite, AValueReachesThoseThatSeeItInItsColumn) {
  Inputs all = inputs();
  all.sources[kValues].select(2, 129).select(2, 5).fill_(kNan);
  for (const std::string& level : levels_) {
    const Outcome broken = run_at(level, all);
    const at::Tensor nan = broken.result.output.isnan();
    EXPECT_TRUE(nan.select(3, 5).narrow(2, 129, 330 - 129).all().item<bool>()) << level;
    EXPECT_EQ(nan.sum().item<int64_t>(), nan.select(3, 5).sum().item<int64_t>()) << level;
    EXPECT_FALSE(nan.narrow(2, 0, 128).any().item<bool>()) << level;  // blocks before the key
    EXPECT_FALSE(broken.result.logsumexp.isnan().any().item<bool>()) << level;
  }
}

TEST_P(NotFinite, MinusInfinityIsAWeightOfZeroBesideOthersOnly) {
  Inputs all = inputs();
  all.query.select(3, 0).abs_().add_(0.1);
  all.sources[kKeys].select(2, 150).select(2, 0).fill_(-kInfinity);
  expect_as_defined(all);
  for (const std::string& level : levels_)
    EXPECT_FALSE(run_at(level, all).result.output.isnan().any().item<bool>()) << level;
  all.sources[kKeys].select(3, 0).fill_(-kInfinity);  // nothing else to see: 0 / 0
  expect_as_defined(all);
  for (const std::string& level : levels_) {
    const Outcome none = run_at(level, all);
    EXPECT_TRUE(none.result.output.isnan().all().item<bool>()) << level;
    EXPECT_EQ(none.result.logsumexp.max().item<double>(), -kInfinity) << level;
  }
}

}  // namespace
}  // namespace skipattn::attention::test
