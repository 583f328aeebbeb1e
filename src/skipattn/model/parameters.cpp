// What a parameter is; which there are is parameter_table.cpp.
#include "skipattn/model/parameters.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <functional>
#include <numeric>

#include "skipattn/core/random.h"

namespace skipattn::model {

namespace {

/// How many of `rows` lie in [begin, end).
int64_t count_rows(const std::vector<std::pair<int64_t, int64_t>>& rows, int64_t begin, int64_t end) {
  int64_t count = 0;
  for (const auto& [first, last] : rows) count += std::max<int64_t>(0, std::min(last, end) - std::max(first, begin));
  return count;
}

}  // namespace

int64_t ParameterSpec::live_row_count() const {
  return count_rows(live_rows, 0, baseline_shape[0]);
}

std::vector<int64_t> ParameterSpec::shape() const {
  std::vector<int64_t> result = baseline_shape;
  result[0] = live_row_count();
  return result;
}

int64_t ParameterSpec::elements() const {
  const std::vector<int64_t> sizes = shape();
  return std::accumulate(sizes.begin(), sizes.end(), int64_t{1}, std::multiplies<>());
}

bool ParameterSpec::is_complete() const {
  return live_row_count() == baseline_shape[0];
}

std::vector<StoredPart> ParameterSpec::stored_parts() const {
  const std::vector<FilePart> whole = {{name, 0, baseline_shape[0]}};
  std::vector<StoredPart> result;
  int64_t first = 0;
  for (const FilePart& part : parts.empty() ? whole : parts) {
    StoredPart stored{part.name, first, count_rows(live_rows, part.begin, part.end), shape()};
    first += stored.rows;
    stored.shape[0] = stored.rows;
    if (transposed_in_file) std::swap(stored.shape[0], stored.shape[1]);
    if (stored.rows > 0) result.push_back(std::move(stored));
  }
  return result;
}

int64_t ParameterTable::elements() const {
  int64_t total = 0;
  for (const ParameterSpec& spec : specs) total += spec.elements();
  return total;
}

at::Tensor initial_value(const ParameterSpec& spec, uint64_t seed) {
  const auto options = at::TensorOptions(at::kFloat);
  if (spec.init == Init::kZeros) return at::zeros(spec.shape(), options);
  if (spec.init == Init::kOnes) return at::ones(spec.shape(), options);
  at::Generator generator = at::detail::createCPUGenerator(derive_seed(seed, spec.name));
  const at::Tensor baseline = at::empty(spec.baseline_shape, options).normal_(0.0, spec.deviation, generator);
  return take_live_rows(baseline, spec).contiguous();
}

at::Tensor take_live_rows(const at::Tensor& baseline, const ParameterSpec& spec) {
  if (spec.is_complete()) return baseline;
  std::vector<at::Tensor> blocks = {baseline.slice(0, 0, 0)};  // where nothing is live
  for (const auto& [begin, end] : spec.live_rows) blocks.push_back(baseline.slice(0, begin, end));
  return at::cat(blocks, 0);
}

}  // namespace skipattn::model
