#include "skipattn/attention/cuda/routed.h"

#include <ATen/ATen.h>

#include "skipattn/attention/cuda/blocks.h"
#include "skipattn/attention/cuda/merge.h"
#include "skipattn/attention/cuda/views.h"

namespace skipattn::attention::cuda {
namespace {

/// The calls of one problem.
class Calls {
 public:
  Calls(const Problem& problem, const KeyPattern* pattern) : problem_(problem), pattern_(pattern) {
    if (pattern_ != nullptr) return;
    found_ = key_pattern_of(problem.options, problem.keys());
    pattern_ = found_.get();
  }

  const std::vector<HeadGroup>& groups() const { return groups_; }

  FusedCall call(const HeadGroup& group) const {
    return {queries(problem_.query, group),
            keys(problem_.sources[group.key_tensor], group, group.key_heads),
            keys(problem_.sources[group.value_tensor], group, group.value_heads),
            problem_.options.causal,
            problem_.scale(),
            pattern_};
  }

  /// Of a tensor over query heads.
  at::Tensor queries(const at::Tensor& tensor, const HeadGroup& group) const {
    return gather_queries(tensor, group.heads, problem_.group_size());
  }

  BackwardInput backward_input(const BackwardInput& input, const HeadGroup& group) const {
    return {queries(input.grad_output, group), queries(input.output, group), queries(input.logsumexp, group)};
  }

 private:
  static at::Tensor keys(const at::Tensor& source, const HeadGroup& group, const HeadRange& heads) {
    return group.reads_one_head() ? source.narrow(1, heads.first, 1) : select_heads(source, heads);
  }

  const Problem& problem_;
  const KeyPattern* pattern_;
  std::shared_ptr<const KeyPattern> found_;
  std::vector<HeadGroup> groups_ = group_heads(problem_.pairs);
};

bool is_empty(const Problem& problem) {
  return problem.query.numel() == 0 || problem.keys() == 0;
}

/// What no fused implementation has.
bool needs_reference(const Problem& problem) {
  return problem.options.dropout_p > 0 || reference_is_forced();
}

/// One group of all query heads in order.
bool is_whole(const std::vector<HeadGroup>& groups, const Problem& problem) {
  return groups.size() == 1 && groups[0].heads == HeadRange{0, 1, problem.kv_heads()};
}

Result written(const Result& result, const Result& into) {
  if (!into.output.defined()) return {with_heads_inner(result.output), result.logsumexp};
  copy_rows(into.output, result.output);
  at::Tensor(into.logsumexp).copy_(result.logsumexp);
  return into;
}

Result or_new(const Result& into, const Problem& problem) {
  if (into.output.defined()) return into;
  const at::Tensor& query = problem.query;
  return {empty_heads_inner(query.sizes(), query.options()),
          at::empty(query.sizes().slice(0, 3), query.options().dtype(problem.accumulate_dtype()))};
}

/// How many contributions each head of each source gets: one from each side of each group that reads it.
std::vector<std::vector<int>> expected_contributions(const Problem& problem, const std::vector<HeadGroup>& groups) {
  std::vector<std::vector<int>> counts;
  for (const at::Tensor& source : problem.sources) counts.emplace_back(source.size(1), 0);
  const auto add = [&](int64_t tensor, const HeadRange& heads) {
    for (int64_t i = 0; i < (heads.step == 0 ? 1 : heads.count); ++i) ++counts[tensor][heads.at(i)];
  };
  for (const HeadGroup& group : groups) {
    add(group.key_tensor, group.key_heads);
    add(group.value_tensor, group.value_heads);
  }
  return counts;
}

/// The same for the query's heads.
std::vector<int> expected_for_query(const Problem& problem, const std::vector<HeadGroup>& groups) {
  std::vector<int> counts(problem.heads());
  const int64_t group_size = problem.group_size();
  for (const HeadGroup& group : groups)
    for (int64_t i = 0; i < group.heads.count * group_size; ++i)
      ++counts[group.heads.at(i / group_size) * group_size + i % group_size];
  return counts;
}

/// All gradients of one problem while calls add to them.
class GradientSums {
 public:
  GradientSums(const Problem& problem, const RoutedGradients& targets, const std::vector<HeadGroup>& groups)
      : group_size_(problem.group_size()),
        query_(problem.query, {.finished = targets.query}, expected_for_query(problem, groups)) {
    const auto expected = expected_contributions(problem, groups);
    for (size_t i = 0; i < problem.sources.size(); ++i)
      sources_.emplace_back(problem.sources[i], targets.sources[i], expected[i]);
  }

