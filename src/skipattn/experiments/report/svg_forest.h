// The forest plot: each variant's difference to the baseline with its 95 % interval and its seeds.
#pragma once

#include <string>

#include "skipattn/experiments/report/data.h"

namespace skipattn::experiments::svg {

/// The plot of every variant but the baseline; "" when none has a difference. Variants without one
/// keep their line and say why.
std::string forest_plot(const ReportData& data);

}  // namespace skipattn::experiments::svg
