#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

#include "skipattn/attention/cpu/contributions.h"
#include "skipattn/attention/cpu/flash_problem.h"
#include "skipattn/attention/cpu/turns.h"
#include "skipattn/attention/cpu/workers.h"

namespace skipattn::attention::cpu {
namespace {

/// Blocks of queries that one task prepares.
constexpr int64_t kPreparedBlocks = 8;
/// Memory for packed queries beyond which fewer heads are in work at once than there are threads.
constexpr int64_t kPackedBytes = int64_t{256} << 20;

/// Packed queries of one query head, all blocks, and the sums of its gradient.
struct PreparedHead {
  uint32_t *query_lanes, *query_pairs, *grad_lanes, *grad_pairs;  // [blocks] panels
  float *logsumexp2, *delta;                                      // [blocks][64]
  float* grad_query;                                              // [blocks][width][64]
};

class BackwardCall {
 public:
  BackwardCall(const Problem& problem, const KernelTable& kernels, const std::vector<Panels*>& panels,
               FlashBackward& call)
      : p_(problem, kernels),
        call_(call),
        panels_(p_, panels),
        contributions_(number_contributions(problem.pairs)),
        query_(problem.query),
        output_(call.output),
        grad_output_(call.grad_output),
        grad_query_(call.grad_query),
        chunks_((p_.keys + kKeyBlock - 1) / kKeyBlock) {}

  /// One list of tasks, so that nothing waits for all threads. A unit is a KV head of a batch element; what it reads is
  /// packed just before, while the memory of units that are done is used again.
  void run() {
    make_sums();
    if (p_.keys > 0) panels_.want_for_backward(pack_jobs_);
    const Geometry& g = p_.geometry;
    lanes_words_ = int64_t{g.row_words} * kQueryBlock;
    pairs_words_ = int64_t{g.lane_words} * kQueryBlock / g.pair;
    head_floats_ = p_.blocks * (2 * lanes_words_ + 2 * pairs_words_ + (2 + int64_t{g.width}) * kQueryBlock);
    for (const auto& list : p_.problem.pairs) most_pairs_ = std::max<int64_t>(most_pairs_, std::ssize(list));
    const int64_t units = p_.batch * p_.kv_heads;
    // One group of units is in work while the next is prepared. A unit for each thread: then none waits for its turn.
    const int64_t unit_bytes = p_.group * head_floats_ * static_cast<int64_t>(sizeof(float));
    const int64_t fitting = std::max<int64_t>(1, kPackedBytes / std::max<int64_t>(1, 2 * unit_bytes));
    group_units_ = std::min<int64_t>({units, worker_count(), fitting});
    slots_ = std::min(units, 2 * group_units_);
    memory_ = Buffer(slots_ * unit_bytes);
    list_tasks(units);
    make_scratch();
    run_tasks(pack_jobs_.tasks() + std::ssize(tasks_), [&](int64_t index, int worker) {
      if (index < pack_jobs_.tasks()) {
        pack_jobs_.run(index);
        packed_.finish(0);
      } else {
        run_task(tasks_[index - pack_jobs_.tasks()], scratch_[worker]);
      }
    });
  }

 private:
  struct WorkerScratch {
    Buffer tile, grad_key, grad_value;
    uint32_t hashes[kQueryBlock];
  };

  /// fp32 sums for heads that several pairs of this call read, where the caller gave none.
  void make_sums() {
    for (const at::Tensor& source : p_.problem.sources) {
      first_source_head_.push_back(source_heads_);
      source_heads_ += source.size(1);
    }
    for (const auto& list : contributions_)
      for (const PairContributions& pair : list)
        for (const Contribution& side : {pair.key, pair.value}) {
          SourceGradient& target = call_.sources[side.tensor];
          if (side.count > 1 && !target.sum.defined())
            target.sum = at::empty_like(target.out, target.out.options().dtype(at::kFloat));
        }
  }

