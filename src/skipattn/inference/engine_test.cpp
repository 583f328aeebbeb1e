// The engine beside what defines it: the decoder's forward pass without a cache, in plain torch operations.
#include "skipattn/inference/engine.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "skipattn/core/errors.h"
#include "skipattn/inference/decoding_cases.h"
#include "skipattn/inference/round_weights.h"
#include "skipattn/inference/test_model.h"
#include "skipattn/routing/costs.h"

namespace skipattn::inference {
namespace {

at::Tensor as_tensor(std::span<const float> logits) {
  return at::tensor(at::ArrayRef<float>(logits.data(), logits.size())).view({-1, kTestVocabulary});
}

/// Logits of every token from position split - 1 on: the first `split` tokens as a prompt, the rest one by one.
at::Tensor engine_logits(Engine& engine, const TokenIds& tokens, size_t split) {
  CachedSequence sequence = engine.new_sequence();
  std::vector<at::Tensor> rows = {as_tensor(engine.prefill(sequence, std::span(tokens).first(split)))};
  for (size_t i = split; i < tokens.size(); ++i) rows.push_back(as_tensor(engine.decode({{&sequence, tokens[i]}})));
  EXPECT_EQ(sequence.length(), static_cast<int64_t>(tokens.size()));
  return at::cat(rows);
}

double rms(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).square().mean().sqrt().item<double>();
}

std::string fault_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

class EngineRoutings : public testing::TestWithParam<DecodingCase> {};
INSTANTIATE_TEST_SUITE_P(Routings, EngineRoutings, testing::ValuesIn(decoding_cases()),
                         [](const auto& test) { return test.param.name; });

TEST_P(EngineRoutings, GivesTheFullForwardsLogitsInFp32AtAnySplit) {
  const model::Decoder decoder = test_model(GetParam().routing, GetParam().shape);
  const TokenIds tokens = test_tokens(90, 11);
  const at::Tensor full = full_logits(decoder, tokens);
  ASSERT_GT(full.abs().max().item<double>(), 1.0);  // or a difference would not show
  for (const int64_t chunk : {2048, 17}) {
    Engine engine(decoder, {Dtype::kFp32, Dtype::kFp32, /*threads=*/1, chunk});
    for (const size_t split : {1, 2, 9, 33, 64, 65, 89, 90}) {
      const at::Tensor cached = engine_logits(engine, tokens, split);
      EXPECT_LE(largest_difference(cached, full.narrow(0, static_cast<int64_t>(split) - 1, cached.size(0))), 1e-4)
          << "split " << split << ", chunks of " << chunk;
    }
  }
}

TEST_P(EngineRoutings, IsAsNearInBf16AsTheFullForwardInBf16) {
  const model::Decoder exact = test_model(GetParam().routing, GetParam().shape, at::kDouble);
  const model::Decoder rounded = test_model(GetParam().routing, GetParam().shape, at::kBFloat16);
  const TokenIds tokens = test_tokens(90, 12);
  const at::Tensor truth = full_logits(exact, tokens), naive = full_logits(rounded, tokens);
  Engine engine(rounded, {.threads = 1});
  for (const size_t split : {1, 40, 90}) {
    const at::Tensor cached = engine_logits(engine, tokens, split);
    const auto part = [&](const at::Tensor& all) {
      return all.narrow(0, static_cast<int64_t>(split) - 1, cached.size(0));
    };
    EXPECT_LE(rms(cached, part(truth)), 1.5 * rms(part(naive), part(truth))) << "split " << split;
  }
}

TEST_P(EngineRoutings, SequencesSideBySideGiveWhatTheyGiveAlone) {
  const model::Decoder decoder = test_model(GetParam().routing, GetParam().shape);
  Engine engine(decoder, {Dtype::kFp32, Dtype::kFp32, 2});
  std::vector<CachedSequence> together;
  std::vector<TokenIds> texts;
  for (const int64_t length : {5, 80, 1, 20, 66, 3, 2, 40, 11, 64}) {
    texts.push_back(test_tokens(length, 20 + static_cast<uint64_t>(length)));
    together.push_back(engine.new_sequence());
    engine.prefill(together.back(), texts.back());
  }
  for (uint32_t step = 0; step < 3; ++step) {
    std::vector<NextToken> next;
    for (size_t row = 0; row < texts.size(); ++row) {
      texts[row].push_back((step * 5 + static_cast<uint32_t>(row)) % kTestVocabulary);
      next.push_back({&together[row], texts[row].back()});
    }
    const at::Tensor logits = as_tensor(engine.decode(next)).clone();
    for (size_t row = 0; row < texts.size(); ++row)
      EXPECT_LE(largest_difference(logits[static_cast<int64_t>(row)], full_logits(decoder, texts[row])[-1]), 1e-4)
          << "row " << row << " step " << step;
  }
}

TEST_P(EngineRoutings, LogitsOfAWholePromptAreTheFullForwards) {
  const model::Decoder decoder = test_model(GetParam().routing, GetParam().shape);
  const TokenIds tokens = test_tokens(50, 15);
  Engine engine(decoder, {Dtype::kFp32, Dtype::kFp32, 1, 16, /*skip_unread_layers=*/false});
  CachedSequence sequence = engine.new_sequence();
  EXPECT_LE(largest_difference(as_tensor(engine.prompt_logits(sequence, tokens)), full_logits(decoder, tokens)), 1e-4);
  EXPECT_EQ(sequence.length(), 50);
}

TEST(Engine, ARowsLogitsDependNeitherOnThreadsNorOnTheRowsBesideIt) {
  const model::Decoder decoder = test_model("sla(distance=2, heads=2)", {.kv_heads = 2, .positions = 1400});
  const TokenIds tokens = test_tokens(1300, 5);  // three parts of a context
  std::vector<at::Tensor> alone;
  for (const int threads : {1, 2, 3}) {
    Engine engine(decoder, {Dtype::kBf16, Dtype::kBf16, threads});
    CachedSequence sequence = engine.new_sequence(), other = engine.new_sequence();
    engine.prefill(sequence, tokens);
    alone.push_back(as_tensor(engine.decode({{&sequence, 7}})).clone());
    sequence.set_length(1300);
    engine.prefill(other, {1, 2, 3});
    alone.push_back(as_tensor(engine.decode({{&other, 9}, {&sequence, 7}}))[1].view({1, -1}).clone());
    sequence.set_length(1300);
    std::vector<CachedSequence> many;  // so many that a task of attention covers several heads
    std::vector<NextToken> next = {{&sequence, 7}};
    for (size_t i = 0; i < 12; ++i) {
      many.push_back(engine.new_sequence());
      engine.prefill(many.back(), test_tokens(static_cast<int64_t>(1 + 50 * i), i));
    }
    for (CachedSequence& row : many) next.push_back({&row, 3});
    alone.push_back(as_tensor(engine.decode(next))[0].view({1, -1}).clone());
  }
  for (const at::Tensor& logits : alone) EXPECT_TRUE(at::equal(logits, alone.front()));
}

TEST(Engine, ForgetsWhatIsBehindTheNewLength) {
  const model::Decoder decoder = test_model("sla");
  Engine engine(decoder, {Dtype::kFp32, Dtype::kFp32});
  CachedSequence sequence = engine.new_sequence();
  engine.prefill(sequence, test_tokens(70, 3));
  const at::Tensor once = as_tensor(engine.decode({{&sequence, 4}})).clone();
  engine.decode({{&sequence, 5}});
  sequence.set_length(70);
  EXPECT_TRUE(at::equal(as_tensor(engine.decode({{&sequence, 4}})), once));
  sequence.set_length(10);
  EXPECT_EQ(sequence.bytes_allocated(), kBlockRows * engine.cache_bytes_per_token());
}

TEST(Engine, RoundsWeightsAndCachesToEightBits) {
  const model::Decoder decoder = test_model("sla");
  const TokenIds tokens = test_tokens(90, 14);
  const at::Tensor full = full_logits(decoder, tokens);
  const double size = rms(full, at::zeros_like(full));
  for (const auto& [weights, cache] : {std::pair(Dtype::kInt8, Dtype::kFp32), std::pair(Dtype::kFp32, Dtype::kInt8),
                                       std::pair(Dtype::kInt8, Dtype::kInt8)}) {
    Engine engine(decoder, {weights, cache});
    for (const size_t split : {1, 60}) {
      const at::Tensor logits = engine_logits(engine, tokens, split);
      const double error = rms(logits, full.narrow(0, static_cast<int64_t>(split) - 1, logits.size(0)));
      EXPECT_GT(error, 1e-4 * size);
      EXPECT_LT(error, 0.1 * size) << dtype_name(weights) << " weights, " << dtype_name(cache) << " cache";
    }
  }
}

TEST(Engine, PromptsAndStepsRoundEightBitWeightsAlike) {
  const model::Decoder decoder = test_model("sla");
  const TokenIds tokens = test_tokens(60, 14);
  const auto difference = [&](Dtype weights) {
    Engine engine(decoder, {weights, Dtype::kFp32});
    return rms(engine_logits(engine, tokens, 1)[-1], engine_logits(engine, tokens, 60)[0]);
  };
  // Prompts round what they multiply to bf16, and that is all the difference.
  EXPECT_LT(difference(Dtype::kInt8), 2 * difference(Dtype::kBf16));
}

TEST(Engine, EightBitWeightsAreTheDecodersRounded) {
  model::Decoder decoder = test_model("sla(distance=2, heads=2)");
  const TokenIds tokens = test_tokens(40, 14);
  Engine engine(decoder, {Dtype::kInt8, Dtype::kFp32, 1});
  const at::Tensor logits = engine_logits(engine, tokens, 1), unrounded = full_logits(decoder, tokens);
  round_to_int8(decoder);
  const at::Tensor rounded = full_logits(decoder, tokens);
  // Learned positions stay bf16 in the engine, which is all the difference.
  EXPECT_LT(rms(logits, rounded), 0.25 * rms(unrounded, rounded));
}

TEST(Engine, TheCacheTakesThePlansBytes) {
  const model::Decoder decoder = test_model("sla(distance=3, heads=2)");
  for (const Dtype dtype : {Dtype::kFp32, Dtype::kBf16, Dtype::kInt8}) {
    Engine engine(decoder, {Dtype::kFp32, dtype});
    CachedSequence sequence = engine.new_sequence();
    engine.prefill(sequence, test_tokens(70, 3));
    const double planned = routing::count_costs(decoder.plan(), decoder.config().dimensions(), 70, dtype_name(dtype))
                               .kv_cache_bytes_per_token;
    EXPECT_EQ(static_cast<double>(sequence.bytes_held()), 70 * planned);
    EXPECT_EQ(static_cast<double>(sequence.bytes_allocated()), 2 * kBlockRows * planned);
  }
}

TEST(Engine, FaultsAreNamedAndNothingIsRead) {
  const model::Decoder decoder = test_model("yoco", {.positions = 96});
  Engine engine(decoder, {Dtype::kFp32, Dtype::kFp32});
  CachedSequence sequence = engine.new_sequence();
  engine.prefill(sequence, test_tokens(90, 3));
  EXPECT_THAT(fault_of([&] { engine.prefill(sequence, test_tokens(7, 3)); }), testing::HasSubstr("97 tokens"));
  EXPECT_THAT(fault_of([&] { engine.prefill(sequence, {1, 61}); }), testing::HasSubstr("token 61"));
  EXPECT_THAT(fault_of([&] { engine.decode({{&sequence, 99}}); }), testing::HasSubstr("token 99"));
  EXPECT_THAT(fault_of([&] { engine.prompt_logits(sequence, test_tokens(2, 3)); }),
              testing::HasSubstr("skip_unread_layers"));
  EXPECT_EQ(sequence.length(), 90);
  engine.prefill(sequence, test_tokens(6, 3));
  EXPECT_THAT(fault_of([&] { engine.decode({{&sequence, 1}}); }), testing::HasSubstr("positions for 96"));
  EXPECT_THAT(fault_of([&] {
                Engine(decoder, {Dtype::kFp32, Dtype::kFp32, 1, 0});
              }),
              testing::HasSubstr("prefill_chunk=0"));
}

}  // namespace
}  // namespace skipattn::inference
