// attend() by fused calls, with plain operations for the device's kernels: buffers that exist, sources with several readers,
// against autograd through the definition in fp64; and how many calls the layers of named routings take.
#include "skipattn/model/attend_cuda.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "skipattn/attention/cuda/grouping.h"
#include "skipattn/attention/cuda/routed.h"
#include "skipattn/attention/routed_attention.h"
#include "skipattn/model/test_models.h"

namespace skipattn::model {
namespace {

using attention::cuda::FusedCall;

/// Plain operations, one head group at a time, without masks.
class Plain final : public attention::cuda::FusedAttention {
 public:
  const char* name() const override { return "plain"; }
  bool supports(const FusedCall&) const override { return true; }
  attention::Result forward(const FusedCall& call) const override {
    const at::Tensor s = scores(call);
    return {at::matmul(at::softmax(s, -1), wide(call, call.value)), at::logsumexp(s, -1)};
  }
  attention::cuda::FusedGradients backward(const FusedCall& call,
                                           const attention::BackwardInput& input) const override {
    const at::Tensor p = (scores(call) - input.logsumexp.unsqueeze(-1)).exp();
    const at::Tensor row_sums = (input.grad_output * input.output).sum(-1, true);
    const at::Tensor ds =
        p * (at::matmul(input.grad_output, wide(call, call.value).transpose(2, 3)) - row_sums) * call.scale;
    return {at::matmul(ds, wide(call, call.key)), narrow(call, at::matmul(ds.transpose(2, 3), call.query)),
            narrow(call, at::matmul(p.transpose(2, 3), input.grad_output))};
  }

 private:
  static int64_t group(const FusedCall& call) { return call.heads() / call.kv_heads(); }
  static at::Tensor wide(const FusedCall& call, const at::Tensor& t) { return t.repeat_interleave(group(call), 1); }
  static at::Tensor narrow(const FusedCall& call, const at::Tensor& t) {
    return t.unflatten(1, {call.kv_heads(), group(call)}).sum(2);
  }
  static at::Tensor scores(const FusedCall& call) {
    const at::Tensor s = at::matmul(call.query, wide(call, call.key).transpose(2, 3)) * call.scale;
    const at::Tensor seen = at::ones({call.queries(), call.keys()}, at::kBool).tril();
    return s.masked_fill(seen.logical_not(), -INFINITY);
  }
};

class NoClock final : public attention::cuda::Clock {
 public:
  bool is_ready() const override { return false; }
  double milliseconds(const std::function<void()>&) override { return 0; }
};

constexpr int64_t kBatch = 2, kLength = 11;

/// The attention of all layers of a model, each on projections of its own, with readers of lower layers' keys and values.
class Stack {
 public:
  explicit Stack(const Decoder& decoder) : layouts_(decoder.layouts()) {
    at::manual_seed(3);
    for (const LayerLayout& layout : layouts_) {
      const int64_t rows = layout.heads + layout.live_keys + layout.live_values;
      qkv.push_back(at::randn({kBatch, kLength, rows * layout.head_width}, at::kDouble));
      weights.push_back(at::randn({kBatch, layout.heads, kLength, layout.head_width}, at::kDouble));
    }
  }

  /// Of a projection of layer l: its heads [begin, begin + count) as [B, count, T, d].
  at::Tensor heads(int64_t l, const at::Tensor& projection, int64_t begin, int64_t count) const {
    const int64_t width = layouts_[l].head_width;
    return projection.narrow(2, begin * width, count * width).unflatten(2, {count, width}).transpose(1, 2);
  }
  at::Tensor query(int64_t l, const at::Tensor& projection) const { return heads(l, projection, 0, layouts_[l].heads); }
  at::Tensor source(const LayerLayout::SourceTensor& s, const at::Tensor& projection) const {
    const LayerLayout& layout = layouts_[s.layer];
    return s.is_value ? heads(s.layer, projection, layout.heads + layout.live_keys, layout.live_values)
                      : heads(s.layer, projection, layout.heads, layout.live_keys);
  }

  /// The highest layer above the source's own that reads it, or -1.
  int64_t last_reader(const LayerLayout::SourceTensor& s) const {
    int64_t last = -1;
    for (const LayerLayout& layout : layouts_)
      for (const auto& other : layout.sources)
        if (layout.layer > s.layer && other.layer == s.layer && other.is_value == s.is_value) last = layout.layer;
    return last;
  }

  AttentionInput input(int64_t l) const {
    AttentionInput result;
    result.query = query(l, qkv[l]);
    for (const auto& s : layouts_[l].sources) result.sources.push_back(source(s, qkv[s.layer]));
    result.pairs = &layouts_[l].pairs;
    return result;
  }

  std::vector<at::Tensor> qkv, weights;
  const std::vector<LayerLayout>& layouts() const { return layouts_; }

