#include "skipattn/serving/scheduler.h"

#include <algorithm>
#include <new>

#include "skipattn/core/errors.h"

namespace skipattn::serving {

namespace {

/// Prompt tokens whose logits are held at once when all are reported.
constexpr int64_t kRatedPiece = 64;

ApiError too_slow() {
  return ApiError(503, "timeout", "the answer took longer than this server allows; ask for fewer tokens or try later");
}
ApiError stopping() {
  return ApiError(503, "stopping", "the server is stopping; try again when it is back");
}

}  // namespace

struct Scheduler::Running {
  Running(std::shared_ptr<Job> owner, size_t task_index, inference::CachedSequence cache)
      : job(std::move(owner)),
        index(task_index),
        task(&job->tasks()[index]),
        text(task->prompt),
        sequence(std::move(cache)),
        sampler(task->sampling, task->seed) {}

  bool prompt_read() const { return read >= task->prompt.size(); }
  void end(Ending ending) {
    ended = true;
    job->on_end(index, ending);
  }

  std::shared_ptr<Job> job;
  size_t index;  // of the task in its job
  const SequenceTask* task;
  inference::TokenIds text;  // the prompt and what followed
  inference::CachedSequence sequence;
  inference::Sampler sampler;
  size_t read = 0;              // prompt tokens in the cache
  std::vector<float> last_row;  // logits behind them, where the prompt is reported
  bool ended = false;
};

Scheduler::Scheduler(inference::Engine& engine, const SchedulerOptions& options) : engine_(engine), options_(options) {}

Scheduler::~Scheduler() = default;

void Scheduler::submit(std::shared_ptr<Job> job) {
  {
    const std::lock_guard lock(mutex_);
    if (ending_) throw stopping();
    if (static_cast<int64_t>(waiting_.size()) >= options_.waiting)
      throw ApiError(503, "overloaded",
                     fmt::format("{} requests are waiting already; try again later", waiting_.size()));
    waiting_.push_back({std::move(job), 0});
  }
  arrived_.notify_one();
}

void Scheduler::run(const std::function<bool()>& stop, std::chrono::duration<double> grace) {
  std::optional<Job::Clock::time_point> last_moment;
  while (true) {
    if (stop() && !last_moment) {
      last_moment = Job::Clock::now() + std::chrono::duration_cast<Job::Clock::duration>(grace);
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    if (last_moment && (idle() || Job::Clock::now() >= *last_moment)) break;
    if (step()) continue;
    std::unique_lock lock(mutex_);
    arrived_.wait_for(lock, std::chrono::milliseconds(100), [&] { return !waiting_.empty(); });
  }
  fail_all(stopping());
}

bool Scheduler::step() {
  drop_unwanted();
  admit();
  if (running_.empty()) return false;
  take_read_prompts();
  read_prompt_piece();
  decode();
  running_.remove_if([](const Running& sequence) { return sequence.ended; });
  return true;
}

/// Free slots go to the waiting jobs in turn.
void Scheduler::admit() {
  const std::lock_guard lock(mutex_);
  while (!waiting_.empty() && static_cast<int64_t>(running_.size()) < options_.slots) {
    Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    running_.emplace_back(next.job, next.next_task, engine_.new_sequence());
    if (++next.next_task < next.job->tasks().size()) waiting_.push_back(std::move(next));
  }
}

/// Jobs whose client has gone, or whose time is over.
void Scheduler::drop_unwanted() {
  const Job::Clock::time_point now = Job::Clock::now();
  for (const std::shared_ptr<Job>& job : all_jobs())
    if (now >= job->deadline()) fail(job, too_slow());
  running_.remove_if([](const Running& sequence) { return sequence.job->cancelled(); });
  shared_.forget_cancelled();
  const std::lock_guard lock(mutex_);
  std::erase_if(waiting_, [](const Waiting& waiting) { return waiting.job->cancelled(); });
}

void Scheduler::fail(const std::shared_ptr<Job>& job, const ApiError& error) {
  if (job->cancelled()) return;
  job->on_failure(error);
  job->cancel();  // its other sequences go with the next step
}

void Scheduler::fail_all(const ApiError& error) {
  for (const std::shared_ptr<Job>& job : all_jobs()) fail(job, error);
  drop_unwanted();
}

std::vector<std::shared_ptr<Job>> Scheduler::all_jobs() {
  std::vector<std::shared_ptr<Job>> jobs;
  for (const Running& sequence : running_) jobs.push_back(sequence.job);
  {
    const std::lock_guard lock(mutex_);
    for (const Waiting& waiting : waiting_) jobs.push_back(waiting.job);
  }
  return jobs;  // one may be there several times
}

bool Scheduler::idle() {
  const std::lock_guard lock(mutex_);
  return running_.empty() && waiting_.empty();
}

/// A fault of one sequence fails its job and leaves the others alone.
void Scheduler::guard(Running& sequence, const std::function<void()>& work) {
  try {
    if (sequence.job->cancelled()) sequence.ended = true;
    if (!sequence.ended) work();
    return;
  } catch (const std::bad_alloc&) {
    fail(sequence.job, ApiError(503, "memory", "no memory is left for this request; try a shorter one, or later"));
  } catch (const std::exception& error) {
    fail(sequence.job, ApiError(500, "", error.what()));
  }
  sequence.ended = true;
}

/// Prompts that another sequence of the job has read.
void Scheduler::take_read_prompts() {
  for (Running& sequence : running_) {
    if (sequence.read > 0) continue;
    guard(sequence, [&] {
      std::optional<ReadPrompt> prompt = shared_.take(sequence.job, sequence.index);
      if (!prompt) return;
      sequence.sequence = std::move(prompt->sequence);
      sequence.read = sequence.task->prompt.size();
      draw(sequence, prompt->logits);
    });
  }
}

/// Reads a piece of the first prompt that has not been read yet.
void Scheduler::read_prompt_piece() {
  const auto next = std::find_if(running_.begin(), running_.end(), [](const Running& r) { return !r.prompt_read(); });
  if (next == running_.end()) return;
  Running& sequence = *next;
  guard(sequence, [&] {
    const std::span<const uint32_t> prompt = sequence.task->prompt;
    const int64_t most = sequence.task->report_prompt ? kRatedPiece : options_.prompt_piece;
    const auto piece =
        prompt.subspan(sequence.read, std::min(prompt.size() - sequence.read, static_cast<size_t>(most)));
    if (sequence.task->report_prompt) return read_rated(sequence, piece);
    const std::span<const float> logits = engine_.prefill(sequence.sequence, piece);
    sequence.read += piece.size();
    if (!sequence.prompt_read()) return;
    if (sequence.task->max_new_tokens == 0) return sequence.end(Ending::kLength);
    shared_.offer(sequence.job, sequence.index, sequence.sequence, logits);
    draw(sequence, logits);
  });
}

/// The same with a report of every token.
void Scheduler::read_rated(Running& sequence, std::span<const uint32_t> piece) {
  const int64_t top = sequence.task->top;
  const std::vector<float> logits = engine_.prompt_logits(sequence.sequence, piece);
  const size_t columns = logits.size() / piece.size();
  for (size_t i = 0; i < piece.size(); ++i) {
    const std::span<const float> before =
        i > 0 ? std::span(logits).subspan((i - 1) * columns, columns) : std::span<const float>(sequence.last_row);
    TokenReport report{.token = piece[i], .of_prompt = true, .log_probability = {}, .likeliest = {}};
    if (!before.empty() && top >= 0) report = report_token(before, piece[i], top);
    report.of_prompt = true;
    if (!sequence.job->on_token(sequence.index, report)) return sequence.end(Ending::kStopped);
  }
  sequence.last_row.assign(logits.end() - static_cast<std::ptrdiff_t>(columns), logits.end());
  sequence.read += piece.size();
  if (!sequence.prompt_read()) return;
  if (sequence.task->max_new_tokens == 0) return sequence.end(Ending::kLength);
  draw(sequence, sequence.last_row);
}

/// One more token of every sequence that has drawn one.
void Scheduler::decode() {
  std::vector<Running*> going;
  std::vector<inference::NextToken> next;
  for (Running& sequence : running_) {
    if (sequence.ended || !sequence.prompt_read()) continue;
    going.push_back(&sequence);
    next.push_back({&sequence.sequence, sequence.text.back()});
  }
  if (going.empty()) return;
  std::span<const float> logits;
  try {
    logits = engine_.decode(next);
  } catch (const std::exception&) {
    for (Running* sequence : going) guard(*sequence, [] { throw; });
    return;
  }
  const size_t columns = logits.size() / going.size();
  for (size_t i = 0; i < going.size(); ++i)
    guard(*going[i], [&] { draw(*going[i], logits.subspan(i * columns, columns)); });
}

void Scheduler::draw(Running& sequence, std::span<const float> logits) {
  const SequenceTask& task = *sequence.task;
  const size_t columns = options_.vocabulary > 0 ? static_cast<size_t>(options_.vocabulary) : logits.size();
  const uint32_t token = sequence.sampler.next(logits.first(columns), sequence.text);
  sequence.text.push_back(token);
  TokenReport report{.token = token, .of_prompt = false, .log_probability = {}, .likeliest = {}};
  if (task.top >= 0) report = report_token(logits, token, task.top);
  const bool go_on = sequence.job->on_token(sequence.index, report);
  const auto drawn = static_cast<int64_t>(sequence.text.size() - task.prompt.size());
  if (static_cast<int64_t>(token) == options_.end_of_text) return sequence.end(Ending::kEndOfText);
  if (!go_on) return sequence.end(Ending::kStopped);
  if (drawn >= task.max_new_tokens) sequence.end(Ending::kLength);
}

}  // namespace skipattn::serving
