// What the tokenizer knows of Unicode, as sorted tables: general categories (\p{L}, \p{Lu}, …), white space (\s) and
// other sets that patterns name, and how text is put into normal form C. categories.cpp, sets.cpp and normalization.cpp
// are made by scripts/make_unicode_tables.py from the packages whose tokens ours must equal.
#pragma once

#include <cstddef>
#include <cstdint>

namespace skipattn::tokenizer::unicode {

inline constexpr uint32_t kCodePoints = 0x110000;  ///< code points are 0..kCodePoints-1
inline constexpr uint32_t kReplacement = 0xFFFD;   ///< what a broken byte counts as

/// General categories: letters, marks, numbers, punctuation, signs, separators, others; kCn is unassigned.
enum Category : uint8_t {
  // clang-format off
  kLu, kLl, kLt, kLm, kLo, kMn, kMc, kMe, kNd, kNl, kNo, kPc, kPd, kPs, kPe, kPi, kPf, kPo,
  kSm, kSc, kSk, kSo, kZs, kZl, kZp, kCc, kCf, kCo, kCn, kCs
  // clang-format on
};

/// The code points from `first` to the next run's have this category.
struct CategoryRun {
  uint32_t first;
  Category category;
};

/// All code points first..last, both included.
struct CodePointRange {
  uint32_t first;
  uint32_t last;
  bool operator==(const CodePointRange&) const = default;
};

/// Marks first..last, both included, are ordered by this class; code points in no run have class 0.
struct CombiningRun {
  uint32_t first;
  uint32_t last;
  uint8_t number;
};

/// `whole` is `first` followed by `second`, or another name of `first` alone where `second` is 0.
struct Decomposition {
  uint32_t whole;
  uint32_t first;
  uint32_t second;
};

extern const CategoryRun kCategoryRuns[];
extern const std::size_t kCategoryRunsCount;

extern const CodePointRange kSpaces[];  // \s, the property White_Space
extern const std::size_t kSpacesCount;
extern const CodePointRange kWordCharacters[];  // \w outside of brackets
extern const std::size_t kWordCharactersCount;
extern const CodePointRange kDigits[];  // what the pre-tokenizer Digits cuts out
extern const std::size_t kDigitsCount;
extern const CodePointRange kHan[];
extern const std::size_t kHanCount;
extern const CodePointRange kHiragana[];
extern const std::size_t kHiraganaCount;
extern const CodePointRange kKatakana[];
extern const std::size_t kKatakanaCount;
extern const CodePointRange kHangul[];
extern const std::size_t kHangulCount;

extern const CombiningRun kCombiningRuns[];
extern const std::size_t kCombiningRunsCount;
extern const Decomposition kComposed[];  // both ways
extern const std::size_t kComposedCount;
extern const Decomposition kOnlyDecomposed[];  // taken apart, never put together again
extern const std::size_t kOnlyDecomposedCount;

}  // namespace skipattn::tokenizer::unicode
