// What lies around the tensors: inputs are views, unaligned and with odd strides, into memory full of NaN, and outputs
// into memory full of marks. Nothing of it may be read with effect, and no mark written over.
#include <gtest/gtest.h>

#include <limits>

#include "skipattn/attention/cases_test.h"
#include "skipattn/attention/cpu/flash.h"
#include "skipattn/attention/cpu/level.h"

namespace skipattn::attention::test {
namespace {

/// A tensor [B, heads, length, d] with gaps everywhere: before it, after each head, each row, each batch element.
struct Walled {
  at::Tensor memory;  ///< all of it, flat
  at::Tensor view;

  Walled(at::IntArrayRef sizes, at::ScalarType dtype, double filling) {
    constexpr int64_t kBefore = 11, kAfter = 300;
    const int64_t head = sizes[3] + 3, row = sizes[1] * head + 6, batch = sizes[2] * row + 7;
    memory = at::full({kBefore + sizes[0] * batch + kAfter}, filling, at::TensorOptions().dtype(dtype));
    view = memory.as_strided(sizes, {batch, head, row, 1}, kBefore);
  }
  /// The same numbers in the midst of NaN.
  explicit Walled(const at::Tensor& tensor)
      : Walled(tensor.sizes(), tensor.scalar_type(), std::numeric_limits<double>::quiet_NaN()) {
    view.copy_(tensor);
  }
};

constexpr double kMark = -7;

/// Whether everything around the view is as it was.
bool is_untouched(const Walled& walled) {
  const at::Tensor numbers = walled.view.clone();
  walled.view.fill_(kMark);
  const bool untouched = walled.memory.eq(kMark).all().item<bool>();
  walled.view.copy_(numbers);
  return untouched;
}

void expect_walls_stand(const Case& c, const std::string& level) {
  const ::testing::ScopedTrace trace(__FILE__, __LINE__, ::testing::PrintToString(c) + " " + level);
  const ForcedLevel forced(level);
  const Inputs inputs = make_inputs(c);
  const Outcome dense = run(routed_attention, inputs.to(c.dtype, true));

  const cpu::KernelTable& kernels = *cpu::choose_kernels(cpu::choose_level(), c.dtype, c.head_width);
  const Walled query(inputs.query), grad_output(inputs.grad_output);
  std::vector<Walled> sources, grad_sources;
  Problem problem{query.view, {}, inputs.pairs, inputs.options};
  for (const at::Tensor& source : inputs.sources) {
    sources.emplace_back(source);
    problem.sources.push_back(sources.back().view);
  }
  const Walled output(query.view.sizes(), c.dtype, kMark), grad_query(query.view.sizes(), c.dtype, kMark);
  const at::Tensor logsumexps = at::full({dense.result.logsumexp.numel() + 64}, kMark);
  const at::Tensor logsumexp =
      logsumexps.narrow(0, 1, dense.result.logsumexp.numel()).view(dense.result.logsumexp.sizes());
  cpu::flash_forward(problem, kernels, {}, {output.view, logsumexp});
  EXPECT_TRUE(at::equal(output.view, dense.result.output));
  EXPECT_TRUE(at::equal(logsumexp, dense.result.logsumexp));
  EXPECT_TRUE(is_untouched(output));
  EXPECT_TRUE(logsumexps.narrow(0, logsumexp.numel() + 1, 63).eq(kMark).all().item<bool>());
  EXPECT_EQ(logsumexps[0].item<double>(), kMark);

  cpu::FlashBackward call{grad_output.view, output.view, logsumexp, grad_query.view};
  for (const Walled& source : sources) {
    grad_sources.emplace_back(source.view.sizes(), c.dtype, kMark);
    call.sources.push_back({grad_sources.back().view});
  }
  cpu::flash_backward(problem, kernels, {}, call);
  EXPECT_TRUE(at::equal(grad_query.view, dense.grad_query));
  EXPECT_TRUE(is_untouched(grad_query));
  for (size_t i = 0; i < sources.size(); ++i) {
    EXPECT_TRUE(is_untouched(grad_sources[i])) << i;
    for (int64_t head = 0; head < c.kv_heads; ++head) {
      const at::Tensor ours = grad_sources[i].view.select(1, head);
      const bool is_left_alone = ours.eq(kMark).all().item<bool>();  // a head that nobody reads
      EXPECT_TRUE(at::equal(ours, dense.grad_sources[i].select(1, head)) ||
                  (is_left_alone && dense.grad_sources[i].select(1, head).eq(0).all().item<bool>()))
          << i << " head " << head;
    }
  }
}

TEST(Walls, AreNeitherReadNorWritten) {
  const OneThread one_thread;
  size_t turn = 0;
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16})
    for (const std::string& level : levels_for(dtype, /*with_torch=*/false))
      for (const int64_t width : {1, 15, 16, 17, 33, 64, 80, 129})
        for (const int64_t queries : {1, 65, 259}) {
          constexpr std::array<Routes, 4> kRoutes = {Routes::kOwn, Routes::kJointTwo, Routes::kSkip,
                                                     Routes::kSomeEmpty};
          expect_walls_stand({.heads = 4,
                              .kv_heads = 2,
                              .queries = queries,
                              .earlier_keys = static_cast<int64_t>(turn % 3) * 7 - (queries > 7 ? 6 : 0),
                              .head_width = width,
                              .dtype = dtype,
                              .causal = turn % 4 != 1,
                              .first = turn % 5 == 0 ? First::kAnyOrder : First::kNone,
                              .routes = kRoutes[turn % 4],
                              .dropout_p = turn % 7 == 0 ? 0.3 : 0.0},
                             level);
          ++turn;
        }
}

}  // namespace
}  // namespace skipattn::attention::test
