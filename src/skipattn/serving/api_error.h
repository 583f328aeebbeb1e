// An answer that says no: an HTTP status and one sentence, in the form that clients of OpenAI's API read.
//
//   throw ApiError(404, "model_not_found", "model 'gpt-5': this server has 'sla'");
//   error.json()   // {"error":{"message":"…","type":"invalid_request_error","param":null,"code":"model_not_found"}}
#pragma once

#include <stdexcept>
#include <string>

namespace skipattn::serving {

class ApiError : public std::runtime_error {
 public:
  /// `code`: a word for programs, "" for none.
  ApiError(int status, std::string code, const std::string& message)
      : std::runtime_error(message), status_(status), code_(std::move(code)) {}

  int status() const { return status_; }
  const std::string& code() const { return code_; }
  /// The body of the answer. The type is "server_error" from status 500 on, else "invalid_request_error".
  std::string json() const;

 private:
  int status_;
  std::string code_;
};

}  // namespace skipattn::serving
