#include "skipattn/model/rotary_config.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace skipattn::model {

namespace {

/// "llama3": turns in the original context decide; between the two limits the slowed and the plain frequency are mixed.
double llama3_frequency(const RotaryConfig& config, double plain) {
  const double turns = static_cast<double>(config.original_positions) * plain / (2 * std::numbers::pi);
  const double share = (turns - config.low_frequency) / (config.high_frequency - config.low_frequency);
  return std::lerp(plain / config.factor, plain, std::clamp(share, 0.0, 1.0));
}

}  // namespace

void RotaryConfig::find_faults(FaultList& faults) const {
  if (!(base > 0)) faults.add("rotary_base={}: must be positive", base);
  if (scaling != "none" && scaling != "linear" && scaling != "llama3")
    faults.add("rotary_scaling='{}': must be none, linear or llama3", scaling);
  if (!(factor >= 1)) faults.add("rotary_factor={}: must be 1 or more", factor);
  if (scaling != "llama3") return;
  if (!(low_frequency > 0)) faults.add("rotary_low_frequency={}: must be positive", low_frequency);
  if (!(high_frequency > low_frequency))
    faults.add("rotary_high_frequency={}: must be more than rotary_low_frequency={}", high_frequency, low_frequency);
  if (original_positions < 1) faults.add("rotary_original_positions={}: must be 1 or more", original_positions);
}

std::vector<double> rotary_frequencies(const RotaryConfig& config, int64_t head_width) {
  std::vector<double> frequencies;
  for (int64_t i = 0; i < head_width / 2; ++i) {
    const double plain = std::pow(config.base, -2.0 * static_cast<double>(i) / static_cast<double>(head_width));
    if (config.scaling == "linear")
      frequencies.push_back(plain / config.factor);
    else
      frequencies.push_back(config.scaling == "llama3" ? llama3_frequency(config, plain) : plain);
  }
  return frequencies;
}

}  // namespace skipattn::model
