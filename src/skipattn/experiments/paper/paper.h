// What a paper takes from a sweep: tables, and figures as SVG and PDF, each with the numbers it shows.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "skipattn/experiments/sweep/results.h"

namespace skipattn::experiments {

/// Writes into `folder`: results.csv (every run), comparisons.csv, table.tex, and figures.h's figures as
/// figures/NAME.svg, NAME.pdf and NAME.csv. Returns the paths. RunError where something cannot be written.
std::vector<std::string> write_paper_files(const SweepResults& results, const std::filesystem::path& folder);

}  // namespace skipattn::experiments
