// report.html: a comparison as one self-contained page. No font, script, image or style comes from
// elsewhere (its own Content-Security-Policy forbids it), so the file works from disk, by mail and
// without a network; it shows in light and dark, on a phone and on paper.
//
//   fill_statistics(data);
//   io::write_file_atomically(folder / "report.html", render_report(data));
#pragma once

#include <string>

#include "skipattn/experiments/report/data.h"

namespace skipattn::experiments {

/// The page. The statistics must have been filled (fill_statistics()); everything that was not
/// measured says so. Throws InputError unless exactly one variant is the baseline.
std::string render_report(const ReportData& data);

}  // namespace skipattn::experiments
