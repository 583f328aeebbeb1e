#include "skipattn/analysis/step_costs.h"

#include <algorithm>

namespace skipattn::analysis {

namespace {

/// Costs per token; which dtype the cache has does not matter to FLOPs.
routing::Costs token_costs(const routing::Plan& plan, const routing::Dimensions& dimensions, int64_t context) {
  return routing::count_costs(plan, dimensions, context, "bf16");
}

/// FLOPs of the attention of positions 0 … context - 1 of one sequence.
double attention_up_to(const routing::Plan& plan, const routing::Dimensions& dimensions, int64_t context) {
  if (context < 1) return 0;
  return static_cast<double>(context) * token_costs(plan, dimensions, context).attention_flops_per_token;
}

/// How many of `held` tokens a layer's readers see.
int64_t seen(int64_t held, int reach) {
  return reach > 0 ? std::min<int64_t>(held, reach) : held;
}

}  // namespace

StepFlops training_flops(const routing::Plan& plan, const routing::Dimensions& dimensions, StepSize size) {
  const routing::Costs costs = token_costs(plan, dimensions, size.context);
  const double tokens = static_cast<double>(size.batch * size.context);
  return {.matrix_products = 3.0 * tokens * costs.matrix_flops_per_token,
          .attention = 3.5 * tokens * costs.attention_flops_per_token,
          .vocabulary_head = 3.0 * tokens * costs.head_flops_per_token};
}

StepFlops prefill_flops(const routing::Plan& plan, const routing::Dimensions& dimensions, StepSize size) {
  const routing::Costs costs = token_costs(plan, dimensions, size.context);
  const double rows = static_cast<double>(size.batch), tokens = rows * static_cast<double>(size.context);
  return {.matrix_products = tokens * costs.matrix_flops_per_token,
          .attention = tokens * costs.attention_flops_per_token,
          .vocabulary_head = rows * costs.head_flops_per_token};
}

StepFlops decode_flops(const routing::Plan& plan, const routing::Dimensions& dimensions, StepSize size) {
  const routing::Costs costs = token_costs(plan, dimensions, size.context);
  const double rows = static_cast<double>(size.batch);
  return {.matrix_products = rows * costs.matrix_flops_per_token,
          .attention = rows * (attention_up_to(plan, dimensions, size.context) -
                               attention_up_to(plan, dimensions, size.context - 1)),
          .vocabulary_head = rows * costs.head_flops_per_token};
}

double decode_bytes(const routing::Plan& plan, const routing::Dimensions& dimensions, StepSize size,
                    const DecodeDtypes& dtypes) {
  const routing::Costs costs = token_costs(plan, dimensions, size.context);
  const double weights = (costs.matrix_flops_per_token + costs.head_flops_per_token) / 2;
  double head_vectors = 0;  // of the cache
  for (const routing::LayerPlan& layer : plan.layers)
    head_vectors +=
        static_cast<double>(static_cast<int64_t>(layer.live_keys.size()) * seen(size.context, layer.key_reach) +
                            static_cast<int64_t>(layer.live_values.size()) * seen(size.context, layer.value_reach));
  return weights * static_cast<double>(dtypes.weight_bytes) +
         static_cast<double>(size.batch) * head_vectors * static_cast<double>(dimensions.head_width) *
             routing::cache_bytes_per_element(dtypes.cache_dtype, dimensions.head_width);
}

}  // namespace skipattn::analysis
