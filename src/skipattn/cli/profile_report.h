// What `profile` prints of its measurements: the JSON object and the tables for people.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "skipattn/analysis/profile.h"
#include "skipattn/analysis/step_comparison.h"

namespace skipattn::cli {

/// A second routing's steps beside the first's.
struct RoutingComparison {
  std::string routing;                     ///< the second's text
  analysis::StepPairs pairs;               ///< first: this routing's steps, second: the other's
  double predicted_flops_ratio = 0;        ///< this one's FLOPs over the other's
  int64_t peak_memory_bytes = 0;           ///< this one's
  int64_t compared_peak_memory_bytes = 0;  ///< the other's, alone in a process
};

/// Everything the report says of one run of the command.
struct ProfileReport {
  std::string model, routing, machine;
  analysis::WorkloadOptions workload;
  analysis::ProfileOptions options;
  analysis::Profile profile;
  std::optional<RoutingComparison> comparison;
};

nlohmann::ordered_json to_json(const ProfileReport& report);
std::string to_text(const ProfileReport& report);

}  // namespace skipattn::cli
