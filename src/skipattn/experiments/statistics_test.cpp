#include "skipattn/experiments/statistics.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <sstream>

#include "skipattn/core/errors.h"
#include "skipattn/core/random.h"

namespace skipattn::experiments {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

SeedValues seeds(const std::vector<double>& values) {
  SeedValues result;
  for (size_t i = 0; i < values.size(); ++i) result[i + 1] = values[i];
  return result;
}

// Constants of the next three tests: scipy 1.17.1,
//   r = stats.ttest_rel(variant, baseline); r.pvalue; r.confidence_interval(0.95)
//   t = stats.t.ppf(.975, n-1)
//   brentq(lambda c: stats.nct.sf(t,n-1,c) + nan_to_num(stats.nct.cdf(-t,n-1,c)) - .8, .1, 36)
//     / n**.5 * std(variant - baseline, ddof=1)
TEST(Statistics, FiveSeedsMatchScipy) {
  const auto c =
      compare_paired(seeds({3.9512, 3.9401, 3.9633, 3.9478, 3.9527}), seeds({3.9601, 3.9470, 3.9625, 3.9590, 3.9610}));
  EXPECT_EQ(c.pairs(), 5);
  EXPECT_NEAR(*c.delta, -0.0069, 1e-12);
  EXPECT_NEAR(*c.delta_sd, 0.004575478117093319, 1e-12);
  EXPECT_NEAR(c.ci95->low, -0.012581206452563916, 1e-12);
  EXPECT_NEAR(c.ci95->high, -0.0012187935474360732, 1e-12);
  EXPECT_NEAR(*c.p_value, 0.027989823861941054, 1e-10);
  EXPECT_NEAR(*c.half_width, 0.005681206452563921, 1e-12);
  EXPECT_NEAR(*c.detectable / *c.delta_sd, 1.6819969659555543, 1e-9);
  EXPECT_EQ(c.verdict, Verdict::kBetter);
  EXPECT_EQ(c.note, "");
}

TEST(Statistics, ThreeSeedsMatchScipy) {
  const auto c = compare_paired(seeds({2.51, 2.62, 2.55}), seeds({2.40, 2.49, 2.46}));
  EXPECT_NEAR(*c.delta, 0.11, 1e-12);
  EXPECT_NEAR(c.ci95->low, 0.06031724576499323, 1e-12);
  EXPECT_NEAR(c.ci95->high, 0.15968275423500652, 1e-12);
  EXPECT_NEAR(*c.p_value, 0.010840428605201935, 1e-10);
  EXPECT_NEAR(*c.detectable / *c.delta_sd, 3.2640435496995597, 1e-8);
  EXPECT_EQ(c.verdict, Verdict::kWorse);
}

TEST(Statistics, TwoSeedsHaveAnIntervalAndNoPValue) {
  const auto c = compare_paired(seeds({3.10, 3.25}), seeds({3.30, 3.46}));
  EXPECT_NEAR(c.ci95->low, -0.2685310236808748, 1e-9);
  EXPECT_NEAR(c.ci95->high, -0.14146897631912492, 1e-9);
  EXPECT_FALSE(c.p_value.has_value());
  EXPECT_NEAR(detectable_difference(2), 11.549888435882357, 1e-6);
  EXPECT_EQ(c.verdict, Verdict::kBetter);
  EXPECT_EQ(c.note, "two seeds: no p-value below three");
}

TEST(Statistics, OneSeedNeverTells) {
  const auto c = compare_paired(seeds({2.0}), seeds({3.0}));
  EXPECT_EQ(*c.delta, -1.0);
  EXPECT_FALSE(c.delta_sd || c.ci95 || c.p_value || c.half_width || c.detectable);
  EXPECT_EQ(verdict_name(c.verdict), "cannot tell");
  EXPECT_EQ(c.note, "one seed: no interval can be drawn");
}

TEST(Statistics, IntervalThatHoldsZeroCannotTell) {
  const auto c = compare_paired(seeds({3.0, 3.2, 2.9}), seeds({3.1, 3.1, 3.1}));
  EXPECT_LT(c.ci95->low, 0);
  EXPECT_GT(c.ci95->high, 0);
  EXPECT_EQ(c.verdict, Verdict::kCannotTell);
  EXPECT_GT(*c.p_value, 0.05);
}

TEST(Statistics, OnlyPairedFiniteSeedsCount) {
  const SeedValues variant = {{1, 3.0}, {2, kNan}, {3, 3.4}, {5, 9.0}};
  const SeedValues baseline = {{1, 3.1}, {2, 3.2}, {3, 3.3}, {4, 8.0}};
  const auto c = compare_paired(variant, baseline);
  EXPECT_EQ(c.seeds, (std::vector<uint64_t>{1, 3}));
  EXPECT_EQ(c.left_out, (std::vector<uint64_t>{2, 4, 5}));
  EXPECT_NEAR(*c.variant.mean, 3.2, 1e-12);
  EXPECT_NEAR(*c.baseline.mean, 3.2, 1e-12);
  EXPECT_EQ(summarise(baseline).count, 4);
  EXPECT_EQ(summarise(variant).count, 3);
}

TEST(Statistics, NoPairsComparesNothing) {
  const auto c = compare_paired(seeds({kNan}), {{7, 1.0}});
  EXPECT_EQ(c.pairs(), 0);
  EXPECT_FALSE(c.delta || c.variant.mean || c.baseline.mean);
  EXPECT_EQ(c.verdict, Verdict::kCannotTell);
  EXPECT_NE(c.note, "");
}

TEST(Statistics, EqualDifferencesGiveNoVerdict) {
  // 3.3 - 3.2 and 2.3 - 2.2 differ in the last bits only: that is no spread either.
  const auto c = compare_paired(seeds({3.3, 2.3, 1.3}), seeds({3.2, 2.2, 1.2}));
  EXPECT_GT(*c.delta_sd, 0);
  EXPECT_NEAR(*c.delta, 0.1, 1e-12);
  EXPECT_FALSE(c.ci95 || c.p_value || c.half_width || c.detectable);
  EXPECT_EQ(c.verdict, Verdict::kCannotTell);
  EXPECT_NE(c.note.find("same"), std::string::npos);
  EXPECT_EQ(compare_paired(seeds({3, 2}), seeds({3, 2})).verdict, Verdict::kCannotTell);
}

TEST(Statistics, MomentsAndQuantiles) {
  const std::vector<double> x = {9, 1, 4, 7, 2.5};  // numpy 2.4: np.quantile(x, [0, .1, .5, .9, 1])
  EXPECT_EQ(quantile(x, 0), 1.0);
  EXPECT_NEAR(quantile(x, 0.1), 1.6, 1e-12);
  EXPECT_EQ(median(x), 4.0);
  EXPECT_NEAR(quantile(x, 0.9), 8.2, 1e-12);
  EXPECT_EQ(quantile(x, 1), 9.0);
  EXPECT_EQ(median(std::vector<double>{1, 2, 3, 10}), 2.5);
  EXPECT_TRUE(std::isnan(mean({})) && std::isnan(median({})));
  EXPECT_TRUE(std::isnan(sample_sd(std::vector<double>{1.0})));
  EXPECT_THROW(quantile(x, 1.5), InputError);
  EXPECT_THROW(quantile(x, kNan), InputError);
}

TEST(Statistics, HolmStepsDown) {
  // R 4: p.adjust(c(.01, .04, .03, .005), "holm") is .03 .06 .06 .02; the absent one is no member.
  const auto adjusted = holm_adjust({0.01, 0.04, std::nullopt, 0.03, 0.005});
  EXPECT_NEAR(*adjusted[0], 0.03, 1e-12);
  EXPECT_NEAR(*adjusted[1], 0.06, 1e-12);
  EXPECT_FALSE(adjusted[2].has_value());
  EXPECT_NEAR(*adjusted[3], 0.06, 1e-12);
  EXPECT_NEAR(*adjusted[4], 0.02, 1e-12);
  EXPECT_EQ(*holm_adjust({0.9, 0.8})[0], 1.0);
  EXPECT_TRUE(holm_adjust({}).empty());
  EXPECT_THROW(holm_adjust({1.5}), InputError);
  EXPECT_THROW(holm_adjust({kNan}), InputError);
}

TEST(Statistics, DetectableDifferenceIsWhatItClaims) {
  // A simulation of the claim itself: the test finds that difference in 80 % of experiments.
  constexpr int kExperiments = 1000;
  const double shift = detectable_difference(4);
  Random random(11);
  int found = 0;
  for (int i = 0; i < kExperiments; ++i) {
    SeedValues variant, baseline;
    for (uint64_t seed = 0; seed < 4; ++seed) {
      baseline[seed] = 10 + random.normal();
      variant[seed] = baseline[seed] + shift + random.normal();
    }
    found += compare_paired(variant, baseline).verdict == Verdict::kWorse;
  }
  EXPECT_NEAR(static_cast<double>(found) / kExperiments, 0.8, 0.04);
  // By integrating the normal power over the chi-square of the spread's estimate (SciPy).
  EXPECT_NEAR(detectable_difference(3, 0.8, 0.05 / 20), 14.646710505192273, 1e-7);
  EXPECT_NEAR(detectable_difference(5, 0.8, 0.05 / 18), 3.6747805101160678, 1e-8);
  EXPECT_THROW(detectable_difference(3, 0.8, 0.0), InputError);
  EXPECT_THROW(detectable_difference(1), InputError);
  EXPECT_THROW(detectable_difference(3, 1.0), InputError);
}

/// First line that python prints for `program`; "" when it fails.
std::string run_python(const std::string& python, const std::string& program) {
  const std::string command = fmt::format("{} -c \"{}\" 2>/dev/null", python, program);
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return "";
  char line[512] = {};
  const bool got = std::fgets(line, sizeof line, pipe) != nullptr;
  pclose(pipe);
  return got ? line : "";
}

TEST(Statistics, AgreesWithScipyWhereThereIsOne) {
  const char* chosen = std::getenv("SKIPATTN_PYTHON");
  std::string python;
  for (const std::string& candidate : {std::string(chosen ? chosen : "python3"), std::string("python3")}) {
    if (!run_python(candidate, "import scipy; print(1)").empty()) python = candidate;
  }
  if (python.empty()) GTEST_SKIP() << "no python with scipy here";
  Random random(5);
  for (const int n : {3, 4, 10, 30}) {
    std::vector<double> a, b;
    std::string texts[2];
    for (int i = 0; i < n; ++i) {
      a.push_back(3 + 0.1 * random.normal());
      b.push_back(a.back() + 0.01 + 0.02 * random.normal());
      texts[0] += fmt::format("{},", a.back());
      texts[1] += fmt::format("{},", b.back());
    }
    std::istringstream answer(
        run_python(python, fmt::format("from scipy import stats as s; r=s.ttest_rel([{}],[{}]); "
                                       "i=r.confidence_interval(0.95); print(r.pvalue,i.low,i.high)",
                                       texts[0], texts[1])));
    double p = kNan, low = kNan, high = kNan;
    answer >> p >> low >> high;
    const auto c = compare_paired(seeds(a), seeds(b));
    EXPECT_NEAR(*c.p_value, p, 1e-9 * std::max(1.0, p)) << n << " seeds";
    EXPECT_NEAR(c.ci95->low, low, 1e-10) << n << " seeds";
    EXPECT_NEAR(c.ci95->high, high, 1e-10) << n << " seeds";
  }
}

}  // namespace
}  // namespace skipattn::experiments
