#include "skipattn/training/evaluation.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <fmt/format.h>
#include <algorithm>
#include <chrono>

#include "skipattn/training/batch_buffers.h"
#include "skipattn/training/loss.h"

namespace skipattn::training {

namespace {

std::vector<LossBucket> make_buckets(int64_t limit) {
  const std::vector<int64_t> edges = position_edges(limit);
  std::vector<LossBucket> buckets;
  for (size_t i = 0; i + 1 < edges.size(); ++i) buckets.push_back({edges[i], edges[i + 1], {}});
  return buckets;
}

void add_to_bucket(std::vector<LossBucket>& buckets, int64_t position, double loss) {
  const auto bucket = std::ranges::upper_bound(buckets, position, {}, &LossBucket::from) - 1;
  bucket->loss.sum += loss;
  ++bucket->loss.count;
}

constexpr int64_t kLongestDocument = int64_t{1} << 40;  // edge of the last document bucket, cut back when reported

/// Adds one window's losses.
void add_window(Evaluation& result, const data::Batch& batch, int64_t row, const float* losses, int64_t first_scored) {
  const int64_t base = row * batch.context;
  for (int64_t t = first_scored; t < batch.context; ++t) {
    if (batch.targets[base + t] < 0) continue;
    const double loss = losses[base + t];
    result.total.sum += loss;
    ++result.total.count;
    add_to_bucket(result.by_position, t, loss);
    if (!batch.document_positions.empty())
      add_to_bucket(result.by_document_position, batch.document_positions[base + t], loss);
  }
}

}  // namespace

std::vector<int64_t> position_edges(int64_t limit) {
  std::vector<int64_t> edges = {0};
  for (int64_t edge = 64; edge < limit; edge *= 2) edges.push_back(edge);
  edges.push_back(limit);
  return edges;
}

Evaluation evaluate(const model::Decoder& decoder, const data::Loader& loader, const EvaluationOptions& options,
                    at::Device device) {
  const c10::NoGradGuard no_grad;
  const auto start = std::chrono::steady_clock::now();
  Evaluation result;
  result.by_position = make_buckets(loader.options().context);
  result.by_document_position = make_buckets(kLongestDocument);
  BatchBuffers buffers(device);
  for (int64_t first = 0; first < options.windows; first += options.micro_batch) {
    const int64_t rows = std::min(options.micro_batch, options.windows - first);
    const data::Batch batch = loader.sequences(first, rows);
    buffers.fill(batch);
    const at::Tensor hidden = decoder.hidden_states(buffers.input());
    const at::Tensor losses = token_losses(hidden.view({-1, hidden.size(-1)}), decoder.head_weight(), buffers.targets())
                                  .to(at::kCPU, at::kFloat)
                                  .contiguous();
    for (int64_t r = 0; r < rows; ++r)
      add_window(result, batch, r, losses.const_data_ptr<float>(),
                 options.first_scored ? options.first_scored(first + r) : 0);
    if (options.on_hidden) options.on_hidden(first, hidden);
    report(options.progress, {.task = "evaluate",
                              .done = static_cast<double>(first + rows),
                              .total = static_cast<double>(options.windows),
                              .unit = "windows",
                              .detail = fmt::format("loss {:.4f}", result.total.mean()),
                              .finished = first + rows == options.windows});
  }
  std::erase_if(result.by_document_position, [](const LossBucket& bucket) { return bucket.loss.count == 0; });
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace skipattn::training
