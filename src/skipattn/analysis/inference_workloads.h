// Reading prompts and decoding through the inference session, on random tokens.
#pragma once

#include <optional>
#include <vector>

#include "skipattn/analysis/workload.h"
#include "skipattn/inference/sampler.h"
#include "skipattn/inference/session.h"

namespace skipattn::analysis {

/// A new session for every step; what is timed is Session::prefill().
class PrefillWorkload : public Workload {
 public:
  PrefillWorkload(model::Decoder& decoder, const WorkloadOptions& options, const training::Machine& machine);

  void prepare() override;
  void step() override;
  StepFacts facts() const override;

 private:
  const model::Decoder& decoder_;
  WorkloadOptions options_;
  std::optional<inference::Session> session_;
  int64_t steps_ = 0;
};

/// The cache goes back to T - 1 tokens before every step, so that all steps are alike; what is timed is
/// Session::decode() and drawing the next tokens.
class DecodeWorkload : public Workload {
 public:
  DecodeWorkload(model::Decoder& decoder, const WorkloadOptions& options, const training::Machine& machine);

  void prepare() override;
  void step() override;
  StepFacts facts() const override;

 private:
  const model::Decoder& decoder_;
  WorkloadOptions options_;
  inference::Session session_;
  std::vector<inference::Sampler> samplers_;  // [B]
  inference::TokenIds next_;                  // [B]
};

}  // namespace skipattn::analysis
