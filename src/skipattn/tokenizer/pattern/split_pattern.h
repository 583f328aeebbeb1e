// Searching a text for a split pattern, one match after another, with Unicode as the reference tokenizers have it.
//
// PCRE2 does the searching, but never sees a code point: all code points that the pattern's sets cannot tell apart
// become one symbol, a byte, and the pattern is compiled over those. So what a letter is comes from our tables alone,
// whatever Unicode the library knows, and a byte that is not UTF-8 is one character, as U+FFFD would be.
//
//   const SplitPattern pattern(R"(\p{N}{1,3}|\p{L}+)");
//   PatternScanner scanner(pattern);
//   scanner.start("abc 1234");
//   for (PatternScanner::Match match; scanner.next(match);) …    // 0..3, 4..7, 7..8
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace skipattn::tokenizer {

/// A compiled pattern; immutable, for any number of threads.
class SplitPattern {
 public:
  /// Throws InputError naming the pattern and what is not supported in it (pattern_reader.h), or that it can match
  /// nothing at all: a text could not be split by that.
  explicit SplitPattern(const std::string& pattern);
  ~SplitPattern();
  SplitPattern(const SplitPattern&) = delete;
  SplitPattern& operator=(const SplitPattern&) = delete;

 private:
  friend class PatternScanner;
  void find_symbols(const struct PatternPieces& pieces);
  std::string pattern_over_symbols(const struct PatternPieces& pieces) const;
  uint8_t symbol(uint32_t code_point) const { return blocks_[block_of_[code_point >> 8] * 256u + (code_point & 255u)]; }

  std::string text_;                         // as it was given, for messages
  std::array<uint16_t, 0x1100> block_of_{};  // [code point / 256] -> block
  std::vector<uint8_t> blocks_;              // [block, 256] symbols; those of ASCII first
  std::vector<std::vector<uint8_t>> sets_;   // [set] its symbols
  void* code_ = nullptr;                     // pcre2_code
};

/// Walks through the matches in a text. One thread's; keeps its memory from text to text.
class PatternScanner {
 public:
  /// Bytes begin..end-1 of the text.
  struct Match {
    std::size_t begin;
    std::size_t end;
  };

  /// `pattern` must outlive the scanner.
  explicit PatternScanner(const SplitPattern& pattern);

  /// The text must stay until the last call of next().
  void start(std::string_view text);
  /// The next match; false when there is none left. Throws InputError when the pattern needs more time or memory for
  /// this text than is allowed.
  bool next(Match& match);
  /// Goes on after this many ASCII characters, which follow the last match.
  void pass_ascii(std::size_t count) { position_ += count; }

 private:
  /// The byte where symbol `index` begins; indices must not fall from call to call.
  std::size_t byte_of(std::size_t index);

  struct Free {
    void operator()(void* memory) const;
  };
  /// A character of more than one byte.
  struct Wide {
    uint32_t index;  // of its symbol
    uint32_t more;   // bytes beyond the first
  };
  const SplitPattern& pattern_;
  std::unique_ptr<void, Free> match_data_;
  std::vector<uint8_t> symbols_;  // one for each character
  std::vector<Wide> wide_;
  std::size_t count_ = 0;      // symbols of the text
  std::size_t position_ = 0;   // symbol where the next search begins
  std::size_t next_wide_ = 0;  // the first in wide_ that byte_of() has not passed
  std::size_t more_ = 0;       // bytes beyond the first of those it passed
};

}  // namespace skipattn::tokenizer
