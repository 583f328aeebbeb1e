#include "skipattn/serving/completion_json.h"

namespace skipattn::serving {

namespace {

Json logprobs_json(const std::vector<LogprobEntry>& entries) {
  Json tokens = Json::array(), logprobs = Json::array(), top = Json::array(), offsets = Json::array();
  for (const LogprobEntry& entry : entries) {
    tokens.push_back(entry.token);
    offsets.push_back(entry.offset);
    logprobs.push_back(entry.log_probability ? Json(*entry.log_probability) : Json());
    if (entry.likeliest.empty()) {
      top.push_back(nullptr);
      continue;
    }
    Json likeliest = Json::object();
    for (const auto& [name, log_probability] : entry.likeliest) likeliest[name] = log_probability;
    top.push_back(std::move(likeliest));
  }
  return {{"tokens", tokens}, {"token_logprobs", logprobs}, {"top_logprobs", top}, {"text_offset", offsets}};
}

}  // namespace

Json choice_json(int64_t index, const ChoiceText::Piece& piece, bool with_logprobs, const std::string& finish_reason) {
  return {{"index", index},
          {"text", piece.text},
          {"logprobs", with_logprobs ? logprobs_json(piece.entries) : Json()},
          {"finish_reason", finish_reason.empty() ? Json() : Json(finish_reason)}};
}

Json usage_json(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens}};
}

Json completion_json(const AnswerHead& head, const ServedModel& model, Json choices) {
  return {{"id", head.id},
          {"object", "text_completion"},
          {"created", head.created},
          {"model", model.name},
          {"choices", std::move(choices)}};
}

Json model_json(const ServedModel& model) {
  return {{"id", model.name}, {"object", "model"}, {"created", model.created}, {"owned_by", "skipattn"}};
}

Json model_list_json(const ServedModel& model) {
  return {{"object", "list"}, {"data", Json::array({model_json(model)})}};
}

std::string text_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string event(const std::string& data) {
  return "data: " + data + "\n\n";
}

}  // namespace skipattn::serving
