// Numbers and sentences for people, the same in the terminal and in report.html.
// Differences are written with as many decimals as their uncertainty deserves, with a true minus.
#pragma once

#include <optional>
#include <string>

#include "skipattn/experiments/report/data.h"

namespace skipattn::experiments {

/// What stands where there is no number.
inline constexpr const char* kNotMeasured = "not measured";

/// Decimals that show two significant digits of `resolution`, within 2..6; 4 when it is 0 or not
/// finite.
int decimals_for(double resolution);
/// The decimals of a variant's difference, from its interval's half width.
int difference_decimals(const PairedComparison& comparison);

/// "3.9512"; "not measured" when absent or not finite.
std::string number_text(std::optional<double> value, int decimals = 4);
/// "+0.021", "−0.004", "0.000" (never "−0.000").
std::string signed_text(double value, int decimals);
/// "−0.030 … +0.022".
std::string interval_text(const Interval& interval, int decimals);
/// "0.028", "< 0.001"; an en dash when absent.
std::string p_value_text(std::optional<double> p_value);
/// 1234567 -> "1,234,567".
std::string grouped(double value);
/// Change against a baseline: "−18.8 %"; "" when there is nothing to compare.
std::string change_text(std::optional<double> value, std::optional<double> baseline);

/// "Skip-layer attention (sla): cannot tell — difference −0.004 nats per token, 95 % interval
/// −0.030 … +0.022, 2 seeds".
std::string verdict_sentence(const ReportVariant& variant);
/// What the verdict rests on, one sentence: the smallest difference that would have been seen, or
/// why there is none.
std::string detectable_sentence(const PairedComparison& comparison);
/// Runs that gave no result: "seed 3: loss was not finite ten times in a row"; "" when all did.
std::string problems_text(const ReportVariant& variant);

}  // namespace skipattn::experiments
