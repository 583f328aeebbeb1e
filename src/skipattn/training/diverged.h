// A run whose loss or gradient stopped being finite.
#pragma once

#include <string>
#include <utility>

#include "skipattn/core/errors.h"

namespace skipattn::training {

/// Ten steps in a row were not finite. The last good checkpoint is as it was. Exit code 1.
class Diverged : public RunError {
 public:
  Diverged(const std::string& message, std::string settings) : RunError(message), settings_(std::move(settings)) {}
  /// The run's settings as TOML.
  const std::string& settings() const { return settings_; }

 private:
  std::string settings_;
};

}  // namespace skipattn::training
