#include "skipattn/tokenizer/unicode/code_point_set.h"

#include <gtest/gtest.h>

namespace skipattn::tokenizer {
namespace {

CodePointSet of(std::initializer_list<CodePointSet::Range> ranges) {
  CodePointSet set;
  for (const auto& range : ranges) set.add(range.first, range.last);
  return set;
}

TEST(CodePointSet, RangesThatTouchBecomeOne) {
  EXPECT_EQ(of({{5, 6}, {1, 2}, {3, 4}}), of({{1, 6}}));
  EXPECT_EQ(of({{1, 9}, {3, 4}}).ranges().size(), 1u);
  EXPECT_EQ(of({{1, 2}, {4, 5}}).ranges().size(), 2u);
  EXPECT_EQ(of({{1, 2}, {8, 9}, {2, 8}}), of({{1, 9}}));
}

TEST(CodePointSet, Algebra) {
  const CodePointSet a = of({{1, 5}, {10, 20}}), b = of({{4, 12}, {30, 40}});
  CodePointSet both = a, either = a;
  both.intersect(b);
  either.unite(b);
  EXPECT_EQ(both, of({{4, 5}, {10, 12}}));
  EXPECT_EQ(either, of({{1, 20}, {30, 40}}));
  EXPECT_EQ(a.complemented().complemented(), a);
  EXPECT_EQ(CodePointSet().complemented(), of({{0, 0x10FFFF}}));
  EXPECT_EQ(of({{0, 0x10FFFF}}).complemented(), CodePointSet());
  EXPECT_FALSE(a.disjoint(b));
  EXPECT_TRUE(a.disjoint(a.complemented()));
  EXPECT_TRUE(either.contains_all(b));
  EXPECT_FALSE(a.contains_all(b));
}

TEST(CodePointSet, Contains) {
  const CodePointSet set = of({{2, 3}, {7, 7}});
  for (const uint32_t c : {2u, 3u, 7u}) EXPECT_TRUE(set.contains(c)) << c;
  for (const uint32_t c : {0u, 1u, 4u, 6u, 8u}) EXPECT_FALSE(set.contains(c)) << c;
}

TEST(CodePointSet, Properties) {
  EXPECT_TRUE(CodePointSet::property("Lu")->contains('A'));
  EXPECT_FALSE(CodePointSet::property("Lu")->contains('a'));
  EXPECT_TRUE(CodePointSet::property("L")->contains(0x1C89));  // new in Unicode 16
  EXPECT_TRUE(CodePointSet::property("Han")->contains(0x65E5));
  EXPECT_TRUE(CodePointSet::property("Co")->contains(0x10FFFD));
  EXPECT_EQ(CodePointSet::property("Latin"), std::nullopt);
  EXPECT_EQ(CodePointSet::property("Lx"), std::nullopt);
  EXPECT_EQ(CodePointSet::property(""), std::nullopt);
  CodePointSet all;
  for (const char* name : {"L", "M", "N", "P", "S", "Z", "C"}) {
    EXPECT_TRUE(all.disjoint(*CodePointSet::property(name))) << name;
    all.unite(*CodePointSet::property(name));
  }
  EXPECT_EQ(all, of({{0, 0x10FFFF}}));
}

}  // namespace
}  // namespace skipattn::tokenizer
