#include "skipattn/training/run_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "skipattn/core/errors.h"
#include "skipattn/io/test_folder.h"

namespace skipattn::training {
namespace {

using io::error_of;
using ::testing::HasSubstr;

TEST(RunConfig, PrintedDefaultsReadBackAsThemselves) {
  const RunConfig defaults;
  const std::string text = to_toml(defaults, /*comments=*/true);
  EXPECT_EQ(to_toml(parse_run_config(text, "x.toml"), true), text);
  EXPECT_THAT(text, HasSubstr("learning_rate = 0.0006"));
  EXPECT_THAT(text, HasSubstr("# peak learning rate"));
}

TEST(RunConfig, APresetGivesSizesThatKeysOverride) {
  const RunConfig config = parse_run_config("[model]\nlayers = 3\nname = \"gpt2-medium\"\n", "x.toml");
  EXPECT_EQ(config.model.layers, 3);
  EXPECT_EQ(config.model.width, 1024);
  EXPECT_EQ(config.given, (std::set<std::string>{"model.layers", "model.name"}));
}

TEST(RunConfig, ALlamaWithItsKeys) {
  RunConfig config = parse_run_config(
      "[model]\nname = \"llama-tiny\"\nrotary_base = 5e5\nwindow = 8\nwindowed_layers = [1, 3]\n", "x.toml");
  apply_override(config, "model.rotary_scaling=linear");
  EXPECT_EQ(config.model.family, "llama");
  EXPECT_EQ(config.model.kv_heads, 2);
  EXPECT_EQ(config.model.rotary, (model::RotaryConfig{.base = 5e5, .scaling = "linear"}));
  EXPECT_EQ(config.model.windowed_layers, (std::vector<int64_t>{1, 3}));
  EXPECT_EQ(parse_run_config(to_toml(config, /*comments=*/false), "x.toml").model, config.model);
  apply_override(config, "model.windowed_layers=[4]");
  config.data.train = {"x.bin"};
  EXPECT_THAT(error_of<InputError>([&] { finish_run_config(config); }), HasSubstr("4 must be a layer 0..3"));
  EXPECT_THAT(error_of<InputError>([&] { apply_override(config, "model.windowed_layers=all"); }),
              HasSubstr("must be a list of whole numbers"));
}

TEST(RunConfig, ARoutingMayBeATable) {
  const RunConfig config = parse_run_config("[model.routing]\nname = \"sla\"\ndistance = 9\n", "x.toml");
  RunConfig finished = config;
  finished.data.train = {"x.bin"};
  finish_run_config(finished);
  EXPECT_EQ(routing::parse_routing(config.model.routing, {12, 12}),
            routing::parse_routing("sla(distance=9)", {12, 12}));
}

TEST(RunConfig, PathsAreRelativeToTheFile) {
  const io::TestFolder folder;
  const auto path = folder.write("a.toml", "[data]\ntrain = \"t.bin\"\nval = [\"/abs/v.bin\", \"w*.bin\"]\n");
  const RunConfig config = read_run_config(path);
  EXPECT_EQ(config.data.train, std::vector<std::string>{(folder / "t.bin").string()});
  EXPECT_EQ(config.data.val, (std::vector<std::string>{"/abs/v.bin", (folder / "w*.bin").string()}));
}

TEST(RunConfig, EveryUnknownKeyAndWrongTypeIsNamedAtOnce) {
  const std::string message = error_of<InputError>(
      [] { parse_run_config("[training]\nstps = 3\nlearning_rate = \"fast\"\n[modle]\nx = 1\n", "a.toml"); });
  EXPECT_THAT(message, HasSubstr("a.toml: training.stps: unknown key (did you mean 'steps'?)"));
  EXPECT_THAT(message, HasSubstr("training.learning_rate = 'fast': must be a number"));
  EXPECT_THAT(message, HasSubstr("[modle]: unknown section (did you mean 'model'?)"));
  EXPECT_THAT(error_of<InputError>([] { parse_run_config("[model]\nlayers = \n", "b.toml"); }), HasSubstr("b.toml:2:"));
}

TEST(RunConfig, OverridesTakeTheTypeOfTheirKey) {
  RunConfig config;
  apply_override(config, "training.steps=12");
  apply_override(config, "training.learning_rate=1e-3");
  apply_override(config, "model.routing=sla(distance=9, heads=9)");
  apply_override(config, "data.train=a.bin,b.bin");
  apply_override(config, "data.val=[\"c.bin\"]");
  apply_override(config, "training.recompute=true");
  EXPECT_EQ(config.training.steps, 12);
  EXPECT_DOUBLE_EQ(config.training.learning_rate, 1e-3);
  EXPECT_EQ(config.model.routing, "sla(distance=9, heads=9)");
  EXPECT_EQ(config.data.train, (std::vector<std::string>{"a.bin", "b.bin"}));
  EXPECT_EQ(config.data.val, std::vector<std::string>{"c.bin"});
  EXPECT_TRUE(config.training.recompute);
  EXPECT_THAT(error_of<InputError>([&] { apply_override(config, "training.steps=many"); }),
              HasSubstr("training.steps=many: must be a whole number"));
  EXPECT_THAT(error_of<InputError>([&] { apply_override(config, "steps"); }), HasSubstr("must be KEY=VALUE"));
}

TEST(RunConfig, FinishingDerivesAndChecksEverything) {
  RunConfig config;
  config.data.train = {"t.bin"};
  config.data.context = 100;
  config.training.batch_size = 4;
  config.training.tokens = 1001;
  finish_run_config(config);
  EXPECT_EQ(config.training.steps, 3);
  EXPECT_EQ(config.training.micro_batch_size, 4);
  EXPECT_EQ(learning_rate_schedule(config.training).warmup_steps, 0);
  EXPECT_DOUBLE_EQ(learning_rate_schedule(config.training).minimum, 6e-5);
  EXPECT_EQ(config.model.positions, 100);

  RunConfig wrong;
  wrong.training.batch_size = 4;
  wrong.training.micro_batch_size = 3;
  wrong.training.dropout = 1;
  wrong.data.order = "random";
  const std::string message = error_of<InputError>([&] { finish_run_config(wrong); });
  EXPECT_THAT(message, HasSubstr("data.train: not given"));
  EXPECT_THAT(message, HasSubstr("training.micro_batch_size=3: must divide training.batch_size=4"));
  EXPECT_THAT(message, HasSubstr("training.dropout=1: must be at least 0 and below 1"));
  EXPECT_THAT(message, HasSubstr("data.order='random': must be shuffled, sequential"));
}

}  // namespace
}  // namespace skipattn::training
