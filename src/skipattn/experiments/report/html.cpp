#include "skipattn/experiments/report/html.h"

#include <fmt/format.h>

#include <stdexcept>

namespace skipattn::experiments::html {

namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

/// Length of the UTF-8 sequence at the front of `text`; 0 when it is none (RFC 3629).
size_t sequence_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xC2 && lead < 0xE0   ? 2
                        : lead >= 0xE0 && lead < 0xF0 ? 3
                        : lead >= 0xF0 && lead < 0xF5 ? 4
                                                      : 0;
  if (length == 0 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const bool overlong = (lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xF0 && byte(1) < 0x90);
  const bool outside = (lead == 0xED && byte(1) >= 0xA0) || (lead == 0xF4 && byte(1) >= 0x90);
  return overlong || outside ? 0 : length;
}

}  // namespace

std::string escape(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size();) {
    const size_t length = sequence_length(text.substr(i));
    const char c = text[i];
    if (length == 0) {
      result += kReplacement;
    } else if (length > 1) {
      result += text.substr(i, length);
    } else if (c == '&') {
      result += "&amp;";
    } else if (c == '<') {
      result += "&lt;";
    } else if (c == '>') {
      result += "&gt;";
    } else if (c == '"') {
      result += "&quot;";
    } else if (c == '\'') {
      result += "&#39;";
    } else if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7F) {
      result += kReplacement;
    } else {
      result += c;
    }
    i += std::max<size_t>(length, 1);
  }
  return result;
}

Table::Table(std::string caption, std::vector<std::string> header)
    : caption_(std::move(caption)), header_(std::move(header)) {}

void Table::add_row(const std::vector<std::string>& cells) {
  if (cells.size() != header_.size()) {
    throw std::logic_error(fmt::format("table row of {} cells under {} columns", cells.size(), header_.size()));
  }
  rows_.push_back(cells);
}

std::string Table::text() const {
  std::string out = fmt::format(
      "<div class=\"scroll\" tabindex=\"0\"><table><caption class=\"sr\">{}</caption><thead><tr>", caption_);
  for (const std::string& cell : header_) out += fmt::format("<th scope=\"col\">{}</th>", cell);
  out += "</tr></thead><tbody>\n";
  for (const auto& row : rows_) {
    out += "<tr>";
    for (size_t i = 0; i < row.size(); ++i) {
      out += i == 0 ? fmt::format("<th scope=\"row\">{}</th>", row[i]) : fmt::format("<td>{}</td>", row[i]);
    }
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

std::string figure(const Figure& figure) {
  std::string out = fmt::format("<figure><figcaption><h3>{}</h3><p>{}</p></figcaption>", escape(figure.title),
                                escape(figure.caption));
  out += figure.chart.empty() ? fmt::format("<p class=\"missing\">Not measured: {}</p>", escape(figure.missing))
                              : figure.chart;
  if (!figure.table.empty()) out += details("Numbers", figure.table);
  return out + "</figure>\n";
}

std::string details(std::string_view summary, std::string_view body) {
  return fmt::format("<details><summary>{}</summary>{}</details>\n", escape(summary), body);
}

}  // namespace skipattn::experiments::html
