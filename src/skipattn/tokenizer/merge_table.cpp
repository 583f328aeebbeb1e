#include "skipattn/tokenizer/merge_table.h"

#include <algorithm>
#include <bit>
#include <queue>

#include "skipattn/core/errors.h"
#include "skipattn/tokenizer/unicode/utf8.h"

namespace skipattn::tokenizer {
namespace {

constexpr std::size_t kShort = 48;  // bytes; up to here plain scanning is short work

}  // namespace

MergeTable::MergeTable(const Vocabulary& vocabulary)
    : byte_ids_(vocabulary.byte_ids),
      by_character_(vocabulary.scheme.symbols == SymbolKind::kCharacters),
      characters_(vocabulary.characters) {
  ascii_ids_.fill(kNoRank);
  for (const CharacterToken& token : characters_)
    if (token.code_point < ascii_ids_.size()) ascii_ids_[token.code_point] = token.id;
  const std::size_t size = std::bit_ceil(vocabulary.merges.size() * 2 + 2);
  slots_.resize(size);
  mask_ = size - 1;
  shift_ = 64 - std::countr_zero(size);
  for (std::size_t rank = 0; rank < vocabulary.merges.size(); ++rank) {
    const Merge& merge = vocabulary.merges[rank];
    const uint64_t key = static_cast<uint64_t>(merge.left) << 32 | merge.right;
    std::size_t i = slot_of(key);
    while (slots_[i].key != kEmpty && slots_[i].key != key) i = (i + 1) & mask_;
    slots_[i] = {key, {static_cast<uint32_t>(rank), merge.result}};
  }
}

void MergeTable::merge(std::string_view pretoken, std::vector<uint32_t>& ids) const {
  if (pretoken.size() <= kShort) {
    merge_short(pretoken, ids);
  } else {
    merge_long(pretoken, ids);
  }
}

uint32_t MergeTable::character_id(uint32_t code_point) const {
  if (code_point < ascii_ids_.size()) return ascii_ids_[code_point];
  const auto found =
      std::lower_bound(characters_.begin(), characters_.end(), code_point,
                       [](const CharacterToken& token, uint32_t value) { return token.code_point < value; });
  return found != characters_.end() && found->code_point == code_point ? found->id : kNoRank;
}

std::size_t MergeTable::first_symbols(std::string_view pretoken, uint32_t* symbols) const {
  if (!by_character_) {
    for (const char byte : pretoken) *symbols++ = byte_ids_[static_cast<unsigned char>(byte)];
    return pretoken.size();
  }
  const uint32_t* const begin = symbols;
  const char* const end = pretoken.data() + pretoken.size();
  for (const char* place = pretoken.data(); place < end;) {
    const CodePoint c = decode_utf8(place, end);
    const uint32_t id = c.broken() ? kNoRank : character_id(c.value);
    if (id != kNoRank) {
      *symbols++ = id;
    } else {
      for (uint32_t i = 0; i < c.bytes; ++i) *symbols++ = byte_ids_[static_cast<unsigned char>(place[i])];
    }
    place += c.bytes;
  }
  return static_cast<std::size_t>(symbols - begin);
}

void MergeTable::merge_short(std::string_view pretoken, std::vector<uint32_t>& ids) const {
  std::array<uint32_t, kShort> symbols;
  std::array<Found, kShort> merges;  // [i] of symbols i and i + 1
  std::size_t count = first_symbols(pretoken, symbols.data());
  for (std::size_t i = 0; i + 1 < count; ++i) merges[i] = find(symbols[i], symbols[i + 1]);

  while (count > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < count; ++i)
      if (merges[i].rank < merges[best].rank) best = i;
    if (merges[best].rank == kNoRank) break;
    symbols[best] = merges[best].result;
    --count;
    for (std::size_t i = best + 1; i < count; ++i) symbols[i] = symbols[i + 1];
    for (std::size_t i = best + 1; i + 1 < count; ++i) merges[i] = merges[i + 1];
    if (best + 1 < count) merges[best] = find(symbols[best], symbols[best + 1]);
    if (best > 0) merges[best - 1] = find(symbols[best - 1], symbols[best]);
  }
  ids.insert(ids.end(), symbols.begin(), symbols.begin() + count);
}

void MergeTable::merge_long(std::string_view pretoken, std::vector<uint32_t>& ids) const {
  // A doubly linked list of symbols, each named by where it began, and a heap of pairs
  // that could merge. A pair in the heap is out of date when the symbols at its place have changed
  // since.
  constexpr uint32_t kNone = UINT32_MAX;
  struct Symbol {
    uint32_t id, previous, next;
  };
  struct Pair {
    uint32_t rank, place, left, right, result;
    bool operator>(const Pair& other) const { return rank != other.rank ? rank > other.rank : place > other.place; }
  };
  if (pretoken.size() >= kNone)
    throw InputError("[tokenizer] a single word of {} bytes cannot be encoded, at most {} can", pretoken.size(),
                     kNone - 1);
  std::vector<uint32_t> first(pretoken.size());
  const auto count = static_cast<uint32_t>(first_symbols(pretoken, first.data()));
  std::vector<Symbol> symbols(count);
  for (uint32_t i = 0; i < count; ++i) symbols[i] = {first[i], i == 0 ? kNone : i - 1, i + 1 == count ? kNone : i + 1};

  std::vector<Pair> storage;
  const auto candidate = [&](uint32_t place) -> Pair {
    const uint32_t right = symbols[symbols[place].next].id;
    const Found found = find(symbols[place].id, right);
    return {found.rank, place, symbols[place].id, right, found.result};
  };
  for (uint32_t i = 0; i + 1 < count; ++i)
    if (const Pair pair = candidate(i); pair.rank != kNoRank) storage.push_back(pair);
  std::priority_queue<Pair, std::vector<Pair>, std::greater<>> heap({}, std::move(storage));

  while (!heap.empty()) {
    const Pair pair = heap.top();
    heap.pop();
    Symbol& left = symbols[pair.place];
    if (left.id != pair.left || left.next == kNone || symbols[left.next].id != pair.right) continue;
    Symbol& right = symbols[left.next];
    left.id = pair.result;
    left.next = right.next;
    right.id = kNone;  // no longer a symbol: no pair in the heap can match it
    if (left.next != kNone) {
      symbols[left.next].previous = pair.place;
      if (const Pair next = candidate(pair.place); next.rank != kNoRank) heap.push(next);
    }
    if (left.previous != kNone)
      if (const Pair next = candidate(left.previous); next.rank != kNoRank) heap.push(next);
  }
  for (uint32_t i = 0; i != kNone; i = symbols[i].next) ids.push_back(symbols[i].id);
}

}  // namespace skipattn::tokenizer