  /// Before the tasks begin: one that failed for want of memory would leave others waiting for it.
  void make_scratch() {
    const Geometry& g = p_.geometry;
    scratch_.resize(std::min<int64_t>(worker_count(), pack_jobs_.tasks() + std::ssize(tasks_)));
    for (WorkerScratch& scratch : scratch_) {
      scratch.tile = Buffer(p_.kernels.backward_scratch_floats(g) * sizeof(float));
      scratch.grad_key = Buffer(int64_t{kKeyBlock} * g.lane_words * sizeof(float));
      scratch.grad_value = Buffer(int64_t{kKeyBlock} * g.lane_words * sizeof(float));
    }
  }

  /// Memory of query head `g` of the unit.
  PreparedHead prepared(int64_t unit, int64_t g) const {
    float* base = memory_.floats() + (unit % slots_ * p_.group + g) * head_floats_;
    PreparedHead head;
    const auto take_words = [&](int64_t words) {
      auto* taken = reinterpret_cast<uint32_t*>(base);
      base += words;
      return taken;
    };
    head.query_lanes = take_words(p_.blocks * lanes_words_);
    head.query_pairs = take_words(p_.blocks * pairs_words_);
    head.grad_lanes = take_words(p_.blocks * lanes_words_);
    head.grad_pairs = take_words(p_.blocks * pairs_words_);
    head.logsumexp2 = base;
    head.delta = base + p_.blocks * kQueryBlock;
    head.grad_query = base + 2 * p_.blocks * kQueryBlock;
    return head;
  }

  /// Either some blocks of a unit's queries to prepare, or a chunk of keys of one of its pairs.
  struct Task {
    int64_t unit = 0;
    int64_t first_block = -1;  // of group * blocks; -1: a chunk
    int64_t pair = 0, chunk = 0;
  };

  void list_tasks(int64_t units) {
    const auto prepare_group = [&](int64_t first) {
      for (int64_t unit = first; unit < std::min(units, first + group_units_); ++unit)
        for (int64_t block = 0; block < p_.group * p_.blocks; block += kPreparedBlocks)
          tasks_.push_back({.unit = unit, .first_block = block});
    };
    prepare_group(0);
    if (chunks_ == 0 || most_pairs_ == 0)  // nothing to read: preparing is all there is
      for (int64_t first = group_units_; first < units; first += group_units_) prepare_group(first);
    for (int64_t first = 0; first < units && chunks_ > 0; first += group_units_)
      for (int64_t chunk = 0; chunk < chunks_; ++chunk) {
        for (int64_t unit = first; unit < std::min(units, first + group_units_); ++unit)
          for (int64_t pair = 0; pair < std::ssize(p_.problem.pairs[unit % p_.kv_heads]); ++pair)
            tasks_.push_back({.unit = unit, .pair = pair, .chunk = chunk});
        // Not before the group's first chunks: the group before it, whose memory the next one takes, is done by then.
        if (chunk == 0 && most_pairs_ > 0) prepare_group(first + group_units_);
      }
    source_turns_ = std::make_unique<Turns>(p_.batch * source_heads_ * chunks_);
    query_turns_ = std::make_unique<Turns>(units * p_.group * p_.blocks);
    prepared_ = std::make_unique<Done>(units);
    finished_ = std::make_unique<Done>(units);
  }

  /// Of one unit.
  int64_t prepare_tasks() const { return (p_.group * p_.blocks + kPreparedBlocks - 1) / kPreparedBlocks; }

