#include "skipattn/tokenizer/normalizer.h"

#include "skipattn/tokenizer/space_pieces.h"
#include "skipattn/tokenizer/unicode/normal_form.h"

namespace skipattn::tokenizer {

std::string_view normalized(const Scheme& scheme, std::string_view text, bool prefix, std::string (&buffers)[2]) {
  if (scheme.nfc) text = to_nfc(text, buffers[0]);
  if (scheme.symbols == SymbolKind::kCharacters) text = with_plain_spaces(text, prefix, buffers[1]);
  return text;
}

std::string normalized_token(const Scheme& scheme, const std::string& text) {
  std::string buffers[2];
  return std::string(normalized(scheme, text, scheme.prefix == PrefixSpace::kAlways, buffers));
}

}  // namespace skipattn::tokenizer
