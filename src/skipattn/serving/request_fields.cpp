#include "skipattn/serving/request_fields.h"

#include <algorithm>

#include "skipattn/core/text.h"

namespace skipattn::serving {

using Json = nlohmann::json;

std::string shown(const Json& value) {
  constexpr size_t kLongest = 40;
  if (value.is_array()) return "a list";
  if (value.is_object()) return "an object";
  // ASCII only, so that a cut never splits a character.
  const std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  return text.size() <= kLongest ? text : text.substr(0, kLongest) + "…";
}

const Json* RequestFields::find(const std::string& key) {
  known_.push_back(key);
  const auto found = object_.find(key);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

int64_t RequestFields::integer(const std::string& key, int64_t fallback, IntegerRange range) {
  const Json* value = find(key);
  if (!value) return fallback;
  const bool too_large = value->is_number_unsigned() && value->get<uint64_t>() > static_cast<uint64_t>(range.most);
  if (value->is_number_integer() && !too_large) {
    const auto number = value->get<int64_t>();
    if (number >= range.least && number <= range.most) return number;
  }
  if (range.most == std::numeric_limits<int64_t>::max())
    faults_.add("{}={}: must be an integer of at least {}", key, shown(*value), range.least);
  else
    faults_.add("{}={}: must be an integer, {}..{}", key, shown(*value), range.least, range.most);
  return fallback;
}

double RequestFields::number(const std::string& key, double fallback) {
  const Json* value = find(key);
  if (!value) return fallback;
  if (value->is_number()) return value->get<double>();
  faults_.add("{}={}: must be a number", key, shown(*value));
  return fallback;
}

bool RequestFields::boolean(const std::string& key, bool fallback) {
  const Json* value = find(key);
  if (!value) return fallback;
  if (value->is_boolean()) return value->get<bool>();
  faults_.add("{}={}: must be true or false", key, shown(*value));
  return fallback;
}

std::vector<std::string> RequestFields::strings(const std::string& key, size_t most) {
  const Json* value = find(key);
  if (!value) return {};
  const auto text = [](const Json& item) { return item.is_string() && !item.get_ref<const std::string&>().empty(); };
  if (text(*value)) return {value->get<std::string>()};
  if (value->is_array() && value->size() <= most && std::all_of(value->begin(), value->end(), text))
    return value->get<std::vector<std::string>>();
  faults_.add("{}={}: must be a text or a list of at most {} texts, none empty", key, shown(*value), most);
  return {};
}

void RequestFields::must_be_neutral(const std::string& key, const std::vector<Json>& neutral) {
  const Json* value = find(key);
  if (value && std::find(neutral.begin(), neutral.end(), *value) == neutral.end())
    faults_.add("{}={}: this server does not do that, leave it out", key, shown(*value));
}

void RequestFields::find_unknown_keys() {
  for (const auto& [key, value] : object_.items())
    if (std::find(known_.begin(), known_.end(), key) == known_.end())
      faults_.add("{}: unknown key{}", shown(key), did_you_mean(key, known_));
}

}  // namespace skipattn::serving
