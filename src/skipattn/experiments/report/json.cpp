#include "skipattn/experiments/report/json.h"

#include <cmath>

namespace skipattn::experiments {

namespace {

using nlohmann::json;

json number(std::optional<double> value) {
  return value && std::isfinite(*value) ? json(*value) : json();
}

/// Whole numbers without ".0".
json whole(std::optional<double> value) {
  if (!value || !std::isfinite(*value)) return json();
  return *value == std::floor(*value) ? json(static_cast<int64_t>(*value)) : json(*value);
}

/// Six decimals are beyond any use of a curve and halve its size.
json rounded(double value) {
  return std::isfinite(value) ? json(std::round(value * 1e6) / 1e6) : json();
}

json curve_json(const std::vector<CurvePoint>& points, int max_points) {
  json curve = {{"step", json::array()}, {"tokens", json::array()}, {"loss", json::array()}};
  const size_t size = points.size();
  const size_t count = std::min(size, static_cast<size_t>(max_points));
  for (size_t i = 0; i < count; ++i) {
    const CurvePoint& point = points[count == size ? i : (size - 1) * i / (count - 1)];
    curve["step"].push_back(point.step);
    curve["tokens"].push_back(whole(point.tokens));
    curve["loss"].push_back(rounded(point.loss));
  }
  return curve;
}

json positions_json(const std::vector<PositionLoss>& buckets) {
  json list = json::array();
  for (const PositionLoss& bucket : buckets) {
    list.push_back({{"from", bucket.from}, {"to", bucket.to}, {"loss", rounded(bucket.loss)}});
  }
  return list;
}

json sources_json(const std::vector<routing::Source>& sources) {
  json list = json::array();
  for (const routing::Source& source : sources) {
    list.push_back({{"layer", source.layer}, {"head", source.head}});
  }
  return list;
}

json routes_json(const ReportVariant& variant) {
  json layers = json::array();
  for (const auto& layer : variant.routes) {
    json heads = json::array();
    for (const routing::Route& route : layer) {
      heads.push_back({{"keys", sources_json(route.keys)}, {"values", sources_json(route.values)}});
    }
    layers.push_back(heads);
  }
  return layers;
}

}  // namespace

json variant_json(const ReportVariant& variant) {
  const PairedComparison& c = variant.comparison;
  const bool baseline = variant.is_baseline;
  const Summary& loss = baseline || c.pairs() == 0 ? variant.loss : c.variant;
  json interval = {nullptr, nullptr};
  if (c.ci95) interval = {c.ci95->low, c.ci95->high};
  if (baseline) interval = {0.0, 0.0};
  json runs = json::array();
  for (const SeedRun& run : variant.runs) {
    runs.push_back({{"seed", run.seed}, {"val_loss", number(run.val_loss)}, {"problem", run.problem}});
  }
  return {{"name", variant.name},
          {"routing", variant.routing},
          {"is_baseline", baseline},
          {"seeds", baseline ? variant.loss.count : c.pairs()},
          {"verdict", verdict_name(c.verdict)},
          {"val_loss_mean", number(loss.mean)},
          {"val_loss_sd", number(loss.sd)},
          {"delta_vs_baseline", baseline ? json(0.0) : number(c.delta)},
          {"delta_ci95", interval},
          {"p_value", number(c.p_value)},
          {"p_value_holm", number(variant.p_value_holm)},
          {"delta_half_width", number(c.half_width)},
          {"detectable_difference", number(c.detectable)},
          {"note", c.note},
          {"predicted_flops_ratio", number(variant.predicted_flops_ratio)},
          {"parameters", whole(variant.parameters)},
          {"kv_cache_bytes_per_token", whole(variant.kv_cache_bytes_per_token)},
          {"tokens_per_second", number(variant.tokens_per_second)},
          {"peak_memory_bytes", whole(variant.peak_memory_bytes)},
          {"runs", runs}};
}

json report_json(const ReportData& data, int max_points) {
  json variants = json::array();
  for (const ReportVariant& variant : data.variants) {
    json entry = variant_json(variant);
    for (size_t i = 0; i < variant.runs.size(); ++i) {
      const SeedRun& run = variant.runs[i];
      entry["runs"][i]["training"] = curve_json(run.training, max_points);
      entry["runs"][i]["validation"] = curve_json(run.validation, max_points);
      entry["runs"][i]["loss_by_position"] = positions_json(run.by_window_position);
      entry["runs"][i]["loss_by_document_position"] = positions_json(run.by_document_position);
    }
    entry["routes"] = routes_json(variant);
    entry["windows"] = variant.windows;
    variants.push_back(entry);
  }
  return {{"title", data.title},     {"notice", data.notice},     {"created", data.created},
          {"command", data.command}, {"model", data.model_lines}, {"machine", data.machine_lines},
          {"variants", variants}};
}

}  // namespace skipattn::experiments
