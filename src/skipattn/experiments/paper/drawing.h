// A drawing as a list of shapes, written as SVG or as PDF: the few that figures for papers need, the same in both.
//
//   Drawing drawing{240, 150, "Loss by learning rate", {}};
//   drawing.line({{10, 10}, {100, 80}}, {.stroke = "#0067b0"});
//   drawing.text({10, 140}, "learning rate", {.size = 8});
//   io::write_file_atomically("figure.pdf", to_pdf(drawing));
//
// Units are PDF points (1/72 inch), x to the right, y down. Text is Helvetica: in the PDF one of the fonts that every viewer
// has, so it is not embedded, and it holds Latin letters (Windows code page 1252) and the minus; other characters become "?".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace skipattn::experiments {

struct Point {
  double x = 0;
  double y = 0;
};

struct Box {
  double left = 0, top = 0, right = 0, bottom = 0;
};

struct PathStyle {
  std::string stroke = "";        ///< "#rrggbb"; "": no line
  std::string fill = "";          ///< "#rrggbb"; "": not filled
  double width = 1;               ///< of the line, points
  std::vector<double> dash = {};  ///< lengths on and off; empty: solid
  std::optional<Box> clip = {};   ///< nothing is drawn outside
};

struct Path {
  std::vector<Point> points;
  bool closed = false;
  PathStyle style;
};

enum class Anchor { kStart, kMiddle, kEnd };

struct TextStyle {
  double size = 8;  ///< points
  Anchor anchor = Anchor::kStart;
  std::string colour = "#1c1e21";
  bool bold = false;
  bool upward = false;  ///< turned by 90°, read from below
};

struct Label {
  Point at;  ///< on the base line
  std::string text;
  TextStyle style;
};

struct Drawing {
  double width = 0;   ///< points
  double height = 0;  ///< points
  std::string title;  ///< what readers of files and screens are told
  std::vector<std::variant<Path, Label>> shapes = {};

  void line(std::vector<Point> points, PathStyle style);
  void polygon(std::vector<Point> points, PathStyle style);
  void circle(Point centre, double radius, PathStyle style);
  void text(Point at, std::string text, TextStyle style);
};

std::string to_svg(const Drawing& drawing);
std::string to_pdf(const Drawing& drawing);

/// Width of a text in points, by Helvetica's widths (bold is taken for 1.06 of them).
double text_width(std::string_view text, const TextStyle& style);

/// A text cut to fit into `width` points, with dots where something is left out.
std::string fitted(const std::string& text, double width, const TextStyle& style = {});

/// The minus sign's byte in the PDF; code page 1252 has none there.
inline constexpr char kPdfMinus = '\x81';
/// UTF-8 to the bytes of the PDF's encoding: Windows code page 1252, and kPdfMinus.
std::string to_pdf_bytes(std::string_view utf8);

/// `colour` thinned with white: 0 leaves it, 1 is white.
std::string lighter(const std::string& colour, double white);

}  // namespace skipattn::experiments
