#include "skipattn/model/cpu/kernels.h"

#include "skipattn/model/cpu/rows.h"

namespace skipattn::model::cpu {

namespace {

/// b: null for nothing to add.
template <typename T>
SKIPATTN_INLINE void add_rows(const T* a, const T* b, float* sum, int64_t width) {
  for (int64_t i = 0; i < width; i += simd::kLanes) {
    const int lanes = simd::lanes_from(width - i);
    const simd::Floats value = simd::load(a + i, lanes);
    simd::store(sum + i, b == nullptr ? value : value + simd::load(b + i, lanes), lanes);
  }
}
SKIPATTN_SIMD void add_two_rows(const float* a, const float* b, float* sum, int64_t width) {
  add_rows(a, b, sum, width);
}
SKIPATTN_SIMD void add_two_rows(const Bf16* a, const Bf16* b, float* sum, int64_t width) {
  add_rows(a, b, sum, width);
}

/// Columns [begin, end) of all rows.
SKIPATTN_SIMD void scatter_columns(float* table, const int64_t* ids, const float* gradient, int64_t rows, int64_t width,
                                   int64_t begin, int64_t end) {
  for (int64_t row = 0; row < rows; ++row) {
    float* to = table + ids[row] * width;
    const float* from = gradient + row * width;
    for (int64_t i = begin; i < end; i += simd::kLanes) {
      const int lanes = simd::lanes_from(end - i);
      simd::store(to + i, simd::load(to + i, lanes) + simd::load(from + i, lanes), lanes);
    }
  }
}

void check_ids(const at::Tensor& ids, const at::Tensor& table, const char* what) {
  const auto* id = ids.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < ids.numel(); ++i)
    TORCH_CHECK_INDEX(id[i] >= 0 && id[i] < table.size(0), what, " ", id[i], ": the model has ", table.size(0));
}

}  // namespace

void embed(const at::Tensor& token_table, const at::Tensor& token_ids, const at::Tensor& position_table,
           const at::Tensor& position_ids, const at::Tensor& residual) {
  const int64_t width = residual.size(-1);
  check_ids(token_ids, token_table, "token");
  const bool placed = position_table.defined();
  if (placed) check_ids(position_ids, position_table, "position");
  const auto* tokens = token_ids.const_data_ptr<int64_t>();
  const auto* positions = position_ids.const_data_ptr<int64_t>();
  auto* out = data<float>(residual);
  with_element_type(token_table, [&](auto element) {
    using T = decltype(element);
    const T *token_rows = data<T>(token_table), *position_rows = placed ? data<T>(position_table) : nullptr;
    at::parallel_for(0, token_ids.numel(), 64, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        add_two_rows(token_rows + tokens[i] * width, placed ? position_rows + positions[i] * width : nullptr,
                     out + i * width, width);
    });
  });
}

void add_embedding_gradient(const at::Tensor& table_gradient, const at::Tensor& ids, const at::Tensor& gradient) {
  const int64_t width = gradient.size(-1), rows = ids.numel();
  auto* table = data<float>(table_gradient);
  const auto* id = ids.const_data_ptr<int64_t>();
  const auto* from = data<float>(gradient);
  // Cut along the columns: rows of the table may be hit by any token.
  at::parallel_for(0, width, 64,
                   [&](int64_t begin, int64_t end) { scatter_columns(table, id, from, rows, width, begin, end); });
}

void set_to_zero(const at::Tensor& tensor) {
  auto* bytes = static_cast<char*>(tensor.data_ptr());
  at::parallel_for(0, static_cast<int64_t>(tensor.nbytes()), 1 << 20,
                   [&](int64_t begin, int64_t end) { std::memset(bytes + begin, 0, end - begin); });
}

}  // namespace skipattn::model::cpu
