#include "skipattn/routing/costs.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "skipattn/core/errors.h"

namespace skipattn::routing {

namespace {

void check_dimensions(const Plan& plan, const Dimensions& size, int64_t context) {
  FaultList faults;
  if (size.layers != plan.shape.layers) faults.add("layers={} must be {}, the plan's", size.layers, plan.shape.layers);
  if (size.kv_heads != plan.shape.kv_heads)
    faults.add("kv_heads={} must be {}, the plan's", size.kv_heads, plan.shape.kv_heads);
  if (size.kv_heads > 0 && (size.heads < 1 || size.heads % size.kv_heads != 0))
    faults.add("heads={} must be a multiple of kv_heads={}", size.heads, size.kv_heads);
  const std::map<std::string, int64_t> positive = {{"head_width", size.head_width},
                                                   {"width", size.width},
                                                   {"mlp_width", size.mlp_width},
                                                   {"vocabulary", size.vocabulary},
                                                   {"context", context}};
  for (const auto& [name, value] : positive)
    if (value < 1) faults.add("{}={} must be 1 or more", name, value);
  if (!size.windows.empty() && std::ssize(size.windows) != size.layers)
    faults.add("windows must be one for each of the {} layers, got {}", size.layers, size.windows.size());
  if (size.positions < 0) faults.add("positions={} must be 0 or more", size.positions);
  faults.throw_if_any("[costs] ");
}

/// Weights of the matrix products of the layers and the head.
int64_t matrix_weights(const Dimensions& size, int64_t live_keys, int64_t live_values) {
  const int64_t query_and_output = 2 * size.width * size.heads * size.head_width;
  const int64_t mlp = (size.mlp_gated ? 3 : 2) * size.width * size.mlp_width;
  const int64_t keys_and_values = size.width * size.head_width * (live_keys + live_values);
  return size.layers * (query_and_output + mlp) + keys_and_values + size.vocabulary * size.width;
}

int64_t count_parameters(const Plan& plan, const Dimensions& size) {
  const int64_t live_keys = plan.live_key_heads(), live_values = plan.live_value_heads();
  int64_t bias = 0;
  if (size.attention_bias) bias += size.head_width * (size.layers * size.heads + live_keys + live_values);
  if (size.output_bias) bias += size.layers * size.width;
  if (size.mlp_bias) bias += size.layers * ((size.mlp_gated ? 2 : 1) * size.mlp_width + size.width);
  int64_t norms = (2 * size.layers + 1) * size.width * (size.norm_bias ? 2 : 1);
  if (size.query_key_norm) {
    const auto keyed =
        std::ranges::count_if(plan.layers, [](const LayerPlan& layer) { return !layer.live_keys.empty(); });
    norms += (size.layers + keyed) * size.head_width;
  }
  // The matrices hold the vocabulary head; a tied one is the token embedding as well.
  const int64_t embedding = size.tied_head ? 0 : size.vocabulary * size.width;
  return matrix_weights(size, live_keys, live_values) + bias + norms + embedding + size.positions * size.width;
}

/// Keys a query sees, mean over the positions 0..context-1; window 0 = all.
double mean_keys(int64_t context, int64_t window) {
  const double n = static_cast<double>(context);
  const double w = window == 0 ? n : static_cast<double>(std::min(window, context));
  return (w * (w + 1) / 2 + (n - w) * w) / n;
}

/// The narrower of the model's window and the plan's; 0 = all.
int64_t window_of(const Plan& plan, const Dimensions& size, size_t layer) {
  const int64_t planned = plan.layers[layer].window, own = size.windows.empty() ? 0 : size.windows[layer];
  return planned > 0 && own > 0 ? std::min(planned, own) : std::max(planned, own);
}

/// 4 * d * keys for every query head and every pair it attends over: scores and weighted sum, 2
/// FLOPs a product each.
double attention_flops(const Plan& plan, const Dimensions& size, int64_t context) {
  double pairs_times_keys = 0;
  for (size_t l = 0; l < plan.layers.size(); ++l) {
    size_t pairs = 0;
    for (const std::vector<SlotPair>& head : plan.layers[l].heads) pairs += head.size();
    pairs_times_keys += static_cast<double>(pairs) * mean_keys(context, window_of(plan, size, l));
  }
  const double queries_per_head = static_cast<double>(size.heads / size.kv_heads);
  return 4.0 * static_cast<double>(size.head_width) * queries_per_head * pairs_times_keys;
}

}  // namespace

double cache_bytes_per_element(const std::string& dtype, int64_t head_width) {
  if (dtype == "fp32") return 4;
  if (dtype == "bf16" || dtype == "fp16") return 2;
  if (dtype == "int8") return 1 + 4.0 / static_cast<double>(head_width);
  throw InputError("cache dtype '{}' must be fp32, bf16, fp16 or int8", dtype);
}

Costs count_costs(const Plan& plan, const Dimensions& dimensions, int64_t context, const std::string& cache_dtype) {
  check_dimensions(plan, dimensions, context);
  const Plan baseline = make_plan(baseline_routing(plan.shape));
  const double head_bytes =
      static_cast<double>(dimensions.head_width) * cache_bytes_per_element(cache_dtype, dimensions.head_width);
  const auto count = [&](const Plan& one, int64_t& parameters, double& cache, double& forward, double& training) {
    const int64_t keys = one.live_key_heads();
    const int64_t values = one.live_value_heads();
    const double matrices = 2.0 * static_cast<double>(matrix_weights(dimensions, keys, values));
    const double attention = attention_flops(one, dimensions, context);
    parameters = count_parameters(one, dimensions);
    cache = head_bytes * one.cache_slots();
    forward = matrices + attention;
    training = 3.0 * matrices + 3.5 * attention;
  };
  Costs costs;
  count(plan, costs.parameters, costs.kv_cache_bytes_per_token, costs.flops_per_token_forward,
        costs.flops_per_token_training);
  count(baseline, costs.parameters_baseline, costs.kv_cache_bytes_per_token_baseline,
        costs.flops_per_token_forward_baseline, costs.flops_per_token_training_baseline);
  costs.attention_flops_per_token = attention_flops(plan, dimensions, context);
  costs.head_flops_per_token = 2.0 * static_cast<double>(dimensions.vocabulary * dimensions.width);
  costs.matrix_flops_per_token =
      costs.flops_per_token_forward - costs.attention_flops_per_token - costs.head_flops_per_token;
  costs.kv_cache_saved = 1 - costs.kv_cache_bytes_per_token / costs.kv_cache_bytes_per_token_baseline;
  return costs;
}

}  // namespace skipattn::routing
