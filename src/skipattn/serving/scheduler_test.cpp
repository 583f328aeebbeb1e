// Continuous batching beside generate(), one sequence at a time.
#include "skipattn/serving/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "skipattn/inference/generation.h"
#include "skipattn/serving/test_service_model.h"

namespace skipattn::serving {
namespace {

using inference::Engine;
using inference::TokenIds;

/// Keeps what it is told.
struct RecordingJob : Job {
  explicit RecordingJob(std::vector<SequenceTask> tasks, std::chrono::seconds allowed = std::chrono::seconds(600))
      : Job(std::move(tasks), Clock::now() + allowed),
        drawn(this->tasks().size()),
        read(drawn.size()),
        ends(drawn.size()) {}
  bool on_token(size_t task, const TokenReport& report) override {
    (report.of_prompt ? read : drawn)[task].push_back(report);
    return drawn[task].size() != stop_after;
  }
  void on_end(size_t task, Ending ending) override { ends[task] = ending; }
  void on_failure(const ApiError& error) override { failures.emplace_back(error.what()); }
  bool done() const {
    return std::all_of(ends.begin(), ends.end(), [](const auto& end) { return end.has_value(); });
  }
  TokenIds tokens(size_t task) const {
    TokenIds ids;
    for (const TokenReport& report : drawn[task]) ids.push_back(report.token);
    return ids;
  }

  std::vector<std::vector<TokenReport>> drawn, read;
  std::vector<std::optional<Ending>> ends;
  std::vector<std::string> failures;
  size_t stop_after = 1000;
};

class SchedulerTest : public testing::Test {
 protected:
  SchedulerTest()
      : decoder(inference::test_model("sla(distance=2, heads=2)")),
        engine(decoder, {.weights = inference::Dtype::kFp32,
                         .cache = inference::Dtype::kFp32,
                         .threads = 1,
                         .skip_unread_layers = false}) {}

  SequenceTask task(int64_t prompt_tokens, int64_t new_tokens, uint64_t seed) const {
    SequenceTask made;
    made.prompt = inference::test_tokens(prompt_tokens, seed);
    made.max_new_tokens = new_tokens;
    made.sampling.temperature = seed % 2 == 0 ? 0.0 : 0.9;
    made.seed = seed;
    return made;
  }
  /// What follows when the sequence has the engine to itself.
  TokenIds alone(const SequenceTask& task) {
    inference::CachedSequence sequence = engine.new_sequence();
    inference::Sampler sampler(task.sampling, task.seed);
    TokenIds text = task.prompt;
    std::span<const float> logits = engine.prefill(sequence, text);
    while (true) {
      text.push_back(sampler.next(logits, text));
      if (static_cast<int64_t>(text.size() - task.prompt.size()) == task.max_new_tokens) break;
      logits = engine.decode({{&sequence, text.back()}});
    }
    return {text.begin() + static_cast<std::ptrdiff_t>(task.prompt.size()), text.end()};
  }
  static void finish(Scheduler& scheduler) {
    while (scheduler.step()) {
    }
  }

