#include "skipattn/model/reroute.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>

#include "skipattn/core/errors.h"
#include "skipattn/core/text.h"

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

/// Adds the tensors of layer `l`, as files name them, that lose heads, and which.
void list_dropped(const Decoder& source, const Decoder& target, size_t l, std::vector<std::string>& dropped) {
  const routing::LayerPlan &before = source.plan().layers[l], &after = target.plan().layers[l];
  const auto keys = lost_heads(before.live_keys, after.live_keys);
  const auto values = lost_heads(before.live_values, after.live_values);
  const std::string lost_keys = keys.empty() ? "" : "key heads " + heads_text(keys);
  const std::string lost_values = values.empty() ? "" : "value heads " + heads_text(values);
  const LayerIndex& index = source.table().layers[l];
  const auto add = [&](const std::string& name, const std::string& lost) {
    if (!lost.empty()) dropped.push_back(fmt::format("{}: {}", name, lost));
  };
  for (const int parameter : {index.qkv_weight, index.qkv_bias}) {
    if (parameter < 0) continue;
    const ParameterSpec& spec = source.table().specs[parameter];
    if (spec.parts.empty()) {
      add(spec.name, lost_keys + (keys.empty() || values.empty() ? "" : ", ") + lost_values);
    } else {  // Q, K and V
      add(spec.parts[1].name, lost_keys);
      add(spec.parts[2].name, lost_values);
    }
  }
  if (index.key_norm >= 0 && !before.live_keys.empty() && after.live_keys.empty())
    add(source.table().specs[index.key_norm].name, lost_keys);
}

/// Row of a fused [Q; K; V] parameter where a head of a layer begins; -1 when it has no weights.
int64_t first_row(const Decoder& decoder, size_t layer, int head, bool is_value) {
  const routing::LayerPlan& plan = decoder.plan().layers[layer];
  const std::vector<int>& live = is_value ? plan.live_values : plan.live_keys;
  const auto found = std::ranges::find(live, head);
  if (found == live.end()) return -1;
  const auto slot = static_cast<int64_t>(found - live.begin()) +
                    (is_value ? static_cast<int64_t>(plan.live_keys.size()) : int64_t{0});
  return (decoder.config().heads + slot) * decoder.config().head_width;
}

/// A head whose weights go, and the one that it reads instead.
struct Loss {
  size_t layer = 0;
  int head = 0;
  size_t lender = 0;       ///< layer
  int64_t lender_row = 0;  ///< in the new model's parameters
};

/// Keys (or values) that `source` has and `target` has not, of heads that read a single other head.
std::vector<Loss> find_losses(const Decoder& source, const Decoder& target, bool is_value) {
  std::vector<Loss> losses;
  for (size_t l = 0; l < target.plan().layers.size(); ++l) {
    const auto& heads = target.plan().layers[l].heads;
    for (size_t h = 0; h < heads.size(); ++h) {
      const int head = static_cast<int>(h);
      if (heads[h].size() != 1 || first_row(source, l, head, is_value) < 0 || first_row(target, l, head, is_value) >= 0)
        continue;
      const routing::SlotPair& pair = heads[h][0];
      const auto lender = static_cast<size_t>(is_value ? pair.value_layer : pair.key_layer);
      const routing::LayerPlan& lending = target.plan().layers[lender];
      const int lent = is_value ? lending.live_values[pair.value_slot] : lending.live_keys[pair.key_slot];
      losses.push_back({l, head, lender, first_row(target, lender, lent, is_value)});
    }
  }
  return losses;
}

/// Lend::kMean for one kind of parameter, weight or bias of the fused projection.
void lend_means(const Decoder& source, Decoder& target, int LayerIndex::*which) {
  const int64_t d = target.config().head_width;
  const std::vector<Loss> losses[] = {find_losses(source, target, false), find_losses(source, target, true)};
  for (size_t m = 0; m < target.table().layers.size(); ++m) {
    const int parameter = target.table().layers[m].*which;
    if (parameter < 0) return;
    at::Tensor mean = target.parameters()[parameter].clone();
    std::map<int64_t, int64_t> shares;  // of each lending head's first row
    for (const bool is_value : {false, true}) {
      for (const Loss& loss : losses[is_value]) {
        if (loss.lender != m) continue;
        const at::Tensor& theirs = source.parameters()[source.table().layers[loss.layer].*which];
        mean.narrow(0, loss.lender_row, d)
            .add_(theirs.narrow(0, first_row(source, loss.layer, loss.head, is_value), d));
        ++shares[loss.lender_row];
      }
    }
    for (const auto& [row, count] : shares) mean.narrow(0, row, d).div_(static_cast<double>(count + 1));
    target.set_parameter(parameter, mean);
  }
}

}  // namespace

Lend parse_lend(const std::string& text) {
  if (text == "own") return Lend::kOwn;
  if (text == "mean") return Lend::kMean;
  throw InputError("lend '{}': must be own or mean", text);
}

Rerouted reroute(const Decoder& source, const std::string& routing, Lend lend) {
  ModelConfig config = source.config();
  config.routing = routing;
  Rerouted result{Decoder(config), {}, {}};
  check_available(source, result.decoder);
  const auto &before = source.table().specs, &after = result.decoder.table().specs;
  for (size_t i = 0; i < before.size(); ++i) {
    result.decoder.set_parameter(static_cast<int>(i), select_rows(source.parameters()[i], before[i], after[i]));
    for (const StoredPart& part : after[i].stored_parts()) result.kept.push_back(part.name);
  }
  if (lend == Lend::kMean)
    for (const auto which : {&LayerIndex::qkv_weight, &LayerIndex::qkv_bias}) lend_means(source, result.decoder, which);
  for (size_t l = 0; l < source.plan().layers.size(); ++l) list_dropped(source, result.decoder, l, result.dropped);
  return result;
}

}  // namespace skipattn::model
