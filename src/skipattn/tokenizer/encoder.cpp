#include "skipattn/tokenizer/encoder.h"

#include <array>
#include <cstring>

#include "skipattn/tokenizer/normalizer.h"
#include "skipattn/tokenizer/pretokens.h"

namespace skipattn::tokenizer {

/// Gathers ids where appending is one store, and hands them to the vector in blocks.
class IdBuffer {
 public:
  explicit IdBuffer(std::vector<uint32_t>& out) : out_(out) {}

  /// Always copies kMost ids, of which `count` are meant: a copy of known size is faster.
  template <std::size_t kMost>
  void append(const std::array<uint32_t, kMost>& ids, uint32_t count) {
    static_assert(kMost < kRoom);
    if (used_ + kMost > kRoom) flush();
    std::memcpy(&ids_[used_], ids.data(), sizeof(ids));
    used_ += count;
  }
  void append(const std::vector<uint32_t>& ids) {
    flush();
    out_.insert(out_.end(), ids.begin(), ids.end());
  }
  void flush() {
    out_.insert(out_.end(), ids_.begin(), ids_.begin() + used_);
    used_ = 0;
  }

 private:
  static constexpr std::size_t kRoom = 2048;
  std::vector<uint32_t>& out_;
  std::array<uint32_t, kRoom> ids_;
  std::size_t used_ = 0;
};

namespace {

/// Calls `use(section, first)` for what lies between added tokens and appends the ids of these.
template <typename Use>
void for_each_section(const AddedTokenMatcher& matcher, std::string_view text, bool with_special, IdBuffer& buffer,
                      const Use& use) {
  if (matcher.empty(with_special)) return use(text, true);
  std::size_t from = 0;
  for (AddedTokenMatcher::Match match; matcher.next(text, with_special, match); from = match.end) {
    if (match.begin > from) use(text.substr(from, match.begin - from), from == 0);
    buffer.append(std::array{match.id}, 1);
  }
  if (from < text.size()) use(text.substr(from), from == 0);
}

}  // namespace

void Encoder::merge(std::string_view pretoken) {
  merged_.clear();
  if (!tables_.whole.empty())
    if (const auto found = tables_.whole.find(pretoken); found != tables_.whole.end()) {
      merged_.push_back(found->second);
      return;
    }
  tables_.merges.merge(pretoken, merged_);
}

template <typename Cache>
const typename Cache::Entry* Encoder::look_up(Cache& cache, const typename Cache::Key& key, std::string_view pretoken) {
  if (const auto* entry = cache.find(key)) return entry;
  merge(pretoken);
  if (merged_.size() > Cache::kMaxTokens) return nullptr;
  cache.insert(key, merged_);
  return cache.find(key);
}

inline void Encoder::encode_pretoken(std::string_view pretoken, const char* end, IdBuffer& buffer) {
  if (pretoken.size() <= kLongestKey<2>) {
    const auto* entry = look_up(short_cache_, make_key<2>(pretoken, end), pretoken);
    if (entry) return buffer.append(entry->ids, entry->count);
  }
  if (pretoken.size() <= kLongestKey<8>) {
    const auto* entry = look_up(long_cache_, make_key<8>(pretoken, end), pretoken);
    if (entry) return buffer.append(entry->ids, entry->count);
  }
  merge(pretoken);
  buffer.append(merged_);
}

void Encoder::encode_section(std::string_view section, bool first, TextKind kind, IdBuffer& buffer) {
  const Scheme& scheme = tables_.scheme;
  const bool at_beginning = first && kind.begins;
  const bool wanted = scheme.prefix == PrefixSpace::kUnlessThere
                          ? kind.begins || !first
                          : scheme.prefix == PrefixSpace::kFirstUnlessThere && at_beginning;
  if (wanted && !section.starts_with(' ')) {
    prefixed_.assign(1, ' ').append(section);
    section = prefixed_;
  }
  const char* const end = section.data() + section.size();
  if (scheme.symbols == SymbolKind::kCharacters) {
    SpacePieces pieces(section, tables_.spaces);
    for (std::string_view piece; pieces.next(piece);) encode_pretoken(piece, end, buffer);
  } else {
    splitter_.split(section, [&](std::string_view piece) { encode_pretoken(piece, end, buffer); });
  }
}

void Encoder::encode_normalized(std::string_view section, bool first, TextKind kind, IdBuffer& buffer) {
  const bool prefix = tables_.scheme.prefix == PrefixSpace::kAlways && (kind.begins || !first);
  for_each_section(
      tables_.normalized_added, normalized(tables_.scheme, section, prefix, buffers_), kind.with_special, buffer,
      [&](std::string_view part, bool first_part) { encode_section(part, first && first_part, kind, buffer); });
}

void Encoder::encode(std::string_view text, TextKind kind, std::vector<uint32_t>& ids) {
  if (text.empty()) return;
  IdBuffer buffer(ids);
  if (tables_.plain && tables_.raw_added.empty(kind.with_special) &&
      tables_.normalized_added.empty(kind.with_special)) {
    PretokenScanner scanner(text);
    const char* const end = text.data() + text.size();
    for (std::string_view pretoken; scanner.next(pretoken);) encode_pretoken(pretoken, end, buffer);
  } else {
    for_each_section(tables_.raw_added, text, kind.with_special, buffer,
                     [&](std::string_view section, bool first) { encode_normalized(section, first, kind, buffer); });
  }
  buffer.flush();
}

}  // namespace skipattn::tokenizer
