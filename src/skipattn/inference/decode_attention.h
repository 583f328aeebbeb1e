// The attention of a decoding step: each row's queries over the keys and values that its sequence has in the cache.
//
// A task is some positions of some KV heads of one row. Its worker goes through the blocks in order and within a block
// through the heads, whose rows mostly lie one after the other there, wherever the heads read. What the parts of a long context
// find is merged at the end. Parts have one length whatever the number of workers, so that results do not depend on it.
#pragma once

#include <utility>
#include <vector>

#include "skipattn/inference/block_cache.h"
#include "skipattn/inference/engine_weights.h"
#include "skipattn/inference/prefetcher.h"
#include "skipattn/inference/shared_tasks.h"

namespace skipattn::inference {

/// One token to read.
struct StepRow {
  CachedSequence* sequence = nullptr;  ///< reserved beyond `position`
  int64_t position = 0;                ///< earlier positions are in the cache, or in rows before this one
  uint32_t token = 0;
};

class DecodeAttention {
 public:
  /// Positions that one task covers at most.
  static constexpr int64_t kPartLength = 512;

  /// Both must outlive it. `workers`: that call run().
  DecodeAttention(const EngineWeights& weights, const CacheLayout& layout, int workers);

  /// Makes room for these rows, which must stay where they are until the next call.
  void prepare(const std::vector<StepRow>& rows);
  /// Where a head's query belongs: padded(d) numbers in the order of the cache's dtype (elements.h), times the softmax scale.
  float* query(int64_t row, int64_t head) const { return query_.data() + (row * heads_ + head) * padded_d_; }

  int64_t task_count(int64_t layer) const { return cut(layer).tasks; }
  /// Finds what a worker's first task of the layer reads (-1: there is none) and has the prefetcher ask for it.
  void expect(int64_t layer, int64_t task, int worker, Prefetcher& prefetcher);
  /// Takes tasks of the layer until there are no more.
  void run(int64_t layer, int worker, SharedTasks& tasks);
  /// What the row's heads got: [H * d]. After all workers' run().
  void merge(int64_t layer, int64_t row, float* heads) const;

 private:
  /// The keys that a row sees in one layer, and the parts they are cut into.
  struct Visible {
    int64_t begin = 0;  ///< first position
    int64_t end = 0;
    int64_t parts = 0;
  };
  struct Task {
    int64_t row = 0;
    int64_t part = 0;
    int64_t first_head = 0;  ///< KV head
    int64_t end_head = 0;
  };
  /// Some rows of a block for the queries of one KV head.
  struct Stretch {
    int64_t kv_head = 0;
    cpu::CachedRows rows;
  };
  /// A task's stretches, in the order in which they are read.
  struct Work {
    int64_t index = -1;  // of the task; -1: none
    Task task;
    std::vector<Stretch> stretches;
  };
  /// The tasks of one layer: for each row, for each of its parts, the groups of heads.
  struct Cut {
    int64_t heads = 1;   ///< KV heads of a task
    int64_t groups = 1;  ///< tasks of a part
    int64_t tasks = 0;
  };

  Visible visible(int64_t layer, int64_t row) const;
  Cut cut(int64_t layer) const;
  Task task_at(int64_t layer, const Cut& cut, int64_t index) const;
  void find_work(int64_t layer, const Cut& cut, int64_t index, Work& work) const;
  void find_stretches(int64_t layer, const Task& task, Work& work) const;
  void attend(const Work& work, const Work& next) const;
  /// Place of a part's results for the first query head of a KV head; the others of the group follow.
  int64_t place(int64_t row, int64_t kv_head, int64_t part) const {
    return ((row * kv_heads_ + kv_head) * most_parts_ + part) * group_;
  }

  const EngineWeights& weights_;
  const CacheLayout& layout_;
  const int64_t heads_, kv_heads_, group_, d_, padded_d_;
  const std::vector<StepRow>* rows_ = nullptr;
  int64_t most_parts_ = 0;
  Numbers query_;
  Numbers largest_, sum_, weighted_;          // [rows][Hkv][most_parts][H / Hkv], weighted times padded(d)
  std::vector<std::pair<Work, Work>> works_;  // [workers] the task at hand and the next
};

}  // namespace skipattn::inference
