// Drawing's shapes and its SVG form; drawing_pdf.cpp has the PDF.
#include "skipattn/experiments/paper/drawing.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>

#include "skipattn/core/text.h"
#include "skipattn/experiments/report/html.h"

namespace skipattn::experiments {

namespace {

/// Helvetica's advance widths of the characters 32 to 126, in thousandths of the size (Adobe's font metrics).
constexpr std::array<int, 95> kWidths = {
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333,  278, 278, 556, 556, 556,
    556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667,
    611, 778, 722, 278, 500, 667, 556, 833, 722, 778, 667, 778, 722, 667,  611, 722, 667, 944, 667,
    667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556, 556, 278,  556, 556, 222, 222, 500,
    222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500,  500, 334, 260, 334, 584};
constexpr int kMinusWidth = 584, kOtherWidth = 556;

std::string coordinates(const std::vector<Point>& points) {
  std::vector<std::string> texts;
  for (const Point& point : points) texts.push_back(fmt::format("{:.2f},{:.2f}", point.x, point.y));
  return join(texts, " ");
}

std::string svg_path(const Path& path, int& clips) {
  const PathStyle& style = path.style;
  std::string out, clip;
  if (style.clip) {
    const Box& box = *style.clip;
    clip = fmt::format(" clip-path=\"url(#clip{})\"", clips);
    out = fmt::format(
        "<clipPath id=\"clip{}\"><rect x=\"{:.2f}\" y=\"{:.2f}\" width=\"{:.2f}\" height=\"{:.2f}\"/></clipPath>",
        clips++, box.left, box.top, box.right - box.left, box.bottom - box.top);
  }
  std::vector<std::string> dash;
  for (const double length : style.dash) dash.push_back(fmt::format("{:g}", length));
  return out + fmt::format("<{} points=\"{}\" fill=\"{}\"{}{}{}/>\n", path.closed ? "polygon" : "polyline",
                           coordinates(path.points), style.fill.empty() ? "none" : style.fill,
                           style.stroke.empty()
                               ? ""
                               : fmt::format(" stroke=\"{}\" stroke-width=\"{:g}\"", style.stroke, style.width),
                           dash.empty() ? "" : fmt::format(" stroke-dasharray=\"{}\"", join(dash, " ")), clip);
}

std::string svg_label(const Label& label) {
  const TextStyle& style = label.style;
  const char* anchor = style.anchor == Anchor::kStart ? "start" : style.anchor == Anchor::kMiddle ? "middle" : "end";
  const std::string turn =
      style.upward ? fmt::format(" transform=\"rotate(-90 {:.2f} {:.2f})\"", label.at.x, label.at.y) : "";
  return fmt::format(
      "<text x=\"{:.2f}\" y=\"{:.2f}\" font-size=\"{:g}\" text-anchor=\"{}\" fill=\"{}\"{}{}>{}</text>\n", label.at.x,
      label.at.y, style.size, anchor, style.colour, style.bold ? " font-weight=\"bold\"" : "", turn,
      html::escape(label.text));
}

}  // namespace

void Drawing::line(std::vector<Point> points, PathStyle style) {
  shapes.emplace_back(Path{std::move(points), false, std::move(style)});
}

void Drawing::polygon(std::vector<Point> points, PathStyle style) {
  shapes.emplace_back(Path{std::move(points), true, std::move(style)});
}

void Drawing::circle(Point centre, double radius, PathStyle style) {
  constexpr int kCorners = 24;  // no eye tells it from a circle at the size of a mark
  std::vector<Point> points;
  for (int i = 0; i < kCorners; ++i) {
    const double angle = 2 * std::numbers::pi * i / kCorners;
    points.push_back({centre.x + radius * std::cos(angle), centre.y + radius * std::sin(angle)});
  }
  polygon(std::move(points), std::move(style));
}

void Drawing::text(Point at, std::string text, TextStyle style) {
  shapes.emplace_back(Label{at, std::move(text), std::move(style)});
}

double text_width(std::string_view text, const TextStyle& style) {
  int sum = 0;
  for (const char c : to_pdf_bytes(text)) {
    const bool plain = c >= 32 && c < 127;
    sum += plain ? kWidths[static_cast<size_t>(c - 32)] : c == kPdfMinus ? kMinusWidth : kOtherWidth;
  }
  return sum * style.size / 1000 * (style.bold ? 1.06 : 1);
}

std::string fitted(const std::string& text, double width, const TextStyle& style) {
  if (text_width(text, style) <= width) return text;
  std::string cut = text;
  while (!cut.empty() && text_width(cut + "…", style) > width) {
    while (cut.size() > 1 && (static_cast<unsigned char>(cut.back()) & 0xC0) == 0x80) cut.pop_back();
    cut.pop_back();
  }
  return cut + "…";
}

std::string lighter(const std::string& colour, double white) {
  std::string out = "#";
  for (size_t i = 1; i < 7; i += 2) {
    const int part = std::stoi(colour.substr(i, 2), nullptr, 16);
    out += fmt::format("{:02x}", static_cast<int>(std::lround(part + (255 - part) * white)));
  }
  return out;
}

std::string to_svg(const Drawing& drawing) {
  std::string out = fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:g}pt\" "
      "height=\"{1:g}pt\" viewBox=\"0 0 {0:g} {1:g}\" font-family=\"Helvetica, Arial, "
      "sans-serif\">\n<title>{2}</title>\n"
      "<rect width=\"{0:g}\" height=\"{1:g}\" fill=\"#ffffff\"/>\n",
      drawing.width, drawing.height, html::escape(drawing.title));
  int clips = 0;
  for (const auto& shape : drawing.shapes)
    out += std::holds_alternative<Path>(shape) ? svg_path(std::get<Path>(shape), clips)
                                               : svg_label(std::get<Label>(shape));
  return out + "</svg>\n";
}

}  // namespace skipattn::experiments
