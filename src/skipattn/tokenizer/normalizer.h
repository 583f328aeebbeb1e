// What a scheme does to text before it is cut: normal form C, plain spaces for U+2581, a space put before it.
#pragma once

#include <string>
#include <string_view>

#include "skipattn/tokenizer/scheme.h"

namespace skipattn::tokenizer {

/// What the scheme's normalizer makes of a text; `prefix`: put a space before it. The text itself where nothing is to be
/// changed, else what is now in the buffers.
std::string_view normalized(const Scheme& scheme, std::string_view text, bool prefix, std::string (&buffers)[2]);

/// What it makes of the text of an added token that is looked for in normalized text.
std::string normalized_token(const Scheme& scheme, const std::string& text);

}  // namespace skipattn::tokenizer
