// The operator as callers meet it: shapes on the meta device, messages for wrong arguments, forced levels.
#include "skipattn/attention/routed_attention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "skipattn/attention/cases_test.h"
#include "skipattn/attention/problem.h"

namespace skipattn::attention::test {
namespace {

using ::testing::HasSubstr;

/// The message of the error that a change to good arguments brings.
template <typename Change>
std::string message_after(const Change& change) {
  Inputs inputs =
      make_inputs({.batch = 2, .heads = 4, .kv_heads = 4, .queries = 6, .head_width = 8, .first = First::kWindow});
  change(inputs);
  try {
    routed_attention(inputs.query, inputs.sources, inputs.pairs, inputs.options);
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  }
  return "no error";
}

TEST(Arguments, WrongTensorsAreNamed) {
  EXPECT_EQ(message_after([](Inputs&) {}), "no error");
  EXPECT_THAT(message_after([](Inputs& x) { x.query = x.query[0]; }),
              HasSubstr("query must be [B, H, T, d], got [4, 6, 8]"));
  EXPECT_THAT(message_after([](Inputs& x) { x.query = x.query.to(at::kHalf); }),
              HasSubstr("query must be float32, bfloat16 or float64, got Half"));
  EXPECT_THAT(message_after([](Inputs& x) { x.query = x.query.narrow(3, 0, 0); }),
              HasSubstr("head width of at least 1"));
  EXPECT_THAT(message_after([](Inputs& x) { x.sources[3] = x.sources[3][0]; }),
              HasSubstr("sources[3] must be [B, heads, S, d], got [4, 6, 8]"));
  EXPECT_THAT(message_after([](Inputs& x) { x.sources[1] = x.sources[1].narrow(0, 0, 1); }),
              HasSubstr("sources[1] must have query's batch 2 and head width 8, got [B, heads, S, d] = [1, 4, 6, 8]"));
  EXPECT_THAT(message_after([](Inputs& x) { x.sources[2] = x.sources[2].narrow(2, 0, 5); }),
              HasSubstr("sources[2] must hold as many keys as sources[0], S = 6, got S = 5"));
  EXPECT_THAT(message_after([](Inputs& x) { x.sources[4] = x.sources[4].to(at::kDouble); }),
              HasSubstr("sources[4] must have query's dtype Float, got Double"));
  EXPECT_THAT(message_after([](Inputs& x) {
                x.sources[0] = at::zeros({2, 4, 8, 6}).transpose(2, 3);
              }),
              HasSubstr("sources[0] must have unit stride in its last dimension"));
}

TEST(Arguments, WrongRoutesAreNamed) {
  EXPECT_THAT(message_after([](Inputs& x) { x.pairs[2][0].key_tensor = 6; }),
              HasSubstr("KV head 2 reads its keys from sources[6], but there are 6 sources"));
  EXPECT_THAT(message_after([](Inputs& x) { x.pairs[1][0].value_head = 4; }),
              HasSubstr("KV head 1 reads its values from head 4 of sources[5], which has 4 heads"));
  EXPECT_THAT(message_after([](Inputs& x) { x.pairs[0][0].value_head = -1; }), HasSubstr("from head -1"));
  EXPECT_THAT(message_after([](Inputs& x) { x.pairs.pop_back(); }),
              HasSubstr("query heads must be a multiple of the KV heads (lists of pairs), got 4 query heads and 3"));
  EXPECT_THAT(message_after([](Inputs& x) { x.pairs.clear(); }), HasSubstr("route_offsets"));
}

TEST(Arguments, WrongOptionsAreNamed) {
  EXPECT_THAT(message_after([](Inputs& x) { x.options.dropout_p = 1.0; }),
              HasSubstr("dropout_p must be in [0, 1), got 1"));
  EXPECT_THAT(message_after([](Inputs& x) { x.options.dropout_p = -0.1; }),
              HasSubstr("dropout_p must be in [0, 1), got -0.1"));
  EXPECT_THAT(message_after([](Inputs& x) { x.options.scale = 0; }),
              HasSubstr("scale must be positive and finite, got 0"));
  EXPECT_THAT(message_after([](Inputs& x) { x.options.first_key = x.options.first_key->narrow(1, 0, 5); }),
              HasSubstr("first_key must be [B, T] = [2, 6], got [2, 5]"));
  EXPECT_THAT(message_after([](Inputs& x) { x.options.first_key = x.options.first_key->to(at::kLong); }),
              HasSubstr("first_key must be int32, got Long"));
}

TEST(Arguments, FlatRoutesMustFitTheirOffsets) {
  const HeadPairs pairs = make_pairs(Routes::kJointRepeat, 4);
  const FlatRoutes flat = flatten_pairs(pairs);
  EXPECT_EQ(flatten_pairs(unflatten_pairs(flat.routes, flat.offsets)).routes, flat.routes);
  const auto message = [](std::vector<int64_t> routes, std::vector<int64_t> offsets) -> std::string {
    try {
      unflatten_pairs(routes, offsets);
    } catch (const c10::Error& error) {
      return error.what_without_backtrace();
    }
    return "no error";
  };
  EXPECT_EQ(message({0, 0, 1, 0}, {0, 1}), "no error");
  EXPECT_THAT(message({0, 0, 1}, {0, 1}), HasSubstr("four numbers a pair"));
  EXPECT_THAT(message({0, 0, 1, 0}, {0, 2}), HasSubstr("from 0 to the number of pairs, 1"));
  EXPECT_THAT(message({0, 0, 1, 0}, {0, 2, 1}), HasSubstr("must not descend"));
}

TEST(Arguments, BackwardChecksItsOwn) {
  const Inputs inputs = make_inputs({.queries = 6});
  const Result result = routed_attention(inputs.query, inputs.sources, inputs.pairs, inputs.options);
  try {
    routed_attention_backward(inputs.grad_output.narrow(2, 0, 5), inputs.query, inputs.sources, inputs.pairs,
                              inputs.options, result);
    FAIL();
  } catch (const c10::Error& error) {
    EXPECT_THAT(error.what_without_backtrace(),
                HasSubstr("grad_output must be [2, 4, 6, 32] Float on cpu, got [2, 4, 5, 32]"));
  }
}

void expect_same_form(const at::Tensor& a, const at::Tensor& b) {
  EXPECT_EQ(a.sizes(), b.sizes());
  EXPECT_EQ(a.strides(), b.strides());
  EXPECT_EQ(a.scalar_type(), b.scalar_type());
}

TEST(Meta, ShapesStridesAndDtypesAreTheRealOnes) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kDouble}) {
    for (const bool strided : {true, false}) {
      const Inputs real = make_inputs({.kv_heads = 2,
                                       .earlier_keys = 5,
                                       .dtype = dtype,
                                       .first = First::kWindow,
                                       .routes = Routes::kJointTwo,
                                       .strided = strided});
      Inputs meta = real;
      meta.query = real.query.to(at::kMeta);
      for (at::Tensor& source : meta.sources) source = source.to(at::kMeta);
      meta.options.first_key = real.options.first_key->to(at::kMeta);
      const Result a = routed_attention(real.query, real.sources, real.pairs, real.options);
      const Result b = routed_attention(meta.query, meta.sources, meta.pairs, meta.options);
      EXPECT_TRUE(b.output.is_meta());
      expect_same_form(a.output, b.output);
      expect_same_form(a.logsumexp, b.logsumexp);
      const Gradients c =
          routed_attention_backward(real.grad_output, real.query, real.sources, real.pairs, real.options, a);
      const Gradients d = routed_attention_backward(real.grad_output.to(at::kMeta), meta.query, meta.sources,
                                                    meta.pairs, meta.options, b);
      expect_same_form(c.query, d.query);
      for (size_t i = 0; i < c.sources.size(); ++i) expect_same_form(c.sources[i], d.sources[i]);
    }
  }
}

