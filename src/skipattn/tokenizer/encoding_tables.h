// Everything of a vocabulary that encoding looks things up in, built once and shared by all threads.
#pragma once

#include <string_view>
#include <unordered_map>
#include <vector>

#include "skipattn/tokenizer/added_tokens.h"
#include "skipattn/tokenizer/merge_table.h"
#include "skipattn/tokenizer/pretoken_splitter.h"
#include "skipattn/tokenizer/space_pieces.h"

namespace skipattn::tokenizer {

struct EncodingTables {
  /// `vocabulary` must outlive the tables. Throws InputError when a pattern is not supported.
  explicit EncodingTables(const Vocabulary& vocabulary);

  const Scheme& scheme;
  MergeTable merges;
  AddedTokenMatcher raw_added;         ///< those looked for in the text as it comes
  AddedTokenMatcher normalized_added;  ///< those looked for after normalizing
  std::vector<CompiledStep> steps;
  SpaceCut spaces = SpaceCut::kNowhere;  ///< SymbolKind::kCharacters only
  /// Tokens that are taken whole, where the scheme says so; else empty.
  std::unordered_map<std::string_view, uint32_t> whole;
  /// All text is one section, split by GPT-2's scanner alone.
  bool plain;
};

}  // namespace skipattn::tokenizer
