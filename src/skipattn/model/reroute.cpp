// reroute(): another routing for a model that has weights already.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "skipattn/core/errors.h"
#include "skipattn/core/text.h"
#include "skipattn/model/checkpoint.h"

namespace skipattn::model {

namespace {

/// Baseline row numbers of a parameter's live rows, in order.
std::vector<int64_t> live_row_numbers(const ParameterSpec& spec) {
  std::vector<int64_t> numbers;
  for (const auto& [begin, end] : spec.live_rows)
    for (int64_t row = begin; row < end; ++row) numbers.push_back(row);
  return numbers;
}

/// Rows of `value` (live as `from` says) that are live in `to`, which must be a subset.
at::Tensor select_rows(const at::Tensor& value, const ParameterSpec& from, const ParameterSpec& to) {
  if (from.live_rows == to.live_rows) return value;
  const std::vector<int64_t> have = live_row_numbers(from);
  std::vector<int64_t> picks;
  size_t position = 0;
  for (const int64_t row : live_row_numbers(to)) {
    while (have[position] != row) ++position;
    picks.push_back(static_cast<int64_t>(position));
  }
  return value.index_select(0, at::tensor(picks, at::kLong).to(value.device()));
}

/// Heads in `before` that are not in `after`.
std::vector<int> lost_heads(const std::vector<int>& before, const std::vector<int>& after) {
  std::vector<int> lost;
  std::ranges::set_difference(before, after, std::back_inserter(lost));
  return lost;
}

std::string heads_text(const std::vector<int>& heads) {
  std::vector<std::string> parts;
  for (size_t i = 0; i < heads.size();) {
    size_t j = i;
    while (j + 1 < heads.size() && heads[j + 1] == heads[j] + 1) ++j;
    parts.push_back(i == j ? fmt::format("{}", heads[i]) : fmt::format("{}-{}", heads[i], heads[j]));
    i = j + 1;
  }
  return join(parts, ",");
}

void check_available(const Decoder& source, const Decoder& target) {
  FaultList faults;
  for (size_t l = 0; l < source.plan().layers.size(); ++l) {
    const routing::LayerPlan &have = source.plan().layers[l], &want = target.plan().layers[l];
    if (const auto heads = lost_heads(want.live_keys, have.live_keys); !heads.empty())
      faults.add("reads keys of layer {}, heads {}, which the model has no weights for", l, heads_text(heads));
    if (const auto heads = lost_heads(want.live_values, have.live_values); !heads.empty())
      faults.add("reads values of layer {}, heads {}, which the model has no weights for", l, heads_text(heads));
  }
  faults.throw_if_any(fmt::format("[routing] {}: ", target.routing().text));
}

std::string dropped_text(const routing::LayerPlan& before, const routing::LayerPlan& after) {
  std::vector<std::string> parts;
  const auto keys = lost_heads(before.live_keys, after.live_keys);
  const auto values = lost_heads(before.live_values, after.live_values);
  if (!keys.empty()) parts.push_back("key heads " + heads_text(keys));
  if (!values.empty()) parts.push_back("value heads " + heads_text(values));
  return join(parts, ", ");
}

}  // namespace

Rerouted reroute(const Decoder& source, const std::string& routing) {
  ModelConfig config = source.config();
  config.routing = routing;
  Rerouted result{Decoder(config), {}, {}};
  check_available(source, result.decoder);
  const auto &before = source.table().specs, &after = result.decoder.table().specs;
  for (size_t i = 0; i < before.size(); ++i) {
    result.decoder.set_parameter(static_cast<int>(i), select_rows(source.parameters()[i], before[i], after[i]));
    result.kept.push_back(after[i].name);
  }
  for (size_t l = 0; l < source.plan().layers.size(); ++l) {
    const std::string lost = dropped_text(source.plan().layers[l], result.decoder.plan().layers[l]);
    if (lost.empty()) continue;
    const LayerIndex& index = source.table().layers[l];
    for (const int parameter : {index.qkv_weight, index.qkv_bias})
      if (parameter >= 0) result.dropped.push_back(fmt::format("{}: {}", before[parameter].name, lost));
  }
  return result;
}

}  // namespace skipattn::model
