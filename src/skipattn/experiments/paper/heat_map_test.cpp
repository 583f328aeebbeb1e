#include "skipattn/experiments/paper/heat_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace skipattn::experiments {
namespace {

std::vector<const Label*> labels(const Drawing& drawing, const std::string& text) {
  std::vector<const Label*> found;
  for (const auto& shape : drawing.shapes)
    if (const Label* label = std::get_if<Label>(&shape); label && label->text == text) found.push_back(label);
  return found;
}

/// The last filled or framed box that holds a point.
const Path* box_at(const Drawing& drawing, Point at, bool filled) {
  const Path* found = nullptr;
  for (const auto& shape : drawing.shapes) {
    const Path* path = std::get_if<Path>(&shape);
    if (!path || path->points.size() != 4 || path->style.fill.empty() == filled) continue;
    const auto [left, right] = std::ranges::minmax(path->points, {}, &Point::x);
    const auto [top, bottom] = std::ranges::minmax(path->points, {}, &Point::y);
    if (left.x <= at.x && at.x <= right.x && top.y <= at.y && at.y <= bottom.y) found = path;
  }
  return found;
}

HeatMap example() {
  HeatMap map{.title = "Difference", .x_label = "distance (layers)", .y_label = "heads"};
  map.columns = {"2", "4"};
  map.rows = {"1", "3"};
  map.cells = {{.value = -0.02, .half_width = 0.004, .verdict = Verdict::kBetter},
               {.value = 0.01, .half_width = 0.03},
               {.value = 0.015, .half_width = 0.002, .verdict = Verdict::kWorse},
               {.absent = "not measured"}};
  return map;
}

TEST(PaperHeatMap, NoDifferenceIsWhiteAndBothSidesFadeAlike) {
  EXPECT_EQ(heat_colour(0, 0.02), "#ffffff");
  EXPECT_EQ(heat_colour(-0.02, 0.02), lighter("#0067b0", 0.28));
  EXPECT_EQ(heat_colour(0.02, 0.02), lighter("#cf4d00", 0.28));
  EXPECT_EQ(heat_colour(0.04, 0.02), heat_colour(0.02, 0.02));
  EXPECT_EQ(heat_colour(-0.01, 0.02), lighter("#0067b0", 0.64));
}

TEST(PaperHeatMap, CellsHaveTheColourTheNumberAndTheVerdictOfTheirValue) {
  const HeatMap map = example();
  const Drawing drawing = draw_heat_map(map);
  const auto cell = [&](const char* number) { return labels(drawing, number).at(0)->at; };
  // The largest difference on either side, 0.02, has the full colour: 0.01 is half as strong.
  EXPECT_EQ(box_at(drawing, cell("−0.0200"), true)->style.fill, heat_colour(-0.02, 0.02));
  EXPECT_EQ(box_at(drawing, cell("+0.0100"), true)->style.fill, heat_colour(0.01, 0.02));
  EXPECT_EQ(labels(drawing, "± 0.0300").size(), 1u);
  EXPECT_EQ(labels(drawing, "not measured").size(), 1u);
  const Point better = cell("−0.0200"), open = cell("+0.0100"), worse = cell("+0.0150");
  EXPECT_NE(box_at(drawing, better, false), nullptr);
  EXPECT_NE(box_at(drawing, worse, false), nullptr);
  EXPECT_EQ(box_at(drawing, open, false), nullptr) << "framed though nothing can be told";
  // Once in the cell and once at the scale's end.
  EXPECT_EQ(labels(drawing, "better").size(), 2u);
  EXPECT_EQ(labels(drawing, "worse").size(), 2u);
  // Rows from above, columns from the left, each below or beside its label.
  EXPECT_LT(better.x, open.x);
  EXPECT_LT(better.y, worse.y);
  EXPECT_DOUBLE_EQ(labels(drawing, "4").at(0)->at.x, open.x);
  EXPECT_EQ(labels(drawing, "nats per token").size(), 1u);
}

TEST(PaperHeatMap, TheScalesMiddleIsNoDifference) {
  HeatMap map = example();
  map.cells[0].value = -0.5;  // far more on one side
  const Drawing drawing = draw_heat_map(map);
  const auto zero = labels(drawing, "0.0").at(0)->at, low = labels(drawing, "−0.4").at(0)->at,
             high = labels(drawing, "0.4").at(0)->at;
  EXPECT_NEAR(zero.y, (low.y + high.y) / 2, 1e-9);
  constexpr double kBaseLine = 2.8;  // a tick's text is that much below its place; the unit stands at the map's middle
  EXPECT_NEAR(zero.y - kBaseLine, labels(drawing, "nats per token").at(0)->at.y, 1e-9);
  EXPECT_GT(low.y, high.y);
}

TEST(PaperHeatMap, NumbersThatDoNotFitAreLeftOut) {
  HeatMap map = example();
  map.columns = std::vector<std::string>(12, "1");
  map.cells.assign(24, {.value = 0.01, .half_width = 0.003, .verdict = Verdict::kWorse});
  const Drawing drawing = draw_heat_map(map);
  EXPECT_TRUE(labels(drawing, "+0.0100").empty());
  EXPECT_EQ(labels(drawing, "worse").size(), 1u);  // the scale's
  for (const auto& shape : drawing.shapes) {
    const Label* label = std::get_if<Label>(&shape);
    if (label) {
      EXPECT_LE(label->at.x, drawing.width) << label->text;
    }
  }
}

TEST(Fitted, CutsBetweenLetters) {
  EXPECT_EQ(fitted("short", 100), "short");
  const std::string text = "ééééééé";
  for (double width = 5; width < 35; width += 1) {
    const std::string cut = fitted(text, width);
    if (cut != text) {
      EXPECT_EQ((cut.size() - 3) % 2, 0u) << cut;
    }  // "…" has three bytes, "é" two
    EXPECT_LE(text_width(cut, {}), std::max(width, text_width("…", {})));
  }
}

}  // namespace
}  // namespace skipattn::experiments
