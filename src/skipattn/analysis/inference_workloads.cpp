#include "skipattn/analysis/inference_workloads.h"

#include <ATen/ATen.h>
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

inference::SessionOptions session_options(const WorkloadOptions& options) {
  return {.cache_dtype = options.fp32_cache ? at::kFloat : at::kBFloat16};
}

void add_cache(StepFacts& facts, const inference::Session& session) {
  facts.kv_cache_bytes = session.cache().bytes_held(session.tokens_held());
  facts.kv_cache_allocated_bytes = session.cache().bytes_allocated();
}

}  // namespace

PrefillWorkload::PrefillWorkload(model::Decoder& decoder, const WorkloadOptions& options,
                                 const training::Machine& machine)
    : decoder_(placed(decoder, machine)), options_(options) {}

void PrefillWorkload::prepare() {
  session_.reset();  // its cache goes before the next one's comes
  session_.emplace(decoder_, random_tokens(options_, options_.context, decoder_.config().vocabulary, steps_),
                   session_options(options_));
}

void PrefillWorkload::step() {
  session_->prefill();
  ++steps_;
}

StepFacts PrefillWorkload::facts() const {
  StepFacts facts;
  facts.tokens = options_.batch * options_.context;
  facts.flops = prefill_flops(decoder_.plan(), decoder_.config().dimensions(),
                              {.batch = options_.batch, .context = options_.context});
  add_cache(facts, *session_);
  return facts;
}

DecodeWorkload::DecodeWorkload(model::Decoder& decoder, const WorkloadOptions& options,
                               const training::Machine& machine)
    : decoder_(placed(decoder, machine)),
      options_(options),
      session_(decoder_, random_tokens(options_, options_.context - 1, decoder_.config().vocabulary, 0),
               session_options(options_)) {
  for (const auto& row : random_tokens(options_, 1, decoder_.config().vocabulary, 1)) next_.push_back(row.front());
  for (int64_t row = 0; row < options_.batch; ++row)
    samplers_.emplace_back(inference::SamplingOptions{},
                           derive_seed(options_.seed, fmt::format("profile row {}", row)));
  session_.prefill();
}

void DecodeWorkload::prepare() {
  session_.rewind(options_.context - 1);
}

void DecodeWorkload::step() {
  const at::Tensor logits = session_.decode(next_);
  const OperationTimer timer("sampling");
  for (int64_t row = 0; row < options_.batch; ++row)
    next_[row] = samplers_[row].next(
        {logits.const_data_ptr<float>() + row * logits.size(1), static_cast<size_t>(logits.size(1))});
}

StepFacts DecodeWorkload::facts() const {
  const StepSize size = {.batch = options_.batch, .context = options_.context};
  const routing::Dimensions dimensions = decoder_.config().dimensions();
  StepFacts facts;
  facts.tokens = options_.batch;
  facts.flops = decode_flops(decoder_.plan(), dimensions, size);
  facts.bytes_read = decode_bytes(decoder_.plan(), dimensions, size,
                                  {.weight_bytes = static_cast<int64_t>(c10::elementSize(decoder_.dtype())),
                                   .cache_dtype = options_.fp32_cache ? "fp32" : "bf16"});
  add_cache(facts, session_);
  return facts;
}

}  // namespace skipattn::analysis
