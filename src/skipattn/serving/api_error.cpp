#include "skipattn/serving/api_error.h"

#include <nlohmann/json.hpp>

namespace skipattn::serving {

std::string ApiError::json() const {
  using Json = nlohmann::ordered_json;
  const Json error = {{"message", what()},
                      {"type", status_ >= 500 ? "server_error" : "invalid_request_error"},
                      {"param", nullptr},
                      {"code", code_.empty() ? Json() : Json(code_)}};
  // A sentence may quote what a client sent, which need not be UTF-8.
  return Json{{"error", error}}.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace skipattn::serving
