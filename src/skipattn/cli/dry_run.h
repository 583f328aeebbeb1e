// --dry-run of compare and sweep: the runs there would be, and what they would take.
#pragma once

#include <string>

#include "skipattn/cli/command.h"
#include "skipattn/experiments/compare.h"

namespace skipattn::cli {

struct DryRunOptions {
  bool asked = false;
  double tokens_per_second = 0;  ///< given; 0: measured
  double difference_sd = 0;      ///< of paired differences, nats per token; 0: not known
};

/// --dry-run, --tokens-per-second and --difference-sd.
void add_dry_run_options(CLI::App& command, DryRunOptions& options);

/// What would be run.
struct DryRun {
  const experiments::Experiment& experiment;
  std::string out;
  experiments::Shard shard;
  size_t comparisons = 1;  ///< that p-values are corrected for; 1: none is
};

/// Prints the shard's runs, their tokens, hours, memory and disk, and what differences they could tell. Trains nothing but a
/// few steps for the speed; writes nothing.
void print_dry_run(const CommonOptions& common, const DryRunOptions& options, const DryRun& dry_run);

}  // namespace skipattn::cli
