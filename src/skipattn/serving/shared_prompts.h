// Prompts that a request wants several continuations of: read once for all.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "skipattn/inference/block_cache.h"
#include "skipattn/serving/job.h"

namespace skipattn::serving {

/// A prompt that has been read.
struct ReadPrompt {
  inference::CachedSequence sequence;
  std::vector<float> logits;  ///< [vocabulary], of what may follow
};

class SharedPrompts {
 public:
  /// Keeps the prompt of a task, which `sequence` holds, if later tasks of the job have the same one and report nothing of it.
  void offer(const std::shared_ptr<Job>& job, size_t task, const inference::CachedSequence& sequence,
             std::span<const float> logits);
  /// The task's prompt, if an earlier task offered it. Once for each task: the last one clears it away.
  std::optional<ReadPrompt> take(const std::shared_ptr<Job>& job, size_t task);
  /// Clears away what belongs to jobs that were cancelled.
  void forget_cancelled();

  size_t size() const { return kept_.size(); }

 private:
  struct Kept {
    std::shared_ptr<Job> job;
    size_t task;
    size_t takers;
    ReadPrompt prompt;
  };
  std::list<Kept> kept_;
};

}  // namespace skipattn::serving
