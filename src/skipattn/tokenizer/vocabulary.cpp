#include "skipattn/tokenizer/vocabulary.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace skipattn::tokenizer {
namespace {

/// Little-endian on every machine, so that token files can move between them.
void append_number(std::string& bytes, uint32_t number) {
  for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(number >> shift & 0xFF);
}

void append_text(std::string& bytes, const std::string& text) {
  append_number(bytes, static_cast<uint32_t>(text.size()));
  bytes += text;
}

}  // namespace

std::optional<uint32_t> Vocabulary::added_id(std::string_view text) const {
  for (const AddedToken& token : added)
    if (token.text == text) return token.id;
  return std::nullopt;
}

uint64_t Vocabulary::hash() const {
  std::string bytes;
  append_number(bytes, static_cast<uint32_t>(tokens.size()));
  for (const std::string& token : tokens) append_text(bytes, token);
  append_number(bytes, static_cast<uint32_t>(merges.size()));
  for (const Merge& merge : merges) {
    append_number(bytes, merge.left);
    append_number(bytes, merge.right);
  }
  append_number(bytes, static_cast<uint32_t>(added.size()));
  for (const AddedToken& token : added) {
    append_number(bytes, token.id);
    append_text(bytes, token.text);
  }
  bytes += scheme.identity;
  return XXH3_64bits(bytes.data(), bytes.size());
}

}  // namespace skipattn::tokenizer
