// The report's style sheet and script, as text to be put inline. Neither contains "</".
#pragma once

#include <string>

namespace skipattn::experiments {

/// CSS: light and dark (the system's choice, or the page's button), phone width, print.
std::string report_style();
/// JavaScript: tooltips, the light/dark button, the download button. The page reads well without.
std::string report_script();

}  // namespace skipattn::experiments
