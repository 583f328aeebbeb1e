#include "skipattn/inference/engine.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>

#include "skipattn/core/errors.h"
#include "skipattn/inference/decode_step.h"
#include "skipattn/inference/prefill.h"

namespace skipattn::inference {

namespace {

/// Tokens that a decoding step reads faster than a prefill would.
constexpr size_t kFewTokens = 8;

int thread_count(const EngineOptions& options) {
  if (options.prefill_chunk < 1) throw InputError("prefill_chunk={}: must be 1 or more", options.prefill_chunk);
  return options.threads > 0 ? options.threads : at::get_num_threads();
}

}  // namespace

struct Engine::Parts {
  Parts(const model::Decoder& decoder, const EngineOptions& options)
      : weights(decoder, options.weights),
        blocks(CacheLayout(decoder.plan(), decoder.config().head_width, options.cache)),
        workers(thread_count(options)),
        prefill(weights, blocks.layout()),
        step(weights, blocks.layout(), workers) {}

  EngineWeights weights;
  BlockPool blocks;
  WorkerPool workers;
  Prefill prefill;
  DecodeStep step;
};

Engine::Engine(const model::Decoder& decoder, const EngineOptions& options)
    : options_(options), parts_(std::make_unique<Parts>(decoder, options)) {}

Engine::~Engine() = default;

const model::ModelConfig& Engine::config() const {
  return parts_->weights.config();
}

CachedSequence Engine::new_sequence() {
  return CachedSequence(parts_->blocks, config().positions);
}

int64_t Engine::matrix_bytes() const {
  return parts_->weights.matrix_bytes();
}

int64_t Engine::cache_bytes_per_token() const {
  return parts_->blocks.layout().bytes_per_token();
}

void Engine::check(const CachedSequence& sequence, std::span<const uint32_t> tokens) const {
  TORCH_INTERNAL_ASSERT(!tokens.empty(), "no tokens to read");
  const int64_t vocabulary = config().vocabulary;
  for (const uint32_t token : tokens)
    if (token >= vocabulary) throw InputError("token {} is outside the model's vocabulary of {}", token, vocabulary);
  const int64_t length = sequence.length() + static_cast<int64_t>(tokens.size());
  if (length > config().positions)
    throw InputError("KV cache of {} tokens: the model has positions for {}", length, config().positions);
}

std::span<const float> Engine::prefill(CachedSequence& sequence, std::span<const uint32_t> tokens) {
  check(sequence, tokens);
  Parts& parts = *parts_;
  const auto chunk = static_cast<size_t>(options_.prefill_chunk);
  const auto vocabulary = static_cast<size_t>(config().vocabulary);
  std::vector<StepRow> rows;
  for (size_t begin = 0; begin < tokens.size(); begin += chunk) {
    const std::span<const uint32_t> piece = tokens.subspan(begin, std::min(chunk, tokens.size() - begin));
    const int64_t past = sequence.length();
    rows.clear();
    StepStart start;
    at::Tensor residual;  // lives while the step reads it
    if (piece.size() <= kFewTokens) {
      sequence.reserve(past + static_cast<int64_t>(piece.size()));
      for (size_t i = 0; i < piece.size(); ++i) rows.push_back({&sequence, past + static_cast<int64_t>(i), piece[i]});
    } else {
      residual = parts.prefill.run(sequence, piece);
      start = {parts.prefill.handover_layer(), residual.const_data_ptr<float>()};
      if (begin + piece.size() == tokens.size())
        rows.push_back({&sequence, past + static_cast<int64_t>(piece.size()) - 1, piece.back()});
    }
    if (!rows.empty()) parts.step.run(rows, start);
    sequence.set_length(past + static_cast<int64_t>(piece.size()));
  }
  return {parts.step.logits() + (rows.size() - 1) * vocabulary, vocabulary};
}

std::vector<float> Engine::prompt_logits(CachedSequence& sequence, std::span<const uint32_t> tokens) {
  Parts& parts = *parts_;
  if (options_.skip_unread_layers)
    throw InputError(
        "logits of every prompt token: prompts skip what only their last token needs; make the engine with "
        "skip_unread_layers = false");
  check(sequence, tokens);
  const c10::InferenceMode guard;
  const int64_t vocabulary = config().vocabulary;
  std::vector<float> logits(tokens.size() * static_cast<size_t>(vocabulary));
  const auto chunk = static_cast<size_t>(std::min<int64_t>(options_.prefill_chunk, 256));
  for (size_t begin = 0; begin < tokens.size(); begin += chunk) {
    const std::span<const uint32_t> piece = tokens.subspan(begin, std::min(chunk, tokens.size() - begin));
    const auto count = static_cast<int64_t>(piece.size());
    const at::Tensor hidden = parts.prefill.run_through(sequence, piece);
    const at::Tensor rows = parts.prefill.vocabulary_logits(hidden);
    std::copy_n(rows.const_data_ptr<float>(), count * vocabulary,
                logits.data() + begin * static_cast<size_t>(vocabulary));
    sequence.set_length(sequence.length() + count);
  }
  return logits;
}

std::span<const float> Engine::decode(std::span<const NextToken> next) {
  std::vector<StepRow> rows;
  for (const NextToken& item : next) {
    check(*item.sequence, std::span<const uint32_t>(&item.token, 1));
    rows.push_back({item.sequence, item.sequence->length(), item.token});
  }
  if (rows.empty()) return {};
  for (const StepRow& row : rows) row.sequence->reserve(row.position + 1);
  parts_->step.run(rows);
  for (const StepRow& row : rows) row.sequence->set_length(row.position + 1);
  return {parts_->step.logits(), rows.size() * static_cast<size_t>(config().vocabulary)};
}

}  // namespace skipattn::inference
