#include "skipattn/inference/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace skipattn::inference {

namespace {

/// The likeliest token, the lowest id among equals; checks every logit.
uint32_t likeliest(std::span<const float> logits) {
  size_t best = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i]) || logits[i] == INFINITY)
      throw RunError("the model's logit for token {} is {}: its weights are broken, or too large for this dtype", i,
                     logits[i]);
    if (logits[i] > logits[best]) best = i;
  }
  if (logits.empty() || logits[best] == -INFINITY)
    throw RunError("no token can come next: the model's logits are all -inf");
  return static_cast<uint32_t>(best);
}

/// Likelier first, the lower id among equals.
bool comes_before(const Candidate& a, const Candidate& b) {
  return a.probability != b.probability ? a.probability > b.probability : a.token < b.token;
}

void scale_to_one(std::vector<Candidate>& candidates) {
  double sum = 0;
  for (const Candidate& candidate : candidates) sum += candidate.probability;
  for (Candidate& candidate : candidates) candidate.probability /= sum;
}

void keep_top_k(std::vector<Candidate>& candidates, int64_t top_k) {
  if (top_k <= 0 || top_k >= static_cast<int64_t>(candidates.size())) return;
  std::nth_element(candidates.begin(), candidates.begin() + (top_k - 1), candidates.end(), comes_before);
  candidates.resize(static_cast<size_t>(top_k));
}

/// The probabilities sum to 1. A heap, because most often few of very many tokens are needed.
void keep_top_p(std::vector<Candidate>& candidates, double top_p) {
  if (top_p >= 1) return;
  const auto comes_after = [](const Candidate& a, const Candidate& b) { return comes_before(b, a); };
  std::make_heap(candidates.begin(), candidates.end(), comes_after);
  double held = 0;
  auto heap_end = candidates.end();
  do {
    std::pop_heap(candidates.begin(), heap_end, comes_after);
    held += (--heap_end)->probability;
  } while (held < top_p && heap_end != candidates.begin());
  candidates.erase(candidates.begin(), heap_end);
}

void keep_min_p(std::vector<Candidate>& candidates, double min_p) {
  if (min_p <= 0) return;
  double largest = 0;
  for (const Candidate& candidate : candidates) largest = std::max(largest, candidate.probability);
  std::erase_if(candidates, [&](const Candidate& candidate) { return candidate.probability < min_p * largest; });
}

/// The logits with those of the tokens before made less likely.
std::vector<float> penalised(std::span<const float> logits, std::span<const uint32_t> before, double penalty) {
  std::vector<float> result(logits.begin(), logits.end());
  for (const uint32_t token : before) {
    if (token >= logits.size()) continue;
    // From the original, so that a token that came twice is penalised once.
    const double logit = logits[token];
    result[token] = static_cast<float>(logit > 0 ? logit / penalty : logit * penalty);
  }
  return result;
}

}  // namespace

void SamplingOptions::find_faults(FaultList& faults) const {
  if (!(temperature >= 0 && std::isfinite(temperature)))
    faults.add("temperature={}: must be a number of at least 0 (0: always the likeliest token)", temperature);
  if (top_k < 0) faults.add("top_k={}: must be 1 or more, or 0 for all tokens", top_k);
  if (!(top_p > 0 && top_p <= 1)) faults.add("top_p={}: must be above 0 and at most 1", top_p);
  if (!(min_p >= 0 && min_p <= 1)) faults.add("min_p={}: must be 0 (all tokens) to 1", min_p);
  if (!(repetition_penalty > 0 && std::isfinite(repetition_penalty)))
    faults.add("repetition_penalty={}: must be above 0 (1: none)", repetition_penalty);
}

std::vector<Candidate> distribution(std::span<const float> logits, const SamplingOptions& options,
                                    std::span<const uint32_t> before) {
  if (options.repetition_penalty != 1 && !before.empty()) {
    SamplingOptions others = options;
    others.repetition_penalty = 1;
    return distribution(penalised(logits, before, options.repetition_penalty), others);
  }
  const uint32_t best = likeliest(logits);
  if (options.temperature == 0) return {{best, 1.0}};
  std::vector<Candidate> candidates;
  candidates.reserve(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    // The difference first: a tiny temperature then gives -inf, never inf - inf.
    const double scaled = (static_cast<double>(logits[i]) - logits[best]) / options.temperature;
    const double weight = i == best ? 1.0 : std::exp(scaled);
    if (weight > 0) candidates.push_back({static_cast<uint32_t>(i), weight});
  }
  keep_top_k(candidates, options.top_k);
  scale_to_one(candidates);
  if (options.top_p < 1 || options.min_p > 0) {
    keep_top_p(candidates, options.top_p);
    keep_min_p(candidates, options.min_p);
    scale_to_one(candidates);
  }
  // By id again, so that filters that keep everything change nothing.
  const auto by_id = [](const Candidate& a, const Candidate& b) { return a.token < b.token; };
  if (!std::is_sorted(candidates.begin(), candidates.end(), by_id))
    std::sort(candidates.begin(), candidates.end(), by_id);
  return candidates;
}

uint32_t pick(const std::vector<Candidate>& candidates, double uniform) {
  double sum = 0;
  for (const Candidate& candidate : candidates) {
    sum += candidate.probability;
    if (uniform < sum) return candidate.token;
  }
  return candidates.back().token;  // the sum was rounded to just below 1
}

Sampler::Sampler(const SamplingOptions& options, uint64_t seed) : options_(options), random_(seed) {
  FaultList faults;
  options_.find_faults(faults);
  faults.throw_if_any("");
}

uint32_t Sampler::next(std::span<const float> logits, std::span<const uint32_t> before) {
  const std::vector<Candidate> candidates = distribution(logits, options_, before);
  return candidates.size() == 1 && options_.temperature == 0 ? candidates.front().token
                                                             : pick(candidates, random_.uniform());
}

}  // namespace skipattn::inference
