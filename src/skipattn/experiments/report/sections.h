// The sections of report.html, each as HTML. report.cpp puts them on the page in order.
#pragma once

#include <string>

#include "skipattn/experiments/report/data.h"

namespace skipattn::experiments::sections {

/// Verdict sentences, one card a variant.
std::string verdicts(const ReportData& data);
/// Forest plot and the table of all figures.
std::string numbers(const ReportData& data);
/// Training curves and their difference to the baseline; validation likewise.
std::string curves(const ReportData& data);
/// Loss by position in the window and in the document, and the differences.
std::string positions(const ReportData& data);
/// Heat maps of where keys and values come from.
std::string routings(const ReportData& data);
/// Model, machine, command, what the statistics mean, all data.
std::string method(const ReportData& data);

/// Place of each variant in the fixed order of colours: the baseline 0, the others 1, 2, …
std::vector<int> colour_order(const ReportData& data);

}  // namespace skipattn::experiments::sections
