#include "skipattn/inference/generation.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <span>

#include "skipattn/core/errors.h"
#include "skipattn/core/random.h"

namespace skipattn::inference {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double rate(int64_t tokens, double seconds) {
  return tokens > 0 && seconds > 0 ? static_cast<double>(tokens) / seconds : std::numeric_limits<double>::quiet_NaN();
}

void check(const model::ModelConfig& config, const GenerationOptions& options, int64_t longest_prompt) {
  FaultList faults;
  const int64_t room = room_for_new_tokens(config, longest_prompt);
  if (options.max_new_tokens < 1) {
    faults.add("max_new_tokens={}: must be 1 or more", options.max_new_tokens);
  } else if (options.max_new_tokens > room) {
    faults.add(
        "max_new_tokens={}: behind a prompt of {} tokens the model has room for at most {} (it has {} positions)",
        options.max_new_tokens, longest_prompt, room, config.positions);
  }
  if (options.vocabulary < 0 || options.vocabulary > config.vocabulary)
    faults.add("vocabulary={}: must be 1..{}, or 0 for all", options.vocabulary, config.vocabulary);
  options.sampling.find_faults(faults);
  faults.throw_if_any("");
}

/// The rows' samplers and what they have drawn.
class Rows {
 public:
  Rows(const GenerationOptions& options, int64_t count, const TokenSink& on_token)
      : options_(options), on_token_(on_token), rows_(static_cast<size_t>(count)), ended_(rows_.size(), false) {
    for (int64_t row = 0; row < count; ++row)
      samplers_.emplace_back(options.sampling, derive_seed(options.seed, fmt::format("sampling row {}", row)));
  }

  /// Draws a token for every row that goes on; false when none does any more. logits fp32 [B, vocabulary].
  bool draw(const at::Tensor& logits) {
    const auto columns = static_cast<size_t>(options_.vocabulary > 0 ? options_.vocabulary : logits.size(1));
    bool any = false;
    for (size_t row = 0; row < rows_.size(); ++row) {
      if (ended_[row]) continue;
      const float* begin = logits.const_data_ptr<float>() + static_cast<int64_t>(row) * logits.size(1);
      take(row, samplers_[row].next(std::span<const float>(begin, columns)));
      any = any || !ended_[row];
    }
    return any;
  }

  /// The tokens drawn last, one a row (a row that has ended repeats its last).
  TokenIds last() const {
    TokenIds tokens;
    for (const Continuation& row : rows_) tokens.push_back(row.tokens.back());
    return tokens;
  }
  int64_t going() const { return std::count(ended_.begin(), ended_.end(), false); }
  std::vector<Continuation> release() { return std::move(rows_); }

 private:
  void take(size_t row, uint32_t token) {
    Continuation& continuation = rows_[row];
    continuation.tokens.push_back(token);
    const bool go_on = !on_token_ || on_token_(static_cast<int64_t>(row), token);
    ended_[row] = true;
    if (static_cast<int64_t>(token) == options_.end_of_text) {
      continuation.finish = Finish::kEndOfText;
    } else if (!go_on) {
      continuation.finish = Finish::kStopped;
    } else if (static_cast<int64_t>(continuation.tokens.size()) >= options_.max_new_tokens) {
      continuation.finish = Finish::kLength;
    } else {
      ended_[row] = false;
    }
  }

  const GenerationOptions& options_;
  const TokenSink& on_token_;
  std::vector<Continuation> rows_;
  std::vector<bool> ended_;
  std::vector<Sampler> samplers_;
};

}  // namespace

const char* finish_name(Finish finish) {
  switch (finish) {
    case Finish::kEndOfText:
      return "end_of_text";
    case Finish::kLength:
      return "length";
    case Finish::kStopped:
      return "stopped";
  }
  return "";
}

double GenerationResult::prefill_tokens_per_second() const {
  return rate(prompt_tokens, prefill_seconds);
}
double GenerationResult::decode_tokens_per_second() const {
  return rate(decoded_tokens, decode_seconds);
}

int64_t room_for_new_tokens(const model::ModelConfig& config, int64_t prompt_tokens) {
  return std::max<int64_t>(config.positions - prompt_tokens + 1, 0);
}

GenerationResult generate(const model::Decoder& decoder, const GenerationOptions& options,
                          const std::vector<TokenIds>& prompts, const TokenSink& on_token) {
  Session session(decoder, prompts, options.session);
  check(decoder.config(), options, session.batch().width());
  Rows rows(options, session.batch().rows(), on_token);

  GenerationResult result;
  result.prompt_tokens = session.batch().tokens();
  const Clock::time_point prefill_start = Clock::now();
  at::Tensor logits = session.prefill();
  result.prefill_seconds = seconds_since(prefill_start);

  bool going = rows.draw(logits);
  const Clock::time_point decode_start = Clock::now();
  while (going) {
    result.decoded_tokens += rows.going();
    logits = session.decode(rows.last());
    going = rows.draw(logits);
  }
  result.decode_seconds = result.decoded_tokens > 0 ? seconds_since(decode_start) : 0;
  result.rows = rows.release();
  result.kv_cache_bytes = session.cache().bytes_held(session.tokens_held());
  result.kv_cache_allocated_bytes = session.cache().bytes_allocated();
  return result;
}

}  // namespace skipattn::inference
