// What both passes over a problem share: geometry, visibility of each block of queries, memory of heads. Internal.
#pragma once

#include <vector>

#include "skipattn/attention/cpu/flash.h"
#include "skipattn/attention/dropout_hash.h"

namespace skipattn::attention::cpu {

/// A tensor [B, heads, rows, d] with unit stride in d as raw rows.
struct HeadRows {
  char* data = nullptr;
  int64_t batch_stride = 0, head_stride = 0, row_stride = 0;  // elements
  int64_t element_size = 0;

  HeadRows() = default;
  explicit HeadRows(const at::Tensor& tensor);
  RowsView view(int64_t batch, int64_t head, int64_t row) const;
  MutableRowsView mutable_view(int64_t batch, int64_t head, int64_t row) const;

  /// Asks for `count` rows of `width` elements, which will be read or written soon. Rows of a fused projection lie far
  /// apart, where the processor's own prefetching does not follow.
  void prefetch_to_read(int64_t batch, int64_t head, int64_t row, int64_t count, int64_t width) const;
  void prefetch_to_write(int64_t batch, int64_t head, int64_t row, int64_t count, int64_t width) const;

 private:
  template <int kWrite>
  void prefetch(int64_t batch, int64_t head, int64_t row, int64_t count, int64_t width) const;
};

/// A problem cut into blocks of 64 queries.
struct FlashProblem {
  const Problem& problem;
  const KernelTable& kernels;
  Geometry geometry;
  Element element;
  int64_t batch, heads, kv_heads, group, queries, keys;
  int64_t blocks;  ///< of queries
  float scale;
  Dropout dropout;
  std::vector<VisibleKeys> visible;  ///< [batch][blocks]; one batch element serves all without first_key

  FlashProblem(const Problem& p, const KernelTable& k);

  const VisibleKeys& visible_keys(int64_t batch_index, int64_t block) const {
    return visible[(problem.options.first_key ? batch_index * blocks : 0) + block];
  }
  int block_queries(int64_t block) const {
    return static_cast<int>(std::min<int64_t>(kQueryBlock, queries - block * kQueryBlock));
  }
  /// Hashes of the rows of weights of one block under one pair: hashes[64].
  void hash_rows(int64_t batch_index, int64_t head, int64_t block, int64_t pair, uint32_t* hashes) const;
};

/// Panels to be packed, as tasks that any thread may do.
class PackJobs {
 public:
  using PackFunction = void (*)(const Geometry&, RowsView, Element, int, uint32_t*);
  static constexpr int64_t kKeys = 512;  ///< packed by one task

  struct Job {
    HeadRows source;
    int64_t heads = 0, keys = 0;
    Element element = Element::kFloat;
    Geometry geometry;
    PackFunction pack = nullptr;
    uint32_t* panels = nullptr;
    int64_t panel_words = 0;  ///< of one head
    int64_t chunk_words = 0;  ///< of kKeys keys
    int64_t chunks() const { return (keys + kKeys - 1) / kKeys; }
  };
  void add(const Job& job, int64_t batch);

  int64_t tasks() const { return tasks_; }
  void run(int64_t task) const;

 private:
  std::vector<Job> jobs_;
  std::vector<int64_t> first_task_;
  int64_t tasks_ = 0;
};

/// Panels of all sources of a call, the caller's or made for it.
class CallPanels {
 public:
  CallPanels(const FlashProblem& problem, const std::vector<Panels*>& given);

  /// Adds the packing of what every pair reads to `jobs`.
  void want_for_forward(PackJobs& jobs);
  void want_for_backward(PackJobs& jobs);

  const uint32_t* rows(int64_t tensor, int64_t batch, int64_t head) const;
  const uint32_t* pairs(int64_t tensor, int64_t batch, int64_t head) const;

 private:
  Panels& panels(int64_t tensor) { return given_.empty() || !given_[tensor] ? own_[tensor] : *given_[tensor]; }
  const Panels& panels(int64_t tensor) const {
    return given_.empty() || !given_[tensor] ? own_[tensor] : *given_[tensor];
  }

  const FlashProblem& problem_;
  std::vector<Panels*> given_;
  std::vector<Panels> own_;
};

}  // namespace skipattn::attention::cpu
