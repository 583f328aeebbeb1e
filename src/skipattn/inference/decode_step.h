// One forward pass over a few tokens, each of its own sequence and at its own position (or neighbours of one sequence), in
// plain loops over our kernels: no tensors and no framework while it runs. The weights are read once for all of them.
//
// Between two barriers of the worker pool every worker takes pieces of one operation: qkv, attention, output, up, down,
// for every layer, and the vocabulary head. Norms and activations ride along with the operation behind them. Sums have
// one order, so a row's logits depend neither on the number of workers nor on the rows beside it.
#pragma once

#include <atomic>
#include <vector>

#include "skipattn/inference/decode_attention.h"
#include "skipattn/inference/engine_weights.h"
#include "skipattn/inference/worker_pool.h"

namespace skipattn::inference {

/// Where a step begins; by default with the embeddings.
struct StepStart {
  int64_t layer = 0;
  const float* residual = nullptr;  ///< fp32 [rows, D], the input of `layer`; null: the tokens' embeddings
};

class DecodeStep {
 public:
  /// All three must outlive it.
  DecodeStep(const EngineWeights& weights, const CacheLayout& layout, WorkerPool& pool);

  /// Stores the rows' keys and values in their sequences (whose length stays) and computes their logits.
  void run(const std::vector<StepRow>& rows, const StepStart& start = {});
  /// fp32 [rows, vocabulary] of the last run.
  const float* logits() const { return logits_.data(); }

 private:
  /// What a worker keeps to itself.
  struct Scratch {
    Numbers row;      // one row of some operation's input
    Numbers ordered;  // all rows of it, in the weights' order
    Numbers out;      // results of one task
  };
  struct alignas(64) Counter {
    std::atomic<int64_t> next{0};
  };

  void reserve();
  void work(int worker, const StepStart& start);
  void embed(int worker);
  void project_qkv(int64_t layer, int worker);
  void finish_head(int64_t layer, int64_t head, int64_t row, float* numbers, Scratch& scratch);
  void attend(int64_t layer, int worker);
  void project_output(int64_t layer, int worker);
  void expand(int64_t layer, int worker);
  void contract(int64_t layer, int worker);
  void predict(int worker);

  /// The rows' inputs of a product, in order, in the worker's scratch.
  cpu::Vectors normed(const Norm& norm, int worker);
  cpu::Vectors ordered(const float* rows, int64_t width, int worker);
  cpu::Vectors merged_heads(int64_t layer, int worker);
  void add_to_residual(const Linear& linear, const cpu::Vectors& input, int64_t phase, int worker);
  /// task(first row, rows) over all of a matrix's rows, shared among the workers.
  template <typename Task>
  void for_rows(const cpu::MatrixView& matrix, int64_t rows, int64_t phase, int worker, const Task& task);
  void wait(const cpu::MatrixView* next, int worker);

  const EngineWeights& weights_;
  const CacheLayout& layout_;
  WorkerPool& pool_;
  const int64_t heads_, d_, width_;
  std::vector<StepRow> rows_;
  DecodeAttention attention_;
  Numbers residual_, hidden_, logits_;
  std::vector<Scratch> scratch_;   // [workers]
  std::vector<Counter> counters_;  // one an operation
};

}  // namespace skipattn::inference
