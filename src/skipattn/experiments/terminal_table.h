// Tables for the terminal: aligned by what is seen (UTF-8, wide characters), numbers to the right.
//
//   TerminalTable table({"variant", {"loss", Align::kRight}});
//   table.add_row({"sla", "3.9512"});
//   std::cout << table.text();
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "skipattn/experiments/report/data.h"

namespace skipattn::experiments {

/// Columns of a terminal that `text` takes: combining marks 0, East Asian wide characters and emoji
/// 2, everything else 1; ANSI colour sequences take none. Bytes that are not UTF-8 count 1 each.
size_t display_width(std::string_view text);

enum class Align { kLeft, kRight };

struct Column {
  Column(std::string column_name, Align alignment = Align::kLeft) : name(std::move(column_name)), align(alignment) {}
  Column(const char* column_name, Align alignment = Align::kLeft) : name(column_name), align(alignment) {}
  std::string name;
  Align align;
};

/// Rows under a header, two spaces between columns, no trailing blanks.
class TerminalTable {
 public:
  explicit TerminalTable(std::vector<Column> columns);
  /// Throws std::logic_error when the number of cells is not the number of columns.
  void add_row(std::vector<std::string> cells);
  std::string text() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// The comparison as a table and, below it, one line a variant on what could have been detected,
/// and one for every run without a result. The statistics must have been filled. colour: ANSI
/// colours for the verdicts (give it only when the output is a terminal).
std::string comparison_table(const ReportData& data, bool colour = false);

}  // namespace skipattn::experiments
