#include "skipattn/experiments/terminal_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <stdexcept>

#include "skipattn/core/text.h"
#include "skipattn/experiments/report/text.h"

namespace skipattn::experiments {

namespace {

struct CodeRange {
  uint32_t first, last;
};

bool within(uint32_t code, const CodeRange* ranges, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (code >= ranges[i].first && code <= ranges[i].last) return true;
  }
  return false;
}

/// Blocks that terminals draw two columns wide (East Asian Width W and F; emoji), by block rather
/// than by character: names of variants need no more.
constexpr std::array<CodeRange, 9> kWide = {{{0x1100, 0x115F},
                                             {0x2E80, 0x303E},
                                             {0x3041, 0xA4CF},
                                             {0xAC00, 0xD7A3},
                                             {0xF900, 0xFAFF},
                                             {0xFE30, 0xFE6F},
                                             {0xFF00, 0xFF60},
                                             {0x1F300, 0x1FAFF},
                                             {0x20000, 0x3FFFD}}};
/// Combining marks, joiners and variation selectors.
constexpr std::array<CodeRange, 6> kNoWidth = {
    {{0x0300, 0x036F}, {0x1AB0, 0x1AFF}, {0x1DC0, 0x1DFF}, {0x200B, 0x200F}, {0x20D0, 0x20FF}, {0xFE00, 0xFE0F}}};

/// One character at `text[at]`; moves `at` behind it. A byte that starts no character is one
/// itself.
uint32_t next_code(std::string_view text, size_t& at) {
  const auto lead = static_cast<unsigned char>(text[at++]);
  const int more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : 0;
  if (more == 0 || at + static_cast<size_t>(more) > text.size()) return lead;
  uint32_t code = lead & (0x3FU >> more);
  for (int i = 0; i < more; ++i) {
    const auto byte = static_cast<unsigned char>(text[at + static_cast<size_t>(i)]);
    if ((byte & 0xC0) != 0x80) return lead;
    code = code << 6 | (byte & 0x3FU);
  }
  at += static_cast<size_t>(more);
  return code;
}

std::string coloured(Verdict verdict, bool colour) {
  const std::string name(verdict_name(verdict));
  if (!colour) return name;
  const int code = verdict == Verdict::kBetter ? 32 : verdict == Verdict::kWorse ? 31 : 33;
  return fmt::format("\x1b[{}m{}\x1b[0m", code, name);
}

std::string or_dash(std::optional<double> value, std::string (*format)(double)) {
  return value ? format(*value) : "–";
}

std::vector<std::string> comparison_row(const ReportVariant& v, bool colour) {
  const PairedComparison& c = v.comparison;
  const int decimals = difference_decimals(c);
  const bool self = v.is_baseline;
  const Summary& loss = self || c.pairs() == 0 ? v.loss : c.variant;
  return {v.name,
          self ? "reference" : coloured(c.verdict, colour),
          loss.mean ? number_text(loss.mean) : "–",
          loss.sd ? number_text(loss.sd) : "–",
          c.delta ? signed_text(*c.delta, decimals) : "–",
          c.ci95 ? interval_text(*c.ci95, decimals) : "–",
          p_value_text(c.p_value),
          std::to_string(self ? v.loss.count : c.pairs()),
          or_dash(v.parameters, short_count),
          or_dash(v.kv_cache_bytes_per_token, grouped),
          v.predicted_flops_ratio ? number_text(v.predicted_flops_ratio, 3) : "–",
          or_dash(v.tokens_per_second, grouped),
          or_dash(v.peak_memory_bytes, short_bytes)};
}

}  // namespace

size_t display_width(std::string_view text) {
  size_t width = 0;
  for (size_t at = 0; at < text.size();) {
    if (text[at] == '\x1b' && at + 1 < text.size() && text[at + 1] == '[') {
      at += 2;
      while (at < text.size() && (text[at] < '@' || text[at] > '~')) ++at;
      at = std::min(at + 1, text.size());
      continue;
    }
    const uint32_t code = next_code(text, at);
    if (within(code, kNoWidth.data(), kNoWidth.size())) continue;
    width += within(code, kWide.data(), kWide.size()) ? 2 : 1;
  }
  return width;
}

TerminalTable::TerminalTable(std::vector<Column> columns) : columns_(std::move(columns)) {}

void TerminalTable::add_row(std::vector<std::string> cells) {
  if (cells.size() != columns_.size()) {
    throw std::logic_error(fmt::format("table row of {} cells under {} columns", cells.size(), columns_.size()));
  }
  rows_.push_back(std::move(cells));
}

std::string TerminalTable::text() const {
  std::vector<size_t> widths;
  std::vector<std::string> header;
  std::vector<std::string> rule;
  for (size_t i = 0; i < columns_.size(); ++i) {
    size_t width = display_width(columns_[i].name);
    for (const auto& row : rows_) width = std::max(width, display_width(row[i]));
    widths.push_back(width);
    header.push_back(columns_[i].name);
    rule.emplace_back();
    for (size_t k = 0; k < width; ++k) rule.back() += "─";
  }
  std::string out;
  const auto add_line = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (size_t i = 0; i < cells.size(); ++i) {
      const std::string blanks(widths[i] - display_width(cells[i]), ' ');
      line += i == 0 ? "" : "  ";
      line += columns_[i].align == Align::kRight ? blanks + cells[i] : cells[i] + blanks;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  };
  add_line(header);
  add_line(rule);
  for (const auto& row : rows_) add_line(row);
  return out;
}

std::string comparison_table(const ReportData& data, bool colour) {
  const Align right = Align::kRight;
  TerminalTable table({"variant",
                       "verdict",
                       {"val loss", right},
                       {"sd", right},
                       {"difference", right},
                       {"95 % interval", right},
                       {"p", right},
                       {"seeds", right},
                       {"parameters", right},
                       {"KV B/token", right},
                       {"FLOPs ×", right},
                       {"tokens/s", right},
                       {"memory", right}});
  for (const ReportVariant& variant : data.variants) table.add_row(comparison_row(variant, colour));
  std::string out = table.text();
  for (const ReportVariant& variant : data.variants) {
    const std::string sentence = variant.is_baseline ? "" : detectable_sentence(variant.comparison);
    if (!sentence.empty()) out += fmt::format("{}: {}\n", variant.name, sentence);
    const std::string problems = problems_text(variant);
    if (!problems.empty()) out += fmt::format("{}: without a result: {}.\n", variant.name, problems);
  }
  return out;
}

}  // namespace skipattn::experiments
