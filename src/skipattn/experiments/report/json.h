// A comparison as JSON: the rows that `compare --json` prints and the data inside report.html.
#pragma once

#include <nlohmann/json.hpp>

#include "skipattn/experiments/report/data.h"

namespace skipattn::experiments {

/// One variant with the keys of `skipattn compare --json`: name, routing, seeds (a count: the
/// pairs, for the baseline its runs with a value), verdict, val_loss_mean, val_loss_sd,
/// delta_vs_baseline, delta_ci95 ([null, null] without an interval), p_value, p_value_holm,
/// predicted_flops_ratio, parameters, kv_cache_bytes_per_token, tokens_per_second,
/// peak_memory_bytes; is_baseline, runs
/// ({"seed", "val_loss", "problem"}), delta_half_width, detectable_difference and note.
/// The baseline against itself differs by 0 exactly and is "cannot tell".
nlohmann::json variant_json(const ReportVariant& variant);

/// Everything in the report: the variants with their curves, positions and routes. Training curves
/// are thinned to `max_points` a run (metrics.jsonl holds every step).
nlohmann::json report_json(const ReportData& data, int max_points = 2000);

}  // namespace skipattn::experiments
