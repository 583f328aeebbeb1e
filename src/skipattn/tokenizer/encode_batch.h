// Encoding many documents on many threads.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "skipattn/tokenizer/tokenizer.h"

namespace skipattn::tokenizer {

/// A document, or a part of one that was cut.
struct TextPart {
  std::string_view text;
  bool begins = true;  ///< false: not the first part
};

/// The ids of each document: what Tokenizer::encode() gives, whatever the number of threads (0: all processors). A long
/// document is cut where the cut changes nothing (Tokenizer::safe_cut()), so that one alone uses all threads.
std::vector<std::vector<uint32_t>> encode_batch(const Tokenizer& tokenizer, std::span<const std::string_view> documents,
                                                int threads);
/// The same for documents of which some come in parts.
std::vector<std::vector<uint32_t>> encode_parts(const Tokenizer& tokenizer, std::span<const TextPart> parts,
                                                int threads);

}  // namespace skipattn::tokenizer
