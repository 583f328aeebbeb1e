#include "skipattn/tokenizer/vocabulary_parts.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "skipattn/core/errors.h"
#include "skipattn/tokenizer/byte_alphabet.h"
#include "skipattn/tokenizer/normalizer.h"
#include "skipattn/tokenizer/space_pieces.h"
#include "skipattn/tokenizer/unicode/utf8.h"

namespace skipattn::tokenizer {
namespace {

bool written_like_special(const std::string& text) {
  return text.size() > 2 &&
         ((text.front() == '<' && text.back() == '>') || (text.front() == '[' && text.back() == ']'));
}

/// [id] -> printable text, with every id known to be used once.
std::vector<std::string> printable_by_id(const VocabularyParts& parts) {
  std::unordered_map<std::string, int64_t> all = parts.ids;
  for (const AddedToken& token : parts.added) {
    const auto [place, is_new] = all.emplace(token.text, token.id);
    if (place->second != token.id)
      throw InputError("'{}': the added token \"{}\" has the id {} here and {} there", parts.vocabulary_file,
                       token.text, token.id, place->second);
  }
  std::vector<std::string> tokens(all.size());
  std::vector<bool> used(all.size());
  for (const auto& [text, id] : all) {
    if (id < 0 || static_cast<std::size_t>(id) >= all.size())
      throw InputError("'{}': token \"{}\" has the id {}, the ids of {} tokens must be 0..{}", parts.vocabulary_file,
                       text, id, all.size(), all.size() - 1);
    if (used[id])
      throw InputError("'{}': the id {} is given to \"{}\" and to \"{}\", each id must be used once",
                       parts.vocabulary_file, id, std::min(text, tokens[id]), std::max(text, tokens[id]));
    used[id] = true;
    tokens[id] = text;
  }
  return tokens;
}

bool by_character(const VocabularyParts& parts) {
  return parts.scheme.symbols == SymbolKind::kCharacters;
}

std::string byte_token(int byte) {
  return fmt::format("<0x{:02X}>", byte);
}

/// The byte of "<0x41>" and its like.
std::optional<char> byte_of_token(const std::string& printable) {
  unsigned byte = 0;
  if (printable.size() != 6 || !printable.starts_with("<0x")) return std::nullopt;
  const auto [end, error] = std::from_chars(printable.data() + 3, printable.data() + 5, byte, 16);
  if (error != std::errc() || printable != byte_token(static_cast<int>(byte))) return std::nullopt;
  return static_cast<char>(byte);
}

void find_bytes(const VocabularyParts& parts, Vocabulary& vocabulary) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string printable =
        by_character(parts) ? byte_token(byte) : printable_of_bytes(std::string(1, static_cast<char>(byte)));
    const auto found = parts.ids.find(printable);
    if (found == parts.ids.end())
      throw InputError(
          "'{}' has no token \"{}\" for the byte 0x{:02X}, a {} vocabulary has one for each of the 256 bytes",
          parts.vocabulary_file, printable, byte, by_character(parts) ? "byte_fallback" : "byte-level");
    vocabulary.byte_ids[byte] = static_cast<uint32_t>(found->second);
  }
}

/// The code point, where a token is a single character.
std::optional<uint32_t> single_character(const std::string& text) {
  if (text.empty()) return std::nullopt;
  const CodePoint c = decode_utf8(text.data(), text.data() + text.size());
  return c.bytes == text.size() && !c.broken() ? std::optional(c.value) : std::nullopt;
}

void find_characters(const VocabularyParts& parts, Vocabulary& vocabulary) {
  for (const auto& [text, id] : parts.ids) {
    const std::optional<uint32_t> c = single_character(text == kSpaceMark ? " " : text);
    if (!c || text == " ") continue;  // no text has a space left when it is merged
    vocabulary.characters.push_back({*c, static_cast<uint32_t>(id)});
  }
  std::sort(vocabulary.characters.begin(), vocabulary.characters.end(),
            [](const CharacterToken& a, const CharacterToken& b) { return a.code_point < b.code_point; });
}

/// The bytes that a printable token stands for.
std::string bytes_of_token(const VocabularyParts& parts, const std::string& printable) {
  if (!by_character(parts)) return bytes_of_printable(printable).value_or(printable);
  if (const std::optional<char> byte = byte_of_token(printable)) return std::string(1, *byte);
  std::string buffer;
  return std::string(with_plain_spaces(printable, false, buffer));
}

void find_merges(const VocabularyParts& parts, Vocabulary& vocabulary) {
  const auto id_of = [&](const std::string& token, std::size_t rank, const char* role) {
    const auto found = parts.ids.find(token);
    if (found == parts.ids.end())
      throw InputError("'{}': merge {} (\"{} {}\") {} \"{}\", which is not in the vocabulary", parts.merges_file,
                       rank + 1, parts.merges[rank].first, parts.merges[rank].second, role, token);
    return static_cast<uint32_t>(found->second);
  };
  vocabulary.merges.reserve(parts.merges.size());
  for (std::size_t rank = 0; rank < parts.merges.size(); ++rank) {
    const auto& [left, right] = parts.merges[rank];
    vocabulary.merges.push_back(
        {id_of(left, rank, "names"), id_of(right, rank, "names"), id_of(left + right, rank, "makes")});
  }
}

void find_added(const VocabularyParts& parts, const std::vector<std::string>& printable, Vocabulary& vocabulary) {
  vocabulary.added = parts.added;
  if (!parts.added_is_complete) {
    std::vector<bool> known(printable.size());
    for (const uint32_t id : vocabulary.byte_ids) known[id] = true;
    for (const Merge& merge : vocabulary.merges) known[merge.result] = true;
    for (const AddedToken& token : parts.added) known[token.id] = true;
    for (uint32_t id = 0; id < printable.size(); ++id) {
      if (known[id]) continue;
      if (!written_like_special(printable[id]))
        throw InputError(
            "'{}': no merge makes the token \"{}\" (id {}) of '{}', and it is not written like a "
            "special token (<…> or […]): the file is cut short or belongs to another vocabulary",
            parts.merges_file, printable[id], id, parts.vocabulary_file);
      vocabulary.added.push_back({id, printable[id], true});
    }
  }
  std::sort(vocabulary.added.begin(), vocabulary.added.end(),
            [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
}

}  // namespace

Vocabulary assemble_vocabulary(const VocabularyParts& parts) {
  const std::vector<std::string> printable = printable_by_id(parts);
  Vocabulary vocabulary;
  vocabulary.scheme = parts.scheme;
  find_bytes(parts, vocabulary);
  find_merges(parts, vocabulary);
  find_added(parts, printable, vocabulary);
  if (by_character(parts)) find_characters(parts, vocabulary);
  vocabulary.tokens.reserve(printable.size());
  for (const std::string& text : printable) vocabulary.tokens.push_back(bytes_of_token(parts, text));
  for (const AddedToken& token : vocabulary.added)
    vocabulary.tokens[token.id] = token.normalized ? normalized_token(parts.scheme, token.text) : token.text;
  return vocabulary;
}

}  // namespace skipattn::tokenizer
