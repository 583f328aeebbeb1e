#include "skipattn/analysis/training_workload.h"

#include "skipattn/core/errors.h"

namespace skipattn::analysis {

namespace {

training::TrainingConfig training_config(const WorkloadOptions& options) {
  training::TrainingConfig config;
  config.batch_size = options.batch;
  config.micro_batch_size = options.micro_batch > 0 ? options.micro_batch : options.batch;
  config.recompute = options.recompute;
  config.seed = static_cast<int64_t>(options.seed);
  return config;
}

}  // namespace

TrainingWorkload::TrainingWorkload(model::Decoder& decoder, const WorkloadOptions& options,
                                   const training::Machine& machine)
    : decoder_(decoder), options_(options), trainer_(decoder, training_config(options), machine) {}

void TrainingWorkload::prepare() {
  batch_ = {};
  batch_.rows = options_.batch;
  batch_.context = options_.context;
  for (const auto& row : random_tokens(options_, options_.context + 1, decoder_.config().vocabulary, steps_)) {
    batch_.tokens.insert(batch_.tokens.end(), row.begin(), row.end() - 1);
    batch_.targets.insert(batch_.targets.end(), row.begin() + 1, row.end());
  }
}

void TrainingWorkload::step() {
  outcome_ = trainer_.step(batch_, ++steps_);
  if (outcome_.skipped)
    throw RunError("step {}: the loss is {} and the gradient's norm {}; a model whose steps are broken is not timed",
                   steps_, outcome_.loss, outcome_.grad_norm);
}

StepFacts TrainingWorkload::facts() const {
  StepFacts facts;
  facts.tokens = options_.batch * options_.context;
  facts.flops = training_flops(decoder_.plan(), decoder_.config().dimensions(),
                               {.batch = options_.batch, .context = options_.context});
  facts.loss = outcome_.loss;
  facts.how = trainer_.description();
  return facts;
}

}  // namespace skipattn::analysis