  void run_task(const Task& task, WorkerScratch& scratch) {
    const int64_t blocks = p_.group * p_.blocks;
    if (task.first_block >= 0) {
      // The unit that had this memory before. One without pairs has no chunks to wait for.
      const int64_t before = task.unit - slots_;
      if (before >= 0) {
        prepared_->wait(before, prepare_tasks());
        finished_->wait(before, chunks_ * std::ssize(p_.problem.pairs[before % p_.kv_heads]));
      }
      for (int64_t i = task.first_block; i < std::min(blocks, task.first_block + kPreparedBlocks); ++i)
        prepare_block(task.unit, i / p_.blocks, i % p_.blocks);
      prepared_->finish(task.unit);
      return;
    }
    packed_.wait(0, pack_jobs_.tasks());
    prepared_->wait(task.unit, prepare_tasks());
    run_chunk(task, scratch);
    finished_->finish(task.unit);
  }

  void prepare_block(int64_t unit, int64_t g, int64_t block) const {
    const int64_t b = unit / p_.kv_heads, kv_head = unit % p_.kv_heads;
    const int64_t head = kv_head * p_.group + g, first = block * kQueryBlock;
    const int count = p_.block_queries(block);
    const PreparedHead to = prepared(unit, g);
    const KernelTable& k = p_.kernels;
    const RowsView query = query_.view(b, head, first), grad = grad_output_.view(b, head, first);
    const VisibleKeys& visible = p_.visible_keys(b, block);
    if (visible.end <= visible.begin || p_.problem.pairs[kv_head].empty()) {
      float* zeros = to.grad_query + block * p_.geometry.width * kQueryBlock;
      std::fill_n(zeros, int64_t{p_.geometry.width} * kQueryBlock, 0.0f);
      k.write_lanes(p_.geometry, zeros, 1.0f, count, grad_query_.mutable_view(b, head, first), p_.element);
      return;
    }
    k.pack_lanes(p_.geometry, query, p_.element, count, to.query_lanes + block * lanes_words_);
    pack_padded_pairs(query, count, to.query_pairs + block * pairs_words_);
    k.pack_lanes(p_.geometry, grad, p_.element, count, to.grad_lanes + block * lanes_words_);
    pack_padded_pairs(grad, count, to.grad_pairs + block * pairs_words_);
    float* delta = to.delta + block * kQueryBlock;
    k.row_dots(p_.geometry.width, output_.view(b, head, first), grad, p_.element, count, delta);
    const float* logsumexp = call_.logsumexp.const_data_ptr<float>() + (b * p_.heads + head) * p_.queries + first;
    for (int i = 0; i < kQueryBlock; ++i) {
      const bool sees = i < count && !std::isinf(logsumexp[i]);
      to.logsumexp2[block * kQueryBlock + i] = sees ? logsumexp[i] * kLog2E : std::numeric_limits<float>::infinity();
      if (i >= count) delta[i] = 0;
    }
  }

  /// A pairs panel of 64 rows, zeros after the last.
  void pack_padded_pairs(RowsView rows, int count, uint32_t* panel) const {
    p_.kernels.pack_pairs(p_.geometry, rows, p_.element, count, panel);
    const int64_t used = pairs_panel_words(p_.geometry, count);
    std::memset(panel + used, 0, (pairs_words_ - used) * sizeof(uint32_t));
  }

  void run_chunk(const Task& c, WorkerScratch& scratch) {
    const Geometry& g = p_.geometry;
    const int64_t b = c.unit / p_.kv_heads, kv_head = c.unit % p_.kv_heads;
    const int64_t first_key = c.chunk * kKeyBlock;
    const int keys = static_cast<int>(std::min<int64_t>(kKeyBlock, p_.keys - first_key));
    const int64_t sums = int64_t{keys} * g.lane_words;
    std::fill_n(scratch.grad_key.floats(), sums, 0.0f);
    std::fill_n(scratch.grad_value.floats(), sums, 0.0f);
    const ChunkPlace place{b, kv_head, first_key, keys};
    const PairContributions& sides = contributions_[kv_head][c.pair];
    for (const Contribution& side : {sides.key, sides.value})
      if (is_last(side))
        HeadRows(call_.sources[side.tensor].out).prefetch_to_write(b, side.head, first_key, keys, g.width);
    for (int64_t group = 0; group < p_.group; ++group) run_queries(c, group, place, scratch);
    add_source_gradient(sides.key, b, c.chunk, keys, scratch.grad_key.floats(), p_.scale);
    add_source_gradient(sides.value, b, c.chunk, keys, scratch.grad_value.floats(), 1.0f);
  }

