// One kind of step that can be done again and again on random tokens: a training step, reading a prompt, decoding one
// token. The steps are the library's own (Trainer, Engine), nothing is rebuilt for measuring.
//
//   const auto workload = make_workload(decoder, {.mode = Mode::kTrain, .batch = 4, .context = 1024}, machine);
//   workload->prepare();
//   workload->step();               // what is timed
//   workload->facts().flops.total()
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "skipattn/analysis/step_costs.h"
#include "skipattn/inference/dtype.h"
#include "skipattn/model/decoder.h"
#include "skipattn/training/machine.h"

namespace skipattn::analysis {

enum class Mode {
  kTrain,    ///< forward, backward and update over B sequences of T tokens
  kPrefill,  ///< B prompts of T tokens read into the KV cache
  kDecode,   ///< the T-th token of B rows read, with T - 1 in the KV cache, and the next one drawn
};
/// "train", "prefill" or "decode"; throws InputError naming all three.
Mode parse_mode(const std::string& text);

struct WorkloadOptions {
  Mode mode = Mode::kTrain;
  int64_t batch = 1;                                   ///< B, sequences side by side
  int64_t context = 1024;                              ///< T, tokens of each; decoding needs 2 or more
  int64_t micro_batch = 0;                             ///< training: sequences of one forward pass, divides B; 0: B
  bool recompute = false;                              ///< training: run layers again in the backward pass
  uint64_t seed = 1;                                   ///< of the tokens
  inference::Dtype weights = inference::Dtype::kBf16;  ///< prefill, decode
  inference::Dtype cache = inference::Dtype::kBf16;    ///< prefill, decode
};

/// What is known of the step last done.
struct StepFacts {
  StepFlops flops;
  int64_t tokens = 0;                    ///< read by the step
  double bytes_read = 0;                 ///< decoding: decode_bytes(); otherwise 0
  std::optional<double> loss = {};       ///< training
  int64_t kv_cache_bytes = 0;            ///< prefill, decode: of the tokens held
  int64_t kv_cache_allocated_bytes = 0;  ///< of the cache's buffers
  std::string how = {};                  ///< training on a card: how the step ran, for people; else empty
};

class Workload {
 public:
  virtual ~Workload() = default;
  /// Everything the next step needs that is no part of it.
  virtual void prepare() = 0;
  virtual void step() = 0;
  virtual StepFacts facts() const = 0;
};

/// Takes the decoder over (training replaces its parameters by trained ones); the decoder must outlive the workload.
/// Throws InputError listing every fault: sizes that are not positive, more tokens than the model has positions, a
/// micro-batch that does not divide the batch.
std::unique_ptr<Workload> make_workload(model::Decoder& decoder, const WorkloadOptions& options,
                                        const training::Machine& machine);

/// B lists of `length` tokens drawn from [0, vocabulary); `draw` 0, 1, … gives others each time.
std::vector<std::vector<uint32_t>> random_tokens(const WorkloadOptions& options, int64_t length, int64_t vocabulary,
                                                 int64_t draw);

}  // namespace skipattn::analysis
