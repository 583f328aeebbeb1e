// Remembers the ids of pre-tokens seen before: most of a text is words that came already, and one
// look-up is many times faster than merging. Of fixed size, used by one thread at a time.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace skipattn::tokenizer {

static_assert(std::endian::native == std::endian::little, "keys are read as little-endian words");

/// The bytes of a pre-token, zero-padded to whole words; the last byte is the length, so different
/// ones never look alike.
template <std::size_t kWords>
using PretokenKey = std::array<uint64_t, kWords>;

/// The longest pre-token a key of this many words can hold.
template <std::size_t kWords>
inline constexpr std::size_t kLongestKey = kWords * 8 - 1;

/// The key of a pre-token of at most kLongestKey bytes that lies in a text ending at `end`.
template <std::size_t kWords>
inline PretokenKey<kWords> make_key(std::string_view pretoken, const char* end) {
  PretokenKey<kWords> key{};
  if (kWords == 2 && end - pretoken.data() >= 16) {  // two loads and two masks instead of a copy of unknown length
    std::memcpy(key.data(), pretoken.data(), 16);
    const std::size_t bits = pretoken.size() * 8;
    key[0] &= bits >= 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
    key[kWords - 1] &= bits <= 64 ? 0 : (uint64_t{1} << (bits - 64)) - 1;
  } else {
    std::memcpy(key.data(), pretoken.data(), pretoken.size());
  }
  key[kWords - 1] |= static_cast<uint64_t>(pretoken.size()) << 56;
  return key;
}

/// `1 << kBits` pairs of entries. A new entry takes the second place of its pair, an entry found
/// there moves to the first: words that come often are not pushed out by words that come once.
template <std::size_t kWords, std::size_t kTokens, int kBits>
class PretokenCache {
 public:
  using Key = PretokenKey<kWords>;
  struct Entry {
    Key key{};  // all zero: empty, since no pre-token has length 0
    std::array<uint32_t, kTokens> ids{};
    uint32_t count = 0;
  };
  static constexpr std::size_t kMaxTokens = kTokens;

  PretokenCache() : entries_(std::size_t{2} << kBits) {}

  /// The entry, or null. Valid until the next call.
  const Entry* find(const Key& key) {
    Entry* const pair = &entries_[place_of(key)];
    if (pair[0].key == key) return pair;
    if (pair[1].key != key) return nullptr;
    std::swap(pair[0], pair[1]);
    return pair;
  }
  /// Remembers at most kTokens ids of a key that find() did not know.
  void insert(const Key& key, std::span<const uint32_t> ids) {
    Entry& entry = entries_[place_of(key) + 1];
    entry.key = key;
    entry.count = static_cast<uint32_t>(ids.size());
    std::copy(ids.begin(), ids.end(), entry.ids.begin());
  }

 private:
  static std::size_t place_of(const Key& key) {
    uint64_t hash = 0;
    for (const uint64_t word : key) hash = (std::rotl(hash, 29) ^ word) * 0x9E3779B97F4A7C15u;
    return (hash >> (64 - kBits)) * 2;
  }

  std::vector<Entry> entries_;
};

}  // namespace skipattn::tokenizer
