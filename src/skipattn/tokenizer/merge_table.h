// Merging pairs of symbols, bytes or characters, inside one pre-token: of all adjacent pairs the one with the lowest rank is
// merged, the leftmost first when several have it, until no adjacent pair has a rank (Sennrich et
// al., arXiv 1508.07909; the order of Hugging Face's `tokenizers`).
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "skipattn/tokenizer/vocabulary.h"

namespace skipattn::tokenizer {

/// Looks merges up by their two ids; immutable once built.
class MergeTable {
 public:
  static constexpr uint32_t kNoRank = UINT32_MAX;

  /// What a pair of ids becomes.
  struct Found {
    uint32_t rank;    ///< kNoRank: these two do not merge
    uint32_t result;  ///< id of the two together
  };

  explicit MergeTable(const Vocabulary& vocabulary);

  Found find(uint32_t left, uint32_t right) const {
    const uint64_t key = static_cast<uint64_t>(left) << 32 | right;
    for (std::size_t i = slot_of(key);; i = (i + 1) & mask_) {
      if (slots_[i].key == key) return slots_[i].found;
      if (slots_[i].key == kEmpty) return {kNoRank, 0};
    }
  }

  /// Appends the ids of a pre-token (any bytes). The time is quadratic for short ones, where that is fastest, and
  /// n log n beyond. In a vocabulary of characters a space stands for U+2581 (space_pieces.h).
  void merge(std::string_view pretoken, std::vector<uint32_t>& ids) const;

 private:
  struct Slot {
    uint64_t key = kEmpty;
    Found found{kNoRank, 0};
  };
  static constexpr uint64_t kEmpty = UINT64_MAX;

  std::size_t slot_of(uint64_t key) const { return (key * 0x9E3779B97F4A7C15u) >> shift_; }
  /// Writes what merging starts from, at most one symbol for each byte; returns how many.
  std::size_t first_symbols(std::string_view pretoken, uint32_t* symbols) const;
  uint32_t character_id(uint32_t code_point) const;
  void merge_short(std::string_view pretoken, std::vector<uint32_t>& ids) const;
  void merge_long(std::string_view pretoken, std::vector<uint32_t>& ids) const;

  std::array<uint32_t, 256> byte_ids_;
  bool by_character_;
  std::array<uint32_t, 128> ascii_ids_;     // [code point] kNoRank: no token
  std::vector<CharacterToken> characters_;  // ascending code points
  std::vector<Slot> slots_;                 // open addressing, at most half full
  std::size_t mask_ = 0;
  int shift_ = 0;
};

}  // namespace skipattn::tokenizer
