// Rotary position embedding (Su et al. 2021) in numbers: how fast each pair of a head's elements turns with the position.
// Independent of torch; the turning itself is rotary.h (plain) and fused/rotary.h (fused).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "skipattn/core/errors.h"

namespace skipattn::model {

/// How positions become angles.
struct RotaryConfig {
  double base = 10000.0;         ///< pair i of d/2 turns by base^(-2 i / d) a position; positive
  std::string scaling = "none";  ///< "none"; "linear" (Chen et al. 2023); "llama3" (Llama 3.1's model card)
  double factor = 1.0;           ///< how many times longer contexts become, 1 or more; "linear" and "llama3"
  double low_frequency = 1.0;    ///< "llama3": pairs that turn less often in the original context are slowed by factor
  double high_frequency = 4.0;   ///< "llama3": pairs that turn more often are left alone; between, a mixture
  int64_t original_positions = 8192;  ///< "llama3": the context before it was lengthened

  bool operator==(const RotaryConfig&) const = default;
  /// Adds a line for every value out of its range.
  void find_faults(FaultList& faults) const;
};

/// Radians per position of each of a head's head_width / 2 pairs.
std::vector<double> rotary_frequencies(const RotaryConfig& config, int64_t head_width);

}  // namespace skipattn::model
