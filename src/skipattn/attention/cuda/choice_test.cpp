#include "skipattn/attention/cuda/choice.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "skipattn/attention/cuda/device_clock.h"
#include "skipattn/attention/cuda/stand_in_test.h"

namespace skipattn::attention::cuda::test {
namespace {

/// SKIPATTN_CUDA_ATTENTION while it lives.
class Forced {
 public:
  explicit Forced(const char* name) { setenv("SKIPATTN_CUDA_ATTENTION", name, 1); }
  ~Forced() { unsetenv("SKIPATTN_CUDA_ATTENTION"); }
};

/// An implementation that takes a given time on FakeClock.
class Timed final : public PlainAttention {
 public:
  Timed(const char* name, double forward_time, double backward_time)
      : PlainAttention(name), forward_time_(forward_time), backward_time_(backward_time) {}

  bool supports(const FusedCall&) const override { return able; }
  Result forward(const FusedCall& call) const override {
    spent += forward_time_;
    TORCH_CHECK(!refuses, name(), " refuses");
    Result result = PlainAttention::forward(call);
    if (wrong) result.output.add_(1.0);
    return result;
  }
  FusedGradients backward(const FusedCall& call, const BackwardInput& input) const override {
    spent += backward_time_;
    return PlainAttention::backward(call, input);
  }

  bool able = true, refuses = false, wrong = false;
  static inline double spent = 0;

 private:
  double forward_time_, backward_time_;
};

class FakeClock final : public Clock {
 public:
  bool is_ready() const override { return ready; }
  double milliseconds(const std::function<void()>& work) override {
    const double begin = Timed::spent;
    work();
    return Timed::spent - begin;
  }
  bool ready = true;
};

class ChoiceTest : public ::testing::Test {
 protected:
  FusedCall call_of(int64_t queries, int64_t keys, int64_t batch = 1) const {
    const at::Tensor query = at::randn({batch, 2, queries, 4}), key = at::randn({batch, 2, keys, 4});
    return {query, key, at::randn({batch, 2, keys, 4}), true, 0.5, &plain_};
  }
  const FusedAttention* for_backward(const FusedCall& call) {
    const Result result = plain_attention_.forward(call);
    return choice_.for_backward(call, {at::randn_like(result.output), result.output, result.logsumexp});
  }
  /// What the forward pass takes once the shape has been trained on.
  const FusedAttention* for_later_forward(const FusedCall& call) {
    for_backward(call);
    return choice_.for_forward(call);
  }
  int runs() const { return flash_.forwards + cudnn_.forwards + flash_.backwards + cudnn_.backwards; }

  KeyPattern plain_;
  PlainAttention plain_attention_;
  Timed flash_{"flash", 2, 5}, cudnn_{"cudnn", 1, 7};
  FakeClock clock_;
  Choice choice_{{&flash_, &cudnn_}, clock_};
};

TEST_F(ChoiceTest, TakesTheFastestOfEachPass) {
  EXPECT_EQ(for_backward(call_of(600, 600)), &flash_);
  EXPECT_EQ(choice_.for_forward(call_of(600, 600)), &cudnn_);
}

TEST_F(ChoiceTest, MeasuresAShapeOnceAndOnlyIfItIsTrainedOn) {
  EXPECT_EQ(choice_.for_forward(call_of(600, 600)), &flash_);
  EXPECT_EQ(runs(), 0);
  for_later_forward(call_of(600, 600));
  const int before = runs();
  EXPECT_GT(before, 0);
  EXPECT_EQ(for_later_forward(call_of(600, 600)), &cudnn_);
  EXPECT_EQ(choice_.for_forward(call_of(601, 601)), &flash_);
  EXPECT_EQ(runs(), before);
  for_backward(call_of(601, 601));
  EXPECT_GT(runs(), before);
}

TEST_F(ChoiceTest, SaysWhatItChoseAndWhoCouldNotBeMeasured) {
  EXPECT_EQ(choice_.summary(), "");
  for_later_forward(call_of(600, 600));
  EXPECT_EQ(choice_.summary(), "forward cudnn, backward flash");
  cudnn_.refuses = true;
  for_later_forward(call_of(700, 700));
  EXPECT_THAT(choice_.summary(),
              ::testing::StartsWith("forward cudnn and flash, backward flash; cudnn: cudnn refuses"));
}

TEST_F(ChoiceTest, EndlessShapesAreNotMeasured) {
  for (int64_t batch = 1; batch <= 70; ++batch) for_backward(call_of(512, 1, batch));
  const int before = runs();
  EXPECT_EQ(for_later_forward(call_of(600, 600)), &flash_);
  EXPECT_EQ(runs(), before);
}

TEST_F(ChoiceTest, TheFirstServesWhereNothingIsMeasured) {
  EXPECT_EQ(for_later_forward(call_of(100, 100)), &flash_);  // too small to matter
  EXPECT_EQ(for_later_forward(call_of(1, 5000)), &flash_);   // decoding
  KeyPattern window;
  window.window = 7;
  FusedCall call = call_of(600, 600);
  call.pattern = &window;
  EXPECT_EQ(for_later_forward(call), &flash_);
  clock_.ready = false;  // a graph is being captured
  EXPECT_EQ(for_later_forward(call_of(600, 600)), &flash_);
  EXPECT_EQ(runs(), 0);
  clock_.ready = true;  // and nothing was noted
  EXPECT_EQ(for_later_forward(call_of(600, 600)), &cudnn_);
}

TEST_F(ChoiceTest, LeavesOutWhatCannotRefusesOrErrs) {
  cudnn_.wrong = true;
  EXPECT_EQ(for_later_forward(call_of(600, 600)), &flash_);
  cudnn_.wrong = false;
  cudnn_.refuses = true;
  EXPECT_EQ(for_later_forward(call_of(600, 600, 2)), &flash_);
  cudnn_.refuses = false;
  cudnn_.able = false;
  EXPECT_EQ(for_later_forward(call_of(600, 600, 4)), &flash_);
  flash_.able = false;
  EXPECT_EQ(for_later_forward(call_of(600, 600, 4)), nullptr);
}

TEST_F(ChoiceTest, TheEnvironmentDecides) {
  {
    const Forced forced("flash");
    EXPECT_EQ(for_later_forward(call_of(600, 600)), &flash_);
    EXPECT_FALSE(reference_is_forced());
  }
  {
    const Forced forced("cudnn");
    EXPECT_EQ(choice_.for_forward(call_of(1, 7)), &cudnn_);
    cudnn_.able = false;
    EXPECT_EQ(choice_.for_forward(call_of(1, 7)), &flash_);
  }
  EXPECT_EQ(runs(), 0);
  {
    const Forced forced("reference");
    EXPECT_TRUE(reference_is_forced());
  }
  const Forced forced("fastest");
  try {
    reference_is_forced();
    FAIL() << "an unknown word passed";
  } catch (const c10::ValueError& error) {
    EXPECT_THAT(error.what_without_backtrace(),
                ::testing::HasSubstr("must be 'flash', 'cudnn', 'efficient' or 'reference', got 'fastest'"));
  }
}

TEST_F(ChoiceTest, NothingIsMeasuredWhereThatIsForbidden) {
  const NoMeasuring forbidden;
  EXPECT_FALSE(DeviceClock().is_ready());
}

}  // namespace
}  // namespace skipattn::attention::cuda::test
