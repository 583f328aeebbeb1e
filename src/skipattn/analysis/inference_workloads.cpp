#include "skipattn/analysis/inference_workloads.h"

#include <fmt/format.h>

#include "skipattn/core/operation_timer.h"
#include "skipattn/core/random.h"

namespace skipattn::analysis {

namespace {

/// The decoder in the dtype and on the device it shall run with.
model::Decoder& placed(model::Decoder& decoder, const training::Machine& machine) {
  decoder.convert_to(machine.dtype);
  decoder.move_to(machine.device);
  return decoder;
}

inference::EngineOptions engine_options(const WorkloadOptions& options, const training::Machine& machine) {
  return {.weights = options.weights, .cache = options.cache, .threads = machine.threads};
}

std::vector<inference::CachedSequence> new_sequences(inference::Engine& engine, int64_t count) {
  std::vector<inference::CachedSequence> sequences;
  for (int64_t row = 0; row < count; ++row) sequences.push_back(engine.new_sequence());
  return sequences;
}

void add_cache(StepFacts& facts, const std::vector<inference::CachedSequence>& sequences) {
  for (const inference::CachedSequence& sequence : sequences) {
    facts.kv_cache_bytes += sequence.bytes_held();
    facts.kv_cache_allocated_bytes += sequence.bytes_allocated();
  }
}

}  // namespace

PrefillWorkload::PrefillWorkload(model::Decoder& decoder, const WorkloadOptions& options,
                                 const training::Machine& machine)
    : decoder_(placed(decoder, machine)), options_(options), engine_(decoder, engine_options(options, machine)) {}

void PrefillWorkload::prepare() {
  sequences_.clear();  // their cache goes before the next ones' comes
  sequences_ = new_sequences(engine_, options_.batch);
  prompts_ = random_tokens(options_, options_.context, decoder_.config().vocabulary, steps_);
}

void PrefillWorkload::step() {
  for (size_t row = 0; row < sequences_.size(); ++row) engine_.prefill(sequences_[row], prompts_[row]);
  ++steps_;
}

StepFacts PrefillWorkload::facts() const {
  StepFacts facts;
  facts.tokens = options_.batch * options_.context;
  facts.flops = prefill_flops(decoder_.plan(), decoder_.config().dimensions(),
                              {.batch = options_.batch, .context = options_.context});
  add_cache(facts, sequences_);
  return facts;
}

DecodeWorkload::DecodeWorkload(model::Decoder& decoder, const WorkloadOptions& options,
                               const training::Machine& machine)
    : decoder_(placed(decoder, machine)),
      options_(options),
      engine_(decoder, engine_options(options, machine)),
      sequences_(new_sequences(engine_, options.batch)) {
  const int64_t vocabulary = decoder_.config().vocabulary;
  for (const auto& row : random_tokens(options_, 1, vocabulary, 1)) next_.push_back(row.front());
  for (int64_t row = 0; row < options_.batch; ++row)
    samplers_.emplace_back(inference::SamplingOptions{},
                           derive_seed(options_.seed, fmt::format("profile row {}", row)));
  const auto prompts = random_tokens(options_, options_.context - 1, vocabulary, 0);
  for (size_t row = 0; row < prompts.size(); ++row) engine_.prefill(sequences_[row], prompts[row]);
}

void DecodeWorkload::prepare() {
  for (inference::CachedSequence& sequence : sequences_) sequence.set_length(options_.context - 1);
}

void DecodeWorkload::step() {
  std::vector<inference::NextToken> next;
  for (size_t row = 0; row < next_.size(); ++row) next.push_back({&sequences_[row], next_[row]});
  const std::span<const float> logits = engine_.decode(next);
  const OperationTimer timer("sampling");
  const size_t vocabulary = logits.size() / next_.size();
  for (size_t row = 0; row < next_.size(); ++row)
    next_[row] = samplers_[row].next(logits.subspan(row * vocabulary, vocabulary));
}

StepFacts DecodeWorkload::facts() const {
  const StepSize size = {.batch = options_.batch, .context = options_.context};
  const routing::Dimensions dimensions = decoder_.config().dimensions();
  StepFacts facts;
  facts.tokens = options_.batch;
  facts.flops = decode_flops(decoder_.plan(), dimensions, size);
  facts.bytes_read = decode_bytes(
      decoder_.plan(), dimensions, size,
      {.weight_bytes = inference::bytes_of(options_.weights), .cache_dtype = inference::dtype_name(options_.cache)});
  add_cache(facts, sequences_);
  return facts;
}

}  // namespace skipattn::analysis
