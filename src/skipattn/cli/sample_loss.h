// The loss of a model on the first windows of token files: what convert shows before and after.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "skipattn/core/progress.h"
#include "skipattn/model/decoder.h"
#include "skipattn/training/machine.h"

namespace skipattn::cli {

struct LossSample {
  std::vector<std::string> data;  ///< token files, read as one
  int64_t context = 0;            ///< tokens of a window
  int64_t tokens = 0;             ///< about this many are read; at least one window
  ProgressSink progress;
};

/// Mean loss in nats per token. InputError when the files do not fit the model. `decoder` is not changed.
double sample_loss(const model::Decoder& decoder, const LossSample& sample, const training::Machine& machine);

}  // namespace skipattn::cli
