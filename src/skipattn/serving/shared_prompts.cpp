#include "skipattn/serving/shared_prompts.h"

#include <algorithm>

namespace skipattn::serving {

namespace {

bool can_share(const SequenceTask& task) {
  return !task.report_prompt && task.max_new_tokens > 0;
}

}  // namespace

void SharedPrompts::offer(const std::shared_ptr<Job>& job, size_t task, const inference::CachedSequence& sequence,
                          std::span<const float> logits) {
  const std::vector<SequenceTask>& tasks = job->tasks();
  if (!can_share(tasks[task])) return;
  const auto takers = std::count_if(tasks.begin() + static_cast<std::ptrdiff_t>(task) + 1, tasks.end(),
                                    [&](const SequenceTask& other) { return other.prompt == tasks[task].prompt; });
  if (takers == 0) return;
  kept_.push_back({job, task, static_cast<size_t>(takers), {sequence.fork(), {logits.begin(), logits.end()}}});
}

std::optional<ReadPrompt> SharedPrompts::take(const std::shared_ptr<Job>& job, size_t task) {
  const SequenceTask& wanted = job->tasks()[task];
  const auto found = std::find_if(kept_.begin(), kept_.end(), [&](const Kept& kept) {
    return kept.job == job && kept.task < task && job->tasks()[kept.task].prompt == wanted.prompt;
  });
  if (found == kept_.end()) return std::nullopt;
  ReadPrompt prompt{found->prompt.sequence.fork(), found->prompt.logits};
  if (--found->takers == 0) kept_.erase(found);
  return prompt;
}

void SharedPrompts::forget_cancelled() {
  kept_.remove_if([](const Kept& kept) { return kept.job->cancelled(); });
}

}  // namespace skipattn::serving
