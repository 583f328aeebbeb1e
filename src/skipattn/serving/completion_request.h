// The body of POST /v1/completions, read and checked: OpenAI's completions form with top_k, min_p and repetition_penalty.
//
//   const CompletionRequest request = parse_completion_request(R"({"prompt": "Once", "max_tokens": 5})", model, 1);
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "skipattn/inference/padded_batch.h"
#include "skipattn/inference/sampler.h"
#include "skipattn/serving/served_model.h"

namespace skipattn::serving {

/// Most texts that one request may ask for: prompts times n.
constexpr int64_t kMostChoices = 128;
/// Most likeliest tokens that are reported beside the drawn one.
constexpr int64_t kMostLogprobs = 5;

struct Prompt {
  inference::TokenIds ids;
  size_t hidden = 0;  ///< leading ids that the tokenizer's template put there and echo leaves out
};

struct CompletionRequest {
  std::vector<Prompt> prompts;
  int64_t max_tokens = 16;  ///< new tokens of each choice; 0 only with echo
  inference::SamplingOptions sampling{.temperature = 1.0};
  std::vector<std::string> stop;
  uint64_t seed = 0;      ///< choice i draws from its own stream of it, as row i of `skipattn generate --seed`
  int64_t n = 1;          ///< choices for each prompt, one after the other
  int64_t logprobs = -1;  ///< likeliest tokens reported at each place, 0..5; -1: no log-probabilities
  bool echo = false;
  bool stream = false;
  bool include_usage = false;  ///< a stream ends with how many tokens there were

  int64_t choices() const { return static_cast<int64_t>(prompts.size()) * n; }
  const Prompt& prompt_of(int64_t choice) const { return prompts[static_cast<size_t>(choice / n)]; }
  int64_t prompt_tokens() const;
};

/// `seed`: used when the request has none. Throws ApiError: 404 for another model's name, else 400 with every fault in one
/// sentence (unknown keys, wrong types, values out of range, more tokens than the model has positions for).
CompletionRequest parse_completion_request(std::string_view body, const ServedModel& model, uint64_t seed);

}  // namespace skipattn::serving
