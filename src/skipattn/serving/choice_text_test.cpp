#include "skipattn/serving/choice_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "skipattn/serving/test_service_model.h"

namespace skipattn::serving {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TokenReport drawn(uint32_t token) {
  return {.token = token, .of_prompt = false, .log_probability = -1.0, .likeliest = {{token, -1.0}, {9, -2.0}}};
}
TokenReport read(uint32_t token) {
  TokenReport report = drawn(token);
  report.of_prompt = true;
  return report;
}

std::vector<std::string> names(const ChoiceText::Piece& piece) {
  std::vector<std::string> all;
  for (const LogprobEntry& entry : piece.entries) all.push_back(entry.token);
  return all;
}

TEST(ChoiceText, PassesTextOnAsItComesWithoutEndOfText) {
  ServedModel model = test_served_model();
  model.end_of_text = 60;
  const CompletionRequest request;
  const Prompt prompt{{5}, 0};
  ChoiceText text(model, request, prompt);
  EXPECT_EQ(text.push(drawn(15)).text, "15");
  EXPECT_EQ(text.push(drawn(7)).text, " 7");
  EXPECT_EQ(text.push(drawn(60)).text, "");
  EXPECT_EQ(text.finish().text, "");
  EXPECT_EQ(text.new_tokens(), 3);
}

TEST(ChoiceText, EchoesThePromptFirstButNotWhatTheTemplatePutThere) {
  const ServedModel model = test_served_model();
  CompletionRequest request;
  request.echo = true;
  const Prompt prompt{{1, 5, 6}, 1};
  ChoiceText text(model, request, prompt);
  EXPECT_EQ(text.push(drawn(7)).text, "5 6 7");
  ChoiceText alone(model, request, prompt);
  EXPECT_EQ(alone.finish().text, "5 6");
}

TEST(ChoiceText, EntriesOfAPromptHaveOffsetsFromItsBeginning) {
  const ServedModel model = test_served_model();
  CompletionRequest request;
  request.echo = true;
  request.logprobs = 2;
  const Prompt prompt{{15, 6}, 0};
  ChoiceText text(model, request, prompt);
  EXPECT_EQ(text.push(read(15)).text, "15");
  const ChoiceText::Piece second = text.push(read(6));
  ASSERT_THAT(names(second), ElementsAre("6"));
  EXPECT_EQ(second.entries[0].offset, 2);
  EXPECT_EQ(second.entries[0].likeliest.size(), 2U);  // the token itself is not there twice
  const ChoiceText::Piece third = text.push(drawn(7));
  EXPECT_EQ(third.entries.at(0).offset, 4);
  EXPECT_EQ(text.new_tokens(), 1);
}

/// A text that ends at " 8 9", with log-probabilities.
class StoppedText : public testing::Test {
 protected:
  static CompletionRequest request() {
    CompletionRequest request;
    request.logprobs = 0;
    request.stop = {" 8 9"};
    return request;
  }

  const ServedModel model_ = test_served_model();
  const CompletionRequest request_ = request();
  const Prompt prompt_{{1}, 0};
  ChoiceText text{model_, request_, prompt_};
};

TEST_F(StoppedText, AStopStringTakesItsTokensEntriesWithIt) {
  EXPECT_THAT(names(text.push(drawn(7))), ElementsAre("7"));
  const ChoiceText::Piece held = text.push(drawn(8));
  EXPECT_EQ(held.text, "");
  EXPECT_THAT(names(held), IsEmpty());
  text.push(drawn(9));
  EXPECT_TRUE(text.stopped());
  EXPECT_THAT(names(text.finish()), IsEmpty());
}

TEST_F(StoppedText, WhatWasHeldBackComesWhenTheTextEnds) {
  text.push(drawn(7));
  text.push(drawn(8));
  const ChoiceText::Piece rest = text.finish();
  EXPECT_EQ(rest.text, " 8");
  EXPECT_THAT(names(rest), ElementsAre("8"));
}

}  // namespace
}  // namespace skipattn::serving
