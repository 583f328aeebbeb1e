#include "skipattn/tokenizer/pattern/plain_words.h"

#include <algorithm>
#include <iterator>

namespace skipattn::tokenizer {
namespace {

// How patterns begin: contractions and words.
constexpr std::string_view kWords[] = {
    // Llama 3, Qwen 2 and 3, GPT-4 in two spellings
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|)", R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|)",
    // GPT-4o, Llama 4
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)",
    // Mistral's Tekken
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|)"};
constexpr std::string_view kNumbers[] = {R"(\p{N}|)", R"(\p{N}{1,3}|)"};
constexpr std::string_view kSignsAndSpaces[] = {
    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)", R"( ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)",
    R"( ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)", R"( ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};

// DeepSeek 3, after its numbers and Chinese have been cut out.
constexpr std::string_view kDeepSeek =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|)"
    R"( ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

/// Files have \r and \n in either spelling.
std::string with_escapes(const std::string& pattern) {
  std::string text;
  for (const char c : pattern) {
    if (c == '\r' || c == '\n') {
      text += c == '\r' ? "\\r" : "\\n";
    } else {
      text += c;
    }
  }
  return text;
}

/// Takes one of the texts away from where `rest` begins.
template <std::size_t kCount>
bool take_one(std::string_view& rest, const std::string_view (&texts)[kCount]) {
  const auto found =
      std::find_if(std::begin(texts), std::end(texts), [&](auto text) { return rest.starts_with(text); });
  if (found == std::end(texts)) return false;
  rest.remove_prefix(found->size());
  return true;
}

}  // namespace

bool takes_plain_words(const std::string& pattern) {
  const std::string escaped = with_escapes(pattern);
  if (escaped == kDeepSeek) return true;
  std::string_view rest = escaped;
  if (!take_one(rest, kWords) || !take_one(rest, kNumbers)) return false;
  return std::find(std::begin(kSignsAndSpaces), std::end(kSignsAndSpaces), rest) != std::end(kSignsAndSpaces);
}

}  // namespace skipattn::tokenizer
