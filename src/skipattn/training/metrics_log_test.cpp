#include "skipattn/training/metrics_log.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>

#include "skipattn/core/errors.h"
#include "skipattn/io/test_folder.h"

namespace skipattn::training {
namespace {

MetricsRow row(int64_t step) {
  MetricsRow result;
  result.step = step;
  result.tokens = step * 10;
  result.loss = 1.0 / static_cast<double>(step);
  return result;
}

std::vector<int64_t> steps(const std::vector<MetricsRow>& rows) {
  std::vector<int64_t> result;
  for (const MetricsRow& item : rows) result.push_back(item.step);
  return result;
}

TEST(MetricsLog, WhatWasAddedIsReadBack) {
  const io::TestFolder folder;
  MetricsLog log(folder.path(), 0);
  MetricsRow bad = row(1);
  bad.loss = std::numeric_limits<double>::quiet_NaN();
  bad.skipped = true;
  MetricsRow validated = row(2);
  validated.val_loss = 2.5;
  log.add(bad);
  log.add(validated);
  const auto rows = read_metrics(folder / "metrics.jsonl");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_TRUE(std::isnan(rows[0].loss));
  EXPECT_TRUE(rows[0].skipped);
  EXPECT_EQ(rows[1].val_loss, 2.5);
  EXPECT_EQ(rows[1].tokens, 20);
}

TEST(MetricsLog, ResumingDropsLaterRowsAndOneCutShort) {
  const io::TestFolder folder;
  {
    MetricsLog log(folder.path(), 0);
    for (int64_t step = 1; step <= 5; ++step) log.add(row(step));
  }
  std::ofstream(folder / "metrics.jsonl", std::ios::app) << R"({"step": 6, "tok)";
  EXPECT_EQ(steps(read_metrics(folder / "metrics.jsonl")), (std::vector<int64_t>{1, 2, 3, 4, 5}));
  MetricsLog log(folder.path(), 3);
  log.add(row(4));
  EXPECT_EQ(steps(read_metrics(folder / "metrics.jsonl")), (std::vector<int64_t>{1, 2, 3, 4}));
  int event_files = 0;
  for (const auto& name : folder.names()) event_files += name.starts_with("events.out.tfevents");
  EXPECT_EQ(event_files, 1);
}

TEST(MetricsLog, ANewRunBeginsEmptyAndGarbageIsNamed) {
  const io::TestFolder folder;
  folder.write("metrics.jsonl", "{\"step\": 1, \"tokens\": 3}\nnonsense\n");
  EXPECT_NE(io::error_of<InputError>([&] { read_metrics(folder / "metrics.jsonl"); }).find("line 2"),
            std::string::npos);
  const MetricsLog log(folder.path(), 0);
  EXPECT_TRUE(read_metrics(folder / "metrics.jsonl").empty());
}

}  // namespace
}  // namespace skipattn::training
