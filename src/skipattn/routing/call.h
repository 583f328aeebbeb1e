// The text form of a named routing: `name` or `name(key=value, key=value)`, and typed reading of
// its arguments. Faults are gathered, not thrown, so that a person sees all of them at once. Used
// inside the module only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "skipattn/core/errors.h"

namespace skipattn::routing {

/// A name and its arguments, all still text.
struct Call {
  std::string name;
  std::vector<std::pair<std::string, std::string>> arguments;  ///< in the order written
};

/// Cuts the text up; arguments without a name and unbalanced brackets go to `faults`.
Call parse_call(std::string_view text, FaultList& faults);

/// A whole number, or a share of one: "9", "3/4" or "0.75" (exactly 75/100).
struct Amount {
  int64_t numerator = 0;
  int64_t denominator = 1;
  bool is_share = false;  ///< written as a fraction: of(12) of 3/4 is 9

  /// The whole number meant; a share of `whole` is rounded down.
  int64_t of(int64_t whole) const { return is_share ? numerator * whole / denominator : numerator; }
};

/// Empty when the text is neither a whole number nor a fraction above 0 and at most 1 (nine digits
/// at most).
std::optional<Amount> parse_amount(std::string_view text);
/// Empty when the text is not a whole number of at most nine digits.
std::optional<int> parse_whole(std::string_view text);

/// What a count may be.
struct Limits {
  int lowest = 0;
  int highest = 0;
  int whole = 0;      ///< what a fraction is a share of
  std::string model;  ///< "a model of 12 layers"
};

/// Reads a call's arguments by name. Unknown and repeated ones go to `faults` at once.
class ArgumentReader {
 public:
  ArgumentReader(const Call& call, const std::vector<std::string>& known, FaultList& faults);

  bool has(const std::string& name) const { return find(name) != nullptr; }
  /// The text of the argument, `otherwise` when it is not given.
  std::string text(const std::string& name, const std::string& otherwise) const;
  /// A whole number or share within the limits; the lowest after a fault.
  int amount(const std::string& name, const std::string& otherwise, const Limits& limits);
  /// A whole number of at least 0; 0 after a fault and when not given.
  int count(const std::string& name);
  /// One of a few words; the first after a fault and when not given.
  std::string choice(const std::string& name, const std::vector<std::string>& choices);
  FaultList& faults() { return faults_; }

 private:
  const std::string* find(const std::string& name) const;

  const Call& call_;
  FaultList& faults_;
};

}  // namespace skipattn::routing