  model::Decoder decoder;
  Engine engine;
};

TEST_F(SchedulerTest, SequencesThatJoinAndLeaveGiveWhatTheyGiveAlone) {
  Scheduler scheduler(engine, {.slots = 3, .waiting = 64, .prompt_piece = 16});
  std::vector<std::shared_ptr<RecordingJob>> jobs;
  for (uint64_t i = 0; i < 12; ++i) {
    const auto length = static_cast<int64_t>(1 + 7 * i);
    std::vector<SequenceTask> tasks = {task(length, static_cast<int64_t>(1 + 5 * i % 13), i)};
    if (i % 4 == 1) tasks.push_back(task(3, 9, i + 100));
    jobs.push_back(std::make_shared<RecordingJob>(tasks));
    scheduler.submit(jobs.back());
    scheduler.step();
    EXPECT_LE(scheduler.running(), 3);
  }
  finish(scheduler);
  for (const auto& job : jobs)
    for (size_t t = 0; t < job->tasks().size(); ++t) {
      EXPECT_EQ(job->tokens(t), alone(job->tasks()[t]));
      EXPECT_EQ(job->ends[t], Ending::kLength);
    }
}

TEST_F(SchedulerTest, SequencesOfOnePromptReadItOnce) {
  std::vector<SequenceTask> tasks;
  for (uint64_t i = 0; i < 5; ++i) {  // two prompts, one of them wanted four times
    tasks.push_back(task(70, 20, 1));
    tasks.back().seed = i;
    if (i == 2) tasks.back().prompt = inference::test_tokens(9, 5);
  }
  for (const int64_t slots : {2, 5}) {
    const auto job = std::make_shared<RecordingJob>(tasks);
    Scheduler scheduler(engine, {.slots = slots, .waiting = 64, .prompt_piece = 10});
    scheduler.submit(job);
    int64_t steps_until_all_drew = 1;
    while (scheduler.step())
      if (job->drawn[4].empty()) ++steps_until_all_drew;
    EXPECT_LE(steps_until_all_drew, slots == 5 ? 9 : 80);  // 7 pieces of the one, 1 of the other
    for (size_t t = 0; t < tasks.size(); ++t) EXPECT_EQ(job->tokens(t), alone(tasks[t]));
    EXPECT_NE(job->tokens(0), job->tokens(1));
    EXPECT_EQ(job.use_count(), 1);  // nothing is kept
  }
}

TEST_F(SchedulerTest, ReportsPromptsWithTheFullForwardsLogProbabilities) {
  SequenceTask rated = task(90, 0, 2);
  rated.top = 1;
  rated.report_prompt = true;
  const auto job = std::make_shared<RecordingJob>(std::vector<SequenceTask>{rated});
  Scheduler scheduler(engine, {});
  scheduler.submit(job);
  finish(scheduler);
  ASSERT_EQ(job->read[0].size(), 90U);
  EXPECT_FALSE(job->read[0][0].log_probability);
  EXPECT_TRUE(job->drawn[0].empty());
  const at::Tensor expected = inference::full_logits(decoder, rated.prompt).to(at::kDouble).log_softmax(-1);
  for (size_t i = 1; i < 90; ++i)
    EXPECT_NEAR(*job->read[0][i].log_probability,
                expected[static_cast<int64_t>(i) - 1][static_cast<int64_t>(rated.prompt[i])].item<double>(), 1e-4);
}

TEST_F(SchedulerTest, EndsWhereTheModelOrTheClientSays) {
  SequenceTask greedy = task(5, 20, 4);
  const TokenIds expected = alone(greedy);
  const uint32_t third = expected[2];
  const auto first = static_cast<size_t>(std::find(expected.begin(), expected.end(), third) - expected.begin());
  const auto ended = std::make_shared<RecordingJob>(std::vector<SequenceTask>{greedy});
  const auto stopped = std::make_shared<RecordingJob>(std::vector<SequenceTask>{task(6, 20, 7)});
  stopped->stop_after = 1;
  Scheduler scheduler(engine, {.end_of_text = static_cast<int64_t>(third)});
  scheduler.submit(ended);
  scheduler.submit(stopped);
  finish(scheduler);
  EXPECT_EQ(ended->ends[0], Ending::kEndOfText);
  EXPECT_EQ(ended->drawn[0].size(), first + 1);
  EXPECT_EQ(stopped->drawn[0].size(), 1U);
  EXPECT_EQ(stopped->ends[0], Ending::kStopped);
}

TEST_F(SchedulerTest, CancelledJobsFreeTheirSlotsAndSayNothingMore) {
  Scheduler scheduler(engine, {.slots = 1});
  const auto first = std::make_shared<RecordingJob>(std::vector<SequenceTask>{task(5, 50, 1), task(5, 50, 3)});
  const auto second = std::make_shared<RecordingJob>(std::vector<SequenceTask>{task(5, 4, 2)});
  scheduler.submit(first);
  scheduler.submit(second);
  scheduler.step();
  const size_t before = first->drawn[0].size();
  first->cancel();
  finish(scheduler);
  EXPECT_EQ(first->drawn[0].size(), before);
  EXPECT_TRUE(first->drawn[1].empty() && first->failures.empty() && !first->done());
  EXPECT_EQ(second->tokens(0), alone(second->tasks()[0]));
  EXPECT_EQ(first.use_count(), 1);  // nothing holds it any more
}

TEST_F(SchedulerTest, JobsThatTakeTooLongFailOnce) {
  Scheduler scheduler(engine, {});
  const auto late =
      std::make_shared<RecordingJob>(std::vector<SequenceTask>{task(5, 9, 1), task(5, 9, 2)}, std::chrono::seconds(0));
  scheduler.submit(late);
  finish(scheduler);
  EXPECT_THAT(late->failures, testing::ElementsAre(testing::HasSubstr("longer than this server allows")));
}

TEST_F(SchedulerTest, RefusesMoreThanMayWait) {
  Scheduler scheduler(engine, {.slots = 1, .waiting = 2});
  const auto job = [&] { return std::make_shared<RecordingJob>(std::vector<SequenceTask>{task(5, 2, 1)}); };
  scheduler.submit(job());
  scheduler.submit(job());
  EXPECT_THROW(scheduler.submit(job()), ApiError);
  finish(scheduler);
  EXPECT_NO_THROW(scheduler.submit(job()));
}

TEST_F(SchedulerTest, EndsWithGraceThenFailsWhatIsLeft) {
  Scheduler patient(engine, {});
  const auto short_job = std::make_shared<RecordingJob>(std::vector<SequenceTask>{task(5, 9, 1)});
  patient.submit(short_job);
  patient.run([] { return true; }, std::chrono::seconds(60));
  EXPECT_TRUE(short_job->done());
  EXPECT_THROW(patient.submit(short_job), ApiError);

  Scheduler impatient(engine, {});
  const auto left = std::make_shared<RecordingJob>(std::vector<SequenceTask>{task(5, 50, 1)});
  impatient.submit(left);
  impatient.run([] { return true; }, std::chrono::seconds(0));
  EXPECT_THAT(left->failures, testing::ElementsAre(testing::HasSubstr("stopping")));
}

}  // namespace
}  // namespace skipattn::serving
