#include "skipattn/experiments/paper/difference_maps.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>
#include <cmath>

#include "skipattn/experiments/sweep/test_results.h"

namespace skipattn::experiments {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::vector<std::string> texts(const PaperFigure& figure) {
  std::vector<std::string> all;
  for (const auto& shape : figure.drawing.shapes)
    if (const Label* label = std::get_if<Label>(&shape)) all.push_back(label->text);
  return all;
}

std::vector<std::string> names(const std::vector<PaperFigure>& figures) {
  std::vector<std::string> all;
  for (const PaperFigure& figure : figures) all.push_back(figure.name);
  return all;
}

constexpr const char* kGrid = "[sweep]\nmodel.routing.distance = [1, 2]\nmodel.routing.heads = [1, 2]\nseeds = 4\n";

TEST(DifferenceMaps, HoldEveryComparisonOfTwoKeys) {
  const SweepResults results = results_of(
      kGrid,
      [](const std::string& name, uint64_t seed) {
        if (name == "sla(distance=2, heads=2)") return std::nan("");
        return name == "sla(distance=1, heads=2)" ? 2.5 + noise(seed) : name == "baseline" ? 3.0 : 3.0 + noise(seed);
      },
      "sla");
  const std::vector<PaperFigure> maps = difference_maps(results);
  ASSERT_THAT(names(maps), ElementsAre("difference_by_model.routing.distance_and_model.routing.heads"));
  const SweepComparison& best = results.comparisons[1];
  ASSERT_EQ(best.verdict, Verdict::kBetter);
  EXPECT_THAT(maps[0].csv, HasSubstr("model.routing.distance,model.routing.heads,name,against,seeds,difference,"));
  EXPECT_THAT(maps[0].csv,
              HasSubstr(fmt::format("\r\n1,2,\"sla(distance=1, heads=2)\",baseline,4,-0.5,{},{},{},better\r\n",
                                    best.paired.ci95->low, best.paired.ci95->high, *best.p_value_holm)));
  EXPECT_THAT(maps[0].csv, HasSubstr("\r\n2,2,\"sla(distance=2, heads=2)\",baseline,0,,,,,cannot tell\r\n"));
  const std::vector<std::string> written = texts(maps[0]);
  for (const char* text : {"sla, against baseline, 4 seeds each", "distance (layers)", "skip heads per layer",
                           "−0.5000", "better", "not measured", "nats per token"})
    EXPECT_THAT(written, Contains(text));
  EXPECT_THAT(written, Contains(HasSubstr("all 4 comparisons")));
}

TEST(DifferenceMaps, OneForEachSettingOfTheOtherKeys) {
  const SweepResults results = results_of(
      std::string(kGrid) + "training.weight_decay = [0.1, 0.2]\n",
      [](const std::string& name, uint64_t seed) { return name.size() % 2 + noise(seed * name.size()); }, "sla");
  const std::vector<PaperFigure> maps = difference_maps(results);
  ASSERT_THAT(names(maps), ElementsAre("difference_by_model.routing.heads_and_training.weight_decay",
                                       "difference_by_model.routing.heads_and_training.weight_decay_2"));
  EXPECT_THAT(texts(maps[1]),
              Contains("sla, model.routing.distance = 2, each against a reference of its own, 4 seeds each"));
  EXPECT_THAT(maps[1].csv, Not(HasSubstr("distance=1")));
  EXPECT_THAT(maps[1].csv, HasSubstr("\"baseline, weight_decay=0.2\""));
}

TEST(DifferenceMaps, ReferencesHaveNoColumnAndOneColumnIsNoMap) {
  const auto loss = [](const std::string& name, uint64_t seed) { return 3.0 + 0.1 * noise(seed * name.size()); };
  const char* two =
      "[sweep]\nmodel.routing = [\"baseline\", \"sla\", \"skipv1\"]\ndata.context = [32, 64]\nseeds = 3\n";
  const std::vector<PaperFigure> maps = difference_maps(results_of(two, loss));
  ASSERT_EQ(maps.size(), 1u);
  EXPECT_THAT(texts(maps[0]), Contains("context (tokens)"));
  EXPECT_THAT(texts(maps[0]), Not(Contains("baseline")));
  const char* one = "[sweep]\nmodel.routing = [\"baseline\", \"sla\"]\ndata.context = [32, 64]\nseeds = 3\n";
  EXPECT_TRUE(difference_maps(results_of(one, loss)).empty());
  const char* best =
      "[sweep]\nmodel.routing = [\"sla\", \"skipv1\"]\ntraining.learning_rate = [1e-3, 2e-3]\nseeds = 3\n"
      "best = \"training.learning_rate\"\n";
  EXPECT_TRUE(difference_maps(results_of(best, loss)).empty());
}

TEST(DifferenceMaps, SharesHaveAnotherUnitThanCounts) {
  EXPECT_EQ(axis_label({"model.routing.distance", {1, 2}}), "distance (layers)");
  EXPECT_EQ(axis_label({"model.routing.distance", {0.25, 0.5}}), "distance (layers, or a share of them)");
  EXPECT_EQ(axis_label({"training.beta1", {0.9, 0.8}}), "training.beta1");
}

}  // namespace
}  // namespace skipattn::experiments
