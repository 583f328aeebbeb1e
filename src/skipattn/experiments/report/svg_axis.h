// Scales, ticks and marks shared by the report's charts. Charts are drawn in a frame of 480 units
// width, the width of a phone and of half a desktop page; CSS sets sizes of text per screen.
#pragma once

#include <string>
#include <vector>

namespace skipattn::experiments::svg {

/// Maps values to drawing units, linearly or by log2.
struct Scale {
  double low = 0;    ///< value at `first`
  double high = 1;   ///< value at `last`; differs from low
  double first = 0;  ///< drawing units
  double last = 1;
  bool logarithmic = false;  ///< low must be > 0

  double operator()(double value) const;
};

struct Tick {
  double value = 0;
  std::string label;
};

/// Round values (1, 2 or 5 times a power of ten) within [low, high], about `count` of them, all
/// with the same decimals and a true minus.
std::vector<Tick> linear_ticks(double low, double high, int count);
/// Powers of two within [low, high], thinned to at most `count`: 1, 2, 4, … 1k.
std::vector<Tick> log2_ticks(double low, double high, int count);

/// CSS class of a variant: 0 is the baseline, the others take colours in their fixed order and
/// start again, dashed, after the last.
std::string colour_class(int variant);

/// A mark whose shape goes with the colour, so that colour is never the only difference.
std::string marker(int variant, double x, double y, double radius);

/// Opening of an <svg> of `width` x `height` with its accessible name and description.
std::string open_svg(const std::string& id, double width, double height, const std::string& title,
                     const std::string& description);

}  // namespace skipattn::experiments::svg
