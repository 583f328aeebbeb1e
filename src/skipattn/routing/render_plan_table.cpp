#include <fmt/format.h>

#include <cmath>

#include "skipattn/core/text.h"
#include "skipattn/routing/render.h"

namespace skipattn::routing {

namespace {

/// 124439808 -> "124,439,808".
std::string with_separators(int64_t value) {
  std::string digits = std::to_string(value);
  for (int64_t at = static_cast<int64_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<size_t>(at), 1, ',');
  return digits;
}

std::string saved_share(double routed, double baseline) {
  const double saved = 100 * (1 - routed / baseline);
  return fmt::format("{:.2f} %", saved == 0 ? 0.0 : saved);
}

std::string row(const std::string& what, const std::string& routed, const std::string& baseline,
                const std::string& saved) {
  return fmt::format("{:<28}{:>16}{:>16}{:>11}\n", what, routed, baseline, saved);
}

}  // namespace

std::string render_plan_table(const PlanSummary& summary) {
  const Plan plan = make_plan(summary.routing);
  const Dimensions& size = summary.dimensions;
  const Costs costs = count_costs(plan, size, summary.context, summary.cache_dtype);
  const int heads = plan.shape.layers * plan.shape.kv_heads;
  const auto counts = [](const std::string& what, int64_t routed, int64_t baseline) {
    return row(what, with_separators(routed), with_separators(baseline),
               saved_share(static_cast<double>(routed), static_cast<double>(baseline)));
  };
  const auto bytes = [](const std::string& what, double routed, double baseline) {
    return row(what, short_bytes(routed), short_bytes(baseline), saved_share(routed, baseline));
  };
  const auto exact_bytes = [](const std::string& what, double routed, double baseline) {
    return row(what, with_separators(std::llround(routed)) + " B", with_separators(std::llround(baseline)) + " B",
               saved_share(routed, baseline));
  };
  const auto flops = [](const std::string& what, double routed, double baseline) {
    return row(what, short_count(routed), short_count(baseline), saved_share(routed, baseline));
  };
  const double context = static_cast<double>(summary.context);
  std::string text = fmt::format(
      "{}: {}\n{} layers, {} heads, {} KV heads of width {}, model width {}, context {}, {} "
      "cache\n\n",
      summary.model, summary.routing.text, size.layers, size.heads, size.kv_heads, size.head_width, size.width,
      summary.context, summary.cache_dtype);
  text += row("", "this routing", "baseline", "saved");
  text += counts("parameters", costs.parameters, costs.parameters_baseline);
  text += counts("live key heads", plan.live_key_heads(), heads);
  text += counts("live value heads", plan.live_value_heads(), heads);
  text += exact_bytes("KV cache per token", costs.kv_cache_bytes_per_token, costs.kv_cache_bytes_per_token_baseline);
  text += bytes("KV cache of the context", costs.kv_cache_bytes_per_token * context,
                costs.kv_cache_bytes_per_token_baseline * context);
  text += flops("FLOPs per token, forward", costs.flops_per_token_forward, costs.flops_per_token_forward_baseline);
  text += flops("FLOPs per token, training", costs.flops_per_token_training, costs.flops_per_token_training_baseline);
  return text;
}

}  // namespace skipattn::routing
