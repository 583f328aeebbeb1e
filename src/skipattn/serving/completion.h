// One request for completions on its way: a job whose tokens become the answer, whole or as a stream of events.
#pragma once

#include <deque>
#include <functional>
#include <string>

#include "skipattn/serving/choice_text.h"
#include "skipattn/serving/completion_json.h"
#include "skipattn/serving/completion_request.h"
#include "skipattn/serving/job.h"

namespace skipattn::serving {

/// Something to send to the client. A failure comes with its status as the only delivery, unless a stream has begun: then
/// it is the stream's last event.
struct Delivery {
  int status = 200;
  std::string body;  ///< a JSON text, or events
  bool last = true;
};

class Completion : public Job {
 public:
  using Sink = std::function<void(Delivery)>;

  /// `model` must outlive it. `sink` is called on the engine's thread and must not throw.
  Completion(CompletionRequest request, const ServedModel& model, AnswerHead head, Clock::time_point deadline,
             Sink sink);

  bool on_token(size_t task, const TokenReport& report) override;
  void on_end(size_t task, Ending ending) override;
  void on_failure(const ApiError& error) override;

  const CompletionRequest& request() const { return request_; }

 private:
  struct Choice {
    ChoiceText text;
    ChoiceText::Piece whole;    // unless it is a stream
    std::string finish_reason;  // "" until it has ended
  };

  void pass_on(size_t task, ChoiceText::Piece piece);
  void send_event(const Json& json);
  void finish();
  Usage usage() const;

  const CompletionRequest request_;
  const ServedModel& model_;
  const AnswerHead head_;
  const Sink sink_;
  std::deque<Choice> choices_;
  size_t going_;
  bool begun_ = false;  // the stream
};

}  // namespace skipattn::serving
