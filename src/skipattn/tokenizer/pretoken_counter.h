// How often each pre-token comes in a corpus: all that training a vocabulary needs to know of it,
// in bounded memory.
//
//   PretokenCounter counter;
//   while (next_document(text)) counter.add(text);
//   const Tokenizer tokenizer = train_bpe(counter, {.vocab_size = 4096});
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace skipattn::tokenizer {

/// Counts pre-tokens. Not for several threads at once: give each its own and merge them.
class PretokenCounter {
 public:
  /// A pre-token longer than this many bytes is counted in parts of this many.
  static constexpr std::size_t kLongest = 128;

  /// When more than `max_entries` different pre-tokens are known, the rarest are forgotten: those
  /// seen once, then those seen twice, and so on until at most half are left. Up to there the
  /// counts are exact and do not depend on order.
  explicit PretokenCounter(std::size_t max_entries = 4'000'000) : max_entries_(max_entries) {}

  /// Counts the pre-tokens of one document.
  void add(std::string_view text);
  /// Adds what another counter counted.
  void merge(const PretokenCounter& other);

  /// How many different pre-tokens are known.
  std::size_t size() const { return counts_.size(); }
  /// Bytes of all documents so far.
  uint64_t bytes() const { return bytes_; }
  /// Pre-tokens and their counts, sorted by bytes.
  std::vector<std::pair<std::string_view, uint64_t>> sorted() const;

 private:
  // Look-up by string_view without making a string of it.
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  void count(std::string_view pretoken, uint64_t times);
  void forget_the_rarest();

  std::size_t max_entries_;
  uint64_t bytes_ = 0;
  std::unordered_map<std::string, uint64_t, Hash, std::equal_to<>> counts_;
};

}  // namespace skipattn::tokenizer
