#include "skipattn/serving/token_report.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace skipattn::serving {

TokenReport report_token(std::span<const float> logits, uint32_t token, int64_t top) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - largest);
  const double normalizer = largest + std::log(sum);
  const auto rate = [&](uint32_t id) { return logits[id] - normalizer; };

  TokenReport report{.token = token, .of_prompt = false, .log_probability = rate(token), .likeliest = {}};
  if (top == 0) return report;
  std::vector<uint32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0U);
  const auto end = order.begin() + std::min<int64_t>(top, static_cast<int64_t>(order.size()));
  std::partial_sort(order.begin(), end, order.end(),
                    [&](uint32_t a, uint32_t b) { return logits[a] != logits[b] ? logits[a] > logits[b] : a < b; });
  for (auto id = order.begin(); id != end; ++id) report.likeliest.push_back({*id, rate(*id)});
  return report;
}

}  // namespace skipattn::serving
