#include "skipattn/attention/cpu/visible_blocks.h"

#include <algorithm>

namespace skipattn::attention::cpu {
namespace {

/// Neighbouring queries with the same first key, or neighbouring queries that see nothing.
struct Run {
  int64_t begin = 0;
  int64_t end = 0;
  bool sees = false;
  int64_t first = 0;
};

std::vector<Run> find_runs(const Visibility& visibility, int64_t batch) {
  std::vector<Run> runs;
  for (int64_t query = 0; query < visibility.queries; ++query) {
    const int64_t first = visibility.first(batch, query);
    const bool sees = first < visibility.end(query);
    if (runs.empty() || runs.back().sees != sees || (sees && runs.back().first != first)) {
      runs.push_back({query, query, sees, first});
    }
    runs.back().end = query + 1;
  }
  return runs;
}

/// Collects the blocks of one span of batch elements.
class BlockBuilder {
 public:
  BlockBuilder(const Visibility& visibility, const BlockLimits& limits, std::vector<QueryBlock>& blocks)
      : visibility_(visibility), limits_(limits), blocks_(blocks) {}

  void build(int64_t batch_begin, int64_t batch_end) {
    batch_begin_ = batch_begin;
    batch_end_ = batch_end;
    const std::vector<Run> runs = find_runs(visibility_, batch_begin);
    for (size_t i = 0; i < runs.size();) {
      size_t next = i + 1;
      if (is_short(runs[i])) {
        while (next < runs.size() && is_short(runs[next])) ++next;
      }
      if (!runs[i].sees) {
        add(runs[i].begin, runs[i].end, {});
      } else if (next == i + 1) {
        add_unmasked(runs[i]);
      } else {
        add_masked(runs[i].begin, runs[next - 1].end);
      }
      i = next;
    }
  }

 private:
  bool is_short(const Run& run) const { return run.sees && run.end - run.begin < limits_.unmasked_rows; }

  void add(int64_t begin, int64_t end, std::vector<KeyRange> ranges) {
    blocks_.push_back({batch_begin_, batch_end_, begin, end, std::move(ranges)});
  }

  void add_unmasked(const Run& run) {
    for (int64_t begin = run.begin; begin < run.end;) {
      const int64_t end = begin + std::min(run.end - begin, limits_.rows);
      const int64_t seen_by_all = visibility_.end(begin);  // the first query of a block sees least
      const int64_t seen_by_any = visibility_.end(end - 1);
      if (seen_by_all == seen_by_any) {
        add(begin, end, {{run.first, seen_by_all, Mask::kNone}});
      } else {
        const int64_t square = seen_by_all - 1;
        std::vector<KeyRange> ranges;
        if (run.first < square) ranges.push_back({run.first, square, Mask::kNone});
        ranges.push_back({square, seen_by_any, Mask::kCausal});
        add(begin, end, std::move(ranges));
      }
      begin = end;
    }
  }

  void add_masked(int64_t begin, int64_t end) {
    const int64_t rows = std::min(limits_.rows, limits_.masked_rows);
    for (; begin < end; begin += rows) {
      const int64_t stop = std::min(end, begin + rows);
      int64_t first = visibility_.first(batch_begin_, begin);
      for (int64_t query = begin; query < stop; ++query) {
        first = std::min(first, visibility_.first(batch_begin_, query));
      }
      add(begin, stop, {{first, visibility_.end(stop - 1), Mask::kExplicit}});
    }
  }

  const Visibility& visibility_;
  const BlockLimits& limits_;
  std::vector<QueryBlock>& blocks_;
  int64_t batch_begin_ = 0;
  int64_t batch_end_ = 0;
};

bool same_for_all_batches(const Visibility& visibility) {
  if (visibility.first_key == nullptr) return true;
  for (int64_t batch = 1; batch < visibility.batch; ++batch) {
    const int32_t* row = visibility.first_key + batch * visibility.queries;
    if (!std::equal(row, row + visibility.queries, visibility.first_key)) return false;
  }
  return true;
}

}  // namespace

int64_t Visibility::first(int64_t batch_index, int64_t query) const {
  if (first_key == nullptr) return 0;
  return std::max<int64_t>(0, first_key[batch_index * queries + query]);
}

int64_t Visibility::end(int64_t query) const {
  return causal ? std::max<int64_t>(0, keys - queries + query + 1) : keys;
}

std::vector<QueryBlock> find_visible_blocks(const Visibility& visibility, const BlockLimits& limits) {
  std::vector<QueryBlock> blocks;
  BlockBuilder builder(visibility, limits, blocks);
  if (same_for_all_batches(visibility)) {
    builder.build(0, visibility.batch);
  } else {
    for (int64_t batch = 0; batch < visibility.batch; ++batch) builder.build(batch, batch + 1);
  }
  return blocks;
}

}  // namespace skipattn::attention::cpu
