#include "skipattn/inference/generation.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "skipattn/core/errors.h"
#include "skipattn/inference/test_model.h"

namespace skipattn::inference {
namespace {

GenerationOptions greedy(int64_t tokens) {
  GenerationOptions options;
  options.max_new_tokens = tokens;
  options.sampling.temperature = 0;
  options.engine.weights = options.engine.cache = Dtype::kFp32;
  return options;
}

/// Greedy decoding the slow way: a whole forward pass for every token.
TokenIds greedy_by_full_forwards(const model::Decoder& decoder, TokenIds text, int64_t count) {
  const size_t prompt = text.size();
  for (int64_t i = 0; i < count; ++i)
    text.push_back(static_cast<uint32_t>(full_logits(decoder, text)[-1].argmax().item<int64_t>()));
  return {text.begin() + static_cast<std::ptrdiff_t>(prompt), text.end()};
}

std::string fault_of(const model::Decoder& decoder, const GenerationOptions& options,
                     const std::vector<TokenIds>& prompts) {
  try {
    generate(decoder, options, prompts);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

TEST(Generation, GreedyIsTheArgmaxOfFullForwards) {
  for (const char* routing : {"baseline", "sla", "sla(keys=own)", "cla(group=2)", "yoco"}) {
    const model::Decoder decoder = test_model(routing);
    const TokenIds prompt = test_tokens(9, 41);
    const GenerationResult result = generate(decoder, greedy(30), {prompt});
    EXPECT_EQ(result.rows[0].tokens, greedy_by_full_forwards(decoder, prompt, 30)) << routing;
    EXPECT_EQ(result.rows[0].finish, Finish::kLength);
  }
}

TEST(Generation, ABatchContinuesEachPromptAsAlone) {
  const model::Decoder decoder = test_model("sla");
  const std::vector<TokenIds> prompts = {test_tokens(3, 42), test_tokens(17, 43), test_tokens(8, 44)};
  const GenerationResult together = generate(decoder, greedy(12), prompts);
  for (size_t row = 0; row < prompts.size(); ++row)
    EXPECT_EQ(together.rows[row].tokens, generate(decoder, greedy(12), {prompts[row]}).rows[0].tokens) << row;
  EXPECT_EQ(together.prompt_tokens, 28);
  EXPECT_EQ(together.decoded_tokens, 3 * 11);  // the first comes from the prompt
}

TEST(Generation, SeedsReproduceAndRowsDrawApart) {
  const model::Decoder decoder = test_model("sla");
  GenerationOptions options;
  options.max_new_tokens = 40;
  options.sampling = {.temperature = 2.0, .top_k = 40, .top_p = 0.98};
  const TokenIds prompt = test_tokens(5, 45);
  const GenerationResult once = generate(decoder, options, {prompt, prompt});
  const GenerationResult again = generate(decoder, options, {prompt, prompt});
  EXPECT_EQ(once.rows[0].tokens, again.rows[0].tokens);
  EXPECT_EQ(once.rows[1].tokens, again.rows[1].tokens);
  EXPECT_NE(once.rows[0].tokens, once.rows[1].tokens);
  options.seed = 2;
  EXPECT_NE(generate(decoder, options, {prompt, prompt}).rows[0].tokens, once.rows[0].tokens);
}

TEST(Generation, EndOfTextEndsItsRowAlone) {
  const model::Decoder decoder = test_model("baseline");
  const std::vector<TokenIds> prompts = {test_tokens(6, 46), test_tokens(6, 47)};
  const GenerationResult whole = generate(decoder, greedy(20), prompts);
  // The first token of row 0 that row 1 never draws.
  const TokenIds &first = whole.rows[0].tokens, &second = whole.rows[1].tokens;
  size_t place = 0;
  while (std::find(second.begin(), second.end(), first.at(place)) != second.end()) ++place;
  GenerationOptions options = greedy(20);
  options.end_of_text = first[place];
  const GenerationResult result = generate(decoder, options, prompts);
  const auto until = std::find(first.begin(), first.end(), first[place]) + 1;
  EXPECT_EQ(result.rows[0].tokens, TokenIds(first.begin(), until));
  EXPECT_EQ(result.rows[0].finish, Finish::kEndOfText);
  EXPECT_EQ(result.rows[1].tokens, second);
  EXPECT_EQ(result.rows[1].finish, Finish::kLength);
}

TEST(Generation, TheListenerHearsEveryTokenAndMayStopARow) {
  const model::Decoder decoder = test_model("baseline");
  const std::vector<TokenIds> prompts = {test_tokens(6, 46), test_tokens(4, 47)};
  std::vector<TokenIds> heard(2);
  const GenerationResult result = generate(decoder, greedy(10), prompts, [&](int64_t row, uint32_t token) {
    heard[static_cast<size_t>(row)].push_back(token);
    return row == 1 || heard[0].size() < 4;
  });
  EXPECT_EQ(heard[0], result.rows[0].tokens);
  EXPECT_EQ(heard[1], result.rows[1].tokens);
  EXPECT_EQ(heard[0].size(), 4U);
  EXPECT_EQ(result.rows[0].finish, Finish::kStopped);
  EXPECT_EQ(heard[1].size(), 10U);
}

TEST(Generation, OnlyTokensOfTheVocabularyAreDrawn) {
  const model::Decoder decoder = test_model("baseline");
  GenerationOptions options = greedy(60);
  options.sampling.temperature = 100;
  options.vocabulary = 9;
  const GenerationResult result = generate(decoder, options, {{1}});
  for (const uint32_t token : result.rows[0].tokens) EXPECT_LT(token, 9U);
}

TEST(Generation, FillsThePositionsToTheLast) {
  const model::Decoder decoder = test_model("sla", {.positions = 16});
  EXPECT_EQ(room_for_new_tokens(decoder.config(), 10), 7);
  const TokenIds prompt = test_tokens(10, 48);
  EXPECT_EQ(generate(decoder, greedy(7), {prompt}).rows[0].tokens.size(), 7U);
  EXPECT_THAT(fault_of(decoder, greedy(8), {{1}, prompt}),
              testing::AllOf(testing::HasSubstr("max_new_tokens=8"), testing::HasSubstr("at most 7")));
  EXPECT_EQ(generate(decoder, greedy(1), {test_tokens(16, 49)}).rows[0].tokens.size(), 1U);
  EXPECT_THAT(fault_of(decoder, greedy(1), {test_tokens(17, 49)}), testing::HasSubstr("17 tokens"));
}

TEST(Generation, ReportsTheBytesOfTheTokensItHolds) {
  const model::Decoder decoder = test_model("sla(distance=3, heads=2)");
  GenerationOptions options = greedy(5);
  options.engine.cache = Dtype::kBf16;
  const GenerationResult result = generate(decoder, options, {test_tokens(4, 50), test_tokens(7, 51)});
  const int64_t slots = decoder.plan().cache_slots();
  EXPECT_EQ(slots, 2 * (3 * 4 + 3 * 2));
  EXPECT_EQ(result.kv_cache_bytes, (4 + 7 + 2 * 4) * slots * 8 * 2);  // the fifth token is never read
  EXPECT_EQ(result.kv_cache_allocated_bytes, 2 * kBlockRows * slots * 8 * 2);
  EXPECT_GT(result.prefill_tokens_per_second(), 0);
  EXPECT_GT(result.decode_tokens_per_second(), 0);
}

TEST(Generation, FaultsAreNamedBeforeAnythingRuns) {
  const model::Decoder decoder = test_model("baseline");
  EXPECT_THAT(fault_of(decoder, greedy(1), {}), testing::HasSubstr("no prompt"));
  EXPECT_THAT(fault_of(decoder, greedy(1), {{1}, {}}), testing::HasSubstr("prompt 1: it has no tokens"));
  EXPECT_THAT(fault_of(decoder, greedy(1), {{kTestVocabulary}}), testing::HasSubstr("token 61"));
  GenerationOptions options = greedy(0);
  options.sampling.top_p = 7;
  options.vocabulary = 1000;
  EXPECT_THAT(fault_of(decoder, options, {{1}}),
              testing::AllOf(testing::HasSubstr("max_new_tokens=0"), testing::HasSubstr("top_p=7"),
                             testing::HasSubstr("vocabulary=1000")));
}

}  // namespace
}  // namespace skipattn::inference
