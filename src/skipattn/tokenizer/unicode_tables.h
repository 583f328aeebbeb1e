// Which code points are letters (\p{L}), numbers (\p{N}) and white space (\s), as sorted ranges.
// The .cpp is made by scripts/make_unicode_tables.py from the packages whose tokens ours must
// equal.
#pragma once

#include <cstddef>
#include <cstdint>

namespace skipattn::tokenizer::unicode {

/// All code points first..last, both included.
struct CodePointRange {
  uint32_t first;
  uint32_t last;
};

extern const CodePointRange kLetters[];
extern const std::size_t kLettersCount;
extern const CodePointRange kNumbers[];
extern const std::size_t kNumbersCount;
extern const CodePointRange kSpaces[];
extern const std::size_t kSpacesCount;

}  // namespace skipattn::tokenizer::unicode
