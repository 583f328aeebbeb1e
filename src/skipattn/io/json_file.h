// JSON files with errors a person can act on: the path, the line and column, and what was expected
// there.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "skipattn/core/errors.h"

namespace skipattn::io {

/// Parses text. `source` is what the error names: a path, or "x.jsonl line 7". Throws InputError
/// with line and column.
nlohmann::json parse_json(std::string_view text, const std::string& source);

/// Reads and parses one file (packed files too). Throws InputError naming the path.
nlohmann::json read_json_file(const std::filesystem::path& path);

/// Writes one file atomically, indented by two spaces, ending in a newline.
void write_json_file(const std::filesystem::path& path, const nlohmann::json& value);

/// "a string", "a number", …: what kind of value this is, for messages.
std::string json_kind(const nlohmann::json& value);

/// The value of `key`, as T; whole numbers must fit T. Throws InputError naming `source` and the
/// key when it is absent or of another kind. T: bool, std::string, a floating-point or an integer
/// type, or anything nlohmann::json converts.
template <typename T>
T json_get(const nlohmann::json& object, const std::string& key, const std::string& source) {
  if (!object.is_object()) throw InputError("'{}' must hold a JSON object, it holds {}", source, json_kind(object));
  const auto found = object.find(key);
  if (found == object.end()) throw InputError("'{}' has no \"{}\"", source, key);
  const auto wrong = [&](const char* wanted) {
    throw InputError("'{}': \"{}\" must be {}, it is {}", source, key, wanted, found->dump());
  };
  if constexpr (std::is_same_v<T, bool>) {
    if (!found->is_boolean()) wrong("true or false");
  } else if constexpr (std::is_integral_v<T>) {
    if (!found->is_number_integer()) wrong("a whole number");
    const bool fits = found->is_number_unsigned() ? std::in_range<T>(found->template get<uint64_t>())
                                                  : std::in_range<T>(found->template get<int64_t>());
    if (!fits) wrong("a smaller number");
  } else if constexpr (std::is_floating_point_v<T>) {
    if (!found->is_number()) wrong("a number");
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (!found->is_string()) wrong("a string");
  }
  try {
    return found->template get<T>();
  } catch (const nlohmann::json::exception&) {
    throw InputError("'{}': \"{}\" has the wrong kind of value: {}", source, key, found->dump());
  }
}

/// As json_get(), with `fallback` when the key is absent or null.
template <typename T>
T json_get_or(const nlohmann::json& object, const std::string& key, const std::string& source, T fallback) {
  if (object.is_object()) {
    const auto found = object.find(key);
    if (found == object.end() || found->is_null()) return fallback;
  }
  return json_get<T>(object, key, source);
}

}  // namespace skipattn::io