  struct ChunkPlace {
    int64_t batch = 0, kv_head = 0, first_key = 0;
    int keys = 0;
  };

  /// All blocks of queries of one query head, kTileSlots at a time.
  void run_queries(const Task& c, int64_t group, const ChunkPlace& place, WorkerScratch& scratch) {
    const KeyGradients sums{static_cast<int>(place.first_key), scratch.grad_key.floats(), scratch.grad_value.floats()};
    BackwardTile tiles[kTileSlots];
    int64_t tile_blocks[kTileSlots];
    int count = 0;
    const auto finish = [&] {
      p_.kernels.grad_keys(tiles, count, sums);
      for (int i = 0; i < count; ++i) {
        const int64_t head = place.kv_head * p_.group + group;
        add_query_gradient(c, {place.batch, head, group, tile_blocks[i]}, tiles[i]);
      }
      count = 0;
    };
    for (int64_t block = 0; block < p_.blocks; ++block) {
      const VisibleKeys& visible = p_.visible_keys(place.batch, block);
      if (visible.begin >= place.first_key + place.keys || visible.end <= place.first_key) continue;
      tiles[count] = make_tile(c, group, block, place, scratch);
      tiles[count].slot = count;
      tile_blocks[count] = block;
      p_.kernels.weigh(tiles[count]);
      if (++count == kTileSlots) finish();
    }
    if (count > 0) finish();
  }

  BackwardTile make_tile(const Task& c, int64_t group, int64_t block, const ChunkPlace& place,
                         WorkerScratch& scratch) const {
    const Geometry& g = p_.geometry;
    const VisibleKeys& visible = p_.visible_keys(place.batch, block);
    const PreparedHead from = prepared(c.unit, group);
    const Pair& pair = p_.problem.pairs[place.kv_head][c.pair];
    // Only the keys of the chunk that some query sees.
    const int64_t begin = std::max<int64_t>(place.first_key, visible.begin);
    const int64_t end = std::min<int64_t>(place.first_key + place.keys, visible.end);
    BackwardTile tile;
    tile.geometry = g;
    tile.panels = {
        .key_rows = panels_.rows(pair.key_tensor, place.batch, pair.key_head) + begin * g.row_words,
        .key_pairs = panels_.pairs(pair.key_tensor, place.batch, pair.key_head) + begin / g.pair * g.lane_words,
        .value_rows = panels_.rows(pair.value_tensor, place.batch, pair.value_head) + begin * g.row_words};
    tile.first_key = static_cast<int>(begin);
    tile.keys = static_cast<int>(end - begin);
    tile.queries = {from.query_lanes + block * lanes_words_, from.query_pairs + block * pairs_words_,
                    from.grad_lanes + block * lanes_words_,  from.grad_pairs + block * pairs_words_,
                    from.logsumexp2 + block * kQueryBlock,   from.delta + block * kQueryBlock};
    tile.visible = &visible;
    tile.scale = p_.scale;
    tile.dropout = p_.dropout;
    if (p_.dropout.threshold != 0) {
      p_.hash_rows(place.batch, place.kv_head * p_.group + group, block, c.pair, scratch.hashes);
      tile.row_hashes = scratch.hashes;
    }
    tile.grad_query = from.grad_query + block * g.width * kQueryBlock;
    tile.scratch = scratch.tile.floats();
    return tile;
  }

  struct QueryPlace {
    int64_t batch = 0, head = 0, group = 0, block = 0;
  };

