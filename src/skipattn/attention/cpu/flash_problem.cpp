#include "skipattn/attention/cpu/flash_problem.h"

#include <algorithm>
#include <limits>

#include "skipattn/attention/cpu/workers.h"

namespace skipattn::attention::cpu {
namespace {

Element element_of(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kBFloat16 ? Element::kBFloat16 : Element::kFloat;
}

/// Which keys the queries of one block see.
VisibleKeys make_visible(const FlashProblem& p, int64_t block, const int32_t* first_key) {
  VisibleKeys v;
  const int64_t begin = block * kQueryBlock, count = p.block_queries(block), offset = p.keys - p.queries;
  int64_t first = p.keys, last = -1, full_begin = 0, full_end = p.keys;
  for (int64_t i = 0; i < kQueryBlock; ++i) {
    if (i >= count) {  // padding
      v.first[i] = std::numeric_limits<int32_t>::max();
      v.last[i] = v.last[count - 1];
      continue;
    }
    v.first[i] = first_key ? std::max<int32_t>(0, first_key[begin + i]) : 0;
    v.last[i] = static_cast<int32_t>(p.problem.options.causal ? begin + i + offset : p.keys - 1);
    full_begin = std::max<int64_t>(full_begin, v.first[i]);
    full_end = std::min<int64_t>(full_end, v.last[i] + 1);
    if (v.first[i] > v.last[i]) continue;
    first = std::min<int64_t>(first, v.first[i]);
    last = std::max<int64_t>(last, v.last[i]);
  }
  v.begin = static_cast<int32_t>(first & ~int64_t{1});  // pairs of keys begin at even ones
  v.end = static_cast<int32_t>(std::max(last + 1, int64_t{v.begin}));
  if (last < 0) v.begin = v.end = 0;
  v.full_begin = static_cast<int32_t>(full_begin);
  v.full_end = static_cast<int32_t>(full_end);
  return v;
}

}  // namespace

HeadRows::HeadRows(const at::Tensor& tensor)
    : data(static_cast<char*>(tensor.data_ptr())),
      batch_stride(tensor.stride(0)),
      head_stride(tensor.stride(1)),
      row_stride(tensor.stride(2)),
      element_size(static_cast<int64_t>(tensor.element_size())) {}

RowsView HeadRows::view(int64_t batch, int64_t head, int64_t row) const {
  return {data + (batch * batch_stride + head * head_stride + row * row_stride) * element_size, row_stride};
}

MutableRowsView HeadRows::mutable_view(int64_t batch, int64_t head, int64_t row) const {
  return {data + (batch * batch_stride + head * head_stride + row * row_stride) * element_size, row_stride};
}

template <int kWrite>
void HeadRows::prefetch(int64_t batch, int64_t head, int64_t row, int64_t count, int64_t width) const {
  const auto* at = static_cast<const char*>(view(batch, head, row).data);
  for (int64_t i = 0; i < count; ++i, at += row_stride * element_size)
    for (int64_t byte = 0; byte < width * element_size; byte += 64) __builtin_prefetch(at + byte, kWrite, 2);
}

void HeadRows::prefetch_to_read(int64_t batch, int64_t head, int64_t row, int64_t count, int64_t width) const {
  prefetch<0>(batch, head, row, count, width);
}

void HeadRows::prefetch_to_write(int64_t batch, int64_t head, int64_t row, int64_t count, int64_t width) const {
  prefetch<1>(batch, head, row, count, width);
}

FlashProblem::FlashProblem(const Problem& p, const KernelTable& k)
    : problem(p),
      kernels(k),
      geometry(make_geometry(k, p.head_width())),
      element(element_of(p.query)),
      batch(p.batch()),
      heads(p.heads()),
      kv_heads(p.kv_heads()),
      group(p.group_size()),
      queries(p.queries()),
      keys(p.keys()),
      blocks((queries + kQueryBlock - 1) / kQueryBlock),
      // Not 0 however small: minus infinity, the score of what is masked, times 0 is NaN.
      scale(std::max(static_cast<float>(p.scale()), std::numeric_limits<float>::min())) {
  if (p.options.dropout_p > 0) {
    dropout.threshold = drop_threshold(p.options.dropout_p);
    dropout.keep_scale = static_cast<float>(1.0 / (1.0 - p.options.dropout_p));
  }
  at::Tensor first_key;
  if (p.options.first_key) first_key = p.options.first_key->contiguous();
  const int64_t rows = first_key.defined() ? batch : 1;
  visible.resize(rows * blocks);
  run_tasks(rows, [&](int64_t b, int) {
    const int32_t* first = first_key.defined() ? first_key.const_data_ptr<int32_t>() + b * queries : nullptr;
    for (int64_t block = 0; block < blocks; ++block) visible[b * blocks + block] = make_visible(*this, block, first);
  });
}

void FlashProblem::hash_rows(int64_t batch_index, int64_t head, int64_t block, int64_t pair, uint32_t* hashes) const {
  for (int64_t i = 0; i < kQueryBlock; ++i)
    hashes[i] = hash_row({problem.options.dropout_seed, batch_index, head, block * kQueryBlock + i, pair});
}

Geometry make_geometry(const KernelTable& kernels, int64_t head_width) {
  Geometry g;
  g.width = static_cast<int>(head_width);
  g.pair = kernels.pair;
  g.row_words = (g.width + g.pair - 1) / g.pair;
  g.lane_words = (g.width + 15) / 16 * 16;
  return g;
}

int64_t rows_panel_words(const Geometry& geometry, int64_t keys) {
  return (keys * geometry.row_words + 15) / 16 * 16;
}

int64_t pairs_panel_words(const Geometry& geometry, int64_t keys) {
  return (keys + geometry.pair - 1) / geometry.pair * geometry.lane_words;
}

void PackJobs::add(const Job& job, int64_t batch) {
  jobs_.push_back(job);
  first_task_.push_back(tasks_);
  tasks_ += batch * job.heads * job.chunks();
}

void PackJobs::run(int64_t task) const {
  const auto found = std::upper_bound(first_task_.begin(), first_task_.end(), task) - 1;
  const Job& job = jobs_[found - first_task_.begin()];
  const int64_t index = task - *found, chunk = index % job.chunks(), panel = index / job.chunks();
  const int64_t first = chunk * kKeys;
  job.pack(job.geometry, job.source.view(panel / job.heads, panel % job.heads, first), job.element,
           static_cast<int>(std::min(kKeys, job.keys - first)),
           job.panels + panel * job.panel_words + chunk * job.chunk_words);
}

namespace {

PackJobs::Job make_job(const at::Tensor& source, const KernelTable& kernels) {
  PackJobs::Job job;
  job.source = HeadRows(source);
  job.heads = source.size(1);
  job.keys = source.size(2);
  job.element = element_of(source);
  job.geometry = make_geometry(kernels, source.size(3));
  return job;
}

int64_t bytes_of(int64_t panels, int64_t words) {
  return panels * words * static_cast<int64_t>(sizeof(uint32_t)) + 64;
}

Buffer room_for(const PackJobs::Job& job, int64_t batch, void* memory) {
  return memory != nullptr ? Buffer::at(memory) : Buffer(bytes_of(batch * job.heads, job.panel_words));
}

}  // namespace

PanelBytes panel_bytes(const KernelTable& kernels, at::IntArrayRef source_sizes) {
  const Geometry geometry = make_geometry(kernels, source_sizes[3]);
  const int64_t panels = source_sizes[0] * source_sizes[1], keys = source_sizes[2];
  return {bytes_of(panels, rows_panel_words(geometry, keys)), bytes_of(panels, pairs_panel_words(geometry, keys))};
}

void Panels::forget() {
  rows_ = Buffer();
  pairs_ = Buffer();
}

void Panels::lie_in(void* rows, void* pairs) {
  forget();
  rows_memory_ = rows;
  pairs_memory_ = pairs;
}

void Panels::want_rows(const at::Tensor& source, const KernelTable& kernels, PackJobs& jobs) {
  if (!rows_.empty()) return;
  PackJobs::Job job = make_job(source, kernels);
  job.pack = kernels.pack_rows;
  job.panel_words = rows_panel_words(job.geometry, job.keys);
  job.chunk_words = PackJobs::kKeys * job.geometry.row_words;
  rows_ = room_for(job, source.size(0), rows_memory_);
  job.panels = rows_.words();
  jobs.add(job, source.size(0));
}

void Panels::want_pairs(const at::Tensor& source, const KernelTable& kernels, PackJobs& jobs) {
  if (!pairs_.empty()) return;
  PackJobs::Job job = make_job(source, kernels);
  job.pack = kernels.pack_pairs;
  job.panel_words = pairs_panel_words(job.geometry, job.keys);
  job.chunk_words = PackJobs::kKeys / job.geometry.pair * job.geometry.lane_words;
  pairs_ = room_for(job, source.size(0), pairs_memory_);
  job.panels = pairs_.words();
  jobs.add(job, source.size(0));
}

CallPanels::CallPanels(const FlashProblem& problem, const std::vector<Panels*>& given)
    : problem_(problem), given_(given), own_(problem.problem.sources.size()) {}

void CallPanels::want_for_forward(PackJobs& jobs) {
  const auto& sources = problem_.problem.sources;
  for (const auto& list : problem_.problem.pairs)
    for (const Pair& pair : list) {
      panels(pair.key_tensor).want_rows(sources[pair.key_tensor], problem_.kernels, jobs);
      panels(pair.value_tensor).want_pairs(sources[pair.value_tensor], problem_.kernels, jobs);
    }
}

void CallPanels::want_for_backward(PackJobs& jobs) {
  const auto& sources = problem_.problem.sources;
  for (const auto& list : problem_.problem.pairs)
    for (const Pair& pair : list) {
      panels(pair.key_tensor).want_rows(sources[pair.key_tensor], problem_.kernels, jobs);
      panels(pair.key_tensor).want_pairs(sources[pair.key_tensor], problem_.kernels, jobs);
      panels(pair.value_tensor).want_rows(sources[pair.value_tensor], problem_.kernels, jobs);
    }
}

const uint32_t* CallPanels::rows(int64_t tensor, int64_t batch, int64_t head) const {
  return panels(tensor).rows() +
         (batch * problem_.problem.sources[tensor].size(1) + head) * rows_panel_words(problem_.geometry, problem_.keys);
}

const uint32_t* CallPanels::pairs(int64_t tensor, int64_t batch, int64_t head) const {
  return panels(tensor).pairs() + (batch * problem_.problem.sources[tensor].size(1) + head) *
                                      pairs_panel_words(problem_.geometry, problem_.keys);
}

}  // namespace skipattn::attention::cpu
