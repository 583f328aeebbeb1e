#include <algorithm>
#include <memory>

#include "skipattn/attention/cpu/backward_tasks.h"
#include "skipattn/attention/cpu/contributions.h"
#include "skipattn/attention/cpu/flash_problem.h"
#include "skipattn/attention/cpu/prepared_queries.h"
#include "skipattn/attention/cpu/turns.h"
#include "skipattn/attention/cpu/workers.h"

namespace skipattn::attention::cpu {
namespace {

/// Memory for packed queries beyond which fewer heads are in work at once than there are threads.
constexpr int64_t kPackedBytes = int64_t{256} << 20;

class BackwardCall {
 public:
  BackwardCall(const Problem& problem, const KernelTable& kernels, const std::vector<Panels*>& panels,
               FlashBackward& call)
      : p_(problem, kernels),
        call_(call),
        panels_(p_, panels),
        queries_(p_, call),
        contributions_(number_contributions(problem.pairs)),
        grad_query_(call.grad_query) {}

  /// What is read is packed by the first tasks.
  void run() {
    make_sums();
    if (p_.keys > 0) panels_.want_for_backward(pack_jobs_);
    plan_work();
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

  /// A unit for each thread is in work: then none waits for its turn.
  void plan_work() {
    work_.units = p_.batch * p_.kv_heads;
    work_.blocks = p_.group * p_.blocks;
    work_.chunks = (p_.keys + kKeyBlock - 1) / kKeyBlock;
    for (const auto& list : p_.problem.pairs) work_.pairs.push_back(std::ssize(list));
    const int64_t fitting = std::max<int64_t>(1, kPackedBytes / std::max<int64_t>(1, 2 * queries_.unit_bytes()));
    work_.group_units = std::min<int64_t>({work_.units, worker_count(), fitting});
    queries_.make_room(work_.slots());
    tasks_ = list_backward_tasks(work_);
    source_turns_ = std::make_unique<Turns>(p_.batch * source_heads_ * work_.chunks);
    query_turns_ = std::make_unique<Turns>(work_.units * work_.blocks);
    prepared_ = std::make_unique<Done>(work_.units);
    finished_ = std::make_unique<Done>(work_.units);
  }

  void run_task(const BackwardTask& task, WorkerScratch& scratch) {
    if (task.first_block >= 0) {
      const int64_t before = task.unit - work_.slots();  // the unit that had this memory
      if (before >= 0) {
        prepared_->wait(before, work_.prepare_tasks());
        finished_->wait(before, work_.chunk_tasks(before));
      }
      for (int64_t i = task.first_block; i < std::min(work_.blocks, task.first_block + kPreparedBlocks); ++i)
        queries_.prepare(task.unit, i / p_.blocks, i % p_.blocks);
      prepared_->finish(task.unit);
      return;
    }
    packed_.wait(0, pack_jobs_.tasks());
    prepared_->wait(task.unit, work_.prepare_tasks());
    run_chunk(task, scratch);
    finished_->finish(task.unit);
  }

  void run_chunk(const BackwardTask& c, WorkerScratch& scratch) {
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
  void run_queries(const BackwardTask& c, int64_t group, const ChunkPlace& place, WorkerScratch& scratch) {
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

  BackwardTile make_tile(const BackwardTask& c, int64_t group, int64_t block, const ChunkPlace& place,
                         WorkerScratch& scratch) const {
    const Geometry& g = p_.geometry;
    const VisibleKeys& visible = p_.visible_keys(place.batch, block);
    const PreparedHead from = queries_.block(c.unit, group, block);
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
    tile.queries = {from.query_lanes, from.query_pairs, from.grad_lanes, from.grad_pairs, from.logsumexp2, from.delta};
    tile.visible = &visible;
    tile.scale = p_.scale;
    tile.dropout = p_.dropout;
    if (p_.dropout.threshold != 0) {
      p_.hash_rows(place.batch, place.kv_head * p_.group + group, block, c.pair, scratch.hashes);
      tile.row_hashes = scratch.hashes;
    }
    tile.grad_query = from.grad_query;
    tile.scratch = scratch.tile.floats();
    return tile;
  }

  struct QueryPlace {
    int64_t batch = 0, head = 0, group = 0, block = 0;
  };

  /// Adds the tile's part when it is its turn, and writes the total when it is the last.
  void add_query_gradient(const BackwardTask& c, const QueryPlace& at, const BackwardTile& tile) {
    const VisibleKeys& visible = *tile.visible;
    const int64_t pairs = std::ssize(p_.problem.pairs[at.head / p_.group]);
    const int64_t first_chunk = visible.begin / kKeyBlock, last_chunk = (visible.end - 1) / kKeyBlock;
    const int turn = static_cast<int>((c.chunk - first_chunk) * pairs + c.pair);
    const int64_t place = (c.unit * p_.group + at.group) * p_.blocks + at.block;
    float* sums = queries_.block(c.unit, at.group, at.block).grad_query;
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
    const int64_t place = (b * source_heads_ + first_source_head_[side.tensor] + side.head) * work_.chunks + chunk;
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
  PreparedQueries queries_;
  std::vector<std::vector<PairContributions>> contributions_;
  HeadRows grad_query_;
  BackwardWork work_;
  std::vector<BackwardTask> tasks_;
  int64_t source_heads_ = 0;                // of all sources together
  std::vector<int64_t> first_source_head_;  // of each source among them
  std::vector<WorkerScratch> scratch_;
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
