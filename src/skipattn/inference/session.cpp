#include "skipattn/inference/session.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>

#include "skipattn/core/errors.h"

namespace skipattn::inference {

namespace {

const std::vector<TokenIds>& checked(const model::ModelConfig& config, const std::vector<TokenIds>& prompts,
                                     const SessionOptions& options) {
  FaultList faults;
  if (options.prefill_chunk < 1) faults.add("prefill_chunk={}: must be 1 or more", options.prefill_chunk);
  find_prompt_faults(config, prompts, faults);
  faults.throw_if_any("");
  return prompts;
}

CacheOptions cache_options(const model::Decoder& decoder, const SessionOptions& options, int64_t rows) {
  return {.dtype = options.cache_dtype,
          .compute_dtype = decoder.dtype(),
          .device = decoder.head_weight().device(),
          .batch = rows,
          .positions = decoder.config().positions};
}

}  // namespace

Session::Session(const model::Decoder& decoder, const std::vector<TokenIds>& prompts, const SessionOptions& options)
    : decoder_(decoder),
      options_(options),
      batch_(checked(decoder.config(), prompts, options), decoder.head_weight().device()),
      cache_(decoder.plan(), decoder.config().head_width, cache_options(decoder, options, batch_.rows())) {
  if (CardDecoder::serves(decoder)) card_ = std::make_unique<CardDecoder>(decoder, cache_, batch_);
}

at::Tensor Session::run(const model::Input& input) {
  const int64_t tokens = input.tokens.size(1);
  model::ForwardOptions forward;
  forward.key_value_hook = cache_.hook(tokens);
  at::Tensor hidden = decoder_.hidden_states(input, forward);
  cache_.advance(tokens);
  return hidden;
}

at::Tensor Session::last_logits(const at::Tensor& hidden) const {
  return decoder_.logits(hidden.select(1, hidden.size(1) - 1)).to(at::kCPU, at::kFloat).contiguous();
}

at::Tensor Session::prefill() {
  TORCH_INTERNAL_ASSERT(cache_.length() == 0, "prefill() comes once");
  const c10::InferenceMode guard;
  cache_.reserve(batch_.width());
  at::Tensor hidden;
  for (int64_t begin = 0; begin < batch_.width(); begin += options_.prefill_chunk)
    hidden = run(batch_.prompt_input(begin, std::min(begin + options_.prefill_chunk, batch_.width())));
  return last_logits(hidden);
}

at::Tensor Session::decode(const TokenIds& next) {
  TORCH_INTERNAL_ASSERT(cache_.length() >= batch_.width(), "decode() comes after prefill()");
  TORCH_INTERNAL_ASSERT(static_cast<int64_t>(next.size()) == batch_.rows(), "one token a row");
  const c10::InferenceMode guard;
  if (card_) return card_->decode(next).to(at::kCPU, at::kFloat, /*non_blocking=*/false, /*copy=*/true);
  return last_logits(run(batch_.next_input(next, cache_.length())));
}

void Session::rewind(int64_t columns) {
  TORCH_INTERNAL_ASSERT(columns >= batch_.width(), "rewind(", columns, ") into prompts of ", batch_.width(),
                        " columns");
  cache_.truncate(columns);
}

int64_t Session::tokens_held() const {
  if (cache_.length() == 0) return 0;
  return batch_.tokens() + (cache_.length() - batch_.width()) * batch_.rows();
}

}  // namespace skipattn::inference
