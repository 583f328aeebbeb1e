#include "skipattn/tokenizer/encoding_tables.h"

#include "skipattn/tokenizer/normalizer.h"

namespace skipattn::tokenizer {
namespace {

std::vector<AddedToken> raw_tokens(const Vocabulary& vocabulary) {
  std::vector<AddedToken> tokens;
  for (const AddedToken& token : vocabulary.added)
    if (!token.normalized) tokens.push_back(token);
  return tokens;
}

/// Their texts are normalized as the text is that they are looked for in.
std::vector<AddedToken> normalized_tokens(const Vocabulary& vocabulary) {
  std::vector<AddedToken> tokens;
  for (const AddedToken& token : vocabulary.added) {
    if (!token.normalized) continue;
    tokens.push_back(token);
    tokens.back().text = normalized_token(vocabulary.scheme, token.text);
  }
  return tokens;
}

std::unordered_map<std::string_view, uint32_t> whole_tokens(const Vocabulary& vocabulary) {
  std::unordered_map<std::string_view, uint32_t> whole;
  if (!vocabulary.scheme.ignore_merges) return whole;
  for (uint32_t id = 0; id < vocabulary.tokens.size(); ++id) whole.emplace(vocabulary.tokens[id], id);
  for (const AddedToken& token : vocabulary.added) whole.erase(token.text);
  return whole;
}

}  // namespace

EncodingTables::EncodingTables(const Vocabulary& vocabulary)
    : scheme(vocabulary.scheme),
      merges(vocabulary),
      raw_added(raw_tokens(vocabulary)),
      normalized_added(normalized_tokens(vocabulary)),
      steps(compile_steps(vocabulary.scheme.steps)),
      whole(whole_tokens(vocabulary)) {
  if (scheme.symbols == SymbolKind::kCharacters) spaces = space_cut(vocabulary);
  plain = scheme.symbols == SymbolKind::kBytes && !scheme.nfc && scheme.prefix == PrefixSpace::kNever &&
          steps.size() == 1 && !steps[0].pattern;
}

}  // namespace skipattn::tokenizer
