#include "skipattn/inference/row_reader.h"

#include <ATen/ATen.h>

#include "skipattn/core/errors.h"

namespace skipattn::inference {

namespace {

SessionOptions session_options(const EngineOptions& options) {
  if (options.cache == Dtype::kInt8 || options.weights == Dtype::kInt8)
    throw InputError("int8 weights and caches: there are none for a model that is not on the CPU; choose bf16 or fp32");
  return {.cache_dtype = options.cache == Dtype::kFp32 ? at::kFloat : at::kBFloat16,
          .prefill_chunk = options.prefill_chunk};
}

std::span<const float> numbers(const at::Tensor& logits) {
  return {logits.const_data_ptr<float>(), static_cast<size_t>(logits.numel())};
}

}  // namespace

EngineReader::EngineReader(Engine& engine, const std::vector<TokenIds>& prompts) : engine_(engine), prompts_(prompts) {
  for (size_t row = 0; row < prompts.size(); ++row) sequences_.push_back(engine.new_sequence());
}

std::span<const float> EngineReader::read_prompts() {
  for (size_t row = 0; row < prompts_.size(); ++row) {
    const std::span<const float> logits = engine_.prefill(sequences_[row], prompts_[row]);
    logits_.insert(logits_.end(), logits.begin(), logits.end());
  }
  return logits_;
}

std::span<const float> EngineReader::read_next(const std::vector<int64_t>& rows, const TokenIds& tokens) {
  std::vector<NextToken> next;
  for (size_t i = 0; i < rows.size(); ++i) next.push_back({&sequences_[static_cast<size_t>(rows[i])], tokens[i]});
  return engine_.decode(next);
}

int64_t EngineReader::cache_bytes() const {
  int64_t bytes = 0;
  for (const CachedSequence& sequence : sequences_) bytes += sequence.bytes_held();
  return bytes;
}

int64_t EngineReader::cache_bytes_allocated() const {
  int64_t bytes = 0;
  for (const CachedSequence& sequence : sequences_) bytes += sequence.bytes_allocated();
  return bytes;
}

SessionReader::SessionReader(const model::Decoder& decoder, const EngineOptions& options,
                             const std::vector<TokenIds>& prompts)
    : session_(decoder, prompts, session_options(options)), last_(prompts.size(), 0) {}

std::span<const float> SessionReader::read_prompts() {
  logits_ = session_.prefill();
  return numbers(logits_);
}

std::span<const float> SessionReader::read_next(const std::vector<int64_t>& rows, const TokenIds& tokens) {
  for (size_t i = 0; i < rows.size(); ++i) last_[static_cast<size_t>(rows[i])] = tokens[i];
  logits_ = session_.decode(last_).index_select(0, at::tensor(rows, at::kLong));
  return numbers(logits_);
}

int64_t SessionReader::cache_bytes() const {
  return session_.cache().bytes_held(session_.tokens_held());
}

int64_t SessionReader::cache_bytes_allocated() const {
  return session_.cache().bytes_allocated();
}

}  // namespace skipattn::inference
