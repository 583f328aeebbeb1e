// What stands in for the framework's fused attention where there is no device: plain operations in any dtype, which read a
// KeyPattern as a kernel would.
#pragma once

#include <array>

#include "skipattn/attention/cases_test.h"
#include "skipattn/attention/cuda/routed.h"

namespace skipattn::attention::cuda::test {

class PlainAttention : public FusedAttention {
 public:
  explicit PlainAttention(const char* name = "plain") : name_(name) {}
  const char* name() const override { return name_; }
  bool supports(const FusedCall&) const override { return true; }
  Result forward(const FusedCall& call) const override;
  FusedGradients backward(const FusedCall& call, const BackwardInput& input) const override;

  mutable int forwards = 0, backwards = 0;  ///< calls so far

 private:
  const char* name_;
};

/// Kinds of tables that the tests here go through.
inline constexpr std::array kRoutes = {attention::test::Routes::kOwn,       attention::test::Routes::kSkip,
                                       attention::test::Routes::kJointTwo,  attention::test::Routes::kJointRepeat,
                                       attention::test::Routes::kSomeEmpty, attention::test::Routes::kShared,
                                       attention::test::Routes::kTwoSides};

/// A clock that never lets anything be measured.
class NoClock final : public Clock {
 public:
  bool is_ready() const override { return false; }
  double milliseconds(const std::function<void()>&) override { return 0; }
};

/// Output and gradients by routed_forward() and routed_backward() with these implementations.
attention::test::Outcome run_routed(const attention::test::Inputs& inputs,
                                    const std::vector<const FusedAttention*>& implementations,
                                    const KeyPattern* pattern = nullptr);

/// Tables without any order: up to three pairs a head, of any tensors and heads.
HeadPairs random_pairs(int64_t kv_heads, int64_t tensors, uint64_t seed);

}  // namespace skipattn::attention::cuda::test
