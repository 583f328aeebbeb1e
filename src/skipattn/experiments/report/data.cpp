#include "skipattn/experiments/report/data.h"

#include <algorithm>

#include "skipattn/core/errors.h"

namespace skipattn::experiments {

SeedValues validation_losses(const ReportVariant& variant) {
  SeedValues values;
  for (const SeedRun& run : variant.runs) {
    values[run.seed] = run.problem.empty() ? run.val_loss : std::numeric_limits<double>::quiet_NaN();
  }
  return values;
}

const ReportVariant& baseline_of(const ReportData& data) {
  const auto marked = [](const ReportVariant& variant) { return variant.is_baseline; };
  const auto count = std::count_if(data.variants.begin(), data.variants.end(), marked);
  if (count != 1) {
    throw InputError("[compare] {} of {} variants are the baseline: exactly one must be", count, data.variants.size());
  }
  return *std::find_if(data.variants.begin(), data.variants.end(), marked);
}

void fill_statistics(ReportData& data) {
  const SeedValues baseline = validation_losses(baseline_of(data));
  std::vector<std::optional<double>> p_values;
  for (ReportVariant& variant : data.variants) {
    const SeedValues losses = validation_losses(variant);
    variant.loss = summarise(losses);
    variant.comparison = variant.is_baseline ? PairedComparison{} : compare_paired(losses, baseline);
    p_values.push_back(variant.comparison.p_value);
  }
  const auto adjusted = holm_adjust(p_values);
  for (size_t i = 0; i < adjusted.size(); ++i) data.variants[i].p_value_holm = adjusted[i];
}

}  // namespace skipattn::experiments
