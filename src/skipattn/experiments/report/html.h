// Small helpers for writing HTML: escaping, tables. Everything a person typed goes through
// escape().
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace skipattn::experiments::html {

/// Text safe inside an element and inside a quoted attribute: & < > " ' become entities, control
/// characters and bytes that are not UTF-8 become U+FFFD.
std::string escape(std::string_view text);

/// A table with a header row; the first cell of each row is its header. Cells are HTML already.
class Table {
 public:
  /// caption: HTML, read by screen readers (class "sr" hides it from sight).
  Table(std::string caption, std::vector<std::string> header);
  /// Throws std::logic_error when the number of cells is not the header's.
  void add_row(const std::vector<std::string>& cells);
  /// The table in a box of its own that scrolls sideways on narrow screens.
  std::string text() const;

 private:
  std::string caption_;
  std::vector<std::string> header_;
  std::vector<std::vector<std::string>> rows_;
};

/// A chart on the page. Everything but `title` and `caption` is HTML.
struct Figure {
  std::string title;
  std::string caption = "";  ///< one or two sentences: what it shows and what was done to the data
  std::string chart = "";    ///< the svg; "": `missing` stands in its place
  std::string missing;
  std::string table = "";  ///< the same numbers, folded away; may be ""
};
std::string figure(const Figure& figure);

/// `<details>` that is closed at first. summary is escaped, body is HTML.
std::string details(std::string_view summary, std::string_view body);

}  // namespace skipattn::experiments::html
