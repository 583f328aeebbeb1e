#include "skipattn/model/context_length.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "skipattn/core/errors.h"
#include "skipattn/io/test_folder.h"
#include "skipattn/model/test_models.h"

namespace skipattn::model {
namespace {

using ::testing::HasSubstr;
using testing::random_tokens;
using testing::small_config;

at::Tensor positions_of(const Decoder& decoder) {
  return decoder.parameters()[decoder.table().position_embedding];
}

TEST(ContextLength, CopiesBeginAgainAtTheFirstPosition) {
  const Decoder source = testing::small_decoder(small_config("sla(distance=2, heads=3)"));  // 40 positions
  const Decoder longer = with_context(source, 100, Lengthening::kFamily);
  EXPECT_EQ(longer.config().positions, 100);
  for (const int64_t place : {0, 39, 40, 41, 79, 80, 99})
    EXPECT_TRUE(at::equal(positions_of(longer)[place], positions_of(source)[place % 40])) << place;
  const Input input{.tokens = random_tokens(2, 40, 61)};
  EXPECT_TRUE(at::equal(longer.hidden_states(input), source.hidden_states(input)));
  longer.hidden_states({.tokens = random_tokens(1, 100, 61)});
  EXPECT_THAT(io::error_of<InputError>([&] { longer.hidden_states({.tokens = random_tokens(1, 101, 61)}); }),
              HasSubstr("100 tokens"));
}

TEST(ContextLength, InterpolationDrawsTheTableOut) {
  const Decoder source = testing::small_decoder(small_config("baseline"));
  const Decoder longer = with_context(source, 79, Lengthening::kInterpolate);  // a point between every two
  const at::Tensor before = positions_of(source), after = positions_of(longer);
  for (int64_t place = 0; place < 79; ++place) {
    const at::Tensor expected = (before[place / 2] + before[(place + 1) / 2]) / 2;
    EXPECT_TRUE(at::allclose(after[place], expected, 1e-10, 1e-10)) << place;
  }
}

TEST(ContextLength, FewerPositionsAreTheFirstOnes) {
  const Decoder source = testing::small_decoder(small_config("baseline"));
  for (const Lengthening method : {Lengthening::kCopy, Lengthening::kInterpolate})
    EXPECT_TRUE(at::equal(positions_of(with_context(source, 7, method)), positions_of(source).narrow(0, 0, 7)));
}

ModelConfig rotary_config() {
  ModelConfig config = small_config("sla(distance=2, heads=3)");
  config.family = "llama";
  config.activation = "silu";
  config.positions = 40;
  return config;
}

TEST(ContextLength, RotaryPositionsAreDividedOrGetALargerBase) {
  const Decoder source = testing::small_decoder(rotary_config());
  const Decoder linear = with_context(source, 120, Lengthening::kLinear);
  EXPECT_EQ(linear.config().rotary.scaling, "linear");
  EXPECT_EQ(linear.config().rotary.factor, 3);
  EXPECT_EQ(with_context(linear, 240, Lengthening::kLinear).config().rotary.factor, 6);
  // Every third token of a long text, with nothing between, is where the short text's tokens are.
  const at::Tensor tokens = random_tokens(2, 40, 61);
  const at::Tensor spread = (at::arange(40, at::kLong) * 3).unsqueeze(0).expand({2, 40});
  EXPECT_LT(testing::largest_difference(linear.hidden_states({.tokens = tokens, .positions = spread}),
                                        source.hidden_states({.tokens = tokens})),
            1e-9);
  const Decoder base = with_context(source, 120, Lengthening::kFamily);
  // The slowest pair turns three times slower, the fastest as before.
  const auto before = rotary_frequencies(source.config().rotary, 8),
             after = rotary_frequencies(base.config().rotary, 8);
  EXPECT_NEAR(after.back() * 3, before.back(), 1e-12);
  EXPECT_EQ(after.front(), before.front());
  EXPECT_EQ(with_context(source, 20, Lengthening::kLinear).config().rotary, source.config().rotary);
}

TEST(ContextLength, MethodsOfOtherPositionsAreRefused) {
  ModelConfig scaled = rotary_config();
  scaled.rotary.scaling = "llama3";
  scaled.rotary.factor = 8;
  EXPECT_THAT(io::error_of<InputError>([&] { with_context(testing::small_decoder(scaled), 80, Lengthening::kLinear); }),
              HasSubstr("Llama 3's rule already"));
  EXPECT_THAT(
      io::error_of<InputError>([&] { with_context(testing::small_decoder(rotary_config()), 80, Lengthening::kCopy); }),
      HasSubstr("this llama has rotary ones: linear or base"));
  const Decoder source = testing::small_decoder(small_config("baseline"));
  EXPECT_THAT(io::error_of<InputError>([&] { with_context(source, 80, Lengthening::kLinear); }),
              HasSubstr("copy or interpolate"));
  EXPECT_THAT(io::error_of<InputError>([&] { with_context(source, 80, Lengthening::kBase); }),
              HasSubstr("copy or interpolate"));
  EXPECT_THAT(io::error_of<InputError>([&] { parse_lengthening("yarn"); }),
              HasSubstr("must be copy, interpolate, linear or base"));
}

}  // namespace
}  // namespace skipattn::model
