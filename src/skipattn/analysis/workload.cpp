#include "skipattn/analysis/workload.h"

#include <fmt/format.h>

#include "skipattn/analysis/inference_workloads.h"
#include "skipattn/analysis/training_workload.h"
#include "skipattn/core/errors.h"
#include "skipattn/core/random.h"

namespace skipattn::analysis {

namespace {

void check(const model::ModelConfig& config, const WorkloadOptions& options) {
  FaultList faults;
  const int64_t least = options.mode == Mode::kDecode ? 2 : 1;
  if (options.batch < 1) faults.add("batch={}: must be 1 or more", options.batch);
  if (options.context < least) faults.add("context={}: must be {} or more in this mode", options.context, least);
  if (options.context > config.positions)
    faults.add("context={}: the model has positions for {} tokens", options.context, config.positions);
  if (options.micro_batch < 0 || (options.micro_batch > 0 && options.batch % options.micro_batch != 0))
    faults.add("micro_batch={}: must divide batch={}", options.micro_batch, options.batch);
  faults.throw_if_any("[profile] ");
}

}  // namespace

Mode parse_mode(const std::string& text) {
  if (text == "train") return Mode::kTrain;
  if (text == "prefill") return Mode::kPrefill;
  if (text == "decode") return Mode::kDecode;
  throw InputError("[profile] mode '{}': must be train, prefill or decode", text);
}

std::unique_ptr<Workload> make_workload(model::Decoder& decoder, const WorkloadOptions& options,
                                        const training::Machine& machine) {
  check(decoder.config(), options);
  switch (options.mode) {
    case Mode::kTrain:
      return std::make_unique<TrainingWorkload>(decoder, options, machine);
    case Mode::kPrefill:
      return std::make_unique<PrefillWorkload>(decoder, options, machine);
    case Mode::kDecode:
      return std::make_unique<DecodeWorkload>(decoder, options, machine);
  }
  return nullptr;
}

std::vector<std::vector<uint32_t>> random_tokens(const WorkloadOptions& options, int64_t length, int64_t vocabulary,
                                                 int64_t draw) {
  Random random(derive_seed(options.seed, fmt::format("profile tokens {}", draw)));
  std::vector<std::vector<uint32_t>> rows(static_cast<size_t>(options.batch));
  for (auto& row : rows)
    for (int64_t i = 0; i < length; ++i)
      row.push_back(static_cast<uint32_t>(random.below(static_cast<uint64_t>(vocabulary))));
  return rows;
}

}  // namespace skipattn::analysis
