#include "skipattn/experiments/report/report.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>

#include "skipattn/core/errors.h"
#include "skipattn/core/random.h"
#include "skipattn/experiments/report/assets.h"
#include "skipattn/experiments/report/html.h"
#include "skipattn/experiments/report/json.h"
#include "skipattn/experiments/report/series.h"
#include "skipattn/experiments/report/svg_heat_map.h"
#include "skipattn/experiments/report/text.h"

namespace skipattn::experiments {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kLayers = 12;
constexpr int kHeads = 12;

/// SLA-like table: from `distance` on, the last `heads` heads read `distance` layers back.
std::vector<std::vector<routing::Route>> skip_routes(int distance, int heads, bool keys) {
  std::vector<std::vector<routing::Route>> routes(kLayers, std::vector<routing::Route>(kHeads));
  for (int layer = 0; layer < kLayers; ++layer) {
    for (int head = 0; head < kHeads; ++head) {
      const bool skips = distance > 0 && layer >= distance && head >= kHeads - heads;
      routes[layer][head].keys = {{skips && keys ? layer - distance : layer, head}};
      routes[layer][head].values = {{skips ? layer - distance : layer, head}};
    }
  }
  return routes;
}

/// Invented losses in the shape of real ones. `gain` is the variant's invented effect in nats.
SeedRun synthetic_run(uint64_t seed, double gain, double noise, Random& own) {
  SeedRun run;
  run.seed = seed;
  Random shared(seed * 977);  // what the seed does to every variant: order of batches, weights
  const double level = 0.03 * shared.normal();
  for (int step = 1; step <= 600; ++step) {
    const double fall = 3.15 + 7.6 * std::exp(-step / 45.0) + 1.1 * std::exp(-step / 400.0);
    const double effect = gain * (1 - std::exp(-step / 200.0));
    const double loss = fall + level + 0.09 * shared.normal() + effect + noise * own.normal();
    run.training.push_back({step, step * 16384.0, loss});
    if (step % 60 == 0) {
      run.validation.push_back({step, step * 16384.0, fall + level + effect + 0.3 * noise * own.normal()});
    }
  }
  run.val_loss = run.validation.back().loss;
  for (int64_t from = 0, to = 1; to <= 1024; from = to, to = from * 2) {
    const double depth = std::log2(static_cast<double>(to) + 1);
    const double loss = 3.0 + 3.2 / (1 + depth) + level + gain * depth / 8 + 0.5 * noise * own.normal();
    run.by_window_position.push_back({from, to, loss});
    run.by_document_position.push_back({from, to, loss + 0.12 - 0.01 * depth});
  }
  return run;
}

ReportVariant synthetic_variant(const std::string& name, double gain, double noise, int seeds) {
  ReportVariant variant;
  variant.name = name;
  Random own(derive_seed(3, name));
  for (int seed = 1; seed <= seeds; ++seed) {
    variant.runs.push_back(synthetic_run(static_cast<uint64_t>(seed), gain, noise, own));
  }
  variant.tokens_per_second = 5210 + 300 * own.uniform();
  variant.peak_memory_bytes = 1.9e9 + 2e8 * own.uniform();
  return variant;
}

/// A comparison with every kind of variant: better, worse, undecided, failed, one with an awkward
/// name. All numbers are invented and the notice says so.
ReportData synthetic_report() {
  ReportData data;
  data.title = "Does skip-layer attention help at a context of 1,024?";
  data.notice = "Synthetic numbers: made by a rendering test, no model was trained.";
  data.created = "2000-01-01 00:00";
  data.command = "skipattn compare --config example.toml --out example --seeds 4";
  data.model_lines = {"model: GPT-2 family, 12 layers, 12 heads, width 768", "data: synthetic, context 1,024",
                      "training: 600 steps of 16,384 tokens"};
  data.machine_lines = {"processor: none, the numbers are invented", "dtype: fp32"};

  ReportVariant baseline = synthetic_variant("baseline", 0, 0.004, 4);
  baseline.is_baseline = true;
  baseline.routing = "baseline";
  baseline.parameters = 124439808;
  baseline.kv_cache_bytes_per_token = 36864;
  baseline.predicted_flops_ratio = 1;
  baseline.routes = skip_routes(0, 0, true);

  ReportVariant sla = synthetic_variant("sla", -0.003, 0.02, 4);
  sla.long_name = "Skip-layer attention";
  sla.routing = "sla(distance=9, heads=9)";
  sla.parameters = 121783296;
  sla.kv_cache_bytes_per_token = 29952;
  sla.predicted_flops_ratio = 0.978;
  sla.routes = skip_routes(9, 9, true);

  ReportVariant values = synthetic_variant("values only", -0.045, 0.01, 4);
  values.routing = "sla(distance=9, heads=9, keys=own)";
  values.parameters = 123111552;
  values.kv_cache_bytes_per_token = 33408;
  values.predicted_flops_ratio = 0.989;
  values.routes = skip_routes(9, 9, false);
  values.routes[11][0] = {};                                 // a head without attention
  values.routes[11][11].keys = {{11, 11}, {2, 11}, {0, 3}};  // several sources
  values.routes[11][11].values = {{11, 11}, {2, 11}, {0, 3}};
  values.runs[2].by_document_position.clear();

  ReportVariant odd = synthetic_variant("<b>\"6/9\" & 'half'</b>", 0.06, 0.015, 4);
  odd.routing = "sla(distance=6, heads=9)";
  odd.kv_cache_bytes_per_token = 23040;
  odd.routes = skip_routes(6, 9, true);
  odd.tokens_per_second.reset();
  odd.peak_memory_bytes.reset();

  ReportVariant failed = synthetic_variant("diverged", 0.02, 0.02, 2);
  failed.routing = "sla(distance=1, heads=12)";
  failed.runs[0].training.resize(220);
  failed.runs[0].training.back().loss = NAN;
  failed.runs[0].validation.resize(3);
  failed.runs[0].problem = "the loss was not finite ten times in a row";
  failed.runs[1] = {.seed = 2, .val_loss = NAN, .problem = "not run yet"};

  data.variants = {baseline, sla, values, odd, failed};
  fill_statistics(data);
  return data;
}

/// Two seeds, no document positions: what quickstart makes.
ReportData small_report() {
  ReportData data = synthetic_report();
  data.variants.resize(3);
  for (ReportVariant& variant : data.variants) {
    variant.runs.resize(2);
    for (SeedRun& run : variant.runs) run.by_document_position.clear();
  }
  fill_statistics(data);
  return data;
}

void write(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

/// The JSON inside the page, as the browser's textContent gives it.
nlohmann::json embedded_json(const std::string& page) {
  const std::string open = "<pre id=\"data\">";
  const size_t from = page.find(open) + open.size();
  std::string text = page.substr(from, page.find("</pre>", from) - from);
  const std::vector<std::pair<const char*, const char*>> entities = {
      {"&lt;", "<"}, {"&gt;", ">"}, {"&quot;", "\""}, {"&#39;", "'"}, {"&amp;", "&"}};
  for (const auto& [entity, character] : entities) {
    text = std::regex_replace(text, std::regex(entity), character);
  }
  return nlohmann::json::parse(text);
}

// Also leaves the pages where tests/report_browser_test.py can open them: in the folder named by
// SKIPATTN_REPORT_DIR, else in the temporary folder.
TEST(Report, IsOneSelfContainedPage) {
  const char* folder = std::getenv("SKIPATTN_REPORT_DIR");
  const std::filesystem::path out =
      folder ? std::filesystem::path(folder) : std::filesystem::path(testing::TempDir()) / "reports";
  const std::string page = render_report(synthetic_report());
  write(out / "synthetic_report.html", page);
  write(out / "synthetic_small_report.html", render_report(small_report()));

  EXPECT_THAT(page, Not(HasSubstr("http:")));
  EXPECT_THAT(page, Not(HasSubstr("https:")));
  EXPECT_THAT(page, Not(HasSubstr(" src=")));
  EXPECT_THAT(page, Not(HasSubstr("@import")));
  EXPECT_FALSE(std::regex_search(page, std::regex("url\\((?!#)")));
  EXPECT_EQ(count(page, "href="), 1U) << "only the empty icon";
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
  EXPECT_THAT(report_style() + report_script(), Not(HasSubstr("</")));
}

TEST(Report, EscapesWhatPeopleTyped) {
  const std::string page = render_report(synthetic_report());
  EXPECT_THAT(page, Not(HasSubstr("<b>\"6/9\"")));
  EXPECT_THAT(page, HasSubstr("&lt;b&gt;&quot;6/9&quot; &amp; &#39;half&#39;&lt;/b&gt;"));
  EXPECT_EQ(html::escape("a<b>&\"'\x01\xff\xc3\xa4\n"), "a&lt;b&gt;&amp;&quot;&#39;\uFFFD\uFFFD\u00e4\n");
  EXPECT_EQ(html::escape("\xed\xa0\x80\xf5"), "\uFFFD\uFFFD\uFFFD\uFFFD");  // surrogate, too large
}

TEST(Report, SurvivesTextThatIsNotUtf8) {
  ReportData data = small_report();
  data.variants[1].name = "bad \xff\xfe name";
  EXPECT_NO_THROW(render_report(data));
}

TEST(Report, HasEveryChartAndIdsAreUnique) {
  const std::string page = render_report(synthetic_report());
  for (const char* id :
       {"forest", "training-loss", "training-difference", "validation-loss", "validation-difference", "position-loss",
        "position-difference", "document-loss", "document-difference", "map-1-keys", "map-1-values"}) {
    EXPECT_EQ(count(page, fmt::format("<svg id=\"{}\"", id)), 1U) << id;
  }
  std::map<std::string, int> ids;
  const std::regex pattern(" id=\"([^\"]+)\"");
  for (std::sregex_iterator it(page.begin(), page.end(), pattern), end; it != end; ++it) {
    EXPECT_EQ(++ids[(*it)[1]], 1) << (*it)[1];
  }
}

TEST(Report, SaysWhatWasNotMeasured) {
  const std::string page = render_report(small_report());
  EXPECT_THAT(page, HasSubstr("Not measured: the data has no document boundaries"));
  EXPECT_THAT(page, Not(HasSubstr("nan")));
  EXPECT_THAT(page, Not(HasSubstr("inf\"")));

  ReportData empty;
  empty.variants.resize(2);
  empty.variants[0].name = "baseline";
  empty.variants[0].is_baseline = true;
  empty.variants[1].name = "sla";
  fill_statistics(empty);
  const std::string bare = render_report(empty);
  EXPECT_GE(count(bare, "Not measured"), 6U);
  EXPECT_THAT(bare, HasSubstr("sla: cannot tell — no seed has a value on both sides"));
  EXPECT_THAT(bare, Not(HasSubstr("nan")));
}

TEST(Report, FailedRunsAreNamedAndCountForNothing) {
  const ReportData data = synthetic_report();
  const ReportVariant& failed = data.variants[4];
  EXPECT_EQ(failed.comparison.pairs(), 0);
  const std::string page = render_report(data);
  EXPECT_THAT(page, HasSubstr("seed 1: the loss was not finite ten times in a row; seed 2: not run yet"));
  EXPECT_EQ(variant_json(failed)["val_loss_mean"], nullptr);
}

TEST(Report, NeedsExactlyOneBaseline) {
  ReportData data = small_report();
  data.variants[1].is_baseline = true;
  EXPECT_THROW(fill_statistics(data), InputError);
  EXPECT_THROW(render_report(ReportData{}), InputError);
}

TEST(Report, EmbedsItsData) {
  const ReportData data = synthetic_report();
  const nlohmann::json json = embedded_json(render_report(data));
  ASSERT_EQ(json["variants"].size(), 5U);
  EXPECT_EQ(json["variants"][3]["name"], data.variants[3].name);
  EXPECT_EQ(json["variants"][1]["runs"][0]["training"]["loss"].size(), 600U);
  EXPECT_EQ(json["variants"][2]["routes"][11][11]["keys"][2]["layer"], 0);
  EXPECT_EQ(json["variants"][4]["runs"][0]["training"]["loss"][219], nullptr);
  EXPECT_NEAR(json["variants"][1]["delta_vs_baseline"], *data.variants[1].comparison.delta, 1e-12);
}

TEST(ReportJson, KeepsToTheInterface) {
  const ReportData data = small_report();
  const nlohmann::json row = variant_json(data.variants[1]);
  for (const char* key : {"name", "routing", "seeds", "verdict", "val_loss_mean", "val_loss_sd", "delta_vs_baseline",
                          "delta_ci95", "p_value", "predicted_flops_ratio", "parameters", "kv_cache_bytes_per_token",
                          "tokens_per_second", "peak_memory_bytes"}) {
    EXPECT_TRUE(row.contains(key)) << key;
  }
  EXPECT_EQ(row["seeds"], 2);
  EXPECT_EQ(row["p_value"], nullptr);
  EXPECT_EQ(row["parameters"].dump(), "121783296");
  EXPECT_EQ(row["verdict"], "cannot tell");
  EXPECT_LT(row["delta_ci95"][0], row["delta_ci95"][1]);
  const nlohmann::json reference = variant_json(data.variants[0]);
  EXPECT_EQ(reference["delta_vs_baseline"], 0.0);
  EXPECT_EQ(reference["seeds"], 2);
  EXPECT_EQ(report_json(data, 100)["variants"][0]["runs"][0]["training"]["step"].back(), 600);
  EXPECT_EQ(report_json(data, 100)["variants"][0]["runs"][0]["training"]["step"].size(), 100U);
}

TEST(ReportText, VerdictInWords) {
  ReportVariant variant;
  variant.name = "sla";
  variant.long_name = "Skip-layer attention";
  variant.comparison = compare_paired({{1, 3.100}, {2, 3.204}}, {{1, 3.106}, {2, 3.206}});
  EXPECT_EQ(verdict_sentence(variant),
            "Skip-layer attention (sla): cannot tell — difference −0.004 nats per token, 95 % "
            "interval −0.029 … +0.021, 2 seeds");
  EXPECT_THAT(detectable_sentence(variant.comparison), HasSubstr("With 2 seeds"));
  EXPECT_EQ(signed_text(-0.0001, 2), "0.00");
  EXPECT_EQ(signed_text(0.5, 2), "+0.50");
  EXPECT_EQ(number_text(std::nullopt), "not measured");
  EXPECT_EQ(number_text(NAN), "not measured");
  EXPECT_EQ(decimals_for(0.026), 3);
  EXPECT_EQ(decimals_for(2.6), 2);
  EXPECT_EQ(grouped(1234567), "1,234,567");
  EXPECT_EQ(grouped(-999), "−999");
  EXPECT_EQ(change_text(29952, 36864), "−18.8 %");
  EXPECT_EQ(p_value_text(0.00004), "< 0.001");
  EXPECT_EQ(p_value_text(std::nullopt), "–");
}

TEST(ReportSeries, SmoothingDoesNotLagOrCloseGaps) {
  std::vector<double> slope;
  for (int i = 0; i < 20; ++i) slope.push_back(2.0 * i);
  const auto smoothed = smooth(slope, 3);
  for (int i = 0; i < 20; ++i) EXPECT_NEAR(smoothed[i], 2.0 * i, 1e-12) << i;
  EXPECT_EQ(smooth({1, 5, 1, 5, 1}, 1)[2], 11.0 / 3);
  const auto gap = smooth({1, 1, NAN, 1, 1}, 1);
  EXPECT_TRUE(std::isnan(gap[2]));
  EXPECT_EQ(gap[1], 1.0);
}

TEST(ReportSeries, DifferencesArePairedBySeedAndStep) {
  ReportVariant baseline, variant;
  baseline.is_baseline = true;
  baseline.runs = {{.seed = 1, .training = {{1, 1, 5.0}, {2, 2, 4.0}}},
                   {.seed = 2, .training = {{1, 1, 9.0}, {2, 2, 8.0}}}};
  variant.runs = {{.seed = 2, .training = {{1, 1, 9.5}, {2, 2, 8.25}, {3, 3, 1.0}}},
                  {.seed = 1, .training = {{1, 1, 5.5}, {2, 2, 3.75}}},
                  {.seed = 7, .training = {{1, 1, 0.0}}}};
  const VariantCurves curves = variant_curves(variant, baseline, CurveKind::kTraining, 0);
  EXPECT_EQ(curves.difference.x, (std::vector<double>{1, 2}));
  EXPECT_EQ(curves.difference.y, (std::vector<double>{0.5, 0.0}));
  EXPECT_EQ(curves.difference.spread[1], (Interval{-0.25, 0.25}));
  EXPECT_EQ(curves.runs.size(), 3U);
  EXPECT_EQ(curves.mean.x, (std::vector<double>{1}));  // the only step that all three have
}

TEST(ReportSeries, PositionsComparePairedSeeds) {
  const ReportData data = synthetic_report();
  const auto buckets = by_position(data.variants[2], data.variants[0], PositionKind::kDocument);
  ASSERT_EQ(buckets.size(), 11U);
  EXPECT_EQ(buckets[0].comparison.pairs(), 3);  // one run has no document positions
  EXPECT_EQ(buckets[3].from, 4);
  EXPECT_EQ(buckets[3].to, 8);
  EXPECT_LT(*buckets[10].comparison.delta, *buckets[1].comparison.delta);
}

TEST(HeatMap, LinesMergeWhatReadsAlike) {
  const ReportData data = synthetic_report();
  const auto lines = svg::routing_lines(data.variants[1]);
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[0].layers, "layers 0–8");
  EXPECT_EQ(lines[0].heads, "heads 0–11");
  EXPECT_EQ(lines[2].layers, "layers 9–11");
  EXPECT_EQ(lines[2].heads, "heads 3–11");
  EXPECT_EQ(lines[2].keys, "9 back");
  const routing::Route& several = data.variants[2].routes[11][11];
  EXPECT_EQ(svg::source_text(several, svg::RoutingSide::kKeys, 11, 11),
            "its own layer and layer 2 (9 back) and layer 0, head 3 (11 back)");
  EXPECT_EQ(svg::source_text({}, svg::RoutingSide::kKeys, 0, 0), "nothing (no attention)");
}

}  // namespace
}  // namespace skipattn::experiments