TEST(Output, TransposesToTheModelsLayoutWithoutACopy) {
  const Inputs inputs = make_inputs({.queries = 10});
  const at::Tensor output = routed_attention(inputs.query, inputs.sources, inputs.pairs, inputs.options).output;
  EXPECT_EQ(output.transpose(1, 2).flatten(2).data_ptr(), output.data_ptr());
}

TEST(Levels, ReferenceIsTheDefinitionToTheBit) {
  const Inputs inputs = make_inputs({.queries = 40, .routes = Routes::kJointTwo});
  const at::Tensor definition =
      routed_attention_reference(inputs.query, inputs.sources, inputs.pairs, inputs.options).output;
  const auto run_at = [&](const char* level) {
    const ForcedLevel level_in_force(level);
    return run(routed_attention, inputs.to(at::kFloat, true));
  };
  const Outcome forced = run_at("reference");
  EXPECT_TRUE(at::equal(forced.result.output, definition));
  const Outcome fused = run_at("torch");
  EXPECT_FALSE(at::equal(fused.result.output, definition));  // else the level chose nothing
  EXPECT_LT(max_difference(fused.grad_sources[4], forced.grad_sources[4]), 1e-4);
  expect_same_form(fused.grad_sources[4], forced.grad_sources[4]);
}

TEST(Levels, UnknownNamesAreRefused) {
  const ForcedLevel level_in_force("fastest");
  EXPECT_THAT(message_after([](Inputs&) {}),
              HasSubstr("SKIPATTN_ATTENTION must be 'reference', 'torch', 'avx2', 'avx512' or 'avx512_bf16', got "
                        "'fastest'"));
}

}  // namespace
}  // namespace skipattn::attention::test
