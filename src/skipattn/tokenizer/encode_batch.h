// Encoding many documents on many threads.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "skipattn/tokenizer/tokenizer.h"

namespace skipattn::tokenizer {

/// The ids of each document: what Tokenizer::encode() gives, whatever the number of threads (0: all
/// processors). A long document is cut where the cut changes nothing (safe_cut() in pretokens.h),
/// so that one alone uses all threads.
std::vector<std::vector<uint32_t>> encode_batch(const Tokenizer& tokenizer, std::span<const std::string_view> documents,
                                                int threads);

}  // namespace skipattn::tokenizer
