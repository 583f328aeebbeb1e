#include "skipattn/experiments/sweep/controls.h"

#include <cmath>

#include "skipattn/core/errors.h"
#include "skipattn/routing/costs.h"

namespace skipattn::experiments {

namespace {

double spent(const training::RunConfig& config, Budget budget) {
  const routing::Plan plan =
      routing::make_plan(routing::parse_routing(config.model.routing, config.model.routing_shape()));
  const routing::Costs costs = routing::count_costs(plan, config.model.dimensions(), config.data.context, "bf16");
  switch (budget) {
    case Budget::kParameters:
      return static_cast<double>(costs.parameters);
    case Budget::kFlops:
      return costs.flops_per_token_forward;
    case Budget::kKvBytes:
      break;
  }
  return costs.kv_cache_bytes_per_token;
}

double spent_with(training::RunConfig config, int64_t mlp_width, Budget budget) {
  config.model.mlp_width = mlp_width;
  return spent(config, budget);
}

/// The MLP's width with which `config` spends `target`; costs are linear in it.
int64_t matching_mlp_width(const training::RunConfig& config, double target, Budget budget) {
  constexpr int64_t kEven = 8;
  constexpr double kClose = 1e-3;
  const int64_t width = config.model.mlp_width;
  const double now = spent(config, budget);
  const double slope = spent_with(config, width + 1, budget) - now;
  const double exact = static_cast<double>(width) + (target - now) / slope;
  const auto even = static_cast<int64_t>(std::llround(exact / kEven)) * kEven;
  if (even > 0 && std::abs(spent_with(config, even, budget) - target) <= kClose * target) return even;
  const auto nearest = static_cast<int64_t>(std::llround(exact));
  if (nearest < 1)
    throw InputError("{}: even without an MLP the plain model spends more than '{}'; it has no such control",
                     budget_words(budget), config.model.routing);
  return nearest;
}

}  // namespace

std::vector<Setting> matching_control(const training::RunConfig& variant, const training::RunConfig& reference,
                                      Budget budget) {
  const double target = spent(variant, budget);
  if (target == spent(reference, budget)) return {};
  if (budget != Budget::kKvBytes) {
    const int64_t width = matching_mlp_width(reference, target, budget);
    if (width == reference.model.mlp_width) return {};
    return {{"model.mlp_width", width}};
  }
  training::RunConfig control = reference;
  const double share = target / spent(reference, budget);
  control.model.head_width =
      std::max<int64_t>(1, std::llround(static_cast<double>(reference.model.head_width) * share));
  if (control.model.head_width == reference.model.head_width) return {};
  const int64_t width = matching_mlp_width(control, spent(variant, Budget::kParameters), Budget::kParameters);
  return {{"model.head_width", control.model.head_width}, {"model.mlp_width", width}};
}

}  // namespace skipattn::experiments
