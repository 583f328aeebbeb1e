#include "skipattn/experiments/report/svg_axis.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "skipattn/core/text.h"
#include "skipattn/experiments/report/html.h"
#include "skipattn/experiments/report/text.h"

namespace skipattn::experiments::svg {

namespace {

constexpr int kColours = 7;

double round_step(double range, int count) {
  const double rough = range / std::max(1, count);
  const double power = std::pow(10, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (rough <= factor * power * 1.0001) return factor * power;
  }
  return 10 * power;
}

}  // namespace

double Scale::operator()(double value) const {
  const double part = logarithmic ? (std::log2(value) - std::log2(low)) / (std::log2(high) - std::log2(low))
                                  : (value - low) / (high - low);
  return first + part * (last - first);
}

std::vector<Tick> linear_ticks(double low, double high, int count) {
  std::vector<Tick> ticks;
  const double step = round_step(high - low, count);
  const int decimals = std::max(0, -static_cast<int>(std::floor(std::log10(step) + 1e-9)));
  const auto last = static_cast<int64_t>(std::floor(high / step + 1e-9));
  for (auto i = static_cast<int64_t>(std::ceil(low / step - 1e-9)); i <= last; ++i) {
    const double value = static_cast<double>(i) * step;
    ticks.push_back({value, std::abs(value) >= 10000 ? short_count(value) : number_text(value, decimals)});
  }
  return ticks;
}

std::vector<Tick> log2_ticks(double low, double high, int count) {
  const int first = static_cast<int>(std::ceil(std::log2(low) - 1e-9));
  const int last = static_cast<int>(std::floor(std::log2(high) + 1e-9));
  const int stride = std::max(1, (last - first + count) / count);
  std::vector<Tick> ticks;
  for (int power = first; power <= last; power += stride) {
    const double value = std::exp2(power);
    ticks.push_back({value, value >= 1024 ? fmt::format("{:.0f}k", value / 1024) : fmt::format("{:g}", value)});
  }
  return ticks;
}

std::string colour_class(int variant) {
  if (variant <= 0) return "s0";
  const int index = (variant - 1) % kColours + 1;
  return fmt::format("s{}{}", index, variant > kColours ? " dashed" : "");
}

std::string marker(int variant, double x, double y, double radius) {
  const auto path = [&](const std::string& points) {
    return fmt::format("<path class=\"mark\" transform=\"translate({:.1f} {:.1f}) scale({:.1f})\" d=\"{}\"/>", x, y,
                       radius, points);
  };
  switch (variant <= 0 ? 0 : (variant - 1) % kColours + 1) {
    case 2:
      return path("M-.9-.9H.9V.9H-.9Z");
    case 3:
      return path("M0-1.2 1.1.8H-1.1Z");
    case 4:
      return path("M0-1.3 1.3 0 0 1.3-1.3 0Z");
    case 5:
      return path("M0 1.2 1.1-.8H-1.1Z");
    case 6:
      return path("M-.4-1.2H.4V-.4H1.2V.4H.4V1.2H-.4V.4H-1.2V-.4H-.4Z");
    case 7:
      return path("M-1.1-.9 0-.3 1.1-.9 .5 0 1.1.9 0 .3-1.1.9-.5 0Z");
    default:
      return fmt::format("<circle class=\"mark\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{:.1f}\"/>", x, y, radius);
  }
}

std::string open_svg(const std::string& id, double width, double height, const std::string& title,
                     const std::string& description) {
  return fmt::format(
      "<svg id=\"{0}\" role=\"img\" viewBox=\"0 0 {1:.0f} {2:.0f}\" aria-labelledby=\"{0}-t "
      "{0}-d\">"
      "<title id=\"{0}-t\">{3}</title><desc id=\"{0}-d\">{4}</desc>\n",
      id, width, height, html::escape(title), html::escape(description));
}

}  // namespace skipattn::experiments::svg
