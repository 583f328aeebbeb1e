#include "skipattn/experiments/sweep/results.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "skipattn/experiments/paper/figures.h"
#include "skipattn/experiments/sweep/table.h"
#include "skipattn/experiments/sweep/test_results.h"

namespace skipattn::experiments {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kTwo = "[sweep]\nmodel.routing = [\"sla\", \"skipv1\"]\nseeds = 4\n";

TEST(SweepResults, VerdictsMustSurviveHolm) {
  // sla: differences 0.010 ± 0.00346/2 (p = 0.0103), skipv1: 0.0062 ± … (p about 0.037): alone it would be told.
  const SweepResults results = results_of(kTwo, [](const std::string& name, uint64_t seed) {
    return 3.0 + 0.1 * static_cast<double>(seed) +
           (name == "sla"      ? 0.010 + noise(seed)
            : name == "skipv1" ? 0.0062 + noise(seed)
                               : 0);
  });
  ASSERT_EQ(results.comparisons.size(), 2u);
  const SweepComparison& sla = results.comparisons[0];
  const SweepComparison& skipv1 = results.comparisons[1];
  ASSERT_LT(*sla.paired.p_value, *skipv1.paired.p_value);
  EXPECT_DOUBLE_EQ(*sla.p_value_holm, 2 * *sla.paired.p_value);
  EXPECT_EQ(sla.verdict, Verdict::kWorse);
  EXPECT_DOUBLE_EQ(*skipv1.p_value_holm, std::max(*skipv1.paired.p_value, *sla.p_value_holm));

  const auto json = sweep_json(results);
  EXPECT_DOUBLE_EQ(json[1]["p_value"].get<double>(), *sla.p_value_holm);
  EXPECT_DOUBLE_EQ(json[1]["p_value_uncorrected"].get<double>(), *sla.paired.p_value);
  EXPECT_EQ(json[1]["overrides"]["model.routing"], "sla");
  EXPECT_EQ(json[1]["compared_with"], "baseline");
  EXPECT_EQ(json[0]["delta_vs_baseline"], 0.0);
  for (const char* key : {"name", "routing", "seeds", "verdict", "val_loss_mean", "val_loss_sd", "delta_vs_baseline",
                          "delta_ci95", "p_value", "predicted_flops_ratio", "parameters", "kv_cache_bytes_per_token",
                          "tokens_per_second", "peak_memory_bytes"})
    EXPECT_TRUE(json[0].contains(key) && json[2].contains(key)) << key;
}

TEST(SweepResults, AnIntervalWithoutZeroIsNotEnough) {
  const SweepResults results = results_of(kTwo, [](const std::string& name, uint64_t seed) {
    return 3.0 + (name == "baseline" ? 0 : name == "sla" ? 0.0062 + noise(seed) : -0.0061 + noise(seed));
  });
  for (const SweepComparison& comparison : results.comparisons) {
    EXPECT_NE(comparison.paired.verdict, Verdict::kCannotTell);
    EXPECT_LT(*comparison.paired.p_value, 0.05);
    EXPECT_GT(*comparison.p_value_holm, 0.05);
    EXPECT_EQ(comparison.verdict, Verdict::kCannotTell);
    EXPECT_DOUBLE_EQ(*comparison.detectable, *comparison.paired.delta_sd * detectable_difference(4, 0.8, 0.05 / 2));
  }
  const std::vector<ReportData> reports = sweep_reports(results);
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_THAT(reports[0].notice, HasSubstr("all 2 comparisons"));
  for (const ReportVariant& variant : reports[0].variants)
    EXPECT_EQ(variant.comparison.verdict, Verdict::kCannotTell) << variant.name;
}

constexpr const char* kBest =
    "[sweep]\nmodel.routing = [\"baseline\", \"sla\"]\ntraining.learning_rate = [1e-3, 2e-3, 4e-3]\n"
    "best = [\"training.learning_rate\"]\nseeds = 3\n";

TEST(SweepResults, TheBestOfEachIsCompared) {
  const std::map<std::string, double> level = {
      {"baseline, learning_rate=0.001", 3.3}, {"baseline, learning_rate=0.002", 3.1},
      {"baseline, learning_rate=0.004", 3.2}, {"sla, learning_rate=0.001", 3.2},
      {"sla, learning_rate=0.002", 3.1},      {"sla, learning_rate=0.004", 3.0}};
  const SweepResults results = results_of(kBest, [&](const std::string& name, uint64_t seed) {
    return level.at(name) + (name.starts_with("sla") ? noise(seed) : 0);
  });
  EXPECT_EQ(results.chosen(0).name, "baseline, learning_rate=0.002");
  EXPECT_EQ(results.chosen(1).name, "sla, learning_rate=0.004");
  ASSERT_EQ(results.comparisons.size(), 1u);
  EXPECT_NEAR(*results.comparisons[0].paired.delta, -0.101, 1e-9);
  EXPECT_EQ(results.choices[0].note, "");
  EXPECT_EQ(results.choices[1].note, "0.004 is the largest training.learning_rate tried");
  const std::string table = sweep_table(results);
  EXPECT_THAT(table, HasSubstr("sla [learning_rate=0.004]"));
  EXPECT_THAT(table, HasSubstr("0.004 is the largest training.learning_rate tried"));
  for (const std::string& text : {table, latex_table(results), sweep_reports(results).at(0).notice})
    EXPECT_THAT(text, HasSubstr("Best training.learning_rate: the lowest mean validation loss"));
}

TEST(SweepResults, UnfinishedCellsAreNotChosenByTheirLuckySeeds) {
  const SweepResults results = results_of(kBest, [](const std::string& name, uint64_t seed) {
    if (name == "sla, learning_rate=0.001") return seed == 1 ? 1.0 : std::nan("");
    return 3.0 + (name.ends_with("0.002") ? -0.1 : 0) + 0.01 * static_cast<double>(seed);
  });
  EXPECT_EQ(results.chosen(1).name, "sla, learning_rate=0.002");
  EXPECT_THAT(results.choices[1].note, HasSubstr("chosen of 2 of 3 cells"));
  EXPECT_THAT(sweep_table(results), HasSubstr("sla, learning_rate=0.001: without a result: seed 2: not run"));
}

TEST(SweepResults, ControlsHaveLinesAndComparisonsOfTheirOwn) {
  const SweepResults results =
      results_of("[sweep]\nmodel.routing = [\"sla\"]\ncontrols = [\"parameters\"]\nseeds = 3\n",
                 [](const std::string& name, uint64_t seed) {
                   return name == "baseline" ? 3.0 : name == "sla" ? 3.05 + noise(seed) : 3.2 - noise(seed);
                 });
  ASSERT_EQ(results.comparisons.size(), 2u);
  EXPECT_NEAR(*results.comparisons[0].paired.delta, 0.049, 1e-9);
  EXPECT_NEAR(*results.comparisons[1].paired.delta, -0.152, 1e-9);
  const auto json = sweep_json(results);
  ASSERT_EQ(json[1]["controls"].size(), 1u);
  EXPECT_EQ(json[1]["controls"][0]["equal"], "parameters");
  EXPECT_NEAR(json[1]["controls"][0]["delta_vs_control"].get<double>(), -0.152, 1e-9);
  EXPECT_EQ(json[2]["role"], "control");
  EXPECT_TRUE(json[2]["delta_vs_baseline"].is_null());
  EXPECT_THAT(sweep_table(results), HasSubstr("  at equal parameters: baseline, mlp_width="));
  EXPECT_EQ(sweep_reports(results).size(), 1u);
}

TEST(SweepTable, FilesForPapersHoldTheNumbers) {
  const SweepResults results =
      results_of("[sweep]\nmodel.routing = [\"sla(distance=1, heads=2)\"]\ndata.context = [64, 128]\nseeds = 3\n",
                 [](const std::string& name, uint64_t seed) {
                   return 3.0 + (name.starts_with("sla") ? -0.0125 + noise(seed) : 0);
                 });
  const std::string runs = results_csv(results);
  EXPECT_THAT(runs, HasSubstr("name,role,model.routing,data.context,routing,seed,val_loss"));
  EXPECT_THAT(runs, HasSubstr("\"sla(distance=1, heads=2), context=64\",variant,\"sla(distance=1, heads=2)\",64,"));
  EXPECT_EQ(std::ranges::count(runs, '\n'), 1 + 4 * 3);
  const std::string comparisons = comparisons_csv(results);
  EXPECT_EQ(std::ranges::count(comparisons, '\n'), 1 + 2);
  const std::string latex = latex_table(results);
  EXPECT_THAT(latex, HasSubstr("$-0.0135$"));
  EXPECT_THAT(latex, HasSubstr("\\begin{tabular}{lrrrrrr}"));
  EXPECT_EQ(csv_cell("say \"a\""), "\"say \"\"a\"\"\"");
  EXPECT_EQ(latex_text("a_b & 50 % − x | {y}"), "a\\_b \\& 50 \\% $-$ x \\textbar{} \\{y\\}");

  std::vector<std::string> names;
  for (const PaperFigure& figure : paper_figures(results)) {
    names.push_back(figure.name);
    EXPECT_THAT(figure.csv, Not(HasSubstr("nan"))) << figure.name;
    EXPECT_THAT(figure.csv, HasSubstr(figure.name == "validation_loss"  ? ",20,"
                                      : figure.name.starts_with("loss") ? ",64,2.9865,"
                                                                        : ",-0.01349"))
        << figure.name;
  }
  EXPECT_THAT(names, ::testing::ElementsAre("differences", "loss_by_data.context", "difference_by_data.context",
                                            "validation_loss", "difference_by_position"));
}

}  // namespace
}  // namespace skipattn::experiments
