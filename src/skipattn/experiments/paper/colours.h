// The colours that all figures for papers have in common: those of report/style.cpp's light page.
#pragma once

#include <array>
#include <string>

namespace skipattn::experiments {

inline const std::string kPaperAxis = "#5c6168";
/// Of series; the first is the reference's.
inline const std::array<std::string, 8> kPaperSeries = {"#5f6368", "#0067b0", "#cf4d00", "#00805d",
                                                        "#a8437f", "#94690a", "#2b86b8", "#7a4fb0"};

}  // namespace skipattn::experiments
