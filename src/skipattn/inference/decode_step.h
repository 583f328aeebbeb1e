// One forward pass over a few tokens, each of its own sequence and at its own position (or neighbours of one sequence), in
// plain loops over our kernels: no tensors and no framework while it runs. The weights are read once for all of them.
//
// Between two barriers of the worker pool every worker takes pieces of one operation: qkv, attention, output, up, down,
// for every layer, and the vocabulary head. Norms and activations ride along with the operation behind them. Sums have
// one order, so a row's logits depend neither on the number of workers nor on the rows beside it.
#pragma once

#include <vector>

#include "skipattn/inference/decode_attention.h"
#include "skipattn/inference/engine_weights.h"
#include "skipattn/inference/prefetcher.h"
#include "skipattn/inference/shared_tasks.h"
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
    Prefetcher next;  // what the next operation's first task reads
  };

  /// The operations of a layer, in order.
  enum Kind { kQkv, kAttention, kOutput, kUp, kDown, kKinds };
  /// What all workers do together between two barriers.
  struct Operation {
    const Linear* linear = nullptr;  // null: attention
    int64_t rows = 0;                // of the matrix that are shared out; SwiGLU: the gates'
    int64_t task_rows = 0;           // of a task
    SharedTasks tasks;

    int64_t task_count() const { return (rows + task_rows - 1) / task_rows; }
  };

  void add_operation(const Linear& linear, int64_t rows, int64_t task_rows);
  Operation& operation(int64_t layer, Kind kind) { return operations_[static_cast<size_t>(layer * kKinds + kind)]; }
  void reserve();
  void share_tasks();
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
  void add_to_residual(Operation& operation, const cpu::Vectors& input, int worker);
  /// task(first row, rows) for the worker's share of the operation's rows.
  template <typename Task>
  void for_rows(Operation& operation, int worker, const Task& task);
  /// The barrier behind operation `index` - 1. Who waits asks for what its first task of operation `index` reads.
  void wait_for(int64_t index, int worker);

  const EngineWeights& weights_;
  const CacheLayout& layout_;
  WorkerPool& pool_;
  const int64_t heads_, d_, width_;
  std::vector<StepRow> rows_;
  DecodeAttention attention_;
  Numbers residual_, hidden_, logits_;
  std::vector<Scratch> scratch_;       // [workers]
  std::vector<Operation> operations_;  // [layers][kKinds], and the vocabulary head
};

}  // namespace skipattn::inference
