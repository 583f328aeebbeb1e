// Scheduler: continuous batching. Sequences of all jobs share one engine; they join and leave between steps, and each gives
// the tokens it would give alone.
//
//   Scheduler scheduler(engine, {.slots = 16});
//   std::thread clients([&] { scheduler.submit(job); });     // from any thread
//   scheduler.run(stop_requested, std::chrono::seconds(5));  // on the engine's thread
//
// A step reads one piece of one prompt, so that a long prompt does not hold up the others, then decodes one token of every
// sequence whose prompt has been read. Free slots go to the waiting jobs in turn, one sequence each. A prompt that several
// sequences of a job have in common is read once (shared_prompts.h).
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>

#include "skipattn/inference/engine.h"
#include "skipattn/serving/job.h"
#include "skipattn/serving/shared_prompts.h"

namespace skipattn::serving {

struct SchedulerOptions {
  int64_t slots = 16;          ///< sequences decoded together, 1 or more
  int64_t waiting = 64;        ///< jobs that may wait for their first slots; more are refused
  int64_t prompt_piece = 256;  ///< prompt tokens read in a step, 1 or more
  int64_t vocabulary = 0;      ///< only tokens below this are drawn; 0: all the model's
  int64_t end_of_text = -1;    ///< the token that ends a sequence; -1: none does
};

class Scheduler {
 public:
  /// The engine must outlive the scheduler, and give prompt_logits() where jobs report prompts.
  Scheduler(inference::Engine& engine, const SchedulerOptions& options);
  ~Scheduler();

  /// From any thread. Throws ApiError 503 when too many jobs wait, or when the scheduler is ending.
  void submit(std::shared_ptr<Job> job);

  /// Works until stop() is true, looked at every step and ten times a second; from then on takes no more jobs, and
  /// ends when all are done or `grace` is over, which fails those that are left.
  void run(const std::function<bool()>& stop, std::chrono::duration<double> grace);

  /// One step, for run() and tests; false when there was nothing to do.
  bool step();

  /// Sequences that hold a slot; on the engine's thread.
  int64_t running() const { return static_cast<int64_t>(running_.size()); }

 private:
  struct Running;
  struct Waiting {
    std::shared_ptr<Job> job;
    size_t next_task = 0;
  };

  void admit();
  void drop_unwanted();
  void fail(const std::shared_ptr<Job>& job, const ApiError& error);
  void take_read_prompts();
  void read_prompt_piece();
  void read_rated(Running& sequence, std::span<const uint32_t> piece);
  void decode();
  void draw(Running& sequence, std::span<const float> logits);
  void guard(Running& sequence, const std::function<void()>& work);
  void fail_all(const ApiError& error);
  std::vector<std::shared_ptr<Job>> all_jobs();
  bool idle();

  inference::Engine& engine_;
  SchedulerOptions options_;
  std::list<Running> running_;
  SharedPrompts shared_;

  std::mutex mutex_;  // for what is below
  std::condition_variable arrived_;
  std::deque<Waiting> waiting_;
  bool ending_ = false;
};

}  // namespace skipattn::serving
