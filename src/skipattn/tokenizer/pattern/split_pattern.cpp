#include "skipattn/tokenizer/pattern/split_pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "skipattn/core/errors.h"
#include "skipattn/tokenizer/pattern/pattern_reader.h"
#include "skipattn/tokenizer/unicode/utf8.h"

namespace skipattn::tokenizer {
namespace {

constexpr std::size_t kBlock = 256;
constexpr std::size_t kMostSymbols = 256;

pcre2_code* compile(const std::string& over_symbols, const std::string& pattern) {
  int error = 0;
  PCRE2_SIZE place = 0;
  pcre2_code* const code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(over_symbols.data()), over_symbols.size(),
                                         PCRE2_DOLLAR_ENDONLY | PCRE2_NO_AUTO_CAPTURE, &error, &place, nullptr);
  if (!code) {
    std::array<char, 256> message{};
    pcre2_get_error_message(error, reinterpret_cast<PCRE2_UCHAR*>(message.data()), message.size());
    throw InputError("the pattern \"{}\" is not supported: {}", pattern, message.data());
  }
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // where there is none, plain matching does the same
  return code;
}

}  // namespace

SplitPattern::SplitPattern(const std::string& pattern) : text_(pattern) {
  const PatternPieces pieces = read_pattern(pattern);
  find_symbols(pieces);
  code_ = compile(pattern_over_symbols(pieces), pattern);
  uint32_t matches_nothing = 0;
  pcre2_pattern_info(static_cast<pcre2_code*>(code_), PCRE2_INFO_MATCHEMPTY, &matches_nothing);
  if (matches_nothing) {
    pcre2_code_free(static_cast<pcre2_code*>(code_));
    throw InputError(
        "the pattern \"{}\" can match where there is no character, a pattern that always takes one is "
        "supported",
        pattern);
  }
}

SplitPattern::~SplitPattern() {
  pcre2_code_free(static_cast<pcre2_code*>(code_));
}

void SplitPattern::find_symbols(const PatternPieces& pieces) {
  // Code points that stand in the same sets share a symbol. Between two neighbouring ends of ranges nothing changes.
  std::vector<uint32_t> ends = {0, unicode::kCodePoints};
  for (const CodePointSet& set : pieces.sets)
    for (const unicode::CodePointRange& range : set.ranges()) ends.insert(ends.end(), {range.first, range.last + 1});
  std::sort(ends.begin(), ends.end());
  ends.erase(std::unique(ends.begin(), ends.end()), ends.end());

  sets_.resize(pieces.sets.size());
  std::map<std::string, uint8_t> symbols;  // by the sets they are in, a '1' each
  std::vector<uint8_t> all(unicode::kCodePoints);
  for (std::size_t i = 0; i + 1 < ends.size(); ++i) {
    std::string in(pieces.sets.size(), '0');
    for (std::size_t s = 0; s < in.size(); ++s)
      if (pieces.sets[s].contains(ends[i])) in[s] = '1';
    auto found = symbols.find(in);
    if (found == symbols.end()) {
      if (symbols.size() == kMostSymbols)
        throw InputError("the pattern \"{}\" tells more than {} kinds of characters apart, which is not supported",
                         text_, kMostSymbols);
      found = symbols.emplace(in, static_cast<uint8_t>(symbols.size())).first;
      for (std::size_t s = 0; s < in.size(); ++s)
        if (in[s] == '1') sets_[s].push_back(found->second);
    }
    std::fill(all.begin() + ends[i], all.begin() + ends[i + 1], found->second);
  }

  std::map<std::string, uint16_t> blocks;
  for (std::size_t i = 0; i < block_of_.size(); ++i) {
    const auto first = all.begin() + static_cast<std::ptrdiff_t>(i * kBlock);
    const auto [place, is_new] =
        blocks.emplace(std::string(first, first + kBlock), static_cast<uint16_t>(blocks.size()));
    if (is_new) blocks_.insert(blocks_.end(), first, first + kBlock);
    block_of_[i] = place->second;
  }
}

std::string SplitPattern::pattern_over_symbols(const PatternPieces& pieces) const {
  std::string text;
  for (const PatternPieces::Item& item : pieces.items) {
    if (item.set < 0) {
      text += item.syntax;
      continue;
    }
    const std::vector<uint8_t>& symbols = sets_[static_cast<std::size_t>(item.set)];
    if (symbols.empty()) {
      text += "(?!)";
      continue;
    }
    text += '[';
    for (const uint8_t symbol : symbols) text += fmt::format("\\x{:02x}", symbol);
    text += ']';
  }
  return text;
}

void PatternScanner::Free::operator()(void* memory) const {
  pcre2_match_data_free(static_cast<pcre2_match_data*>(memory));
}

PatternScanner::PatternScanner(const SplitPattern& pattern)
    : pattern_(pattern), match_data_(pcre2_match_data_create(1, nullptr)) {}

void PatternScanner::start(std::string_view text) {
  if (text.size() >= UINT32_MAX)
    throw InputError("[tokenizer] a text of {} bytes cannot be split at once, at most {} can", text.size(),
                     UINT32_MAX - 1);
  if (symbols_.size() < text.size()) symbols_.resize(text.size());
  wide_.clear();
  position_ = next_wide_ = more_ = 0;
  const char* const end = text.data() + text.size();
  const uint8_t* const ascii = pattern_.blocks_.data();  // the block of code points 0..255 is the first
  uint8_t* out = symbols_.data();
  for (const char* place = text.data(); place < end;) {
    const auto byte = static_cast<unsigned char>(*place);
    if (byte < 0x80) {
      *out++ = ascii[byte];
      ++place;
      continue;
    }
    const CodePoint character = decode_utf8(place, end);
    if (character.bytes > 1) wide_.push_back({static_cast<uint32_t>(out - symbols_.data()), character.bytes - 1});
    *out++ = pattern_.symbol(character.value);
    place += character.bytes;
  }
  count_ = static_cast<std::size_t>(out - symbols_.data());
}

std::size_t PatternScanner::byte_of(std::size_t index) {
  while (next_wide_ < wide_.size() && wide_[next_wide_].index < index) more_ += wide_[next_wide_++].more;
  return index + more_;
}

bool PatternScanner::next(Match& match) {
  if (position_ >= count_) return false;
  auto* const code = static_cast<pcre2_code*>(pattern_.code_);
  auto* const data = static_cast<pcre2_match_data*>(match_data_.get());
  int status = pcre2_jit_match(code, symbols_.data(), count_, position_, 0, data, nullptr);
  if (status == PCRE2_ERROR_JIT_STACKLIMIT || status == PCRE2_ERROR_JIT_BADOPTION)  // no such code, or too little stack
    status = pcre2_match(code, symbols_.data(), count_, position_, PCRE2_NO_JIT, data, nullptr);
  if (status == PCRE2_ERROR_NOMATCH) {
    position_ = count_;
    return false;
  }
  if (status < 0)
    throw InputError("[tokenizer] the pattern \"{}\" needs too much time or memory for this text (PCRE2 error {})",
                     pattern_.text_, status);
  const PCRE2_SIZE* const found = pcre2_get_ovector_pointer(data);
  match.begin = byte_of(found[0]);
  match.end = byte_of(found[1]);
  position_ = found[1];
  return true;
}

}  // namespace skipattn::tokenizer
