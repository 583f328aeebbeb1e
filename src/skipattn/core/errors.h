// The ways a command can end badly, as exception types. Nothing below cli/ exits or prints: it throws one of these,
// and cli/main.cpp turns the type into an exit code and what() into one line on standard error.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace skipattn {

/// What a person gave us is wrong: an option, a key, a file's content. Exit code 2.
/// The message names the thing, its value and what would be right:
/// `[plan] sla(distance=12): distance must be 1..11 for a model of 12 layers`.
class InputError : public std::runtime_error {
 public:
  explicit InputError(const std::string& message) : std::runtime_error(message) {}
  template <typename... Args>
  InputError(fmt::format_string<Args...> format, Args&&... args)
      : std::runtime_error(fmt::format(format, std::forward<Args>(args)...)) {}
};

/// The machine failed us: disk full, file unreadable, memory short, training diverged. Exit code 1.
class RunError : public std::runtime_error {
 public:
  explicit RunError(const std::string& message) : std::runtime_error(message) {}
  template <typename... Args>
  RunError(fmt::format_string<Args...> format, Args&&... args)
      : std::runtime_error(fmt::format(format, std::forward<Args>(args)...)) {}
};

/// A signal asked us to stop; everything done is saved and the same command goes on from there. Exit code 3.
class Stopped : public std::runtime_error {
 public:
  explicit Stopped(const std::string& message) : std::runtime_error(message) {}
};

/// Gathers faults so that a person sees all of them at once.
class FaultList {
 public:
  template <typename... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    faults_.push_back(fmt::format(format, std::forward<Args>(args)...));
  }
  void add_text(std::string fault) { faults_.push_back(std::move(fault)); }
  bool empty() const { return faults_.empty(); }
  const std::vector<std::string>& faults() const { return faults_; }

  /// Throws InputError with every fault on a line of its own, each after `prefix`; returns when there is none.
  void throw_if_any(const std::string& prefix) const;

 private:
  std::vector<std::string> faults_;
};

}  // namespace skipattn