  void add(const HeadGroup& group, const FusedGradients& part) {
    add_query(group.heads, part.query);
    add_source(group, group.key_tensor, group.key_heads, part.key);
    add_source(group, group.value_tensor, group.value_heads, part.value);
  }

  Gradients finish() {
    Gradients gradients{query_.finish(), {}};
    for (GradientSum& sum : sources_) gradients.sources.push_back(sum.finish());
    return gradients;
  }

 private:
  void add_query(const HeadRange& heads, const at::Tensor& contribution) {
    if (group_size_ == 1 || heads.step == 1 || heads.count == 1) {
      query_.add({heads.first * group_size_, group_size_ == 1 ? heads.step : 1, heads.count * group_size_},
                 contribution);
      return;
    }
    for (int64_t i = 0; i < heads.count; ++i)
      query_.add({heads.at(i) * group_size_, 1, group_size_}, contribution.narrow(1, i * group_size_, group_size_));
  }

  void add_source(const HeadGroup& group, int64_t tensor, const HeadRange& heads, const at::Tensor& contribution) {
    sources_[tensor].add(group.reads_one_head() ? HeadRange{heads.first, 1, 1} : heads, contribution);
  }

  int64_t group_size_;
  GradientSum query_;
  std::vector<GradientSum> sources_;
};

/// Gradients that are made in one piece, into their places.
Gradients placed(const Problem& problem, const Gradients& whole, const RoutedGradients& targets) {
  Gradients result{whole.query, {}};
  if (targets.query.defined()) result.query = at::Tensor(targets.query).copy_(whole.query);
  for (size_t i = 0; i < problem.sources.size(); ++i) {
    const int64_t heads = problem.sources[i].size(1);
    GradientSum sum(problem.sources[i], targets.sources[i], std::vector<int>(heads, 1));
    sum.add({0, 1, heads}, whole.sources[i]);
    result.sources.push_back(sum.finish());
  }
  return result;
}

}  // namespace

Result routed_forward(const Problem& problem, Choice& choice, const KeyPattern* pattern, const Result& into) {
  if (is_empty(problem)) {
    const Result result = or_new(into, problem);
    merge_parts({}, problem.group_size(), result);
    return result;
  }
  if (needs_reference(problem)) return written(blocks_forward(problem), into);
  const Calls calls(problem, pattern);
  std::vector<Part> parts;
  for (const HeadGroup& group : calls.groups()) {
    const FusedCall call = calls.call(group);
    const FusedAttention* implementation = choice.for_forward(call);
    if (implementation == nullptr) return written(blocks_forward(problem), into);
    parts.push_back({group.heads, implementation->forward(call)});
  }
  if (is_whole(calls.groups(), problem)) return written(parts[0].result, into);
  const Result result = or_new(into, problem);
  merge_parts(parts, problem.group_size(), result);
  return result;
}

Gradients routed_backward(const Problem& problem, const BackwardInput& input, Choice& choice, const KeyPattern* pattern,
                          const RoutedGradients& targets) {
  if (is_empty(problem)) return GradientSums(problem, targets, {}).finish();
  if (needs_reference(problem)) return placed(problem, blocks_backward(problem, input), targets);
  const Calls calls(problem, pattern);
  std::vector<const FusedAttention*> implementations;  // all of them before a sum is touched
  for (const HeadGroup& group : calls.groups()) {
    implementations.push_back(choice.for_backward(calls.call(group), calls.backward_input(input, group)));
    if (implementations.back() == nullptr) return placed(problem, blocks_backward(problem, input), targets);
  }
  GradientSums sums(problem, targets, calls.groups());
  for (size_t i = 0; i < implementations.size(); ++i) {
    const HeadGroup& group = calls.groups()[i];
    sums.add(group, implementations[i]->backward(calls.call(group), calls.backward_input(input, group)));
  }
  return sums.finish();
}

}  // namespace skipattn::attention::cuda
