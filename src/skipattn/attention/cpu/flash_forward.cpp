#include "skipattn/attention/cpu/flash_problem.h"
#include "skipattn/attention/cpu/turns.h"
#include "skipattn/attention/cpu/workers.h"

namespace skipattn::attention::cpu {
namespace {

/// What one worker needs while it runs blocks.
struct WorkerScratch {
  Buffer floats;       // the kernel's
  Buffer query_lanes;  // [row_words][64]
  std::vector<uint32_t> hashes;
  std::vector<KeyValuePanels> pairs;
};

class ForwardCall {
 public:
  ForwardCall(const Problem& problem, const KernelTable& kernels, const std::vector<Panels*>& panels,
              const Result& result)
      : p_(problem, kernels), query_(problem.query), output_(result.output), logsumexp_(result.logsumexp) {
    CallPanels call_panels(p_, panels);
    PackJobs jobs;
    if (p_.keys > 0) collect_panels(call_panels, jobs);
    std::vector<WorkerScratch> scratch(worker_count());
    // One list of tasks, so that nothing waits for all threads: what has to be packed, then head by head, so that keys and
    // values stay in the cache; a head's last blocks first, which are the largest under a causal mask.
    Done packed{1};
    run_tasks(jobs.tasks() + p_.batch * p_.heads * p_.blocks, [&](int64_t index, int worker) {
      if (index < jobs.tasks()) {
        jobs.run(index);
        packed.finish(0);
        return;
      }
      packed.wait(0, jobs.tasks());
      const int64_t task = index - jobs.tasks(), head = task / p_.blocks;
      run_block(head / p_.heads, head % p_.heads, p_.blocks - 1 - task % p_.blocks, scratch[worker]);
    });
  }

 private:
  /// Where every pair's panels are, and the packing of those that are not there yet.
  void collect_panels(CallPanels& panels, PackJobs& jobs) {
    panels.want_for_forward(jobs);
    const auto& pairs = p_.problem.pairs;
    panels_.resize(p_.batch * p_.kv_heads);
    for (int64_t b = 0; b < p_.batch; ++b)
      for (int64_t h = 0; h < p_.kv_heads; ++h)
        for (const Pair& pair : pairs[h])
          panels_[b * p_.kv_heads + h].push_back({.key_rows = panels.rows(pair.key_tensor, b, pair.key_head),
                                                  .value_pairs = panels.pairs(pair.value_tensor, b, pair.value_head)});
  }

  void run_block(int64_t b, int64_t head, int64_t block, WorkerScratch& scratch) const {
    static const std::vector<KeyValuePanels> kNothing;
    const Geometry& g = p_.geometry;
    if (scratch.floats.empty()) {
      scratch.floats = Buffer(p_.kernels.forward_scratch_floats(g) * sizeof(float));
      scratch.query_lanes = Buffer((int64_t{g.row_words} + 16) * kQueryBlock * sizeof(uint32_t));
    }
    const auto& pairs = panels_.empty() ? kNothing : panels_[b * p_.kv_heads + head / p_.group];
    const int64_t first = block * kQueryBlock;
    ForwardBlock call;
    call.geometry = g;
    call.query_lanes = scratch.query_lanes.words();
    call.pairs = pairs.data();
    call.pair_count = static_cast<int>(pairs.size());
    call.visible = &p_.visible_keys(b, block);
    call.scale = p_.scale;
    call.dropout = p_.dropout;
    call.queries = p_.block_queries(block);
    call.output = output_.mutable_view(b, head, first);
    call.output_type = p_.element;
    call.logsumexp = logsumexp_.data_ptr<float>() + (b * p_.heads + head) * p_.queries + first;
    call.scratch = scratch.floats.floats();
    if (p_.dropout.threshold != 0) {
      scratch.hashes.resize(pairs.size() * kQueryBlock);
      for (size_t i = 0; i < pairs.size(); ++i)
        p_.hash_rows(b, head, block, static_cast<int64_t>(i), scratch.hashes.data() + i * kQueryBlock);
      call.row_hashes = scratch.hashes.data();
    }
    p_.kernels.pack_lanes(g, query_.view(b, head, first), p_.element, call.queries, scratch.query_lanes.words());
    if (block > 0) query_.prefetch_to_read(b, head, first - kQueryBlock, kQueryBlock, g.width);
    output_.prefetch_to_write(b, head, first, call.queries, g.width);
    p_.kernels.forward(call);
  }

  FlashProblem p_;
  HeadRows query_, output_;
  at::Tensor logsumexp_;
  std::vector<std::vector<KeyValuePanels>> panels_;  // [B * Hkv][pairs]
};

}  // namespace

void flash_forward(const Problem& problem, const KernelTable& kernels, const std::vector<Panels*>& panels,
                   const Result& result) {
  if (result.output.numel() > 0) ForwardCall(problem, kernels, panels, result);
}

}  // namespace skipattn::attention::cpu
