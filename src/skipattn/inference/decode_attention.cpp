#include "skipattn/inference/decode_attention.h"

#include <algorithm>
#include <utility>

namespace skipattn::inference {

namespace {

constexpr int64_t kTasksPerWorker = 4;  // few, so that a task reads many heads, which lie side by side

}  // namespace

DecodeAttention::DecodeAttention(const EngineWeights& weights, const CacheLayout& layout, int workers)
    : weights_(weights),
      layout_(layout),
      heads_(weights.config().heads),
      kv_heads_(weights.config().kv_heads),
      group_(heads_ / kv_heads_),
      d_(weights.config().head_width),
      padded_d_(cpu::padded(d_)),
      works_(static_cast<size_t>(workers)) {}

void DecodeAttention::prepare(const std::vector<StepRow>& rows) {
  rows_ = &rows;
  const auto count = static_cast<int64_t>(rows.size());
  most_parts_ = 1;
  for (int64_t layer = 0; layer < weights_.config().layers; ++layer)
    for (int64_t row = 0; row < count; ++row) most_parts_ = std::max(most_parts_, visible(layer, row).parts);
  const int64_t places = count * heads_ * most_parts_;
  query_.reserve(count * heads_ * padded_d_);
  largest_.reserve(places);
  sum_.reserve(places);
  weighted_.reserve(places * padded_d_);
}

DecodeAttention::Visible DecodeAttention::visible(int64_t layer, int64_t row) const {
  const int64_t window = weights_.layouts()[static_cast<size_t>(layer)].window;
  const int64_t end = (*rows_)[static_cast<size_t>(row)].position + 1;
  const int64_t begin = window > 0 ? std::max<int64_t>(0, end - window) : 0;
  const int64_t first_block = begin / kBlockRows * kBlockRows;  // parts begin at whole blocks
  return {begin, end, (end - first_block + kPartLength - 1) / kPartLength};
}

DecodeAttention::Cut DecodeAttention::cut(int64_t layer) const {
  int64_t parts = 0;
  for (int64_t row = 0; row < static_cast<int64_t>(rows_->size()); ++row) parts += visible(layer, row).parts;
  const int64_t wanted = kTasksPerWorker * static_cast<int64_t>(works_.size());
  const int64_t most = std::clamp<int64_t>(parts * kv_heads_ / wanted, 1, kv_heads_);
  Cut cut;
  cut.groups = (kv_heads_ + most - 1) / most;
  cut.heads = (kv_heads_ + cut.groups - 1) / cut.groups;
  cut.tasks = parts * cut.groups;
  return cut;
}

DecodeAttention::Task DecodeAttention::task_at(int64_t layer, const Cut& cut, int64_t index) const {
  Task task;
  for (; index >= visible(layer, task.row).parts * cut.groups; ++task.row)
    index -= visible(layer, task.row).parts * cut.groups;
  task.part = index / cut.groups;
  task.first_head = std::min(kv_heads_, index % cut.groups * cut.heads);
  task.end_head = std::min(kv_heads_, task.first_head + cut.heads);
  return task;
}

void DecodeAttention::find_stretches(int64_t layer, const Task& task, Work& work) const {
  const StepRow& row = (*rows_)[static_cast<size_t>(task.row)];
  const Visible seen = visible(layer, task.row);
  const int64_t first = seen.begin / kBlockRows * kBlockRows + task.part * kPartLength;
  const int64_t begin = std::max(seen.begin, first), end = std::min(seen.end, first + kPartLength);
  const routing::LayerPlan& plan = weights_.plan().layers[static_cast<size_t>(layer)];
  work.task = task;
  for (int64_t at = begin, after; at < end; at = after) {
    after = std::min(end, (at / kBlockRows + 1) * kBlockRows);
    for (int64_t head = task.first_head; head < task.end_head; ++head)
      for (const routing::SlotPair& pair : plan.heads[static_cast<size_t>(head)])
        work.stretches.push_back(
            {head, row.sequence->rows(layout_.key_slot(pair.key_layer, pair.key_slot),
                                      layout_.value_slot(pair.value_layer, pair.value_slot), at, after)});
  }
}

void DecodeAttention::find_work(int64_t layer, const Cut& cut, int64_t index, Work& work) const {
  work.index = index;
  work.stretches.clear();
  if (index >= 0) find_stretches(layer, task_at(layer, cut, index), work);
}

void DecodeAttention::expect(int64_t layer, int64_t task, int worker, Prefetcher& prefetcher) {
  Work& work = works_[static_cast<size_t>(worker)].first;
  find_work(layer, cut(layer), task, work);
  const int64_t row_bytes = d_ * bytes_of(layout_.dtype());
  for (const Stretch& stretch : work.stretches) {
    if (prefetcher.is_full()) return;
    const int64_t offset = stretch.rows.begin * row_bytes, bytes = (stretch.rows.end - stretch.rows.begin) * row_bytes;
    prefetcher.add(static_cast<const char*>(stretch.rows.keys) + offset, bytes);
    prefetcher.add(static_cast<const char*>(stretch.rows.values) + offset, bytes);
  }
}

void DecodeAttention::run(int64_t layer, int worker, SharedTasks& tasks) {
  const Cut all = cut(layer);
  auto& [work, following] = works_[static_cast<size_t>(worker)];
  for (int64_t index; (index = tasks.take(worker)) >= 0;) {
    if (index != work.index) find_work(layer, all, index, work);
    find_work(layer, all, tasks.next(worker), following);
    attend(work, following);
    std::swap(work, following);
  }
}

void DecodeAttention::attend(const Work& work, const Work& next) const {
  const Task& task = work.task;
  cpu::AttendCall call;
  call.dtype = layout_.dtype();
  call.head_width = d_;
  call.queries = group_;
  const auto select = [&](int64_t head) {
    const int64_t at = place(task.row, head, task.part);
    call.query = query(task.row, head * group_);
    call.result = {largest_.data() + at, sum_.data() + at, weighted_.data() + at * padded_d_};
  };
  for (int64_t head = task.first_head; head < task.end_head; ++head) {
    select(head);
    cpu::begin_attended(call);
  }
  for (size_t i = 0; i < work.stretches.size(); ++i) {
    select(work.stretches[i].kv_head);
    call.rows = work.stretches[i].rows;
    const std::vector<Stretch>& after = i + 1 < work.stretches.size() ? work.stretches : next.stretches;
    call.next = after.empty() ? cpu::CachedRows() : after[i + 1 < work.stretches.size() ? i + 1 : 0].rows;
    cpu::attend_cached(call);
  }
}

void DecodeAttention::merge(int64_t layer, int64_t row, float* heads) const {
  cpu::MergeCall call;
  call.dtype = layout_.dtype();
  call.head_width = d_;
  call.count = visible(layer, row).parts;
  call.stride = group_;
  call.weighted_stride = group_ * padded_d_;
  for (int64_t head = 0; head < heads_; ++head) {
    const int64_t at = place(row, head / group_, 0) + head % group_;
    call.largest = largest_.data() + at;
    call.sum = sum_.data() + at;
    call.weighted = weighted_.data() + at * padded_d_;
    cpu::merge_parts(call, heads + head * d_);
  }
}

}  // namespace skipattn::inference
