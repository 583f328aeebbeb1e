#include "skipattn/experiments/sweep/sweep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "skipattn/core/errors.h"
#include "skipattn/experiments/sweep/controls.h"
#include "skipattn/io/test_folder.h"
#include "skipattn/routing/costs.h"

namespace skipattn::experiments {
namespace {

using io::error_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kModel = R"toml(
[model]
name = "gpt2-tiny"
[data]
train = "t.bin"
val = "v.bin"
)toml";

Sweep plan(const std::string& text, SweepArguments arguments = {}) {
  const io::TestFolder folder;
  arguments.config = folder.write("e.toml", kModel + text);
  return plan_sweep(read_sweep_settings(arguments));
}

std::vector<std::string> names(const Sweep& sweep) {
  std::vector<std::string> list;
  for (const Variant& variant : sweep.experiment.variants) list.push_back(variant.name);
  return list;
}

training::RunConfig config_of(const Sweep& sweep, size_t cell) {
  training::RunConfig config = run_config(sweep.experiment, sweep.experiment.variants[cell], 1);
  training::finish_run_config(config);
  return config;
}

TEST(Sweep, EveryCombinationHasTheBaselineOfItsOtherKeys) {
  const Sweep sweep =
      plan("[sweep]\ndata.context = [64, 128]\nmodel.routing = [\"sla\", \"cla(group=2)\"]\nseeds = [3, 9]\n");
  EXPECT_THAT(names(sweep), ElementsAre("baseline, context=64", "sla, context=64", "cla(group=2), context=64",
                                        "baseline, context=128", "sla, context=128", "cla(group=2), context=128"));
  EXPECT_EQ(sweep.experiment.seeds, (std::vector<uint64_t>{3, 9}));
  ASSERT_EQ(sweep.groups.size(), 6u);
  for (size_t g = 0; g < 6; ++g) EXPECT_EQ(sweep.groups[g].reference, g / 3 * 3) << g;
  EXPECT_EQ(sweep.groups[0].role, Role::kReference);
  EXPECT_EQ(sweep.groups[4].role, Role::kVariant);
  EXPECT_EQ(config_of(sweep, 4).data.context, 128);
  EXPECT_EQ(config_of(sweep, 4).model.routing, "sla");
  EXPECT_EQ(config_of(sweep, 3).model.routing, "baseline");
}

TEST(Sweep, ArgumentsOfARoutingAreKeysAndTheBaselineHasNone) {
  const Sweep sweep = plan("[sweep]\nmodel.routing.distance = [1, 2]\nmodel.routing.heads = [1, \"1/2\"]\n",
                           {.overrides = {"model.routing=sla"}});
  EXPECT_THAT(names(sweep), ElementsAre("baseline", "sla(distance=1, heads=1)", "sla(distance=1, heads=1/2)",
                                        "sla(distance=2, heads=1)", "sla(distance=2, heads=1/2)"));
  EXPECT_EQ(config_of(sweep, 4).model.routing, "sla(distance=2, heads=1/2)");
  EXPECT_THAT(error_of<InputError>([] { plan("[sweep]\nmodel.routing.distance = [1, 2]\n"); }),
              HasSubstr("model.routing.distance: the baseline has no arguments"));
}

TEST(Sweep, ValuesTakeOtherKeysAlong) {
  const Sweep sweep = plan(
      "[sweep]\nmodel.routing = [\"sla\"]\n"
      "model.name = [\"gpt2-tiny\", {value = \"gpt2-mini\", training.batch_size = 3, data.val = \"w.bin\"}]\n");
  EXPECT_THAT(names(sweep), ElementsAre("baseline, name=gpt2-tiny", "sla, name=gpt2-tiny", "baseline, name=gpt2-mini",
                                        "sla, name=gpt2-mini"));
  EXPECT_EQ(config_of(sweep, 1).training.batch_size, 8);
  for (const size_t cell : {2, 3}) {
    EXPECT_EQ(config_of(sweep, cell).model.layers, 6);
    EXPECT_EQ(config_of(sweep, cell).training.batch_size, 3);
    EXPECT_TRUE(std::filesystem::path(config_of(sweep, cell).data.val.at(0)).is_absolute());
  }
  const std::string message = error_of<InputError>([] {
    plan(
        "[sweep]\ndata.context = [{value = 32, training.stepz = 1, training.steps = 3}, {training.steps = 2}]\n"
        "training.steps = [1, 2]\n");
  });
  EXPECT_THAT(message, HasSubstr("training.stepz: unknown key (did you mean 'training.steps'?)"));
  EXPECT_THAT(message, HasSubstr("sweep.data.context: training.steps cannot go along"));
  EXPECT_THAT(message, HasSubstr("a table must hold value"));
}

TEST(Sweep, BestKeysMakeGroups) {
  const Sweep sweep = plan(
      "[sweep]\nmodel.routing = [\"baseline\", \"sla\"]\ntraining.learning_rate = [1e-3, 2e-3]\n"
      "best = [\"training.learning_rate\"]\n");
  ASSERT_EQ(sweep.groups.size(), 2u);
  EXPECT_EQ(sweep.groups[0].name, "baseline");
  EXPECT_THAT(sweep.groups[0].cells, ElementsAre(0, 1));
  EXPECT_THAT(sweep.groups[1].cells, ElementsAre(2, 3));
  EXPECT_DOUBLE_EQ(config_of(sweep, 3).training.learning_rate, 2e-3);
  EXPECT_EQ(sweep.experiment.variants[3].name, "sla, learning_rate=0.002");
}

TEST(Sweep, WithoutARoutingTheFirstValueIsComparedWith) {
  const Sweep sweep = plan("[sweep]\ndata.document_mask = [false, true]\n");
  EXPECT_THAT(names(sweep), ElementsAre("document_mask=false", "document_mask=true"));
  EXPECT_EQ(sweep.groups[1].reference, 0u);
  EXPECT_TRUE(config_of(sweep, 1).data.document_mask);

  const Sweep turned = plan("[sweep]\ndata.document_mask = [false, true]\nagainst = \"data.document_mask=true\"\n");
  EXPECT_EQ(turned.groups[1].reference, 0u);
  EXPECT_EQ(turned.groups[0].name, "document_mask=true");
}

TEST(Sweep, NamedVariantsAreAnAxisToo) {
  const Sweep sweep = plan(
      "[sweep]\nvariant = [\"sla\", \"hot\"]\ntraining.weight_decay = [0.0]\n"
      "[variants.hot]\nmodel.routing = \"skipv1\"\ntraining.learning_rate = 0.5\n");
  EXPECT_THAT(names(sweep),
              ElementsAre("baseline, weight_decay=0.0", "sla, weight_decay=0.0", "hot, weight_decay=0.0"));
  EXPECT_DOUBLE_EQ(config_of(sweep, 2).training.learning_rate, 0.5);
  EXPECT_DOUBLE_EQ(config_of(sweep, 1).training.learning_rate, 6e-4);
  EXPECT_DOUBLE_EQ(config_of(sweep, 2).training.weight_decay, 0);
}

TEST(Sweep, TheCommandLineAddsAndReplacesLists) {
  const Sweep sweep = plan("[sweep]\nmodel.routing = [\"sla\"]\ntraining.steps = [1, 2]\n",
                           {.grid = {"model.routing=sla(distance=1,heads=2),skipv1", "data.context=32"}});
  EXPECT_EQ(sweep.cells.size(), 6u);
  EXPECT_EQ(sweep.experiment.variants[1].name, "sla(distance=1,heads=2), steps=1, context=32");
}

routing::Costs costs_of(const training::RunConfig& config) {
  return routing::count_costs(
      routing::make_plan(routing::parse_routing(config.model.routing, config.model.routing_shape())),
      config.model.dimensions(), config.data.context, "bf16");
}

TEST(Sweep, ControlsSpendWhatTheirVariantSpends) {
  const Sweep sweep = plan(
      "[sweep]\nmodel.routing = [\"sla\", \"sla(keys=own, values=own)\"]\n"
      "controls = [\"parameters\", \"flops\", \"kv_bytes\"]\n");
  ASSERT_EQ(sweep.groups[1].name, "sla");
  ASSERT_EQ(sweep.groups[1].controls.size(), 3u);
  const routing::Costs sla = costs_of(config_of(sweep, sweep.groups[1].cells[0]));
  const auto control = [&](int number) {
    const SweepGroup& group = sweep.groups[sweep.groups[1].controls[number].second];
    EXPECT_EQ(group.role, Role::kControl);
    const training::RunConfig config = config_of(sweep, group.cells[0]);
    EXPECT_EQ(config.model.routing, "baseline");
    return costs_of(config);
  };
  const auto close = [](double value, double target) { return std::abs(value / target - 1) <= 1e-3; };
  EXPECT_TRUE(close(static_cast<double>(control(0).parameters), static_cast<double>(sla.parameters)));
  EXPECT_TRUE(close(control(1).flops_per_token_forward, sla.flops_per_token_forward));
  EXPECT_DOUBLE_EQ(control(2).kv_cache_bytes_per_token, sla.kv_cache_bytes_per_token);  // 32 * 13/16 = 26
  EXPECT_TRUE(close(static_cast<double>(control(2).parameters), static_cast<double>(sla.parameters)));
  const auto plain = std::ranges::find(sweep.groups, "sla(keys=own, values=own)", &SweepGroup::name);
  ASSERT_NE(plain, sweep.groups.end());
  EXPECT_TRUE(plain->controls.empty());  // it spends what the baseline does
}

TEST(Sweep, FaultsAreNamedTogether) {
  const std::string message = error_of<InputError>([] {
    plan(
        "[sweep]\ntraining.steps = 3\nmodel.layrs = [1]\nsedes = 3\nbest = [\"training.learning_rate\"]\ncontrols = "
        "[\"size\"]\n");
  });
  EXPECT_THAT(message, HasSubstr("sweep.training.steps = 3: must be a list of values"));
  EXPECT_THAT(message, HasSubstr("model.layrs: unknown key (did you mean 'model.layers'?)"));
  EXPECT_THAT(message, HasSubstr("sweep.sedes: must be a key of a section"));
  EXPECT_THAT(message, HasSubstr("best 'training.learning_rate': no list of values"));
  EXPECT_THAT(message, HasSubstr("controls 'size': must be parameters, flops or kv_bytes"));
  EXPECT_THAT(error_of<InputError>([] { plan("[sweep]\nmodel.routing = [\"sla(distance=9)\"]\n"); }),
              HasSubstr("[sweep] variant 'sla(distance=9)': [plan] sla(distance=9): distance must be 1..3"));
  EXPECT_THAT(error_of<InputError>([] { plan(""); }), HasSubstr("no key has a list of values"));
}

}  // namespace
}  // namespace skipattn::experiments
