// Choosing the next token from one row of logits. Plain numbers, no torch; the same seed gives the same tokens on every
// machine whose logits are the same.
//
//   Sampler sampler({.temperature = 0.8, .top_k = 50}, seed);
//   const uint32_t token = sampler.next(logits);           // logits: one fp32 number for each token id
//
// Order: repetition penalty, temperature, top-k, top-p over what top-k kept (renormalised), min-p, as in Transformers.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "skipattn/core/errors.h"
#include "skipattn/core/random.h"

namespace skipattn::inference {

/// How tokens are drawn.
struct SamplingOptions {
  double temperature = 0.8;         ///< logits are divided by it, 0 or more; 0: always the likeliest token (greedy)
  int64_t top_k = 0;                ///< draw among the k likeliest tokens; 0: among all
  double top_p = 1.0;               ///< draw among the fewest likeliest tokens that hold this much probability, (0, 1]
  double min_p = 0.0;               ///< draw among tokens at least this likely beside the likeliest, [0, 1]; 0: all
  double repetition_penalty = 1.0;  ///< tokens that came before: positive logits are divided by it, others multiplied
                                    ///< (Keskar et al. 2019), above 0; 1: none

  /// Adds what is wrong with the values.
  void find_faults(FaultList& faults) const;
};

/// A token that may be drawn.
struct Candidate {
  uint32_t token = 0;
  double probability = 0;  ///< above 0; those of all candidates sum to 1
};

/// The tokens that may be drawn and how likely each is, in order of their ids. Where logits are equal the lower id
/// counts as the likelier one, so top-k keeps exactly k tokens and greedy decoding has one answer. A logit of -inf is a
/// token that cannot come. Throws RunError when a logit is NaN or +inf, or when all are -inf: the model is broken then.
/// `before` are the tokens that came before, in any order, for the repetition penalty; those without a logit do not count.
std::vector<Candidate> distribution(std::span<const float> logits, const SamplingOptions& options,
                                    std::span<const uint32_t> before = {});

/// The candidate at `uniform`, [0, 1), of the summed probabilities.
uint32_t pick(const std::vector<Candidate>& candidates, double uniform);

/// The options and a stream of random numbers.
class Sampler {
 public:
  /// Throws InputError listing every fault of the options.
  Sampler(const SamplingOptions& options, uint64_t seed);
  /// One token; takes one random number unless the choice is greedy. Throws as distribution() does.
  uint32_t next(std::span<const float> logits, std::span<const uint32_t> before = {});

 private:
  SamplingOptions options_;
  Random random_;
};

}  // namespace skipattn::inference
