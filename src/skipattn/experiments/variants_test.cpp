#include "skipattn/experiments/variants.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "skipattn/core/errors.h"
#include "skipattn/experiments/compare.h"
#include "skipattn/io/test_folder.h"

namespace skipattn::experiments {
namespace {

using io::error_of;
using ::testing::HasSubstr;

constexpr const char* kConfig = R"toml(
[model]
name = "gpt2-tiny"
[data]
train = "t.bin"
val = "v.bin"
[compare]
variants = ["sla", "baseline", "sla(keys=own)", "hot"]
seeds = [5, 7]
[variants.hot]
model.routing = "cla(group=2)"
training.learning_rate = 2e-3
)toml";

Experiment read(const io::TestFolder& folder, const std::string& text, ExperimentArguments arguments = {}) {
  arguments.config = folder.write("e.toml", text);
  return read_experiment(arguments);
}

TEST(Variants, TheFileNamesThemAndBaselineComesFirst) {
  const io::TestFolder folder;
  const Experiment experiment = read(folder, kConfig);
  std::vector<std::string> names;
  for (const Variant& variant : experiment.variants) names.push_back(variant.name);
  EXPECT_EQ(names, (std::vector<std::string>{"baseline", "sla", "sla(keys=own)", "hot"}));
  EXPECT_EQ(experiment.seeds, (std::vector<uint64_t>{5, 7}));
  const training::RunConfig hot = run_config(experiment, experiment.variants[3], 7);
  EXPECT_EQ(hot.model.routing, "cla(group=2)");
  EXPECT_DOUBLE_EQ(hot.training.learning_rate, 2e-3);
  EXPECT_EQ(hot.training.seed, 7);
  EXPECT_DOUBLE_EQ(run_config(experiment, experiment.variants[1], 7).training.learning_rate, 6e-4);
}

TEST(Variants, TheCommandLineReplacesTheList) {
  const io::TestFolder folder;
  ExperimentArguments arguments;
  arguments.variants = {"sla(distance=1, which=[0,2], heads=2):training.steps=3,training.schedule=wsd",
                        "mine:model.routing=skipv1"};
  arguments.seeds = 3;
  arguments.overrides = {"training.seed=10"};
  const Experiment experiment = read(folder, kConfig, arguments);
  ASSERT_EQ(experiment.variants.size(), 3u);
  EXPECT_EQ(experiment.variants[0].name, "baseline");
  const training::RunConfig first = run_config(experiment, experiment.variants[1], 10);
  EXPECT_EQ(first.model.routing, "sla(distance=1, which=[0,2], heads=2)");
  EXPECT_EQ(first.training.steps, 3);
  EXPECT_EQ(first.training.schedule, "wsd");
  EXPECT_EQ(run_config(experiment, experiment.variants[2], 10).model.routing, "skipv1");
  EXPECT_EQ(experiment.seeds, (std::vector<uint64_t>{10, 11, 12}));
}

TEST(Variants, EveryFaultIsNamedAtOnce) {
  const io::TestFolder folder;
  ExperimentArguments arguments;
  arguments.variants = {"sla(distance=9)", "x:training.stps=3", "cla", "cla"};
  const std::string message = error_of<InputError>([&] { read(folder, kConfig, arguments); });
  EXPECT_THAT(message, HasSubstr("variant 'sla(distance=9)': [plan] sla(distance=9): distance must be 1..3"));
  EXPECT_THAT(message, HasSubstr("variant 'x': training.stps: unknown key (did you mean 'training.steps'?)"));
  EXPECT_THAT(message, HasSubstr("variant 'cla': named twice"));
  EXPECT_THAT(error_of<InputError>([&] { read(folder, "[compare]\nseds = 3\n"); }), HasSubstr("did you mean 'seeds'?"));
  EXPECT_THAT(error_of<InputError>([&] { read(folder, "[compare]\nseeds = 0\n"); }), HasSubstr("compare.seeds = 0"));
}

TEST(Variants, ShardsCountFromOne) {
  EXPECT_EQ(parse_shard("2/3").index, 2);
  EXPECT_EQ(parse_shard("2/3").count, 3);
  for (const char* text : {"0/3", "4/3", "1", "a/b", "1/0", "1/2x"})
    EXPECT_THAT(error_of<InputError>([&] { parse_shard(text); }), HasSubstr("must be I/N")) << text;
}

}  // namespace
}  // namespace skipattn::experiments
