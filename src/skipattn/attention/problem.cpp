#include "skipattn/attention/problem.h"

#include <algorithm>
#include <cmath>

namespace skipattn::attention {
namespace {

constexpr const char* kOperator = "routed_attention: ";

bool is_supported(at::ScalarType dtype) {
  return dtype == at::kFloat || dtype == at::kBFloat16 || dtype == at::kDouble;
}

void check_query(const at::Tensor& query) {
  TORCH_CHECK_VALUE(query.dim() == 4, kOperator, "query must be [B, H, T, d], got ", query.sizes());
  TORCH_CHECK_VALUE(
      query.size(1) > 0 && query.size(3) > 0, kOperator,
      "query must have at least one head and a head width of at least 1, got [B, H, T, d] = ", query.sizes());
  TORCH_CHECK_VALUE(is_supported(query.scalar_type()), kOperator, "query must be float32, bfloat16 or float64, got ",
                    query.scalar_type());
}

void check_source(const Problem& problem, size_t index) {
  const at::Tensor& source = problem.sources[index];
  const at::Tensor& query = problem.query;
  TORCH_CHECK_VALUE(source.dim() == 4, kOperator, "sources[", index, "] must be [B, heads, S, d], got ",
                    source.sizes());
  TORCH_CHECK_VALUE(source.size(0) == query.size(0) && source.size(3) == query.size(3), kOperator, "sources[", index,
                    "] must have query's batch ", query.size(0), " and head width ", query.size(3),
                    ", got [B, heads, S, d] = ", source.sizes());
  TORCH_CHECK_VALUE(source.size(2) == problem.sources[0].size(2), kOperator, "sources[", index,
                    "] must hold as many keys as sources[0], S = ", problem.sources[0].size(2),
                    ", got S = ", source.size(2));
  TORCH_CHECK_VALUE(source.scalar_type() == query.scalar_type(), kOperator, "sources[", index,
                    "] must have query's dtype ", query.scalar_type(), ", got ", source.scalar_type());
  TORCH_CHECK_VALUE(source.device() == query.device(), kOperator, "sources[", index, "] must be on query's device ",
                    query.device(), ", got ", source.device());
  TORCH_CHECK_VALUE(source.stride(3) == 1 || source.size(3) == 1 || source.numel() == 0, kOperator, "sources[", index,
                    "] must have unit stride in its last dimension, got strides ", source.strides());
}

void check_side(const Problem& problem, size_t kv_head, const char* side, int64_t tensor, int64_t head) {
  const auto count = static_cast<int64_t>(problem.sources.size());
  TORCH_CHECK_VALUE(tensor >= 0 && tensor < count, kOperator, "KV head ", kv_head, " reads its ", side,
                    " from sources[", tensor, "], but there are ", count, " sources");
  const int64_t heads = problem.sources[tensor].size(1);
  TORCH_CHECK_VALUE(head >= 0 && head < heads, kOperator, "KV head ", kv_head, " reads its ", side, " from head ", head,
                    " of sources[", tensor, "], which has ", heads, " heads");
}

void check_pairs(const Problem& problem) {
  TORCH_CHECK_VALUE(!problem.pairs.empty() && problem.heads() % problem.kv_heads() == 0, kOperator,
                    "query heads must be a multiple of the KV heads (lists of pairs), got ", problem.heads(),
                    " query heads and ", problem.kv_heads(), " KV heads");
  for (size_t head = 0; head < problem.pairs.size(); ++head) {
    for (const Pair& pair : problem.pairs[head]) {
      check_side(problem, head, "keys", pair.key_tensor, pair.key_head);
      check_side(problem, head, "values", pair.value_tensor, pair.value_head);
    }
  }
}

void check_options(const Problem& problem) {
  const Options& options = problem.options;
  TORCH_CHECK_VALUE(options.dropout_p >= 0.0 && options.dropout_p < 1.0, kOperator, "dropout_p must be in [0, 1), got ",
                    options.dropout_p);
  TORCH_CHECK_VALUE(!options.scale || (std::isfinite(*options.scale) && *options.scale > 0), kOperator,
                    "scale must be positive and finite, got ", *options.scale);
  if (!options.first_key) return;
  const at::Tensor& first_key = *options.first_key;
  const at::Tensor& query = problem.query;
  TORCH_CHECK_VALUE(first_key.dim() == 2 && first_key.size(0) == query.size(0) && first_key.size(1) == query.size(2),
                    kOperator, "first_key must be [B, T] = [", query.size(0), ", ", query.size(2), "], got ",
                    first_key.sizes());
  TORCH_CHECK_VALUE(first_key.scalar_type() == at::kInt, kOperator, "first_key must be int32, got ",
                    first_key.scalar_type());
  TORCH_CHECK_VALUE(first_key.device() == query.device(), kOperator, "first_key must be on query's device ",
                    query.device(), ", got ", first_key.device());
}

}  // namespace

double Problem::scale() const {
  return options.scale ? *options.scale : 1.0 / std::sqrt(static_cast<double>(head_width()));
}

at::ScalarType accumulate_dtype(at::ScalarType dtype) {
  return dtype == at::kDouble ? at::kDouble : at::kFloat;
}

at::ScalarType Problem::accumulate_dtype() const {
  return attention::accumulate_dtype(query.scalar_type());
}

FlatRoutes flatten_pairs(const HeadPairs& pairs) {
  FlatRoutes flat;
  flat.offsets.push_back(0);
  for (const auto& head : pairs) {
    for (const Pair& pair : head) {
      flat.routes.insert(flat.routes.end(), {pair.key_tensor, pair.key_head, pair.value_tensor, pair.value_head});
    }
    flat.offsets.push_back(static_cast<int64_t>(flat.routes.size() / 4));
  }
  return flat;
}

HeadPairs unflatten_pairs(at::IntArrayRef routes, at::IntArrayRef offsets) {
  const auto count = static_cast<int64_t>(routes.size() / 4);
  TORCH_CHECK_VALUE(routes.size() % 4 == 0, kOperator,
                    "routes must hold four numbers a pair (key tensor, key head, value tensor, value head), got ",
                    routes.size(), " numbers");
  TORCH_CHECK_VALUE(offsets.size() >= 2 && offsets.front() == 0 && offsets.back() == count, kOperator,
                    "route_offsets must go from 0 to the number of pairs, ", count, ", got ", offsets);
  TORCH_CHECK_VALUE(std::is_sorted(offsets.begin(), offsets.end()), kOperator, "route_offsets must not descend, got ",
                    offsets);
  HeadPairs pairs(offsets.size() - 1);
  for (size_t head = 0; head + 1 < offsets.size(); ++head) {
    for (int64_t i = offsets[head]; i < offsets[head + 1]; ++i) {
      pairs[head].push_back({routes[4 * i], routes[4 * i + 1], routes[4 * i + 2], routes[4 * i + 3]});
    }
  }
  return pairs;
}

void check_problem(const Problem& problem) {
  check_query(problem.query);
  for (size_t i = 0; i < problem.sources.size(); ++i) check_source(problem, i);
  check_pairs(problem);
  check_options(problem);
}

void check_backward_input(const Problem& problem, const BackwardInput& input) {
  const at::Tensor& query = problem.query;
  const auto check = [&](const char* name, const at::Tensor& tensor, at::IntArrayRef sizes, at::ScalarType dtype) {
    TORCH_CHECK_VALUE(tensor.sizes() == sizes && tensor.scalar_type() == dtype && tensor.device() == query.device(),
                      "routed_attention_backward: ", name, " must be ", sizes, " ", dtype, " on ", query.device(),
                      ", got ", tensor.sizes(), " ", tensor.scalar_type(), " on ", tensor.device());
  };
  check("grad_output", input.grad_output, query.sizes(), query.scalar_type());
  check("output", input.output, query.sizes(), query.scalar_type());
  check("logsumexp", input.logsumexp, query.sizes().slice(0, 3), problem.accumulate_dtype());
}

at::Tensor with_dense_rows(const at::Tensor& tensor) {
  return tensor.stride(3) == 1 || tensor.numel() == 0 ? tensor : tensor.contiguous();
}

Problem with_dense_rows(Problem problem) {
  problem.query = with_dense_rows(problem.query);
  for (at::Tensor& source : problem.sources) source = with_dense_rows(source);
  return problem;
}

at::Tensor empty_heads_inner(c10::SymIntArrayRef sizes, const at::TensorOptions& options) {
  return at::empty_symint({sizes[0], sizes[2], sizes[1], sizes[3]}, options).transpose(1, 2);
}

at::Tensor empty_heads_inner(at::IntArrayRef sizes, const at::TensorOptions& options) {
  return at::empty({sizes[0], sizes[2], sizes[1], sizes[3]}, options).transpose(1, 2);
}

at::Tensor with_heads_inner(const at::Tensor& tensor) {
  return tensor.transpose(1, 2).contiguous().transpose(1, 2);
}

}  // namespace skipattn::attention
