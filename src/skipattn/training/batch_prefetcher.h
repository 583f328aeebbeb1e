// The next step's batch, read by a thread of its own while a card is busy with this one.
#pragma once

#include <cstdint>
#include <future>

#include "skipattn/data/loader.h"

namespace skipattn::training {

class BatchPrefetcher {
 public:
  /// The loader must outlive it. Batches from `end` on are not read ahead.
  BatchPrefetcher(const data::Loader& loader, int64_t end) : loader_(loader), end_(end) {}

  /// The batch of `step`; then reading of the one after it begins. Throws what the loader throws, for this step.
  data::Batch get(int64_t step);

 private:
  const data::Loader& loader_;
  int64_t end_;
  int64_t next_step_ = -1;  // of next_
  std::future<data::Batch> next_;
};

}  // namespace skipattn::training
