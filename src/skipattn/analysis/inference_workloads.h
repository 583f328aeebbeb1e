// Reading prompts and decoding through the inference engine, on random tokens.
#pragma once

#include <vector>

#include "skipattn/analysis/workload.h"
#include "skipattn/inference/engine.h"
#include "skipattn/inference/padded_batch.h"
#include "skipattn/inference/sampler.h"

namespace skipattn::analysis {

/// New sequences for every step; what is timed is Engine::prefill().
class PrefillWorkload : public Workload {
 public:
  PrefillWorkload(model::Decoder& decoder, const WorkloadOptions& options, const training::Machine& machine);

  void prepare() override;
  void step() override;
  StepFacts facts() const override;

 private:
  const model::Decoder& decoder_;
  WorkloadOptions options_;
  inference::Engine engine_;
  std::vector<inference::CachedSequence> sequences_;  // [B]
  std::vector<inference::TokenIds> prompts_;          // [B]
  int64_t steps_ = 0;
};

/// The sequences go back to T - 1 tokens before every step, so that all steps are alike; what is timed is
/// Engine::decode() and drawing the next tokens.
class DecodeWorkload : public Workload {
 public:
  DecodeWorkload(model::Decoder& decoder, const WorkloadOptions& options, const training::Machine& machine);

  void prepare() override;
  void step() override;
  StepFacts facts() const override;

 private:
  const model::Decoder& decoder_;
  WorkloadOptions options_;
  inference::Engine engine_;
  std::vector<inference::CachedSequence> sequences_;  // [B]
  std::vector<inference::Sampler> samplers_;          // [B]
  inference::TokenIds next_;                          // [B]
};

}  // namespace skipattn::analysis
