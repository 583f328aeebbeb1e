#include "skipattn/experiments/statistics.h"

#include <algorithm>
#include <boost/math/distributions/non_central_t.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "skipattn/core/errors.h"

namespace skipattn::experiments {

namespace {

constexpr double kLevel = 0.05;
constexpr double kPower = 0.8;
constexpr double kNotANumber = std::numeric_limits<double>::quiet_NaN();

Summary summarise(const std::vector<double>& values) {
  Summary summary;
  summary.count = static_cast<int>(values.size());
  if (summary.count >= 1) summary.mean = mean(values);
  if (summary.count >= 2) summary.sd = sample_sd(values);
  return summary;
}

double critical_t(int pairs, double level) {
  const boost::math::students_t distribution(pairs - 1);
  return boost::math::quantile(boost::math::complement(distribution, level / 2));
}

/// Probability that |T| exceeds `critical` when T is noncentral t with `pairs` - 1 degrees.
double power_at(double noncentrality, int pairs, double critical) {
  const boost::math::non_central_t distribution(pairs - 1, noncentrality);
  return boost::math::cdf(boost::math::complement(distribution, critical)) + boost::math::cdf(distribution, -critical);
}

/// The largest spread that subtracting values of this size can leave by rounding alone.
double rounding_of(const std::vector<double>& a, const std::vector<double>& b) {
  double largest = 0;
  for (const double value : a) largest = std::max(largest, std::abs(value));
  for (const double value : b) largest = std::max(largest, std::abs(value));
  return 4 * std::numeric_limits<double>::epsilon() * largest;
}

/// Fills everything that follows from the differences.
void test_differences(PairedComparison& result, double rounding) {
  const int n = result.pairs();
  result.delta = mean(result.differences);
  if (n == 1) {
    result.note = "one seed: no interval can be drawn";
    return;
  }
  result.delta_sd = sample_sd(result.differences);
  if (*result.delta_sd <= rounding) {
    result.note = "the differences of all seeds are the same: with no spread no interval can be drawn";
    return;
  }
  const double standard_error = *result.delta_sd / std::sqrt(n);
  result.half_width = critical_t(n, kLevel) * standard_error;
  result.ci95 = Interval{*result.delta - *result.half_width, *result.delta + *result.half_width};
  result.detectable = *result.delta_sd * detectable_difference(n, kPower);
  if (n >= 3) {
    const boost::math::students_t distribution(n - 1);
    const double t = std::abs(*result.delta) / standard_error;
    result.p_value = 2 * boost::math::cdf(boost::math::complement(distribution, t));
  } else {
    result.note = "two seeds: no p-value below three";
  }
  if (result.ci95->high < 0) result.verdict = Verdict::kBetter;
  if (result.ci95->low > 0) result.verdict = Verdict::kWorse;
}

}  // namespace

double mean(std::span<const double> values) {
  if (values.empty()) return kNotANumber;
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double sample_sd(std::span<const double> values) {
  if (values.size() < 2) return kNotANumber;
  const double center = mean(values);
  double squares = 0;
  for (const double value : values) squares += (value - center) * (value - center);
  return std::sqrt(squares / static_cast<double>(values.size() - 1));
}

double median(std::span<const double> values) {
  return quantile(values, 0.5);
}

double quantile(std::span<const double> values, double q) {
  if (!(q >= 0 && q <= 1)) throw InputError("[statistics] quantile {}: must be within 0..1", q);
  if (values.empty()) return kNotANumber;
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  const double position = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(position);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  const double part = position - static_cast<double>(below);
  return sorted[below] * (1 - part) + sorted[above] * part;
}

Summary summarise(const SeedValues& values) {
  std::vector<double> finite;
  for (const auto& [seed, value] : values) {
    if (std::isfinite(value)) finite.push_back(value);
  }
  return summarise(finite);
}

std::string_view verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kBetter:
      return "better";
    case Verdict::kWorse:
      return "worse";
    case Verdict::kCannotTell:
      break;
  }
  return "cannot tell";
}

PairedComparison compare_paired(const SeedValues& variant, const SeedValues& baseline) {
  PairedComparison result;
  std::set<uint64_t> all;
  for (const auto& [seed, value] : variant) all.insert(seed);
  for (const auto& [seed, value] : baseline) all.insert(seed);
  std::vector<double> ours;
  std::vector<double> theirs;
  for (const uint64_t seed : all) {
    const auto a = variant.find(seed);
    const auto b = baseline.find(seed);
    if (a == variant.end() || b == baseline.end() || !std::isfinite(a->second) || !std::isfinite(b->second)) {
      result.left_out.push_back(seed);
      continue;
    }
    result.seeds.push_back(seed);
    ours.push_back(a->second);
    theirs.push_back(b->second);
    result.differences.push_back(a->second - b->second);
  }
  result.variant = summarise(ours);
  result.baseline = summarise(theirs);
  if (result.seeds.empty()) {
    result.note = "no seed has a value on both sides: nothing was compared";
    return result;
  }
  test_differences(result, rounding_of(ours, theirs));
  return result;
}

double detectable_difference(int pairs, double power, double level) {
  if (pairs < 2) throw InputError("[statistics] {} pairs: power needs 2 or more", pairs);
  if (!(level > 0 && level < 0.5)) throw InputError("[statistics] level {}: must lie between 0 and 0.5", level);
  if (!(power > level && power < 1)) {
    throw InputError("[statistics] power {}: must lie between {} and 1", power, level);
  }
  const double critical = critical_t(pairs, level);
  double low = 0;
  double high = critical;
  while (power_at(high, pairs, critical) < power) high *= 2;
  for (int i = 0; i < 200 && high - low > 1e-10 * high; ++i) {
    const double middle = (low + high) / 2;
    (power_at(middle, pairs, critical) < power ? low : high) = middle;
  }
  return high / std::sqrt(pairs);
}

std::vector<std::optional<double>> holm_adjust(const std::vector<std::optional<double>>& p_values) {
  std::vector<size_t> order;
  for (size_t i = 0; i < p_values.size(); ++i) {
    if (!p_values[i]) continue;
    if (!(*p_values[i] >= 0 && *p_values[i] <= 1)) {
      throw InputError("[statistics] p-value {}: must be within 0..1", *p_values[i]);
    }
    order.push_back(i);
  }
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p_values[a] < p_values[b]; });
  std::vector<std::optional<double>> adjusted(p_values.size());
  double largest = 0;
  for (size_t rank = 0; rank < order.size(); ++rank) {
    const double scaled = *p_values[order[rank]] * static_cast<double>(order.size() - rank);
    largest = std::max(largest, std::min(1.0, scaled));
    adjusted[order[rank]] = largest;
  }
  return adjusted;
}

}  // namespace skipattn::experiments
