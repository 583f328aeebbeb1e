#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "skipattn/core/errors.h"
#include "skipattn/routing/render.h"

namespace skipattn::routing {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;

PlanSummary gpt2_summary(const std::string& routing) {
  return {.model = "gpt2",
          .routing = parse_routing(routing, {.layers = 12, .kv_heads = 12}),
          .dimensions = {.layers = 12,
                         .heads = 12,
                         .kv_heads = 12,
                         .head_width = 64,
                         .width = 768,
                         .mlp_width = 3072,
                         .vocabulary = 50257,
                         .positions = 1024},
          .context = 1024,
          .cache_dtype = "bf16"};
}

TEST(PlanTable, SetsTheRoutingBesideTheBaseline) {
  const std::string table = render_plan_table(gpt2_summary("sla"));
  EXPECT_THAT(table, HasSubstr("gpt2: sla(distance=9, heads=9, keys=skip, values=skip, which=last)\n"));
  EXPECT_THAT(table, ContainsRegex("parameters +121,782,144 +124,439,808 +2.14 %\n"));
  EXPECT_THAT(table, ContainsRegex("live key heads +117 +144 +18.75 %\n"));
  EXPECT_THAT(table, ContainsRegex("KV cache per token +29,952 B +36,864 B +18.75 %\n"));
  EXPECT_THAT(table, ContainsRegex("KV cache of the context +29.2 MiB +36.0 MiB +18.75 %\n"));
}

TEST(PlanTable, TheBaselineSavesNothing) {
  const std::string table = render_plan_table(gpt2_summary("baseline"));
  EXPECT_THAT(table, ContainsRegex("live value heads +144 +144 +0.00 %\n"));
  EXPECT_THAT(table, testing::Not(HasSubstr("-0.00")));
}

TEST(PlanTable, RefusesDimensionsOfAnotherModel) {
  PlanSummary summary = gpt2_summary("sla");
  summary.dimensions.layers = 24;
  EXPECT_THROW(render_plan_table(summary), InputError);
}

}  // namespace
}  // namespace skipattn::routing
