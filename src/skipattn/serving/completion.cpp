#include "skipattn/serving/completion.h"

#include <fmt/format.h>

#include <iterator>

#include "skipattn/core/random.h"

namespace skipattn::serving {

namespace {

std::vector<SequenceTask> tasks_of(const CompletionRequest& request) {
  std::vector<SequenceTask> tasks;
  for (int64_t choice = 0; choice < request.choices(); ++choice)
    tasks.push_back({.prompt = request.prompt_of(choice).ids,
                     .max_new_tokens = request.max_tokens,
                     .sampling = request.sampling,
                     .seed = derive_seed(request.seed, fmt::format("sampling row {}", choice)),
                     .top = request.logprobs,
                     .report_prompt = request.echo && request.logprobs >= 0});
  return tasks;
}

}  // namespace

Completion::Completion(CompletionRequest request, const ServedModel& model, AnswerHead head, Clock::time_point deadline,
                       Sink sink)
    : Job(tasks_of(request), deadline),
      request_(std::move(request)),
      model_(model),
      head_(std::move(head)),
      sink_(std::move(sink)),
      going_(tasks().size()) {
  for (int64_t choice = 0; choice < request_.choices(); ++choice)
    choices_.push_back({ChoiceText(model_, request_, request_.prompt_of(choice)), {}, ""});
}

bool Completion::on_token(size_t task, const TokenReport& report) {
  ChoiceText& text = choices_[task].text;
  pass_on(task, text.push(report));
  return !text.stopped();
}

void Completion::on_end(size_t task, Ending ending) {
  Choice& choice = choices_[task];
  ChoiceText::Piece rest = choice.text.finish();
  choice.finish_reason = ending == Ending::kLength && !choice.text.stopped() ? "length" : "stop";
  pass_on(task, std::move(rest));
  if (--going_ == 0) finish();
}

void Completion::on_failure(const ApiError& error) {
  if (begun_)
    sink_({200, event(error.json()), true});
  else
    sink_({error.status(), error.json(), true});
}

/// An event, or more of what will be sent at the end.
void Completion::pass_on(size_t task, ChoiceText::Piece piece) {
  Choice& choice = choices_[task];
  if (!request_.stream) {
    choice.whole.text += piece.text;
    std::move(piece.entries.begin(), piece.entries.end(), std::back_inserter(choice.whole.entries));
    return;
  }
  if (piece.text.empty() && piece.entries.empty() && choice.finish_reason.empty()) return;
  const auto index = static_cast<int64_t>(task);
  Json json = completion_json(head_, model_,
                              Json::array({choice_json(index, piece, request_.logprobs >= 0, choice.finish_reason)}));
  if (request_.include_usage) json["usage"] = nullptr;
  send_event(json);
}

void Completion::send_event(const Json& json) {
  begun_ = true;
  sink_({200, event(text_of(json)), false});
}

void Completion::finish() {
  if (request_.stream) {
    if (request_.include_usage) {
      Json json = completion_json(head_, model_, Json::array());
      json["usage"] = usage_json(usage());
      send_event(json);
    }
    sink_({200, event("[DONE]"), true});
    return;
  }
  Json choices = Json::array();
  for (size_t i = 0; i < choices_.size(); ++i)
    choices.push_back(
        choice_json(static_cast<int64_t>(i), choices_[i].whole, request_.logprobs >= 0, choices_[i].finish_reason));
  Json json = completion_json(head_, model_, std::move(choices));
  json["usage"] = usage_json(usage());
  sink_({200, text_of(json), true});
}

Usage Completion::usage() const {
  Usage usage{request_.prompt_tokens(), 0};
  for (const Choice& choice : choices_) usage.completion_tokens += choice.text.new_tokens();
  return usage;
}

}  // namespace skipattn::serving
