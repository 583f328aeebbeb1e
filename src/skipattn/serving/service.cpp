#include "skipattn/serving/service.h"

#include <fmt/format.h>

#include <chrono>

#include "skipattn/core/random.h"

namespace skipattn::serving {

namespace {

constexpr std::string_view kCompletions = "/v1/completions", kModels = "/v1/models", kHealth = "/health";

}  // namespace

bool Service::is_completion(std::string_view method, std::string_view path) {
  return method == "POST" && path == kCompletions;
}

std::string Service::allowed_method(std::string_view path) {
  return path == kCompletions ? "POST" : "GET";
}

std::string Service::answer(std::string_view method, std::string_view path) const {
  const std::string one_model = fmt::format("{}/{}", kModels, model_.name);
  const bool readable = path == kHealth || path == kModels || path == one_model;
  if (readable && method == "GET")
    return path == kHealth ? text_of(Json{{"status", "ok"}})
                           : text_of(path == kModels ? model_list_json(model_) : model_json(model_));
  if (readable || path == kCompletions)
    throw ApiError(405, "method_not_allowed",
                   fmt::format("{} {}: this path takes {}", method, path, allowed_method(path)));
  throw ApiError(404, "not_found",
                 fmt::format("{} {}: no such path; there are POST {}, GET {} and GET {}", method, path.substr(0, 80),
                             kCompletions, kModels, kHealth));
}

std::shared_ptr<Completion> Service::complete(std::string_view body, Completion::Sink sink) {
  const uint64_t number = ++requests_;
  const uint64_t seed = derive_seed(options_.seed, fmt::format("request {}", number));
  CompletionRequest request = parse_completion_request(body, model_, seed);
  const auto allowed = std::chrono::duration<double>(options_.answer_seconds);
  const auto deadline = Job::Clock::now() + std::chrono::duration_cast<Job::Clock::duration>(allowed);
  const AnswerHead head{
      fmt::format("cmpl-{:x}-{}", model_.created, number),
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count()};
  auto completion = std::make_shared<Completion>(std::move(request), model_, head, deadline, std::move(sink));
  scheduler_.submit(completion);
  return completion;
}

}  // namespace skipattn::serving
