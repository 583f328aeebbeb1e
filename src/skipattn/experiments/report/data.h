// What a comparison found, as plain data: the input of report.html, of the terminal table and of
// `--json`. Whatever was not measured is absent (or NaN in a curve), never 0.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "skipattn/experiments/statistics.h"
#include "skipattn/routing/routing.h"

namespace skipattn::experiments {

/// One point of a training or validation curve.
struct CurvePoint {
  int64_t step = 0;                                        ///< optimizer updates done
  double tokens = 0;                                       ///< tokens seen so far
  double loss = std::numeric_limits<double>::quiet_NaN();  ///< nats per token
};

/// Mean loss of the tokens at positions from..to-1 (0-based) of the window or of their document.
struct PositionLoss {
  int64_t from = 0;
  int64_t to = 0;
  double loss = std::numeric_limits<double>::quiet_NaN();  ///< nats per token
};

/// One run: a variant under one seed.
struct SeedRun {
  uint64_t seed = 0;
  double val_loss = std::numeric_limits<double>::quiet_NaN();  ///< at the end; NaN: none
  std::string problem = "";                           ///< why the run has no result, one clause; "" when it is complete
  std::vector<CurvePoint> training = {};              ///< ascending steps
  std::vector<CurvePoint> validation = {};            ///< ascending steps
  std::vector<PositionLoss> by_window_position = {};  ///< ascending; empty: not measured
  std::vector<PositionLoss> by_document_position = {};  ///< the same, positions counted in the document
};

struct ReportVariant {
  std::string name;          ///< as in the config: "sla"
  std::string long_name;     ///< for the verdict's sentence: "Skip-layer attention"; may be ""
  std::string routing;       ///< canonical text
  bool is_baseline = false;  ///< exactly one variant of a report is
  std::vector<SeedRun> runs;
  std::optional<double> parameters;
  std::optional<double> kv_cache_bytes_per_token;
  std::optional<double> predicted_flops_ratio;  ///< forward FLOPs over the baseline's
  std::optional<double> tokens_per_second;      ///< training
  std::optional<double> peak_memory_bytes;
  std::vector<std::vector<routing::Route>> routes;  ///< [L][Hkv]; empty: no heat map
  std::vector<int> windows;                         ///< [L] tokens looked back, 0 = all; may be empty

  // Filled by fill_statistics().
  Summary loss;                        ///< over all runs with a value
  PairedComparison comparison;         ///< against the baseline; of the baseline: empty
  std::optional<double> p_value_holm;  ///< p corrected for all comparisons of the report
};

struct ReportData {
  std::string title = "Comparison";
  std::string maker = "skipattn compare";  ///< the command, above the title
  std::string notice;                      ///< a line to see first ("synthetic numbers"); may be ""
  std::string created;                     ///< date and time, as text
  std::string command;                     ///< the command line that made it
  std::vector<std::string> model_lines;    ///< model, data, training: one fact a line
  std::vector<std::string> machine_lines;  ///< processor, memory, threads, versions
  std::vector<ReportVariant> variants;     ///< in the order of the config
};

/// Validation losses of a variant's runs; runs with a problem have none.
SeedValues validation_losses(const ReportVariant& variant);

/// The baseline. Throws InputError unless exactly one variant is marked.
const ReportVariant& baseline_of(const ReportData& data);

/// Computes every variant's statistics from its runs. Throws like baseline_of().
void fill_statistics(ReportData& data);

}  // namespace skipattn::experiments
