// Reading the keys of a JSON object with checks; faults are gathered, null means "not given".
//
//   RequestFields fields(object, faults);
//   const int64_t n = fields.integer("n", 1, {1, 128});
#pragma once

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "skipattn/core/errors.h"

namespace skipattn::serving {

struct IntegerRange {
  int64_t least = 0;
  int64_t most = std::numeric_limits<int64_t>::max();
};

class RequestFields {
 public:
  RequestFields(const nlohmann::json& object, FaultList& faults) : object_(object), faults_(faults) {}

  /// nullptr when the key is not given, or null.
  const nlohmann::json* find(const std::string& key);
  int64_t integer(const std::string& key, int64_t fallback, IntegerRange range);
  double number(const std::string& key, double fallback);
  bool boolean(const std::string& key, bool fallback);
  /// A string, or a list of up to `most` strings, none empty.
  std::vector<std::string> strings(const std::string& key, size_t most);
  /// A key that is understood but must have no effect: absent, null, or one of `neutral`.
  void must_be_neutral(const std::string& key, const std::vector<nlohmann::json>& neutral);
  /// Adds a fault for each key that nobody asked for.
  void find_unknown_keys();

 private:
  const nlohmann::json& object_;
  FaultList& faults_;
  std::vector<std::string> known_;
};

/// JSON for a sentence: shortened, always UTF-8.
std::string shown(const nlohmann::json& value);

}  // namespace skipattn::serving
