#include "skipattn/experiments/paper/drawing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "skipattn/experiments/paper/chart.h"

namespace skipattn::experiments {
namespace {

using ::testing::HasSubstr;

Drawing example() {
  Drawing drawing{100, 50, "A (title)", {}};
  drawing.line({{0, 0}, {10, 20}}, {.stroke = "#ff0000", .width = 2, .dash = {4, 2}, .clip = Box{1, 2, 90, 40}});
  drawing.circle({50, 25}, 5, {.fill = "#0000ff"});
  drawing.text({20, 30}, "−1 (a\\b)", {.size = 10, .anchor = Anchor::kEnd});
  return drawing;
}

/// The page's operators, unpacked.
std::string page_of(const std::string& pdf) {
  const size_t begin = pdf.find("stream\n") + 7;
  const size_t end = pdf.find("\nendstream");
  std::string page(1 << 16, '\0');
  uLongf size = page.size();
  EXPECT_EQ(uncompress(reinterpret_cast<Bytef*>(page.data()), &size, reinterpret_cast<const Bytef*>(pdf.data() + begin),
                       end - begin),
            Z_OK);
  page.resize(size);
  return page;
}

TEST(Drawing, PdfTurnsYAroundAndEscapesText) {
  const std::string page = page_of(to_pdf(example()));
  EXPECT_THAT(page, HasSubstr("0.00 50.00 m\n10.00 30.00 l\nS"));
  EXPECT_THAT(page, HasSubstr("1.00 10.00 89.00 38.00 re W n"));
  EXPECT_THAT(page, HasSubstr("1.000 0.000 0.000 RG\n2.00 w"));
  EXPECT_THAT(page, HasSubstr("(\x81"
                              "1 \\(a\\\\b\\)) Tj"));
}

TEST(Drawing, PdfsTableOfObjectsIsTrue) {
  const std::string pdf = to_pdf(example());
  const size_t start = std::stoul(pdf.substr(pdf.find("startxref\n") + 10));
  ASSERT_EQ(pdf.substr(start, 9), "xref\n0 8\n");
  for (int object = 1; object <= 7; ++object) {
    const size_t line = start + 9 + 20 * static_cast<size_t>(object);
    const size_t place = std::stoul(pdf.substr(line, 10));
    EXPECT_EQ(pdf.substr(place, 8), std::to_string(object) + " 0 obj\n") << object;
  }
}

TEST(Drawing, TextEndsWhereItIsAnchored) {
  EXPECT_DOUBLE_EQ(text_width("1a ", {.size = 10}), (556 + 556 + 278) * 0.01);
  EXPECT_DOUBLE_EQ(text_width("−", {.size = 10}), 5.84);
  EXPECT_EQ(to_pdf_bytes("é–€漢"), "\xE9\x96\x80?");
  Drawing drawing{100, 50, "", {}};
  drawing.text({20, 30}, "11", {.size = 10, .anchor = Anchor::kEnd});
  EXPECT_THAT(page_of(to_pdf(drawing)), HasSubstr("1 0 0 1 8.88 20.00 Tm"));
  EXPECT_THAT(to_svg(drawing), HasSubstr("x=\"20.00\" y=\"30.00\" font-size=\"10\" text-anchor=\"end\""));
}

TEST(Drawing, SvgHasTheSameShapes) {
  const std::string svg = to_svg(example());
  EXPECT_THAT(svg, HasSubstr("<polyline points=\"0.00,0.00 10.00,20.00\""));
  EXPECT_THAT(svg, HasSubstr("stroke-dasharray=\"4 2\" clip-path=\"url(#clip0)\""));
  EXPECT_THAT(svg, HasSubstr(">−1 (a\\b)</text>"));
  EXPECT_EQ(lighter("#000080", 0.5), "#8080c0");
}

TEST(PaperChart, ValuesLieWhereTheAxesSay) {
  PaperChart chart{.title = "t", .x_label = "x", .y_label = "y"};
  chart.series.push_back({"one, two", {1, 2, 4}, {3, 5, 4}, {Interval{2, 4}, std::nullopt, Interval{4, 4}}});
  chart.log_x = true;
  chart.x_ticks = {1, 2, 4};
  EXPECT_EQ(chart_csv(chart),
            "series,x,y,low,high\r\n\"one, two\",1,3,2,4\r\n\"one, two\",2,5,,\r\n\"one, two\",4,4,4,4\r\n");
  const Drawing drawing = draw_chart(chart);
  std::vector<double> ticks;
  for (const auto& shape : drawing.shapes)
    if (const Label* label = std::get_if<Label>(&shape))
      if (label->text == "1" || label->text == "2" || label->text == "4")
        if (label->style.anchor == Anchor::kMiddle) ticks.push_back(label->at.x);
  ASSERT_EQ(ticks.size(), 3u);
  EXPECT_NEAR(ticks[1], (ticks[0] + ticks[2]) / 2, 1e-9);
}

}  // namespace
}  // namespace skipattn::experiments
