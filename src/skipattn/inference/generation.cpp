#include "skipattn/inference/generation.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <span>

#include "skipattn/core/errors.h"
#include "skipattn/core/random.h"
#include "skipattn/inference/row_reader.h"

namespace skipattn::inference {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double rate(int64_t tokens, double seconds) {
  return tokens > 0 && seconds > 0 ? static_cast<double>(tokens) / seconds : std::numeric_limits<double>::quiet_NaN();
}

void check(const model::ModelConfig& config, const GenerationOptions& options, const std::vector<TokenIds>& prompts) {
  FaultList faults;
  find_prompt_faults(config, prompts, faults);
  faults.throw_if_any("");
  size_t longest = 0;
  for (const TokenIds& prompt : prompts) longest = std::max(longest, prompt.size());
  const int64_t room = room_for_new_tokens(config, static_cast<int64_t>(longest));
  if (options.max_new_tokens < 1) {
    faults.add("max_new_tokens={}: must be 1 or more", options.max_new_tokens);
  } else if (options.max_new_tokens > room) {
    faults.add(
        "max_new_tokens={}: behind a prompt of {} tokens the model has room for at most {} (it has {} positions)",
        options.max_new_tokens, longest, room, config.positions);
  }
  if (options.vocabulary < 0 || options.vocabulary > config.vocabulary)
    faults.add("vocabulary={}: must be 1..{}, or 0 for all", options.vocabulary, config.vocabulary);
  options.sampling.find_faults(faults);
  faults.throw_if_any("");
}

/// The rows' samplers and what they have drawn.
class Rows {
 public:
  Rows(const GenerationOptions& options, const std::vector<TokenIds>& prompts, const TokenSink& on_token)
      : options_(options), on_token_(on_token), texts_(prompts), rows_(prompts.size()), ended_(rows_.size(), false) {
    for (size_t row = 0; row < prompts.size(); ++row)
      samplers_.emplace_back(options.sampling, derive_seed(options.seed, fmt::format("sampling row {}", row)));
  }

  /// Draws a token for every row that goes on. logits fp32 [going rows, vocabulary].
  void draw(std::span<const float> logits) {
    const std::vector<int64_t> rows = going();
    const size_t all = logits.size() / rows.size();
    const size_t columns = options_.vocabulary > 0 ? static_cast<size_t>(options_.vocabulary) : all;
    for (size_t i = 0; i < rows.size(); ++i) {
      const auto row = static_cast<size_t>(rows[i]);
      take(row, samplers_[row].next(logits.subspan(i * all, columns), texts_[row]));
    }
  }

  /// The rows that go on, ascending, and the token each drew last.
  std::vector<int64_t> going() const {
    std::vector<int64_t> rows;
    for (size_t row = 0; row < ended_.size(); ++row)
      if (!ended_[row]) rows.push_back(static_cast<int64_t>(row));
    return rows;
  }
  TokenIds last(const std::vector<int64_t>& rows) const {
    TokenIds tokens;
    for (const int64_t row : rows) tokens.push_back(rows_[static_cast<size_t>(row)].tokens.back());
    return tokens;
  }
  std::vector<Continuation> release() { return std::move(rows_); }

 private:
  void take(size_t row, uint32_t token) {
    Continuation& continuation = rows_[row];
    continuation.tokens.push_back(token);
    texts_[row].push_back(token);
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
  std::vector<TokenIds> texts_;  // prompts and what followed
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

namespace {

GenerationResult run(RowReader& reader, const GenerationOptions& options, const std::vector<TokenIds>& prompts,
                     const TokenSink& on_token) {
  Rows rows(options, prompts, on_token);
  GenerationResult result;
  for (const TokenIds& prompt : prompts) result.prompt_tokens += static_cast<int64_t>(prompt.size());
  const Clock::time_point prefill_start = Clock::now();
  const std::span<const float> logits = reader.read_prompts();
  result.prefill_seconds = seconds_since(prefill_start);
  rows.draw(logits);
  const Clock::time_point decode_start = Clock::now();
  for (std::vector<int64_t> going = rows.going(); !going.empty(); going = rows.going()) {
    result.decoded_tokens += static_cast<int64_t>(going.size());
    rows.draw(reader.read_next(going, rows.last(going)));
  }
  result.decode_seconds = result.decoded_tokens > 0 ? seconds_since(decode_start) : 0;
  result.rows = rows.release();
  result.kv_cache_bytes = reader.cache_bytes();
  result.kv_cache_allocated_bytes = reader.cache_bytes_allocated();
  return result;
}

}  // namespace

GenerationResult generate(Engine& engine, const GenerationOptions& options, const std::vector<TokenIds>& prompts,
                          const TokenSink& on_token) {
  check(engine.config(), options, prompts);
  EngineReader reader(engine, prompts);
  return run(reader, options, prompts, on_token);
}

GenerationResult generate(const model::Decoder& decoder, const GenerationOptions& options,
                          const std::vector<TokenIds>& prompts, const TokenSink& on_token) {
  check(decoder.config(), options, prompts);
  if (decoder.head_weight().is_cpu()) {
    Engine engine(decoder, options.engine);
    return generate(engine, options, prompts, on_token);
  }
  SessionReader reader(decoder, options.engine, prompts);
  return run(reader, options, prompts, on_token);
}

}  // namespace skipattn::inference
