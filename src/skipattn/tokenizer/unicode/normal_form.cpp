#include "skipattn/tokenizer/unicode/normal_form.h"

#include <algorithm>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "skipattn/tokenizer/unicode/utf8.h"

namespace skipattn::tokenizer {
namespace {

// Hangul syllables are made up by arithmetic (The Unicode Standard, section 3.12).
constexpr uint32_t kSyllable = 0xAC00, kLead = 0x1100, kVowel = 0x1161, kTail = 0x11A7;
constexpr uint32_t kVowels = 21, kTails = 28, kSyllables = 11172, kLeads = 19;
constexpr uint32_t kFirstOfInterest = 0x300;  // below, every code point is in normal form and combines with none before

class Tables {
 public:
  static const Tables& instance() {
    static const Tables tables;
    return tables;
  }
  uint8_t combining_class(uint32_t c) const { return classes_[c]; }
  /// True when `c` neither changes nor does anything to what stands before it.
  bool inert(uint32_t c) const { return c < kFirstOfInterest || (inert_[c] && !is_hangul_part(c)); }
  const unicode::Decomposition* apart(uint32_t c) const {
    const auto found = apart_.find(c);
    return found == apart_.end() ? nullptr : found->second;
  }
  /// The code point that two make, 0 when they make none.
  uint32_t together(uint32_t first, uint32_t second) const {
    if (first - kLead < kLeads && second - kVowel < kVowels)
      return kSyllable + ((first - kLead) * kVowels + second - kVowel) * kTails;
    const uint32_t syllable = first - kSyllable;
    if (syllable < kSyllables && syllable % kTails == 0 && second > kTail && second < kTail + kTails)
      return first + second - kTail;
    const auto found = together_.find(static_cast<uint64_t>(first) << 32 | second);
    return found == together_.end() ? 0 : found->second;
  }

 private:
  Tables() : classes_(unicode::kCodePoints), inert_(unicode::kCodePoints, true) {
    for (std::size_t i = 0; i < unicode::kCombiningRunsCount; ++i) {
      const unicode::CombiningRun& run = unicode::kCombiningRuns[i];
      for (uint32_t c = run.first; c <= run.last; ++c) {
        classes_[c] = run.number;
        inert_[c] = false;
      }
    }
    for (std::size_t i = 0; i < unicode::kComposedCount; ++i) {
      const unicode::Decomposition& item = unicode::kComposed[i];
      apart_[item.whole] = &item;
      together_[static_cast<uint64_t>(item.first) << 32 | item.second] = item.whole;
      inert_[item.second] = false;
    }
    for (std::size_t i = 0; i < unicode::kOnlyDecomposedCount; ++i) {
      const unicode::Decomposition& item = unicode::kOnlyDecomposed[i];
      apart_[item.whole] = &item;
      inert_[item.whole] = false;
    }
  }
  static bool is_hangul_part(uint32_t c) {
    return (c >= kVowel && c < kVowel + kVowels) || (c > kTail && c < kTail + kTails);
  }

  std::vector<uint8_t> classes_;  // [code point]
  std::vector<bool> inert_;       // [code point] as far as the tables tell
  std::unordered_map<uint32_t, const unicode::Decomposition*> apart_;
  std::unordered_map<uint64_t, uint32_t> together_;  // first << 32 | second
};

void take_apart(const Tables& tables, uint32_t c, std::vector<uint32_t>& out) {
  if (c - kSyllable < kSyllables) {
    const uint32_t index = c - kSyllable;
    out.push_back(kLead + index / (kVowels * kTails));
    out.push_back(kVowel + index / kTails % kVowels);
    if (index % kTails) out.push_back(kTail + index % kTails);
  } else if (const unicode::Decomposition* item = tables.apart(c)) {
    take_apart(tables, item->first, out);
    if (item->second) take_apart(tables, item->second, out);
  } else {
    out.push_back(c);
  }
}

void put_together(const Tables& tables, std::vector<uint32_t>& text) {
  std::size_t kept = 0, starter = 0;
  bool has_starter = false;
  int last_class = -1;  // of what stands between the starter and here; -1: nothing does
  for (const uint32_t c : text) {
    const int number = tables.combining_class(c);
    const bool blocked = last_class >= number && last_class != -1;
    if (has_starter && !blocked)
      if (const uint32_t whole = tables.together(text[starter], c)) {
        text[starter] = whole;
        continue;
      }
    if (number == 0) {
      starter = kept;
      has_starter = true;
      last_class = -1;
    } else {
      last_class = number;
    }
    text[kept++] = c;
  }
  text.resize(kept);
}

/// Appends a stretch of well-formed text that nothing outside combines with.
void append_normalized(std::string_view text, std::string& out) {
  const Tables& tables = Tables::instance();
  std::vector<uint32_t> points;
  const char* const end = text.data() + text.size();
  for (const char* place = text.data(); place < end;) {
    const CodePoint c = decode_utf8(place, end);
    take_apart(tables, c.value, points);
    place += c.bytes;
  }
  for (auto begin = points.begin(); begin != points.end();) {  // marks in the order of their classes
    if (tables.combining_class(*begin) == 0) {
      ++begin;
      continue;
    }
    const auto last = std::find_if(begin, points.end(), [&](uint32_t c) { return tables.combining_class(c) == 0; });
    std::stable_sort(begin, last,
                     [&](uint32_t a, uint32_t b) { return tables.combining_class(a) < tables.combining_class(b); });
    begin = last;
  }
  put_together(tables, points);
  for (const uint32_t c : points) append_utf8(out, c);
}

}  // namespace

std::string_view to_nfc(std::string_view text, std::string& buffer) {
  const Tables& tables = Tables::instance();
  const char* const end = text.data() + text.size();
  const char* copied = text.data();  // the text up to here is in the buffer
  const char* before = text.data();  // the character before `place`, where a stretch that changes may begin
  buffer.clear();
  const auto inert_at = [&](const char* place, CodePoint& c) {
    c = decode_utf8(place, end);
    return c.broken() || tables.inert(c.value);
  };
  for (const char* place = text.data(); place < end;) {
    CodePoint c{};
    if (inert_at(place, c)) {
      before = c.broken() ? place + 1 : place;
      place += c.bytes;
      continue;
    }
    const char* stop = place + c.bytes;
    while (stop < end && !inert_at(stop, c)) stop += c.bytes;
    buffer.append(copied, before);
    append_normalized({before, stop}, buffer);
    before = copied = place = stop;
  }
  if (copied == text.data()) return text;
  buffer.append(copied, end);
  return buffer;
}

}  // namespace skipattn::tokenizer
