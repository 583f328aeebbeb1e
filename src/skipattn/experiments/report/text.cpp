#include "skipattn/experiments/report/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "skipattn/core/text.h"

namespace skipattn::experiments {

namespace {

constexpr const char* kMinus = "−";

std::string seeds_text(int count) {
  return fmt::format("{} seed{}", count, count == 1 ? "" : "s");
}

}  // namespace

int decimals_for(double resolution) {
  if (!std::isfinite(resolution) || resolution <= 0) return 4;
  return std::clamp(1 - static_cast<int>(std::floor(std::log10(resolution))), 2, 6);
}

int difference_decimals(const PairedComparison& comparison) {
  return comparison.half_width ? decimals_for(*comparison.half_width) : 4;
}

std::string number_text(std::optional<double> value, int decimals) {
  if (!value || !std::isfinite(*value)) return kNotMeasured;
  std::string text = fmt::format("{:.{}f}", std::abs(*value), decimals);
  const bool is_zero = text.find_first_not_of("0.") == std::string::npos;
  return (*value < 0 && !is_zero ? kMinus : "") + text;
}

std::string signed_text(double value, int decimals) {
  const std::string text = number_text(value, decimals);
  const bool is_zero = text.find_first_not_of("0.") == std::string::npos;
  return value > 0 && !is_zero && std::isfinite(value) ? "+" + text : text;
}

std::string interval_text(const Interval& interval, int decimals) {
  return fmt::format("{} … {}", signed_text(interval.low, decimals), signed_text(interval.high, decimals));
}

std::string p_value_text(std::optional<double> p_value) {
  if (!p_value) return "–";
  if (*p_value < 0.001) return "< 0.001";
  return fmt::format("{:.{}f}", *p_value, *p_value < 0.1 ? 3 : 2);
}

std::string grouped(double value) {
  std::string digits = fmt::format("{:.0f}", std::abs(value));
  for (int i = static_cast<int>(digits.size()) - 3; i > 0; i -= 3) {
    digits.insert(static_cast<size_t>(i), ",");
  }
  return (value < 0 ? kMinus : "") + digits;
}

std::string change_text(std::optional<double> value, std::optional<double> baseline) {
  if (!value || !baseline || *baseline == 0) return "";
  return signed_text(100 * (*value / *baseline - 1), 1) + " %";
}

std::string verdict_sentence(const ReportVariant& variant) {
  const PairedComparison& c = variant.comparison;
  std::string text = variant.long_name.empty() ? variant.name : fmt::format("{} ({})", variant.long_name, variant.name);
  text += fmt::format(": {}", verdict_name(c.verdict));
  if (!c.delta) return text + " — " + c.note;
  const int decimals = difference_decimals(c);
  text += fmt::format(" — difference {} nats per token", signed_text(*c.delta, decimals));
  if (c.ci95) text += fmt::format(", 95 % interval {}", interval_text(*c.ci95, decimals));
  text += ", " + seeds_text(c.pairs());
  return text;
}

std::string detectable_sentence(const PairedComparison& c) {
  if (!c.half_width) {
    return c.note.empty() ? "" : fmt::format("No smallest visible difference: {}.", c.note);
  }
  const int decimals = decimals_for(*c.half_width);
  return fmt::format(
      "With {} and this spread, a difference below {} reads “cannot tell”; a true one of {} would "
      "be found in 4 of 5 such experiments.",
      seeds_text(c.pairs()), number_text(c.half_width, decimals), number_text(c.detectable, decimals));
}

std::string problems_text(const ReportVariant& variant) {
  std::vector<std::string> problems;
  for (const SeedRun& run : variant.runs) {
    if (!run.problem.empty()) {
      problems.push_back(fmt::format("seed {}: {}", run.seed, run.problem));
    } else if (!std::isfinite(run.val_loss)) {
      problems.push_back(fmt::format("seed {}: no finite validation loss", run.seed));
    }
  }
  return join(problems, "; ");
}

}  // namespace skipattn::experiments
