// What the server answers, apart from HTTP's own matters: paths, methods, and completions that are begun.
//
//   GET /health                {"status":"ok"}
//   GET /v1/models             the one model that is served; GET /v1/models/NAME
//   POST /v1/completions       see completion_request.h
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "skipattn/serving/completion.h"
#include "skipattn/serving/scheduler.h"
#include "skipattn/serving/served_model.h"

namespace skipattn::serving {

struct ServiceOptions {
  double answer_seconds = 600;  ///< a completion that takes longer, waiting included, fails; above 0
  uint64_t seed = 1;            ///< of the seeds that requests without one get
};

class Service {
 public:
  /// Both must outlive it.
  Service(const ServedModel& model, Scheduler& scheduler, const ServiceOptions& options)
      : model_(model), scheduler_(scheduler), options_(options) {}

  /// True for what complete() answers.
  static bool is_completion(std::string_view method, std::string_view path);
  /// The method that a path takes, for paths that are there.
  static std::string allowed_method(std::string_view path);
  /// The body of a plain answer, status 200. Throws ApiError 404 for an unknown path, 405 for a wrong method.
  std::string answer(std::string_view method, std::string_view path) const;
  /// Checks the request and hands it to the scheduler; `sink` gets the answer. Throws ApiError when it is refused.
  std::shared_ptr<Completion> complete(std::string_view body, Completion::Sink sink);

 private:
  const ServedModel& model_;
  Scheduler& scheduler_;
  const ServiceOptions options_;
  uint64_t requests_ = 0;
};

}  // namespace skipattn::serving
