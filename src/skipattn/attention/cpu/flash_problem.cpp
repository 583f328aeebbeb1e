#include "skipattn/attention/cpu/flash_problem.h"

#include <algorithm>

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
    v.first[i] = 0;
    v.last[i] = -1;
    if (i >= count) continue;
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
      scale(static_cast<float>(p.scale())) {
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

namespace {

/// Keys packed by one task.
constexpr int64_t kPackedKeys = 512;

using PackFunction = void (*)(const Geometry&, RowsView, Element, int, uint32_t*);

/// Packs all heads of a source: panel_words words a head, row_words words a packed row of `step` rows.
void pack_source(const at::Tensor& source, const Geometry& geometry, PackFunction pack, int64_t panel_words,
                 int64_t chunk_words, uint32_t* panels) {
  const HeadRows rows(source);
  const int64_t heads = source.size(1), keys = source.size(2), chunks = (keys + kPackedKeys - 1) / kPackedKeys;
  run_tasks(source.size(0) * heads * chunks, [&](int64_t task, int) {
    const int64_t chunk = task % chunks, head = task / chunks % heads, b = task / chunks / heads;
    const int64_t first = chunk * kPackedKeys;
    pack(geometry, rows.view(b, head, first), element_of(source), static_cast<int>(std::min(kPackedKeys, keys - first)),
         panels + (b * heads + head) * panel_words + chunk * chunk_words);
  });
}

}  // namespace

void Panels::forget() {
  rows_ = Buffer();
  pairs_ = Buffer();
  has_rows_ = has_pairs_ = false;
}

const uint32_t* Panels::rows(const at::Tensor& source, const KernelTable& kernels) {
  if (!has_rows_) {
    const Geometry g = make_geometry(kernels, source.size(3));
    const int64_t words = rows_panel_words(g, source.size(2));
    rows_ = Buffer(source.size(0) * source.size(1) * words * sizeof(uint32_t) + 64);
    pack_source(source, g, kernels.pack_rows, words, kPackedKeys * g.row_words, rows_.words());
    has_rows_ = true;
  }
  return rows_.words();
}

const uint32_t* Panels::pairs(const at::Tensor& source, const KernelTable& kernels) {
  if (!has_pairs_) {
    const Geometry g = make_geometry(kernels, source.size(3));
    const int64_t words = pairs_panel_words(g, source.size(2));
    pairs_ = Buffer(source.size(0) * source.size(1) * words * sizeof(uint32_t) + 64);
    pack_source(source, g, kernels.pack_pairs, words, kPackedKeys / g.pair * g.lane_words, pairs_.words());
    has_pairs_ = true;
  }
  return pairs_.words();
}

CallPanels::CallPanels(const FlashProblem& problem, const std::vector<Panels*>& given)
    : problem_(problem), given_(given), own_(problem.problem.sources.size()) {}

const uint32_t* CallPanels::rows(int64_t tensor, int64_t batch, int64_t head) {
  const at::Tensor& source = problem_.problem.sources[tensor];
  return panels(tensor).rows(source, problem_.kernels) +
         (batch * source.size(1) + head) * rows_panel_words(problem_.geometry, problem_.keys);
}

const uint32_t* CallPanels::pairs(int64_t tensor, int64_t batch, int64_t head) {
  const at::Tensor& source = problem_.problem.sources[tensor];
  return panels(tensor).pairs(source, problem_.kernels) +
         (batch * source.size(1) + head) * pairs_panel_words(problem_.geometry, problem_.keys);
}

}  // namespace skipattn::attention::cpu
