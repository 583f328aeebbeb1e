#include "skipattn/tokenizer/vocabulary_parts.h"

#include <algorithm>

#include "skipattn/core/errors.h"
#include "skipattn/tokenizer/byte_alphabet.h"

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

void find_bytes(const VocabularyParts& parts, Vocabulary& vocabulary) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string printable = printable_of_bytes(std::string(1, static_cast<char>(byte)));
    const auto found = parts.ids.find(printable);
    if (found == parts.ids.end())
      throw InputError(
          "'{}' has no token \"{}\" for the byte 0x{:02X}, a byte-level vocabulary has one for "
          "each "
          "of the 256 bytes",
          parts.vocabulary_file, printable, byte);
    vocabulary.byte_ids[byte] = static_cast<uint32_t>(found->second);
  }
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
  find_bytes(parts, vocabulary);
  find_merges(parts, vocabulary);
  find_added(parts, printable, vocabulary);
  vocabulary.tokens.reserve(printable.size());
  for (const std::string& text : printable) vocabulary.tokens.push_back(bytes_of_printable(text).value_or(text));
  for (const AddedToken& token : vocabulary.added) vocabulary.tokens[token.id] = token.text;
  return vocabulary;
}

}  // namespace skipattn::tokenizer
