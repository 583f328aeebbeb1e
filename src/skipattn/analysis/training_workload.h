// Training steps on random tokens, new ones for every step.
#pragma once

#include "skipattn/analysis/workload.h"
#include "skipattn/data/loader.h"
#include "skipattn/training/trainer.h"

namespace skipattn::analysis {

class TrainingWorkload : public Workload {
 public:
  TrainingWorkload(model::Decoder& decoder, const WorkloadOptions& options, const training::Machine& machine);

  void prepare() override;
  /// Throws RunError when the loss or the gradient is not finite.
  void step() override;
  StepFacts facts() const override;

 private:
  const model::Decoder& decoder_;
  WorkloadOptions options_;
  training::Trainer trainer_;
  data::Batch batch_;
  training::StepOutcome outcome_;
  int64_t steps_ = 0;
};

}  // namespace skipattn::analysis
