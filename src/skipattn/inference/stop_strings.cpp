#include "skipattn/inference/stop_strings.h"

#include <algorithm>
#include <utility>

#include "skipattn/core/errors.h"

namespace skipattn::inference {

namespace {

/// Length of the longest end of `text` that `string` begins with, all of `string` not counted.
size_t begun(std::string_view text, std::string_view string) {
  size_t length = std::min(text.size(), string.size() - 1);
  while (length > 0 && text.substr(text.size() - length) != string.substr(0, length)) --length;
  return length;
}

}  // namespace

StopStrings::StopStrings(std::vector<std::string> strings) : strings_(std::move(strings)) {
  for (const std::string& string : strings_)
    if (string.empty()) throw InputError("stop string '': must have one character or more");
}

std::string StopStrings::push(std::string_view piece) {
  if (stopped_) return "";
  held_ += piece;
  size_t first = std::string::npos, keep = 0;
  for (const std::string& string : strings_) {
    first = std::min(first, held_.find(string));
    keep = std::max(keep, begun(held_, string));
  }
  stopped_ = first != std::string::npos;
  const size_t count = stopped_ ? first : held_.size() - keep;
  std::string passed = held_.substr(0, count);
  held_.erase(0, stopped_ ? held_.size() : count);
  return passed;
}

std::string StopStrings::finish() {
  return std::exchange(held_, "");
}

}  // namespace skipattn::inference
