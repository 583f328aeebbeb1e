// What every step of a run reported: metrics.jsonl, one object a step, and the same as TensorBoard curves.
// Each step stands there exactly once: a resumed run first drops the rows after its checkpoint, and a row cut short by a
// kill. metrics.jsonl is the truth; the event file is rebuilt from it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <vector>

#include "skipattn/io/tensorboard.h"

namespace skipattn::training {

/// One step.
struct MetricsRow {
  int64_t step = 0;    ///< from 1
  int64_t tokens = 0;  ///< trained on so far, this step included
  double loss = 0;     ///< nats per token of this step's batch, before its update; NaN where it was not finite
  double lr = 0;
  double grad_norm = 0;  ///< before clipping
  double step_ms = 0;
  bool skipped = false;  ///< loss or gradient was not finite: no update was made
  std::optional<double> val_loss;
  double time = 0;  ///< seconds since 1970
};

class MetricsLog {
 public:
  /// Opens folder/metrics.jsonl and keeps rows up to `last_step` (0: starts anew).
  MetricsLog(const std::filesystem::path& folder, int64_t last_step);

  void add(const MetricsRow& row);
  const std::vector<MetricsRow>& rows() const { return rows_; }

 private:
  void append_events(const MetricsRow& row);

  std::filesystem::path path_;
  std::vector<MetricsRow> rows_;
  std::ofstream file_;
  std::unique_ptr<io::EventFileAppender> events_;
};

/// The rows of a finished or running log; a last line cut short is passed over. InputError when a line is no such row.
std::vector<MetricsRow> read_metrics(const std::filesystem::path& file);

}  // namespace skipattn::training
