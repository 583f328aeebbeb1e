// What the tests of this module share: random problems of every kind, and the rule by which a
// result is judged: its error against the reference in fp64 may be a small multiple of that of the
// reference in the same precision.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "skipattn/attention/routed_attention.h"

namespace skipattn::attention::test {

enum class First {
  kNone,
  kDocuments,
  kWindow,
  kPadding,
  kAnyOrder,  ///< rising and falling, now and then negative, past the query's position or past all keys
};
enum class Routes {
  kOwn,          ///< every head reads its own layer
  kSkip,         ///< half the heads read another layer, one of them another head
  kJointTwo,     ///< every head reads two layers
  kJointRepeat,  ///< three pairs, two of them the same; the second head has one pair only
  kSomeEmpty,    ///< the last head attends to nothing, the first reads keys and values of different
                 ///< layers
  kShared,       ///< every head reads the same head of one layer, odd ones joined with their own
  kTwoSides,     ///< heads are keys and values at once: of their own reader, and crosswise
};

struct Case {
  int64_t batch = 2;
  int64_t heads = 4;
  int64_t kv_heads = 4;
  int64_t queries = 65;      ///< T
  int64_t earlier_keys = 0;  ///< S - T
  int64_t head_width = 32;
  at::ScalarType dtype = at::kFloat;
  bool causal = true;
  First first = First::kNone;
  Routes routes = Routes::kOwn;
  bool strided = true;  ///< tensors are slices of fused projections, else dense
  double dropout_p = 0;

  int64_t keys() const { return queries + earlier_keys; }
};
std::ostream& operator<<(std::ostream& out, const Case& test_case);

/// Inputs of one case. Sources are keys and values of three "layers": tensor 2 * layer + (0 for
/// keys, 1 for values).
struct Inputs {
  at::Tensor query;
  std::vector<at::Tensor> sources;
  HeadPairs pairs;
  Options options;
  at::Tensor grad_output;

  /// The same numbers in another dtype, as autograd leaves when `leaves`.
  Inputs to(at::ScalarType dtype, bool leaves) const;
};
Inputs make_inputs(const Case& test_case, uint64_t seed = 1);
HeadPairs make_pairs(Routes routes, int64_t kv_heads);
/// int32 [B, T], or nothing.
std::optional<at::Tensor> make_first_key(const Case& test_case);

struct Outcome {
  Result result;
  at::Tensor grad_query;
  std::vector<at::Tensor> grad_sources;
};
using Attention = Result (*)(const at::Tensor&, const std::vector<at::Tensor>&, const HeadPairs&, const Options&);
/// Output and gradients (by autograd) of leaves.
Outcome run(Attention attention, const Inputs& inputs);

/// Judges the operator on one case as the banner says; failures name the case and the worst tensor.
void expect_accurate(const Case& test_case);
/// The same at each of these levels; the yardsticks are made once.
void expect_accurate_at(const std::vector<std::string>& levels, const Case& test_case);
/// The same for inputs of the test's own making.
void expect_accurate_at(const std::vector<std::string>& levels, const Inputs& inputs);

/// The same for another way from inputs to output and gradients.
void expect_accurate_by(const std::function<Outcome(const Inputs&)>& way, const Inputs& inputs);

/// SKIPATTN_ATTENTION while it lives.
class ForcedLevel {
 public:
  explicit ForcedLevel(const std::string& name);
  ~ForcedLevel();
  ForcedLevel(const ForcedLevel&) = delete;
  ForcedLevel& operator=(const ForcedLevel&) = delete;

 private:
  std::string before_;
};

/// Levels by our own kernels that serve this dtype here, the narrowest first; with "torch" before them when asked for.
std::vector<std::string> levels_for(at::ScalarType dtype, bool with_torch);

/// One thread for torch while it lives: for thousands of small tensors threads only get in each other's way.
class OneThread {
 public:
  OneThread();
  ~OneThread();
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int threads_;
};

/// max |a - b|, of fp64 copies; infinities that agree count as equal; NaN gives infinity.
double max_difference(const at::Tensor& a, const at::Tensor& b);

}  // namespace skipattn::attention::test