  /// Adds the tile's part when it is its turn, and writes the total when it is the last.
  void add_query_gradient(const Task& c, const QueryPlace& at, const BackwardTile& tile) {
    const VisibleKeys& visible = *tile.visible;
    const int64_t pairs = std::ssize(p_.problem.pairs[at.head / p_.group]);
    const int64_t first_chunk = visible.begin / kKeyBlock, last_chunk = (visible.end - 1) / kKeyBlock;
    const int turn = static_cast<int>((c.chunk - first_chunk) * pairs + c.pair);
    const int64_t place = (c.unit * p_.group + at.group) * p_.blocks + at.block;
    float* sums = prepared(c.unit, at.group).grad_query + at.block * p_.geometry.width * kQueryBlock;
    const bool last = c.chunk == last_chunk && c.pair == pairs - 1;
    const int64_t first = at.block * kQueryBlock;
    if (last) grad_query_.prefetch_to_write(at.batch, at.head, first, p_.block_queries(at.block), p_.geometry.width);
    query_turns_->wait(place, turn);
    p_.kernels.grad_query(tile, turn > 0, sums);
    if (last) {
      p_.kernels.write_lanes(p_.geometry, sums, p_.scale, p_.block_queries(at.block),
                             grad_query_.mutable_view(at.batch, at.head, first), p_.element);
    }
    query_turns_->finish(place);
  }

  /// Whether nothing more comes to this head after the contribution, so that it is rounded to `out`.
  bool is_last(const Contribution& side) const {
    const SourceGradient& target = call_.sources[side.tensor];
    const bool unfinished = !target.unfinished.empty() && target.unfinished[side.head] != 0;
    return side.turn == side.count - 1 && !unfinished;
  }

  void add_source_gradient(const Contribution& side, int64_t b, int64_t chunk, int keys, const float* sums,
                           float scale) {
    const SourceGradient& target = call_.sources[side.tensor];
    const bool begun = !target.begun.empty() && target.begun[side.head] != 0;
    const int64_t place = (b * source_heads_ + first_source_head_[side.tensor] + side.head) * chunks_ + chunk;
    GradientRows rows{.sums = sums, .rows = keys, .scale = scale, .out_type = p_.element};
    if (side.count > 1 || begun || !is_last(side))
      rows.sum = HeadRows(target.sum).mutable_view(b, side.head, chunk * kKeyBlock);
    rows.add = begun || side.turn > 0;
    if (is_last(side)) rows.out = HeadRows(target.out).mutable_view(b, side.head, chunk * kKeyBlock);
    source_turns_->wait(place, side.turn);
    p_.kernels.write_rows(p_.geometry, rows);
    source_turns_->finish(place);
  }

  FlashProblem p_;
  FlashBackward& call_;
  CallPanels panels_;
  PackJobs pack_jobs_;
  std::vector<std::vector<PairContributions>> contributions_;
  HeadRows query_, output_, grad_output_, grad_query_;
  int64_t chunks_;
  int64_t lanes_words_ = 0, pairs_words_ = 0, head_floats_ = 0;
  int64_t most_pairs_ = 0;
  int64_t source_heads_ = 0;                // of all sources together
  std::vector<int64_t> first_source_head_;  // of each source among them
  int64_t group_units_ = 1;                 // units in work at once
  int64_t slots_ = 1;                       // units in memory
  Buffer memory_;                           // of the slots
  std::vector<WorkerScratch> scratch_;
  std::vector<Task> tasks_;
  std::unique_ptr<Turns> source_turns_, query_turns_;
  Done packed_{1};
  std::unique_ptr<Done> prepared_, finished_;  // [units]
};

}  // namespace

void flash_backward(const Problem& problem, const KernelTable& kernels, const std::vector<Panels*>& panels,
                    FlashBackward& call) {
  if (problem.query.numel() > 0) BackwardCall(problem, kernels, panels, call).run();
}

}  // namespace skipattn::attention::cpu
