#include "skipattn/data/token_format.h"

#include <cstring>

#include "skipattn/core/errors.h"
#include "skipattn/io/json_file.h"

namespace skipattn::data {

namespace {

constexpr const char* kFormat = "skipattn-tokens";
constexpr int kVersion = 1;

std::filesystem::path with_ending(const std::filesystem::path& path, const char* ending) {
  std::filesystem::path extended = path;
  extended += ending;
  return extended;
}

uint64_t parse_hex(const nlohmann::json& object, const std::string& key, const std::string& source) {
  const auto text = io::json_get<std::string>(object, key, source);
  size_t used = 0;
  uint64_t value = 0;
  try {
    value = std::stoull(text, &used, 16);
  } catch (const std::exception&) {
    used = 0;
  }
  if (text.size() != 16 || used != text.size())
    throw InputError("'{}': \"{}\" must be 16 hexadecimal digits, it is \"{}\"", source, key, text);
  return value;
}

}  // namespace

std::filesystem::path side_car_path(const std::filesystem::path& tokens) {
  return with_ending(tokens, ".json");
}

std::filesystem::path offsets_path(const std::filesystem::path& tokens) {
  return with_ending(tokens, ".offsets");
}

void write_side_car(const std::filesystem::path& tokens, const TokenFileInfo& info) {
  nlohmann::ordered_json json;
  json["format"] = kFormat;
  json["version"] = kVersion;
  json["dtype"] = info.token_bytes == 2 ? "uint16" : "uint32";
  json["tokens"] = info.tokens;
  json["bytes"] = info.bytes;
  json["documents"] = info.documents;
  json["vocab_size"] = info.vocab_size;
  json["vocab_hash"] = fmt::format("{:016x}", info.vocab_hash);
  json["end_of_text"] = info.end_of_text ? nlohmann::ordered_json(*info.end_of_text) : nlohmann::ordered_json();
  json["xxh3"] = fmt::format("{:016x}", info.checksum);
  json["offsets"] = info.offsets;
  io::write_json_file(side_car_path(tokens), json);
}

std::optional<TokenFileInfo> read_side_car(const std::filesystem::path& tokens) {
  const auto path = side_car_path(tokens);
  if (!std::filesystem::exists(path)) return std::nullopt;
  const std::string where = path.string();
  const nlohmann::json json = io::read_json_file(path);
  if (io::json_get<std::string>(json, "format", where) != kFormat)
    throw InputError("'{}' does not describe a token file: \"format\" must be \"{}\"", where, kFormat);
  const int version = io::json_get<int>(json, "version", where);
  if (version != kVersion)
    throw InputError("'{}' is of version {}, this program reads version {}", where, version, kVersion);
  const auto dtype = io::json_get<std::string>(json, "dtype", where);
  if (dtype != "uint16" && dtype != "uint32")
    throw InputError("'{}': \"dtype\" must be uint16 or uint32, it is {}", where, dtype);
  TokenFileInfo info;
  info.token_bytes = dtype == "uint16" ? 2 : 4;
  info.tokens = io::json_get<uint64_t>(json, "tokens", where);
  info.bytes = io::json_get<uint64_t>(json, "bytes", where);
  info.documents = io::json_get<uint64_t>(json, "documents", where);
  info.vocab_size = io::json_get<int64_t>(json, "vocab_size", where);
  info.vocab_hash = parse_hex(json, "vocab_hash", where);
  if (json.contains("end_of_text") && !json["end_of_text"].is_null())
    info.end_of_text = io::json_get<int64_t>(json, "end_of_text", where);
  info.checksum = parse_hex(json, "xxh3", where);
  info.offsets = io::json_get<std::string>(json, "offsets", where);
  if (info.offsets.empty() || info.offsets.find('/') != std::string::npos)
    throw InputError("'{}': \"offsets\" must be the name of a file beside it, it is \"{}\"", where, info.offsets);
  return info;
}

std::optional<LlmcHeader> read_llmc_header(std::span<const std::byte> file, const std::filesystem::path& path) {
  int32_t fields[3] = {};  // magic, version, tokens
  if (file.size() < sizeof(fields)) return std::nullopt;
  std::memcpy(fields, file.data(), sizeof(fields));
  LlmcHeader header;
  int version = 1;
  if (fields[0] == 20240801) {
    header.token_bytes = 4;
    version = 7;
  } else if (fields[0] != 20240520) {
    return std::nullopt;
  }
  if (fields[1] != version)
    throw InputError("'{}' has an llm.c header of version {}, version {} is read here", path.string(), fields[1],
                     version);
  header.tokens = static_cast<uint32_t>(fields[2]);
  const uint64_t expected = LlmcHeader::kBytes + header.tokens * static_cast<uint64_t>(header.token_bytes);
  if (file.size() != expected)
    throw InputError("'{}' should take {} bytes by its llm.c header ({} tokens), it takes {}", path.string(), expected,
                     header.tokens, file.size());
  return header;
}

}  // namespace skipattn::data
