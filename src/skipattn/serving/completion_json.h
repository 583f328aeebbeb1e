// Answers as OpenAI's completions form writes them.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "skipattn/serving/choice_text.h"
#include "skipattn/serving/served_model.h"

namespace skipattn::serving {

using Json = nlohmann::ordered_json;

/// What names an answer.
struct AnswerHead {
  std::string id;       ///< "cmpl-…"
  int64_t created = 0;  ///< Unix time in seconds
};

struct Usage {
  int64_t prompt_tokens = 0;
  int64_t completion_tokens = 0;
};

/// `with_logprobs`: log-probabilities were asked for; `finish_reason`: "" while the text goes on.
Json choice_json(int64_t index, const ChoiceText::Piece& piece, bool with_logprobs, const std::string& finish_reason);
Json usage_json(const Usage& usage);
/// The object around choices: a whole answer, or one event of a stream.
Json completion_json(const AnswerHead& head, const ServedModel& model, Json choices);
/// {"object":"list","data":[...]}, and one of its items.
Json model_json(const ServedModel& model);
Json model_list_json(const ServedModel& model);
/// JSON text on one line.
std::string text_of(const Json& json);
/// One event of a stream.
std::string event(const std::string& data);

}  // namespace skipattn::serving
