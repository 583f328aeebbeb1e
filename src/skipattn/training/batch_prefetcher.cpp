#include "skipattn/training/batch_prefetcher.h"

namespace skipattn::training {

data::Batch BatchPrefetcher::get(int64_t step) {
  data::Batch batch = next_.valid() && next_step_ == step ? next_.get() : loader_.get(step);
  next_step_ = step + 1;
  if (next_step_ < end_)
    next_ = std::async(std::launch::async, [&loader = loader_, next = next_step_] { return loader.get(next); });
  return batch;
}

}  // namespace skipattn::training
