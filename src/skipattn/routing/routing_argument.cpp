#include "skipattn/routing/routing_argument.h"

#include <toml++/toml.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "skipattn/core/errors.h"
#include "skipattn/core/text.h"

namespace skipattn::routing {

namespace {

std::string read_text_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream content;
  if (!file || !(content << file.rdbuf()))
    throw InputError("routing file '{}' cannot be read: {}", path, std::strerror(errno));
  return std::move(content).str();
}

}  // namespace

std::string routing_text(const nlohmann::json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_object()) return value.dump();
  throw InputError("a routing must be a text or a table, not {}", value.dump());
}

std::string routing_text_from_toml(std::string_view toml, const std::string& where) {
  try {
    const toml::table table = toml::parse(toml, where);
    std::stringstream json;
    json << toml::json_formatter{table};
    return nlohmann::json::parse(json.str()).dump();
  } catch (const toml::parse_error& error) {
    throw InputError("{}: not sound TOML at line {}, column {}: {}", where, error.source().begin.line,
                     error.source().begin.column, error.description());
  }
}

std::string read_routing_argument(std::string_view text) {
  text = trim(text);
  if (!text.starts_with('@')) return std::string(text);
  const std::string path(trim(text.substr(1)));
  if (path.ends_with(".toml")) return routing_text_from_toml(read_text_file(path), path);
  if (!path.ends_with(".json")) throw InputError("routing file '{}' must end in .toml or .json", path);
  // The text goes on as it is: parse_routing() is stricter than a parsed value could be (a key
  // given twice).
  std::string content(trim(read_text_file(path)));
  if (!nlohmann::json::accept(content)) throw InputError("routing file '{}' is not sound JSON", path);
  if (!content.starts_with('{')) return routing_text(nlohmann::json::parse(content));
  return content;
}

}  // namespace skipattn::routing
