#include "skipattn/routing/call.h"

#include <algorithm>

#include "skipattn/core/text.h"

namespace skipattn::routing {

namespace {

std::optional<int64_t> parse_digits(std::string_view text) {
  if (text.empty() || text.size() > 9) return std::nullopt;
  int64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return value;
}

std::optional<Amount> share(std::optional<int64_t> numerator, std::optional<int64_t> denominator) {
  if (!numerator || !denominator || *numerator < 1 || *numerator > *denominator) return std::nullopt;
  return Amount{*numerator, *denominator, true};
}

}  // namespace

std::optional<int> parse_whole(std::string_view text) {
  const bool negative = text.starts_with('-');
  const std::optional<int64_t> digits = parse_digits(negative ? text.substr(1) : text);
  if (!digits) return std::nullopt;
  return static_cast<int>(negative ? -*digits : *digits);
}

std::optional<Amount> parse_amount(std::string_view text) {
  if (const size_t slash = text.find('/'); slash != std::string_view::npos)
    return share(parse_digits(trim(text.substr(0, slash))), parse_digits(trim(text.substr(slash + 1))));
  if (const size_t point = text.find('.'); point != std::string_view::npos) {
    // Exact decimal arithmetic: 0.29 of 100 is 29, which it is not in binary floating point.
    const std::string_view decimals = text.substr(point + 1);
    if (decimals.empty() || decimals.size() > 8) return std::nullopt;
    int64_t scale = 1;
    for (size_t i = 0; i < decimals.size(); ++i) scale *= 10;
    const std::optional<int64_t> units = point == 0 ? 0 : parse_digits(text.substr(0, point));
    const std::optional<int64_t> rest = parse_digits(decimals);
    if (!units || !rest) return std::nullopt;
    return share(*units * scale + *rest, scale);
  }
  const std::optional<int> whole = parse_whole(text);
  if (!whole) return std::nullopt;
  return Amount{*whole, 1, false};
}

Call parse_call(std::string_view text, FaultList& faults) {
  text = trim(text);
  Call call;
  const size_t open = text.find('(');
  call.name = trim(text.substr(0, open));
  if (open == std::string_view::npos) return call;
  const size_t close = text.rfind(')');
  if (close == std::string_view::npos || close + 1 != text.size()) {
    faults.add("a closing ')' is missing at the end");
    return call;
  }
  const std::string_view inside = text.substr(open + 1, close - open - 1);
  if (trim(inside).empty()) return call;
  for (const std::string& item : split_outside_brackets(inside, ',')) {
    const size_t equals = item.find('=');
    if (equals == std::string::npos) {
      faults.add("'{}' has no name, write name=value", trim(item));
      continue;
    }
    call.arguments.emplace_back(trim(std::string_view(item).substr(0, equals)),
                                trim(std::string_view(item).substr(equals + 1)));
  }
  return call;
}

ArgumentReader::ArgumentReader(const Call& call, const std::vector<std::string>& known, FaultList& faults)
    : call_(call), faults_(faults) {
  for (auto argument = call.arguments.begin(); argument != call.arguments.end(); ++argument) {
    const std::string& name = argument->first;
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      faults.add("unknown argument '{}'{}, known are {}", name, did_you_mean(name, known), join(known, ", "));
      continue;
    }
    if (std::any_of(call.arguments.begin(), argument, [&](const auto& earlier) { return earlier.first == name; }))
      faults.add("{} is given twice", name);
  }
}

const std::string* ArgumentReader::find(const std::string& name) const {
  for (const auto& [key, value] : call_.arguments)
    if (key == name) return &value;
  return nullptr;
}

std::string ArgumentReader::text(const std::string& name, const std::string& otherwise) const {
  const std::string* given = find(name);
  return given ? *given : otherwise;
}

int ArgumentReader::amount(const std::string& name, const std::string& otherwise, const Limits& limits) {
  const std::string given = text(name, otherwise);
  const std::optional<Amount> amount = parse_amount(given);
  if (!amount) {
    faults_.add("{}={} must be a whole number or a fraction of at most 1 such as 3/4", name, given);
    return limits.lowest;
  }
  const int64_t value = amount->of(limits.whole);
  if (value >= limits.lowest && value <= limits.highest) return static_cast<int>(value);
  const std::string meant = amount->is_share ? fmt::format("{}={} is {}: ", name, given, value) : "";
  if (limits.lowest > limits.highest) {
    faults_.add("there is no {} that fits {}", name, limits.model);
  } else if (limits.lowest == limits.highest) {
    faults_.add("{}{} must be {} for {}", meant, name, limits.lowest, limits.model);
  } else {
    faults_.add("{}{} must be {}..{} for {}", meant, name, limits.lowest, limits.highest, limits.model);
  }
  return limits.lowest;
}

int ArgumentReader::count(const std::string& name) {
  const std::string given = text(name, "0");
  const std::optional<int> value = parse_whole(given);
  if (value && *value >= 0) return *value;
  faults_.add("{}={} must be a whole number of tokens, 0 for all", name, given);
  return 0;
}

std::string ArgumentReader::choice(const std::string& name, const std::vector<std::string>& choices) {
  const std::string given = text(name, choices.front());
  if (std::find(choices.begin(), choices.end(), given) != choices.end()) return given;
  faults_.add("{}={} must be {}{}", name, given, join(choices, " or "), did_you_mean(given, choices));
  return choices.front();
}

}  // namespace skipattn::routing
