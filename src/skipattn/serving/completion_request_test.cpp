#include "skipattn/serving/completion_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "skipattn/serving/api_error.h"
#include "skipattn/serving/test_service_model.h"

namespace skipattn::serving {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

CompletionRequest parse(const std::string& body) {
  return parse_completion_request(body, test_served_model(), 77);
}

/// "400 sentence", or "" when the request is fine.
std::string refusal(const std::string& body) {
  try {
    parse(body);
  } catch (const ApiError& error) {
    return fmt::format("{} {}", error.status(), error.what());
  }
  return "";
}

TEST(CompletionRequest, HasTheUsualDefaults) {
  const CompletionRequest request = parse(R"({"prompt": [1, 2, 3]})");
  ASSERT_EQ(request.prompts.size(), 1U);
  EXPECT_THAT(request.prompts[0].ids, ElementsAre(1, 2, 3));
  EXPECT_EQ(request.max_tokens, 16);
  EXPECT_EQ(request.sampling.temperature, 1.0);
  EXPECT_EQ(request.seed, 77U);
  EXPECT_EQ(request.logprobs, -1);
  EXPECT_FALSE(request.stream || request.echo);
}

TEST(CompletionRequest, ReadsEveryKey) {
  const CompletionRequest request = parse(
      R"({"model": "small", "prompt": [[1], [2, 3]], "max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "top_k": 4,
          "min_p": 0.1, "repetition_penalty": 1.2, "stop": ["a", "b"], "seed": -3, "n": 2, "stream": true,
          "stream_options": {"include_usage": true}, "echo": true, "logprobs": 5, "user": "me", "best_of": 2,
          "presence_penalty": 0.0, "frequency_penalty": null, "logit_bias": {}, "suffix": null})");
  EXPECT_EQ(request.choices(), 4);
  EXPECT_EQ(request.prompt_tokens(), 3);
  EXPECT_THAT(request.prompt_of(1).ids, ElementsAre(1));
  EXPECT_THAT(request.prompt_of(2).ids, ElementsAre(2, 3));
  EXPECT_EQ(request.sampling.top_k, 4);
  EXPECT_EQ(request.sampling.repetition_penalty, 1.2);
  EXPECT_THAT(request.stop, ElementsAre("a", "b"));
  EXPECT_EQ(static_cast<int64_t>(request.seed), -3);
  EXPECT_EQ(request.logprobs, 5);
  EXPECT_TRUE(request.stream && request.echo && request.include_usage);
}

TEST(CompletionRequest, GivenTokensMustFitAndTheDefaultShrinks) {
  std::string ids = "[0";
  for (int i = 1; i < 90; ++i) ids += ",1";
  EXPECT_EQ(parse(R"({"prompt": )" + ids + "]}").max_tokens, 7);  // the last new token needs no position
  EXPECT_EQ(refusal(R"({"max_tokens": 7, "prompt": )" + ids + "]}"), "");
  EXPECT_THAT(refusal(R"({"max_tokens": 8, "prompt": )" + ids + "]}"), HasSubstr("90 tokens and max_tokens=8"));
  EXPECT_THAT(refusal(R"({"prompt": )" + ids + ",1,1,1,1,1,1,1]}"), HasSubstr("96 positions"));
}

TEST(CompletionRequest, SaysWhatIsWrongInOneSentence) {
  EXPECT_EQ(refusal("{"), "400 the body is not JSON");
  EXPECT_EQ(refusal("[1]"), "400 the body is a list; it must be an object");
  EXPECT_THAT(refusal(R"({"model": "gpt-5", "prompt": [1]})"),
              HasSubstr("404 model \"gpt-5\": this server has 'small'"));
  EXPECT_THAT(refusal("{}"), HasSubstr("prompt: not given"));
  EXPECT_THAT(refusal(R"({"prompt": "text"})"), HasSubstr("no tokenizer"));
  EXPECT_THAT(refusal(R"({"prompt": []})"), HasSubstr("prompt=[]"));
  EXPECT_THAT(refusal(R"({"prompt": [[]]})"), HasSubstr("a list in the list"));
  EXPECT_THAT(refusal(R"({"prompt": [61]})"), HasSubstr("61 is not a token id of this model; ids are 0..60"));
  EXPECT_THAT(refusal(R"({"prompt": [-1]})"), HasSubstr("-1 is not a token id"));
  EXPECT_THAT(refusal(R"({"prompt": [1.5]})"), HasSubstr("1.5 is not a token id"));
  EXPECT_THAT(refusal(R"({"prompt": [1], "max_token": 3})"), HasSubstr("unknown key (did you mean 'max_tokens'?)"));
  EXPECT_THAT(refusal(R"({"prompt": [1], "max_tokens": 0})"), HasSubstr("only with echo=true"));
  EXPECT_THAT(refusal(R"({"prompt": [1], "max_tokens": -1})"),
              HasSubstr("max_tokens=-1: must be an integer of at least 0"));
  EXPECT_THAT(refusal(R"({"prompt": [1], "max_tokens": 18446744073709551615})"), HasSubstr("must be an integer"));
  EXPECT_THAT(refusal(R"({"prompt": [1], "logprobs": 6})"), HasSubstr("logprobs=6: must be an integer, 0..5"));
  EXPECT_THAT(refusal(R"({"prompt": [1], "stop": ""})"), HasSubstr("none empty"));
  EXPECT_THAT(refusal(R"({"prompt": [1], "suffix": "x"})"), HasSubstr("does not do that"));
  EXPECT_THAT(refusal(R"({"prompt": [[1], [2]], "n": 100})"), HasSubstr("2 prompts with n=100"));
  const std::string several = refusal(R"({"prompt": [1], "temperature": -1, "echo": 3, "top_p": "x"})");
  EXPECT_THAT(several, testing::AllOf(HasSubstr("temperature=-1"), HasSubstr("echo=3"), HasSubstr("top_p=\"x\"")));
  EXPECT_EQ(several.find('\n'), std::string::npos);
}

TEST(CompletionRequest, DeepNestingIsRefusedLikeAnythingElse) {
  const std::string deep(100000, '[');
  EXPECT_EQ(refusal(R"({"prompt": )" + deep), "400 the body is not JSON");
  EXPECT_THAT(refusal(R"({"prompt": )" + deep + std::string(deep.size(), ']') + "}"), HasSubstr("a list in the list"));
}

}  // namespace
}  // namespace skipattn::serving
