#include "skipattn/experiments/report/svg_forest.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "skipattn/experiments/report/html.h"
#include "skipattn/experiments/report/svg_axis.h"
#include "skipattn/experiments/report/text.h"

namespace skipattn::experiments::svg {

namespace {

constexpr double kWidth = 480;
constexpr double kLeft = 16;
constexpr double kRight = 464;
constexpr double kTop = 26;
constexpr double kRow = 58;

/// Symmetric about 0 within reason, so that "no difference" is easy to find; nullopt without data.
std::optional<Interval> value_range(const ReportData& data) {
  double low = 0;
  double high = 0;
  bool any = false;
  for (const ReportVariant& variant : data.variants) {
    const PairedComparison& c = variant.comparison;
    if (!c.delta) continue;
    any = true;
    for (const double d : c.differences) low = std::min(low, d), high = std::max(high, d);
    if (c.ci95) low = std::min(low, c.ci95->low), high = std::max(high, c.ci95->high);
  }
  if (!any) return std::nullopt;
  double pad = 0.08 * (high - low);
  if (pad == 0) pad = 0.01;  // every difference is exactly 0
  low = std::min(low - pad, -0.15 * high);
  high = std::max(high + pad, -0.15 * low);
  return Interval{low, high};
}

std::string draw_row(const ReportVariant& variant, int index, double y, const Scale& x) {
  const PairedComparison& c = variant.comparison;
  const int decimals = difference_decimals(c);
  std::string words = std::string(verdict_name(c.verdict));
  if (c.delta) words += " · " + signed_text(*c.delta, decimals);
  if (c.ci95) words += fmt::format(" [{}]", interval_text(*c.ci95, decimals));
  std::string out = fmt::format(
      "<g class=\"{}\" data-tip=\"{}\"><rect class=\"row\" x=\"0\" y=\"{:.1f}\" width=\"{}\" "
      "height=\"{}\"><title></title></rect>{}"
      "<text class=\"name\" x=\"{}\" y=\"{:.1f}\">{}</text>"
      "<text class=\"value\" x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>",
      colour_class(index), html::escape(verdict_sentence(variant)), y, kWidth, kRow,
      marker(index, kLeft - 6, y + 14, 4), kLeft + 5, y + 18, html::escape(variant.name), kRight, y + 18,
      html::escape(words));
  const double at = y + 39;
  if (c.ci95) {
    out += fmt::format("<path class=\"bar\" d=\"M{0:.1f} {1}V{2}M{0:.1f} {3}H{4:.1f}M{4:.1f} {1}V{2}\"/>",
                       x(c.ci95->low), at - 5, at + 5, at, x(c.ci95->high));
  }
  for (const double d : c.differences) {
    out += fmt::format("<circle class=\"seed\" cx=\"{:.1f}\" cy=\"{}\" r=\"3\"/>", x(d), at);
  }
  if (c.delta) out += marker(index, x(*c.delta), at, 5.5);
  if (!c.ci95) {
    out += fmt::format("<text class=\"why\" x=\"{}\" y=\"{:.1f}\">{}</text>", kLeft + 5, at + 14, html::escape(c.note));
  }
  return out + "</g>\n";
}

}  // namespace

std::string forest_plot(const ReportData& data) {
  const auto range = value_range(data);
  if (!range) return "";
  const Scale x{range->low, range->high, kLeft, kRight, false};
  const auto rows = static_cast<double>(data.variants.size() - 1);
  const double bottom = kTop + rows * kRow;

  std::string out = open_svg("forest", kWidth, bottom + 42, "Difference to the baseline, validation loss",
                             "Mean paired difference of each variant with its 95 % interval; dots are single seeds. An "
                             "interval left of zero means better, right of zero worse.");
  out += "<g class=\"axis\">";
  for (const Tick& tick : linear_ticks(x.low, x.high, 5)) {
    out += fmt::format(
        "<line class=\"grid\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1}\" y2=\"{2}\"/>"
        "<text x=\"{0:.1f}\" y=\"{3}\" text-anchor=\"middle\">{4}</text>",
        x(tick.value), kTop, bottom, bottom + 16, tick.label);
  }
  out += fmt::format(
      "<line class=\"zero\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1}\" y2=\"{2}\"/>"
      "<text class=\"label\" x=\"{3:.1f}\" y=\"14\" text-anchor=\"end\">← better</text>"
      "<text class=\"label\" x=\"{4:.1f}\" y=\"14\">worse →</text>"
      "<text class=\"label\" x=\"{5}\" y=\"{6}\" text-anchor=\"end\">nats per token</text></g>\n",
      x(0), kTop - 6, bottom, x(0) - 8, x(0) + 8, kRight, bottom + 34);
  double y = kTop;
  for (size_t i = 0, index = 0; i < data.variants.size(); ++i) {
    if (data.variants[i].is_baseline) continue;
    out += draw_row(data.variants[i], static_cast<int>(++index), y, x);
    y += kRow;
  }
  return out + "</svg>\n";
}

}  // namespace skipattn::experiments::svg
