#include "skipattn/tokenizer/unicode/code_point_set.h"

#include <algorithm>
#include <array>

namespace skipattn::tokenizer {
namespace {

// In the order of unicode::Category.
constexpr std::string_view kCategoryNames[] = {"Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl",
                                               "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc",
                                               "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Co", "Cn", "Cs"};

std::optional<CodePointSet> named_set(std::string_view name) {
  using namespace unicode;
  if (name == "Han") return CodePointSet(kHan, kHanCount);
  if (name == "Hiragana") return CodePointSet(kHiragana, kHiraganaCount);
  if (name == "Katakana") return CodePointSet(kKatakana, kKatakanaCount);
  if (name == "Hangul") return CodePointSet(kHangul, kHangulCount);
  if (name == "Digits") return CodePointSet(kDigits, kDigitsCount);
  return std::nullopt;
}

}  // namespace

std::optional<CodePointSet> CodePointSet::property(std::string_view name) {
  if (name.empty() || name.size() > 2) return named_set(name);
  CodePointSet set;
  bool known = false;
  for (const std::string_view category : kCategoryNames) known = known || category.starts_with(name);
  if (!known) return std::nullopt;
  for (std::size_t i = 0; i < unicode::kCategoryRunsCount; ++i) {
    const unicode::CategoryRun& run = unicode::kCategoryRuns[i];
    if (!kCategoryNames[run.category].starts_with(name)) continue;
    const uint32_t end =
        i + 1 < unicode::kCategoryRunsCount ? unicode::kCategoryRuns[i + 1].first : unicode::kCodePoints;
    set.add(run.first, end - 1);
  }
  return set;
}

void CodePointSet::add(uint32_t first, uint32_t last) {
  // The ranges that touch the new one become one with it; added in order, that is at most the last.
  auto begin = ranges_.end();
  while (begin != ranges_.begin() && std::prev(begin)->last + 1 >= first) --begin;
  auto end = begin;
  while (end != ranges_.end() && end->first <= last + 1) {
    first = std::min(first, end->first);
    last = std::max(last, end->last);
    ++end;
  }
  if (begin == end) {
    ranges_.insert(begin, {first, last});
  } else {
    *begin = {first, last};
    ranges_.erase(begin + 1, end);
  }
}

void CodePointSet::unite(const CodePointSet& other) {
  std::vector<Range> all;
  std::merge(ranges_.begin(), ranges_.end(), other.ranges_.begin(), other.ranges_.end(), std::back_inserter(all),
             [](const Range& a, const Range& b) { return a.first < b.first; });
  ranges_.clear();
  for (const Range& range : all) add(range.first, range.last);
}

void CodePointSet::intersect(const CodePointSet& other) {
  CodePointSet outside = complemented();
  outside.unite(other.complemented());
  *this = outside.complemented();
}

CodePointSet CodePointSet::complemented() const {
  CodePointSet result;
  uint32_t next = 0;
  for (const Range& range : ranges_) {
    if (range.first > next) result.ranges_.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next < unicode::kCodePoints) result.ranges_.push_back({next, unicode::kCodePoints - 1});
  return result;
}

bool CodePointSet::contains(uint32_t code_point) const {
  const auto after = std::upper_bound(ranges_.begin(), ranges_.end(), code_point,
                                      [](uint32_t value, const Range& range) { return value < range.first; });
  return after != ranges_.begin() && std::prev(after)->last >= code_point;
}

bool CodePointSet::disjoint(const CodePointSet& other) const {
  CodePointSet both = *this;
  both.intersect(other);
  return both.ranges_.empty();
}

bool CodePointSet::contains_all(const CodePointSet& other) const {
  return complemented().disjoint(other);
}

}  // namespace skipattn::tokenizer