 private:
  const std::vector<LayerLayout>& layouts_;
};

/// Gradients of sum(attended * weights) over all layers with respect to all projections, by autograd through the definition.
std::vector<at::Tensor> true_gradients(Stack& stack) {
  std::vector<at::Tensor> sums;
  for (at::Tensor& projection : stack.qkv) projection.requires_grad_();
  for (const LayerLayout& layout : stack.layouts()) {
    const AttentionInput in = stack.input(layout.layer);
    const at::Tensor output = attention::routed_attention_reference(in.query, in.sources, *in.pairs, in.options).output;
    sums.push_back((output * stack.weights[layout.layer]).sum());
  }
  const auto gradients = torch::autograd::grad({at::stack(sums).sum()}, stack.qkv);
  for (at::Tensor& projection : stack.qkv) projection = projection.detach();
  return gradients;
}

/// The same as a training pass does it: layer by layer from the top, sums of several readers in buffers.
std::vector<at::Tensor> our_gradients(const Stack& stack, attention::cuda::Choice& choice) {
  std::vector<at::Tensor> gradients;
  for (const at::Tensor& projection : stack.qkv) gradients.push_back(at::full_like(projection, NAN));
  std::map<std::pair<int64_t, bool>, at::Tensor> lent;
  const auto& layouts = stack.layouts();
  for (auto layout = layouts.rbegin(); layout != layouts.rend(); ++layout) {
    const int64_t l = layout->layer;
    const AttentionInput in = stack.input(l);
    const AttentionOutput out{at::full({kBatch, kLength, layout->heads, layout->head_width}, NAN, at::kDouble),
                              at::full({kBatch, layout->heads, kLength}, NAN, at::kDouble)};
    attend_by_calls(in, out, choice);
    std::vector<SourceGradient> targets;
    for (const auto& s : layout->sources) {
      SourceGradient target;
      const int64_t last = stack.last_reader(s);
      if (last >= 0) {
        at::Tensor& sum = lent[{s.layer, s.is_value}];
        if (!sum.defined()) sum = at::full_like(stack.source(s, stack.qkv[s.layer]), NAN);
        target.sum = sum;
      }
      target.first = last == l;
      if (s.layer == l) target.finished = stack.source(s, gradients[l]);
      targets.push_back(target);
    }
    attend_backward_by_calls(in, out, stack.weights[l].transpose(1, 2).contiguous(), stack.query(l, gradients[l]),
                             targets, choice);
    for (const bool is_value : {false, true}) {  // what this layer lends and does not read
      const LayerLayout::SourceTensor own{l, is_value};
      const bool reads = std::any_of(layout->sources.begin(), layout->sources.end(),
                                     [&](const auto& s) { return s.layer == l && s.is_value == is_value; });
      if (!reads && stack.last_reader(own) >= 0) stack.source(own, gradients[l]).copy_(lent.at({l, is_value}));
    }
  }
  return gradients;
}

TEST(AttendByCalls, GradientsReachEveryReadersSources) {
  Plain plain;
  NoClock clock;
  attention::cuda::Choice choice({&plain}, clock);
  for (const std::string& routing : testing::routings_of_every_kind()) {
    for (const bool grouped : {false, true}) {
      const Decoder decoder(grouped ? testing::small_llama(routing) : testing::small_config(routing));
      Stack stack(decoder);
      const auto truth = true_gradients(stack), ours = our_gradients(stack, choice);
      for (size_t l = 0; l < truth.size(); ++l)
        EXPECT_LT(testing::largest_difference(ours[l], truth[l]), 1e-12) << routing << " layer " << l;
    }
  }
}

TEST(AttendByCalls, WritesWhatTheOperatorGives) {
  Plain plain;
  NoClock clock;
  attention::cuda::Choice choice({&plain}, clock);
  for (const std::string& routing : testing::routings_of_every_kind()) {
    const Decoder decoder(testing::small_config(routing));
    const Stack stack(decoder);
    for (const LayerLayout& layout : stack.layouts()) {
      const AttentionInput in = stack.input(layout.layer);
      const AttentionOutput out{at::full({kBatch, kLength, layout.heads, layout.head_width}, NAN, at::kDouble),
                                at::full({kBatch, layout.heads, kLength}, NAN, at::kDouble)};
      attend_by_calls(in, out, choice);
      const auto truth = attention::routed_attention_reference(in.query, in.sources, *in.pairs, in.options);
      EXPECT_TRUE(at::allclose(out.attended.transpose(1, 2), truth.output, 1e-12, 1e-12)) << routing;
      EXPECT_TRUE(at::allclose(out.logsumexp, truth.logsumexp, 1e-12, 1e-12)) << routing;
    }
  }
}

/// The most calls that a layer of a model of 12 layers of 12 heads takes.
size_t most_calls(const std::string& routing, int64_t kv_heads = 12) {
  ModelConfig config = testing::small_config("baseline");
  config.layers = config.heads = 12;
  config.kv_heads = kv_heads;
  config.width = 96;
  config.head_width = 8;
  config.routing = routing;
  const Decoder decoder(config);
  size_t most = 0;
  for (const LayerLayout& layout : decoder.layouts())
    most = std::max(most, attention::cuda::group_heads(layout.pairs).size());
  return most;
}

TEST(Calls, AreFew) {
  EXPECT_EQ(most_calls("baseline"), 1);
  EXPECT_EQ(most_calls("sla(distance=9, heads=9)"), 2);
  EXPECT_EQ(most_calls("sla(distance=9, heads=9, which=first)"), 2);
  EXPECT_EQ(most_calls("sla(distance=3, heads=6, which=every)"), 2);
  EXPECT_EQ(most_calls("sla(distance=9, heads=9, keys=own)"), 2);
  EXPECT_EQ(most_calls("sla(distance=9, heads=9, values=own)"), 2);
  EXPECT_EQ(most_calls("skipv1(heads=1/2)"), 2);
  EXPECT_EQ(most_calls("cla(group=2)"), 1);
  EXPECT_EQ(most_calls("yoco(split=1/2)"), 1);
  EXPECT_EQ(most_calls("sla(distance=9, heads=3)", 4), 2);
}

}  // namespace
}  // namespace skipattn::model
