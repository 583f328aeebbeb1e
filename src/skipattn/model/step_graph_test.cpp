#include "skipattn/model/step_graph.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <stdexcept>

namespace skipattn::model {
namespace {

struct Counts {
  int records = 0, replays = 0, forgotten = 0;
};

/// Does in place of a recording what was last asked for, or refuses.
class StandIn : public GraphRecorder {
 public:
  explicit StandIn(Counts& counts, bool refuses = false) : counts_(counts), refuses_(refuses) {}
  void record(const std::function<void()>& work) override {
    if (refuses_) throw std::runtime_error("no such thing");
    ++counts_.records;
    work_ = work;
  }
  void replay() override {
    ++counts_.replays;
    work_();
  }

  void forget() override { ++counts_.forgotten; }

 private:
  Counts& counts_;
  bool refuses_;
  std::function<void()> work_;
};

int run_steps(StepGraph& graph, int steps) {
  int done = 0;
  for (int i = 0; i < steps; ++i) graph.run([&] { ++done; });
  return done;
}

TEST(StepGraph, EveryStepRunsOnceAndIsRecordedAfterTheWarmUp) {
  Counts counts;
  StepGraph graph(std::make_unique<StandIn>(counts));
  EXPECT_EQ(run_steps(graph, StepGraph::kWarmUpSteps), StepGraph::kWarmUpSteps);
  EXPECT_EQ(counts.records, 0);
  int done = 0;
  const std::function<void()> step = [&] { ++done; };
  for (int i = 0; i < 5; ++i) graph.run(step);
  EXPECT_EQ(done, 5);
  EXPECT_EQ(counts.records, 1);
  EXPECT_EQ(counts.replays, 5);
  EXPECT_TRUE(graph.replays());
}

TEST(StepGraph, AfterAChangeItWarmsUpAgain) {
  Counts counts;
  StepGraph graph(std::make_unique<StandIn>(counts));
  int done = 0;
  const std::function<void()> step = [&] { ++done; };
  for (int i = 0; i < 5; ++i) graph.run(step);
  graph.forget();
  EXPECT_EQ(counts.forgotten, 1);
  for (int i = 0; i < 5; ++i) graph.run(step);
  EXPECT_EQ(done, 10);
  EXPECT_EQ(counts.records, 2);
  EXPECT_EQ(counts.replays, 4);
}

TEST(StepGraph, WhatCannotBeRecordedRunsPlainlyAndSaysWhy) {
  Counts counts;
  StepGraph graph(std::make_unique<StandIn>(counts, /*refuses=*/true));
  EXPECT_EQ(run_steps(graph, 6), 6);
  EXPECT_FALSE(graph.replays());
  EXPECT_EQ(graph.failure(), "no such thing");
}

TEST(StepGraph, WithoutARecorderStepsRunPlainly) {
  StepGraph graph(make_graph_recorder(c10::DeviceType::CPU));
  EXPECT_EQ(run_steps(graph, 6), 6);
  EXPECT_FALSE(graph.replays());
}

}  // namespace
}  // namespace skipattn::model
