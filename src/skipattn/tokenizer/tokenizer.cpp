#include "skipattn/tokenizer/tokenizer.h"

#include <algorithm>
#include <mutex>

#include "skipattn/core/errors.h"
#include "skipattn/tokenizer/encoder.h"
#include "skipattn/tokenizer/stream_decoder.h"
#include "skipattn/tokenizer/vocabulary_files.h"

namespace skipattn::tokenizer {
namespace {

/// Where a document may be cut: no rule of the scheme's holds where an added token could lie on both sides.
CutRule cut_rule(const Vocabulary& vocabulary, SpaceCut spaces) {
  CutRule rule = vocabulary.scheme.cut;
  if (vocabulary.scheme.symbols == SymbolKind::kCharacters && spaces == SpaceCut::kNowhere) return CutRule::kNowhere;
  const CharacterTable& table = CharacterTable::instance();
  for (const AddedToken& token : vocabulary.added) {
    if (token.special) continue;
    if (token.rstrip) return CutRule::kNowhere;
    if (rule == CutRule::kGpt2) rule = CutRule::kWord;
    for (std::size_t i = 1; i < token.text.size(); ++i)
      if (token.text[i] == ' ' && table.decode_before(token.text, i).kind == CharacterClass::kLetter)
        return CutRule::kNowhere;
  }
  return rule;
}

/// Between a letter and a space with a letter after it.
std::size_t word_cut(std::string_view text, std::size_t position) {
  const CharacterTable& table = CharacterTable::instance();
  const char* const end = text.data() + text.size();
  for (; position + 1 < text.size(); ++position)
    if (text[position] == ' ' && table.decode_before(text, position).kind == CharacterClass::kLetter &&
        table.decode(text.data() + position + 1, end).kind == CharacterClass::kLetter)
      return position;
  return text.size();
}

}  // namespace

struct Tokenizer::State {
  explicit State(Vocabulary given)
      : vocabulary(std::move(given)),
        tables(vocabulary),
        hash(vocabulary.hash()),
        cut(cut_rule(vocabulary, tables.spaces)) {}

  std::unique_ptr<Encoder> take_encoder() const {
    const std::lock_guard lock(mutex);
    if (idle.empty()) return std::make_unique<Encoder>(tables);
    std::unique_ptr<Encoder> encoder = std::move(idle.back());
    idle.pop_back();
    return encoder;
  }
  void give_back(std::unique_ptr<Encoder> encoder) const {
    const std::lock_guard lock(mutex);
    idle.push_back(std::move(encoder));
  }

  Vocabulary vocabulary;
  EncodingTables tables;
  uint64_t hash;
  CutRule cut;
  // Encoders not in use now; as many come to be as threads have ever encoded at once. They keep
  // their caches.
  mutable std::mutex mutex;
  mutable std::vector<std::unique_ptr<Encoder>> idle;
};

Tokenizer::Tokenizer(Vocabulary vocabulary) : state_(std::make_shared<const State>(std::move(vocabulary))) {}

Tokenizer Tokenizer::load(const std::filesystem::path& directory) {
  return Tokenizer(read_vocabulary(directory));
}

void Tokenizer::save(const std::filesystem::path& directory) const {
  write_vocabulary(state_->vocabulary, directory);
}

int Tokenizer::vocab_size() const {
  return static_cast<int>(state_->vocabulary.tokens.size());
}

std::optional<int> Tokenizer::end_of_text() const {
  const Vocabulary& vocabulary = state_->vocabulary;
  const std::optional<uint32_t> plain = vocabulary.added_id(kEndOfText);
  const std::optional<uint32_t> id = plain ? plain : vocabulary.end_of_text;
  return id ? std::optional<int>(static_cast<int>(*id)) : std::nullopt;
}

uint64_t Tokenizer::hash() const {
  return state_->hash;
}

const Vocabulary& Tokenizer::vocabulary() const {
  return state_->vocabulary;
}

void Tokenizer::encode(std::string_view text, std::vector<uint32_t>& ids, bool begins) const {
  std::unique_ptr<Encoder> encoder = state_->take_encoder();
  encoder->encode(text, {.begins = begins, .with_special = false}, ids);
  state_->give_back(std::move(encoder));
}

std::vector<uint32_t> Tokenizer::encode(std::string_view text) const {
  std::vector<uint32_t> ids;
  encode(text, ids);
  return ids;
}

std::vector<uint32_t> Tokenizer::encode_with_special(std::string_view text, bool add_special_tokens) const {
  const Scheme& scheme = state_->vocabulary.scheme;
  std::vector<uint32_t> ids;
  if (add_special_tokens) ids = scheme.before;
  std::unique_ptr<Encoder> encoder = state_->take_encoder();
  encoder->encode(text, {.begins = true, .with_special = true}, ids);
  state_->give_back(std::move(encoder));
  if (add_special_tokens) ids.insert(ids.end(), scheme.after.begin(), scheme.after.end());
  return ids;
}

std::size_t Tokenizer::safe_cut(std::string_view text, std::size_t position) const {
  switch (state_->cut) {
    case CutRule::kGpt2:
      return tokenizer::safe_cut(text, position);
    case CutRule::kWord:
      return word_cut(text, position);
    case CutRule::kNowhere:
      break;
  }
  return text.size();
}

std::string Tokenizer::decode(std::span<const uint32_t> ids) const {
  std::size_t size = 0;
  for (const uint32_t id : ids) size += token(id).size();
  std::string text;
  text.reserve(size);
  StreamDecoder decoder(*this);
  for (const uint32_t id : ids) text += decoder.push(id);
  return text;
}

const std::string& Tokenizer::token(uint32_t id) const {
  if (id >= state_->vocabulary.tokens.size())
    throw InputError("[tokenizer] token id {} is not in the vocabulary, its ids are 0..{}", id,
                     state_->vocabulary.tokens.size() - 1);
  return state_->vocabulary.tokens[id];
}

}  // namespace skipattn::tokenizer
