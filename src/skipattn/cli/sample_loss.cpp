#include "skipattn/cli/sample_loss.h"

#include <algorithm>
#include <memory>

#include "skipattn/training/evaluation.h"

namespace skipattn::cli {

double sample_loss(const model::Decoder& decoder, const LossSample& sample, const training::Machine& machine) {
  data::LoaderOptions reading;
  reading.context = sample.context;
  reading.vocab_size = decoder.config().vocabulary;
  const auto files = std::make_shared<const data::TokenFiles>(sample.data, data::TokenFilesOptions{});
  const data::Loader loader(files, reading);
  training::EvaluationOptions options;
  options.windows = std::clamp<int64_t>(sample.tokens / sample.context, 1, loader.windows());
  options.micro_batch = std::clamp<int64_t>(4096 / sample.context, 1, 16);
  options.progress = sample.progress;
  model::Decoder working = decoder;  // shares the weights until they are converted
  working.convert_to(machine.dtype);
  working.move_to(machine.device);
  return training::evaluate(working, loader, options, machine.device).total.mean();
}

}  // namespace skipattn::cli
