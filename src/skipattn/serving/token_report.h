// How likely a token was among all tokens: natural logarithms of softmax(logits), before temperature and everything else
// that changes how tokens are drawn.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace skipattn::serving {

struct RatedToken {
  uint32_t token = 0;
  double log_probability = 0;  ///< nats, at most 0
};

/// One token of a text.
struct TokenReport {
  uint32_t token = 0;
  bool of_prompt = false;
  /// None for a text's first token, which nothing precedes, and where nobody asked.
  std::optional<double> log_probability;
  std::vector<RatedToken> likeliest;  ///< likeliest first; among equals the lower id
};

/// Rates `token` by the logits [vocabulary] before it, with the `top` likeliest beside it (0 or more).
TokenReport report_token(std::span<const float> logits, uint32_t token, int64_t top);

}  // namespace skipattn::serving
