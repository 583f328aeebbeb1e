#include "skipattn/attention/cuda/choice.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <set>
#include <string_view>

#include "skipattn/attention/cuda/device_clock.h"

namespace skipattn::attention::cuda {
namespace {

constexpr int64_t kSmallest = 512;  ///< queries below which launching costs more than a choice could gain
constexpr size_t kMostMeasured =
    64;                   ///< passes of shapes; where lengths differ from batch to batch, more are not worth it
constexpr int kRuns = 3;  ///< the shortest of which counts
constexpr double kAgreement = 0.05;  ///< relative difference to the first candidate's result: rounding, not error
constexpr const char* kReference = "reference";

std::string forced_name() {
  const char* forced = std::getenv("SKIPATTN_CUDA_ATTENTION");
  const std::string name = forced == nullptr ? "" : forced;
  const std::vector<std::string_view> known = {"", "flash", "cudnn", "efficient", kReference};
  TORCH_CHECK_VALUE(std::find(known.begin(), known.end(), name) != known.end(),
                    "SKIPATTN_CUDA_ATTENTION must be 'flash', 'cudnn', 'efficient' or 'reference', got '", name, "'");
  return name;
}

bool agree(const at::Tensor& a, const at::Tensor& b) {
  const double size = b.norm(2, at::kFloat).item<double>();
  return at::sub(a.to(at::kFloat), b).norm().item<double>() <= kAgreement * size + 1e-6;  // false for NaN
}

}  // namespace

bool reference_is_forced() {
  return forced_name() == kReference;
}

Choice::Choice(std::vector<const FusedAttention*> candidates, Clock& clock)
    : candidates_(std::move(candidates)), clock_(clock) {}

const FusedAttention* Choice::for_forward(const FusedCall& call) {
  return choose(Pass::kForward, call, [&](const FusedAttention& candidate) { return candidate.forward(call).output; });
}

const FusedAttention* Choice::for_backward(const FusedCall& call, const BackwardInput& input) {
  return choose(Pass::kBackward, call,
                [&](const FusedAttention& candidate) { return candidate.backward(call, input).query; });
}

const FusedAttention* Choice::choose(Pass pass, const FusedCall& call, const Run& run) {
  std::vector<const FusedAttention*> able;
  for (const FusedAttention* candidate : candidates_)
    if (candidate->supports(call)) able.push_back(candidate);
  if (able.empty()) return nullptr;
  const std::string forced = forced_name();
  for (const FusedAttention* candidate : able)
    if (candidate->name() == forced) return candidate;
  const bool plain = call.pattern->kind == KeyPattern::Kind::kSequences && call.pattern->window == 0;
  if (able.size() == 1 || !plain || call.queries() < kSmallest) return able.front();

  const std::lock_guard lock(mutex_);
  const Key key = key_of(pass, call);
  const auto known = found_.find(key);
  if (known != found_.end()) return known->second;
  const bool trained = pass == Pass::kBackward || found_.contains(key_of(Pass::kBackward, call));
  if (!trained || found_.size() >= kMostMeasured || !clock_.is_ready()) return able.front();
  return found_[key] = measure(able, run);
}

Choice::Key Choice::key_of(Pass pass, const FusedCall& call) {
  return {static_cast<int64_t>(pass),
          call.batch(),
          call.heads(),
          call.kv_heads(),
          call.queries(),
          call.keys(),
          call.head_width(),
          static_cast<int64_t>(call.causal),
          static_cast<int64_t>(call.query.scalar_type())};
}

/// The fastest whose result is the first one's. An implementation that refuses these tensors is left out.
const FusedAttention* Choice::measure(const std::vector<const FusedAttention*>& able, const Run& run) {
  const FusedAttention* best = able.front();
  double shortest = std::numeric_limits<double>::infinity();
  at::Tensor expected;
  for (const FusedAttention* candidate : able) {
    try {
      const at::Tensor result = run(*candidate);
      if (!expected.defined()) expected = result;
      if (!agree(result, expected)) continue;
      double time = std::numeric_limits<double>::infinity();
      for (int i = 0; i < kRuns; ++i) time = std::min(time, clock_.milliseconds([&] { run(*candidate); }));
      if (time < shortest) best = candidate;
      shortest = std::min(shortest, time);
    } catch (const c10::OutOfMemoryError&) {
      throw;
    } catch (const c10::Error& error) {
      const std::string what = error.what_without_backtrace();
      failures_[candidate->name()] = what.substr(0, what.find('\n'));
    }
  }
  return best;
}

/// Different shapes may have different choices.
std::string Choice::names_of(Pass pass) const {
  std::set<std::string> names;
  for (const auto& [key, implementation] : found_)
    if (key[0] == static_cast<int64_t>(pass)) names.insert(implementation->name());
  return fmt::format("{}", fmt::join(names, " and "));
}

std::string Choice::summary() const {
  const std::lock_guard lock(mutex_);
  if (found_.empty()) return "";
  std::string text = fmt::format("forward {}, backward {}", names_of(Pass::kForward), names_of(Pass::kBackward));
  for (const auto& [name, error] : failures_) text += fmt::format("; {}: {}", name, error);
  return text;
}

Choice& device_choice() {
  static DeviceClock clock;
  static Choice choice(framework_implementations(), clock);
  return choice;
}

}  // namespace skipattn::attention::cuda
