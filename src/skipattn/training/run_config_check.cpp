// finish_run_config(): derived values and every fault of a run's settings.
#include <algorithm>

#include "skipattn/core/errors.h"
#include "skipattn/core/text.h"
#include "skipattn/training/run_config.h"

namespace skipattn::training {

namespace {

/// Collects faults about single keys.
class Checker {
 public:
  void at_least(const char* key, int64_t value, int64_t minimum) {
    if (value < minimum) faults.add("{}={}: must be {} or more", key, value, minimum);
  }
  void within(const char* key, double value, double low, double high) {
    if (!(value >= low && value < high)) faults.add("{}={}: must be at least {} and below {}", key, value, low, high);
  }
  void one_of(const char* key, const std::string& value, const std::vector<std::string>& choices) {
    if (std::ranges::find(choices, value) == choices.end())
      faults.add("{}='{}': must be {}{}", key, value, join(choices, ", "), did_you_mean(value, choices));
  }
  FaultList faults;
};

void check_data(const DataConfig& data, Checker& check) {
  if (data.train.empty())
    check.faults.add("data.train: not given; name the token files that 'skipattn tokenize' wrote");
  check.at_least("data.context", data.context, 1);
  check.one_of("data.order", data.order, {"shuffled", "sequential"});
  check.one_of("data.packing", data.packing, {"stream", "documents"});
  check.at_least("data.min_document_tokens", data.min_document_tokens, 0);
  check.at_least("data.end_of_text", data.end_of_text, -1);
}

void check_training(const TrainingConfig& training, Checker& check) {
  check.at_least("training.steps", training.steps, 1);
  check.at_least("training.tokens", training.tokens, 0);
  check.at_least("training.batch_size", training.batch_size, 1);
  check.at_least("training.micro_batch_size", training.micro_batch_size, 1);
  if (training.micro_batch_size > 0 && training.batch_size % training.micro_batch_size != 0)
    check.faults.add("training.micro_batch_size={}: must divide training.batch_size={}", training.micro_batch_size,
                     training.batch_size);
  check.within("training.learning_rate", training.learning_rate, 0, 1e3);
  if (training.min_learning_rate > training.learning_rate)
    check.faults.add("training.min_learning_rate={}: must not exceed training.learning_rate={}",
                     training.min_learning_rate, training.learning_rate);
  check.at_least("training.warmup_steps", training.warmup_steps, 0);
  check.one_of("training.schedule", training.schedule, {"cosine", "constant", "wsd"});
  check.within("training.decay_fraction", training.decay_fraction, 0, 1.0000001);
  check.within("training.weight_decay", training.weight_decay, 0, 1e3);
  check.within("training.beta1", training.beta1, 0, 1);
  check.within("training.beta2", training.beta2, 0, 1);
  check.within("training.epsilon", training.epsilon, 0, 1);
  check.within("training.grad_clip", training.grad_clip, 0, 1e9);
  check.within("training.dropout", training.dropout, 0, 1);
  check.at_least("training.eval_every", training.eval_every, 0);
  check.at_least("training.eval_tokens", training.eval_tokens, 0);
  check.at_least("training.save_every", training.save_every, 0);
  check.at_least("training.keep_last", training.keep_last, 1);
}

}  // namespace

Schedule learning_rate_schedule(const TrainingConfig& training) {
  Schedule schedule;
  schedule.kind = training.schedule;
  schedule.peak = training.learning_rate;
  schedule.minimum = training.min_learning_rate < 0 ? training.learning_rate / 10 : training.min_learning_rate;
  schedule.warmup_steps = std::min(training.warmup_steps, training.steps / 10);
  schedule.total_steps = training.steps;
  schedule.decay_fraction = training.decay_fraction;
  return schedule;
}

void finish_run_config(RunConfig& config) {
  TrainingConfig& training = config.training;
  if (training.micro_batch_size == 0) training.micro_batch_size = training.batch_size;
  if (training.tokens > 0 && training.batch_size > 0 && config.data.context > 0) {
    const int64_t per_step = training.batch_size * config.data.context;
    training.steps = std::max<int64_t>(1, (training.tokens + per_step - 1) / per_step);
  }
  if (config.model.positions == 0) config.model.positions = config.data.context;
  config.model.derive();

  Checker check;
  check_data(config.data, check);
  check_training(training, check);
  if (config.data.context > config.model.positions)
    check.faults.add("data.context={}: the model has model.positions={}", config.data.context, config.model.positions);
  check.one_of("run.device", config.run.device, {"auto", "cpu", "cuda"});
  check.one_of("run.dtype", config.run.dtype, {"auto", "fp32", "bf16"});
  check.at_least("run.threads", config.run.threads, 0);
  check.faults.throw_if_any("[config] ");
  config.model.validate("[model] ");
}

}  // namespace skipattn::training
