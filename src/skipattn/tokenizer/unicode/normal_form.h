// Unicode normal form C, which some tokenizers put text into first: é as one code point instead of e and an accent
// (Unicode Standard Annex 15). The tables are those of the reference tokenizers, whose Unicode is older than their
// patterns'.
//
//   std::string buffer;
//   const std::string_view text = to_nfc("e\xCC\x81", buffer);      // "\xC3\xA9"
#pragma once

#include <string>
#include <string_view>

namespace skipattn::tokenizer {

/// The text in normal form C: itself when it is already, else what is now in `buffer`. Bytes that are not UTF-8 stay.
std::string_view to_nfc(std::string_view text, std::string& buffer);

}  // namespace skipattn::tokenizer
