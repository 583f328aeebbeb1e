// Statistics of a comparison. The unit is the seed: a variant and the baseline run under the same
// seed see the same batches and share initial weights, so their difference is one observation.
//
//   const PairedComparison c = compare_paired({{1, 3.91}, {2, 3.88}}, {{1, 3.92}, {2, 3.90}});
//   c.verdict                         // kCannotTell: two seeds give a wide interval
//   verdict_name(c.verdict)           // "cannot tell"
//
// Values are losses: smaller is better. docs/statistics.md says why each rule is as it is.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace skipattn::experiments {

/// Seed -> value of one run (validation loss, nats per token). NaN or infinity: the run has no
/// value.
using SeedValues = std::map<uint64_t, double>;

/// Mean; NaN for no values.
double mean(std::span<const double> values);
/// Standard deviation with n - 1 below the line; NaN below two values.
double sample_sd(std::span<const double> values);
/// Median; NaN for no values.
double median(std::span<const double> values);
/// Quantile by linear interpolation between order statistics (Hyndman and Fan's type 7, the default
/// of numpy and R). Throws InputError unless 0 <= q <= 1; NaN for no values.
double quantile(std::span<const double> values, double q);

/// Mean and spread of the finite values of one variant.
struct Summary {
  int count = 0;               ///< finite values
  std::optional<double> mean;  ///< absent when count is 0
  std::optional<double> sd;    ///< absent below two values
};
Summary summarise(const SeedValues& values);

struct Interval {
  double low = 0;
  double high = 0;
  bool operator==(const Interval&) const = default;
};

/// What a comparison may say.
enum class Verdict {
  kBetter,      ///< the whole interval lies below 0: a smaller loss than the baseline
  kWorse,       ///< the whole interval lies above 0
  kCannotTell,  ///< the interval holds 0, or there is none
};
/// "better", "worse", "cannot tell".
std::string_view verdict_name(Verdict verdict);

/// A variant against the baseline, over the seeds for which both have a finite value ("pairs").
/// Everything that the pairs cannot support is absent rather than 0.
struct PairedComparison {
  std::vector<uint64_t> seeds;       ///< the pairs, ascending
  std::vector<uint64_t> left_out;    ///< seeds with a value on one side at most, ascending
  Summary variant;                   ///< over the pairs
  Summary baseline;                  ///< over the pairs
  std::vector<double> differences;   ///< variant - baseline, in the order of `seeds`
  std::optional<double> delta;       ///< mean difference; 1 pair or more
  std::optional<double> delta_sd;    ///< spread of the differences; 2 pairs or more
  std::optional<Interval> ci95;      ///< paired t interval; 2 pairs or more and differences that vary
  std::optional<double> p_value;     ///< two-sided paired t test; 3 pairs or more, differences vary
  std::optional<double> half_width;  ///< of ci95: an observed difference below it reads "cannot tell"
  std::optional<double> detectable;  ///< true difference found in 80 % of such experiments, see below
  Verdict verdict = Verdict::kCannotTell;
  std::string note;  ///< why something is absent, one sentence; "" when nothing is

  int pairs() const { return static_cast<int>(seeds.size()); }
};

/// Compares by the two-sided 95 % paired t interval (Student 1908).
/// Differences that are all the same to rounding give no interval, no p-value and "cannot tell":
/// with no spread between seeds the test is undefined, however large the difference.
PairedComparison compare_paired(const SeedValues& variant, const SeedValues& baseline);

/// The true difference, in units of the differences' standard deviation, that a two-sided paired t
/// test at `level` over `pairs` seeds finds with probability `power` (noncentral t, solved
/// numerically). For one of m comparisons under Holm's correction, level 0.05 / m is the strictest
/// that it may have to pass. Throws InputError when pairs < 2, level is outside (0, 0.5) or power
/// outside (level, 1).
double detectable_difference(int pairs, double power = 0.8, double level = 0.05);

/// Holm's step-down correction (Holm 1979) of a family of p-values; absent ones stay absent and do
/// not count as members. Throws InputError for a value outside 0..1.
std::vector<std::optional<double>> holm_adjust(const std::vector<std::optional<double>>& p_values);

}  // namespace skipattn::experiments
