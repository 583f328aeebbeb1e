// A job: sequences that belong to one request, and whom to tell about their tokens.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <vector>

#include "skipattn/inference/padded_batch.h"
#include "skipattn/inference/sampler.h"
#include "skipattn/serving/api_error.h"
#include "skipattn/serving/token_report.h"

namespace skipattn::serving {

/// A prompt and what is to follow.
struct SequenceTask {
  inference::TokenIds prompt;  ///< 1 or more ids of the model
  int64_t max_new_tokens = 0;  ///< 0 or more, as many as the positions leave room for
  inference::SamplingOptions sampling;
  uint64_t seed = 0;
  int64_t top = -1;            ///< likeliest tokens in each report; -1: reports without log-probabilities
  bool report_prompt = false;  ///< reports of the prompt's tokens too
};

/// Why a sequence ended.
enum class Ending {
  kEndOfText,  ///< the model drew its end-of-text token
  kLength,     ///< max_new_tokens were drawn
  kStopped,    ///< on_token() said so
};

class Job {
 public:
  using Clock = std::chrono::steady_clock;

  Job(std::vector<SequenceTask> tasks, Clock::time_point deadline) : tasks_(std::move(tasks)), deadline_(deadline) {}
  virtual ~Job() = default;
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  // The scheduler calls these on the engine's thread; they must not throw.

  /// A token of sequence `task`, in the text's order; false ends that sequence.
  virtual bool on_token(size_t task, const TokenReport& report) = 0;
  virtual void on_end(size_t task, Ending ending) = 0;
  /// The whole job has failed; nothing more comes.
  virtual void on_failure(const ApiError& error) = 0;

  const std::vector<SequenceTask>& tasks() const { return tasks_; }
  Clock::time_point deadline() const { return deadline_; }

  /// Nobody waits for it any more; nothing more comes. From any thread.
  void cancel() { cancelled_ = true; }
  bool cancelled() const { return cancelled_; }

 private:
  std::vector<SequenceTask> tasks_;
  Clock::time_point deadline_;
  std::atomic<bool> cancelled_{false};
};

}  // namespace skipattn::serving
