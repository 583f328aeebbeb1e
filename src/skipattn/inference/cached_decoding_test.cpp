// What a cache must not change: the logits.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "skipattn/inference/decoding_cases.h"
#include "skipattn/inference/session.h"
#include "skipattn/inference/test_model.h"

namespace skipattn::inference {
namespace {

/// The logits of every token from column split - 1 on: the first `split` tokens as a prompt, the rest one by one.
at::Tensor cached_logits(const model::Decoder& decoder, const TokenIds& tokens, int64_t split,
                         const SessionOptions& options) {
  Session session(decoder, {{tokens.begin(), tokens.begin() + split}}, options);
  std::vector<at::Tensor> rows = {session.prefill()};
  for (size_t i = static_cast<size_t>(split); i < tokens.size(); ++i) rows.push_back(session.decode({tokens[i]}));
  return at::cat(rows);
}

class CachedDecoding : public testing::TestWithParam<DecodingCase> {};

TEST_P(CachedDecoding, GivesTheFullForwardsLogitsInFp32) {
  const model::Decoder decoder = test_model(GetParam().routing, GetParam().shape);
  const TokenIds tokens = test_tokens(75, 11);
  const at::Tensor full = full_logits(decoder, tokens);
  ASSERT_GT(full.abs().max().item<double>(), 1.0);  // or a difference would not show
  for (const int64_t split : {1, 2, 33, 64, 74, 75}) {
    for (const int64_t chunk : {2048, 7}) {
      const at::Tensor cached =
          cached_logits(decoder, tokens, split, {.cache_dtype = at::kFloat, .prefill_chunk = chunk});
      EXPECT_LE(largest_difference(cached, full.narrow(0, split - 1, cached.size(0))), 1e-4)
          << "split " << split << ", chunks of " << chunk;
    }
  }
}

TEST_P(CachedDecoding, IsAsNearInBf16AsTheFullForwardInBf16) {
  const model::Decoder exact = test_model(GetParam().routing, GetParam().shape, at::kDouble);
  const model::Decoder rounded = test_model(GetParam().routing, GetParam().shape, at::kBFloat16);
  const TokenIds tokens = test_tokens(75, 12);
  const at::Tensor truth = full_logits(exact, tokens);
  const auto error = [](const at::Tensor& a, const at::Tensor& b) {
    return (a - b).square().mean().sqrt().item<double>();
  };
  for (const int64_t split : {1, 40}) {
    const at::Tensor expected = truth.narrow(0, split - 1, static_cast<int64_t>(tokens.size()) - split + 1);
    const at::Tensor naive = full_logits(rounded, tokens).narrow(0, split - 1, expected.size(0));
    const at::Tensor cached = cached_logits(rounded, tokens, split, {});
    EXPECT_LE(error(cached, expected), 1.5 * error(naive, expected)) << "split " << split;
  }
}

TEST_P(CachedDecoding, APaddedBatchGivesWhatItsRowsGiveAlone) {
  const model::Decoder decoder = test_model(GetParam().routing, GetParam().shape);
  const SessionOptions options = {.cache_dtype = at::kFloat, .prefill_chunk = 8};
  const std::vector<TokenIds> prompts = {test_tokens(5, 21), test_tokens(23, 22), test_tokens(1, 23),
                                         test_tokens(16, 24)};
  Session together(decoder, prompts, options);
  at::Tensor logits = together.prefill();
  std::vector<TokenIds> texts = prompts;
  for (uint32_t step = 0; step < 4; ++step) {
    TokenIds next;
    for (size_t row = 0; row < texts.size(); ++row) {
      const at::Tensor alone = full_logits(decoder, texts[row]);
      EXPECT_LE(largest_difference(logits[static_cast<int64_t>(row)], alone[-1]), 1e-4)
          << "row " << row << " step " << step;
      next.push_back((step * 5 + static_cast<uint32_t>(row)) % kTestVocabulary);
      texts[row].push_back(next.back());
    }
    logits = together.decode(next);
  }
}

INSTANTIATE_TEST_SUITE_P(Routings, CachedDecoding, testing::ValuesIn(decoding_cases()),
                         [](const auto& test) { return test.param.name; });

TEST_P(CachedDecoding, RewindingTakesTheSameWayAgain) {
  const model::Decoder decoder = test_model(GetParam().routing, GetParam().shape);
  const TokenIds tokens = test_tokens(8, 13);
  Session session(decoder, {{tokens.begin(), tokens.begin() + 5}}, {.cache_dtype = at::kFloat});
  session.prefill();
  session.decode({tokens[7]});
  session.decode({tokens[7]});
  session.rewind(5);
  EXPECT_EQ(session.tokens_held(), 5);
  session.decode({tokens[5]});
  const at::Tensor full = full_logits(decoder, tokens);
  EXPECT_LE(largest_difference(session.decode({tokens[6]}).select(0, 0), full[6]), 1e-4);
}

TEST(CachedDecodingDtypes, AnFp32ModelMayKeepABf16Cache) {
  const model::Decoder decoder = test_model("sla");
  const TokenIds tokens = test_tokens(40, 31);
  const at::Tensor full = full_logits(decoder, tokens);
  const at::Tensor cached = cached_logits(decoder, tokens, 20, {});
  const double difference = largest_difference(cached, full.narrow(0, 19, 21));
  EXPECT_GT(difference, 1e-5);  // the cache does round
  EXPECT_LE(difference, 0.1);
}

}  // namespace
}  // namespace skipattn::inference
