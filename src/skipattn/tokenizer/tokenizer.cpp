#include "skipattn/tokenizer/tokenizer.h"

#include <algorithm>
#include <mutex>

#include "skipattn/core/errors.h"
#include "skipattn/tokenizer/encoder.h"
#include "skipattn/tokenizer/vocabulary_files.h"

namespace skipattn::tokenizer {

struct Tokenizer::State {
  explicit State(Vocabulary given) : vocabulary(std::move(given)), merges(vocabulary), hash(vocabulary.hash()) {
    longest_first = vocabulary.added;
    std::stable_sort(longest_first.begin(), longest_first.end(),
                     [](const AddedToken& a, const AddedToken& b) { return a.text.size() > b.text.size(); });
  }

  std::unique_ptr<Encoder> take_encoder() const {
    const std::lock_guard lock(mutex);
    if (idle.empty()) return std::make_unique<Encoder>(merges);
    std::unique_ptr<Encoder> encoder = std::move(idle.back());
    idle.pop_back();
    return encoder;
  }
  void give_back(std::unique_ptr<Encoder> encoder) const {
    const std::lock_guard lock(mutex);
    idle.push_back(std::move(encoder));
  }

  Vocabulary vocabulary;
  MergeTable merges;
  uint64_t hash;
  std::vector<AddedToken> longest_first;
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
  const std::optional<uint32_t> id = state_->vocabulary.added_id(kEndOfText);
  return id ? std::optional<int>(static_cast<int>(*id)) : std::nullopt;
}

uint64_t Tokenizer::hash() const {
  return state_->hash;
}

const Vocabulary& Tokenizer::vocabulary() const {
  return state_->vocabulary;
}

void Tokenizer::encode(std::string_view text, std::vector<uint32_t>& ids) const {
  std::unique_ptr<Encoder> encoder = state_->take_encoder();
  encoder->encode(text, ids);
  state_->give_back(std::move(encoder));
}

std::vector<uint32_t> Tokenizer::encode(std::string_view text) const {
  std::vector<uint32_t> ids;
  encode(text, ids);
  return ids;
}

std::vector<uint32_t> Tokenizer::encode_with_special(std::string_view text) const {
  std::vector<uint32_t> ids;
  std::size_t begin = 0;  // of the plain text not encoded yet
  for (std::size_t i = 0; i < text.size();) {
    const auto found = std::find_if(state_->longest_first.begin(), state_->longest_first.end(),
                                    [&](const AddedToken& token) { return text.substr(i).starts_with(token.text); });
    if (found == state_->longest_first.end()) {
      ++i;
      continue;
    }
    encode(text.substr(begin, i - begin), ids);
    ids.push_back(found->id);
    begin = i += found->text.size();
  }
  encode(text.substr(begin), ids);
  return ids;
}

std::string Tokenizer::decode(std::span<const uint32_t> ids) const {
  std::size_t size = 0;
  for (const uint32_t id : ids) size += token(id).size();
  std::string text;
  text.reserve(size);
  for (const uint32_t id : ids) text += state_->vocabulary.tokens[id];
  return text;
}

const std::string& Tokenizer::token(uint32_t id) const {
  if (id >= state_->vocabulary.tokens.size())
    throw InputError("[tokenizer] token id {} is not in the vocabulary, its ids are 0..{}", id,
                     state_->vocabulary.tokens.size() - 1);
  return state_->vocabulary.tokens[id];
}

}  // namespace skipattn::tokenizer
