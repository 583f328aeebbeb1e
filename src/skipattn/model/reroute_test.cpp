#include "skipattn/model/reroute.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "skipattn/core/errors.h"
#include "skipattn/io/test_folder.h"
#include "skipattn/model/test_models.h"

namespace skipattn::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::small_config;

constexpr int64_t kHeads = 4, kWidth = 8;  // of small_config()

/// Rows of the fused projection that belong to one key or value head of a layer of which all heads are live.
at::Tensor head_rows(const at::Tensor& fused, int64_t head, bool is_value) {
  return fused.narrow(0, (kHeads * (is_value ? 2 : 1) + head) * kWidth, kWidth);
}

at::Tensor fused(const Decoder& decoder, int64_t layer, int LayerIndex::*which = &LayerIndex::qkv_weight) {
  return decoder.parameters()[decoder.table().layers[layer].*which].to(at::kFloat);
}

TEST(Reroute, AMeanIsTakenOverTheLenderAndAllThatLoseTheirs) {
  const Decoder source = testing::small_decoder(small_config("baseline"));
  // Layers 1 to 3 read head 0 of layer 0; layer 2's head 1 reads only values, of head 3 of layer 1.
  const std::string routing = R"({"layers": 4, "kv_heads": 4, "routes": [)"
                              R"({"layer": [1, 2, 3], "head": 0, "key": 0, "value": 0},)"
                              R"({"layer": 2, "head": 1, "key": "own", "value": {"layer": 1, "head": 3}}]})";
  const Decoder own = reroute(source, routing).decoder;
  const Decoder mean = reroute(source, routing, Lend::kMean).decoder;
  for (const auto which : {&LayerIndex::qkv_weight, &LayerIndex::qkv_bias}) {
    for (const bool is_value : {false, true}) {
      const auto rows = [&](int64_t layer, int64_t head) {
        return head_rows(fused(source, layer, which), head, is_value);
      };
      const at::Tensor expected = (rows(0, 0) + rows(1, 0) + rows(2, 0) + rows(3, 0)) / 4;
      EXPECT_TRUE(at::allclose(head_rows(fused(mean, 0, which), 0, is_value), expected, 1e-6, 1e-6));
      EXPECT_TRUE(at::equal(head_rows(fused(mean, 0, which), 1, is_value), rows(0, 1)));
    }
    // Layer 1 has lost key and value head 0: its value head 3 is the last of three and three.
    const at::Tensor lent = fused(mean, 1, which).narrow(0, (kHeads + 5) * kWidth, kWidth);
    const at::Tensor expected =
        (head_rows(fused(source, 1, which), 3, true) + head_rows(fused(source, 2, which), 1, true)) / 2;
    EXPECT_TRUE(at::allclose(lent, expected, 1e-6, 1e-6));
    // Queries and everything that does not lend stay.
    EXPECT_TRUE(at::equal(fused(mean, 1, which).narrow(0, 0, kHeads * kWidth),
                          fused(own, 1, which).narrow(0, 0, kHeads * kWidth)));
    EXPECT_TRUE(at::equal(fused(mean, 3, which), fused(own, 3, which)));
  }
}

TEST(Reroute, NothingToLendChangesNothing) {
  const Decoder source = testing::small_decoder(small_config("sla(distance=2, heads=3)"));
  const Decoder same = reroute(source, "sla(distance=2, heads=3)", Lend::kMean).decoder;
  for (size_t i = 0; i < source.parameters().size(); ++i)
    EXPECT_TRUE(at::equal(source.parameters()[i], same.parameters()[i])) << source.table().specs[i].name;
  EXPECT_THAT(io::error_of<InputError>([&] { parse_lend("average"); }),
              HasSubstr("lend 'average': must be own or mean"));
}

TEST(Reroute, WhatIsKeptAndDroppedIsNamedAsInTheFiles) {
  ModelConfig config = small_config("baseline");
  config.family = "qwen3";
  config.activation = "silu";
  config.query_key_norm = true;
  const Rerouted result = reroute(testing::small_decoder(config), R"({"layers": 4, "kv_heads": 4, "routes": [)"
                                                                  R"({"layer": 3, "key": 2},)"
                                                                  R"({"layer": 2, "head": 1, "value": 0}]})");
  EXPECT_THAT(result.dropped, ElementsAre("model.layers.2.self_attn.v_proj.weight: value heads 1",
                                          "model.layers.3.self_attn.k_proj.weight: key heads 0-3",
                                          "model.layers.3.self_attn.k_norm.weight: key heads 0-3"));
  EXPECT_THAT(result.kept, ::testing::Contains("model.layers.2.self_attn.v_proj.weight"));
  EXPECT_THAT(result.kept, ::testing::Not(::testing::Contains(HasSubstr("layers.3.self_attn.k_"))));
}

TEST(Reroute, AJointHeadOfTwoSourcesLendsNothing) {
  const Decoder source = testing::small_decoder(small_config("baseline"));
  const Decoder mean = reroute(source,
                               R"({"layers": 4, "kv_heads": 4, "routes": [)"
                               R"({"layer": 3, "head": 0, "key": [0, 1], "value": [0, 1]}]})",
                               Lend::kMean)
                           .decoder;
  EXPECT_TRUE(at::equal(fused(mean, 0), fused(source, 0)));
  EXPECT_TRUE(at::equal(fused(mean, 1), fused(source, 1)));
}

}  // namespace
}  // namespace skipattn::model
