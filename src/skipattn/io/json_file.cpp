#include "skipattn/io/json_file.h"

#include <algorithm>

#include "skipattn/io/atomic_file.h"
#include "skipattn/io/compressed_stream.h"

namespace skipattn::io {

namespace {

// nlohmann's own text begins with an id and repeats the position; only what it found and wanted is
// of use.
std::string reason_of(const nlohmann::json::parse_error& error) {
  const std::string what = error.what();
  const size_t begin = what.find("syntax error");
  return begin == std::string::npos ? what.substr(what.find(": ") + 2) : what.substr(begin);
}

}  // namespace

nlohmann::json parse_json(std::string_view text, const std::string& source) {
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    const std::string_view before = text.substr(0, std::min(error.byte > 0 ? error.byte - 1 : 0, text.size()));
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const size_t newline = before.rfind('\n');
    const size_t column = before.size() - (newline == std::string_view::npos ? 0 : newline + 1) + 1;
    throw InputError("'{}' is not valid JSON: line {}, column {}: {}", source, line, column, reason_of(error));
  }
}

nlohmann::json read_json_file(const std::filesystem::path& path) {
  return parse_json(read_file(path), path.string());
}

void write_json_file(const std::filesystem::path& path, const nlohmann::json& value) {
  write_file_atomically(path, value.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

std::string json_kind(const nlohmann::json& value) {
  const std::string name = value.type_name();
  return name == "null" ? name : (name == "array" || name == "object" ? "an " : "a ") + name;
}

}  // namespace skipattn::io
