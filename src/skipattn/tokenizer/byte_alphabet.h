// The printable form of bytes in GPT-2's vocabulary files. JSON holds characters, tokens are bytes:
// each of the 256 bytes stands for one printable character. The printable bytes of Latin-1 stand
// for themselves; the other 68 take U+0100, U+0101, … in order, so that a space is written 'Ġ' and
// a line feed 'Ċ'.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace skipattn::tokenizer {

/// Bytes as printable UTF-8: " the" -> "Ġthe".
std::string printable_of_bytes(std::string_view bytes);

/// The inverse; nothing when some character stands for no byte.
std::optional<std::string> bytes_of_printable(std::string_view printable);

/// The bytes 0..255 in the order of the characters they are printed as: '!' first, GPT-2's ids
/// 0..255.
const std::string& bytes_in_alphabet_order();

}  // namespace skipattn::tokenizer
