// What a tokenizer.json says about how its vocabulary is applied; private to the readers.
//
// Two families are read. Byte-level BPE: normalizer none or NFC; pre-tokenizers Split (a pattern or a text, Isolated or
// Removed), Digits, and ByteLevel last; ignore_merges. SentencePiece's BPE: byte_fallback; normalizers Prepend and
// Replace of the space by U+2581, or the pre-tokenizer Metaspace. Post-processors ByteLevel and TemplateProcessing.
// Everything else would give other ids and is refused, each thing in one sentence that says what is supported.
#pragma once

#include <nlohmann/json.hpp>

#include "skipattn/core/errors.h"
#include "skipattn/tokenizer/scheme.h"
#include "skipattn/tokenizer/vocabulary.h"

namespace skipattn::tokenizer {

/// True when the value is there and says something: not null, "", false, 0 or [].
bool given(const nlohmann::json& object, const char* key);

/// Reads the scheme; adds a fault for each thing that is not supported. `file` is the whole tokenizer.json, known to have
/// an object "model".
Scheme read_scheme(const nlohmann::json& file, FaultList& faults);

/// Reads the template of the post-processor into `before` and `after`.
void read_template(const nlohmann::json& file, Scheme& scheme, FaultList& faults);

/// The settings of `file` that change ids, in one canonical spelling; empty where they are GPT-2's.
std::string scheme_identity(const nlohmann::json& file, const Scheme& scheme, const std::vector<AddedToken>& added);

}  // namespace skipattn::tokenizer
