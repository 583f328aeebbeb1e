// The loss of a model on held-out windows: as a whole, by position in the window, and by position in the document.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "skipattn/core/progress.h"
#include "skipattn/data/loader.h"
#include "skipattn/model/decoder.h"

namespace skipattn::training {

/// Sum and number of the losses of some tokens.
struct LossSum {
  double sum = 0;  ///< nats
  int64_t count = 0;
  double mean() const { return count > 0 ? sum / static_cast<double>(count) : 0.0; }
};

/// Positions [from, to) and their loss.
struct LossBucket {
  int64_t from = 0;
  int64_t to = 0;
  LossSum loss;
};

struct Evaluation {
  LossSum total;
  std::vector<LossBucket> by_position;           ///< in the window, from 0
  std::vector<LossBucket> by_document_position;  ///< tokens since the document's start; empty when unknown
  double seconds = 0;
};

struct EvaluationOptions {
  int64_t windows = 0;      ///< the first this many
  int64_t micro_batch = 1;  ///< windows per forward pass
  /// Per window (numbered from 0), the first position whose loss counts; empty: 0 (all of them).
  std::function<int64_t(int64_t window)> first_scored;
  /// Receives the hidden states [rows, T, D] of windows first … first + rows - 1; may be empty.
  std::function<void(int64_t first, const at::Tensor& hidden)> on_hidden;
  ProgressSink progress;
};

/// Runs the model without gradients over windows of a sequential loader.
Evaluation evaluate(const model::Decoder& decoder, const data::Loader& loader, const EvaluationOptions& options,
                    at::Device device);

/// Bucket edges that double from 64 on: 0, 64, 128, …, limit.
std::vector<int64_t> position_edges(int64_t limit);

}  // namespace skipattn::training
