#include "skipattn/experiments/terminal_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>

#include "skipattn/core/text.h"

namespace skipattn::experiments {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(TerminalTable, WidthIsWhatIsSeen) {
  EXPECT_EQ(display_width("abc"), 3U);
  EXPECT_EQ(display_width("−0.1 …"), 6U);
  EXPECT_EQ(display_width("日本"), 4U);
  EXPECT_EQ(display_width("e\u0301"), 1U);  // e and a combining accent
  EXPECT_EQ(display_width("\x1b[32mok\x1b[0m"), 2U);
  EXPECT_EQ(display_width("\xff\xe2\x82"), 3U);  // not UTF-8
  EXPECT_EQ(display_width("\x1b["), 0U);
}

TEST(TerminalTable, AlignsByWidth) {
  TerminalTable table({"name", {"loss", Align::kRight}});
  table.add_row({"日本", "−1.5"});
  table.add_row({"\x1b[32mok\x1b[0m", "12.25"});
  EXPECT_EQ(table.text(),
            "name   loss\n"
            "────  ─────\n"
            "日本   −1.5\n"
            "\x1b[32mok\x1b[0m    12.25\n");
  EXPECT_THROW(table.add_row({"one"}), std::logic_error);
}

TEST(TerminalTable, NoTrailingBlanks) {
  TerminalTable table({{"n", Align::kRight}, "text"});
  table.add_row({"1", "a"});
  table.add_row({"2", "longer"});
  table.add_row({"3", ""});
  EXPECT_THAT(table.text(), Not(HasSubstr(" \n")));
}

ReportData two_variants() {
  ReportData data;
  ReportVariant baseline;
  baseline.name = "baseline";
  baseline.is_baseline = true;
  baseline.runs = {{.seed = 1, .val_loss = 3.106}, {.seed = 2, .val_loss = 3.206}};
  baseline.parameters = 1234567;
  ReportVariant sla;
  sla.name = "sla";
  sla.runs = {{.seed = 1, .val_loss = 3.100}, {.seed = 2, .val_loss = 3.204}};
  sla.peak_memory_bytes = 1536;
  ReportVariant broken;
  broken.name = "broken";
  broken.runs = {{.seed = 1, .val_loss = NAN, .problem = "out of memory"}};
  data.variants = {baseline, sla, broken};
  fill_statistics(data);
  return data;
}

TEST(ComparisonTable, SaysVerdictAndWhatCouldBeDetected) {
  const std::string text = comparison_table(two_variants());
  EXPECT_THAT(text, HasSubstr("sla       cannot tell    3.1520  0.0735      −0.004  −0.029 … +0.021"));
  EXPECT_THAT(text, HasSubstr("sla: With 2 seeds and this spread, a difference below 0.025 reads"));
  EXPECT_THAT(text, HasSubstr("broken: without a result: seed 1: out of memory."));
  EXPECT_THAT(text, HasSubstr("1.23M"));
  EXPECT_THAT(text, HasSubstr("1.50 KiB"));
  EXPECT_THAT(text, Not(HasSubstr("nan")));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
}

TEST(ComparisonTable, ColoursOnRequestChangeNoColumn) {
  const auto plain = split(comparison_table(two_variants()), '\n');
  const auto coloured = split(comparison_table(two_variants(), true), '\n');
  ASSERT_EQ(plain.size(), coloured.size());
  EXPECT_THAT(coloured[3], HasSubstr("\x1b[33mcannot tell\x1b[0m"));
  for (size_t i = 0; i < plain.size(); ++i) {
    EXPECT_EQ(display_width(plain[i]), display_width(coloured[i]));
  }
}

}  // namespace
}  // namespace skipattn::experiments
