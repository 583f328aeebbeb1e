#include "skipattn/tokenizer/train_bpe.h"

#include <algorithm>
#include <queue>
#include <unordered_map>

#include "skipattn/core/errors.h"
#include "skipattn/core/stop.h"
#include "skipattn/tokenizer/byte_alphabet.h"
#include "skipattn/tokenizer/pattern/character_class.h"
#include "skipattn/tokenizer/pretokens.h"

namespace skipattn::tokenizer {
namespace {

/// One different pre-token as the symbols it consists of now, a slice of one long array.
struct Word {
  uint32_t begin;
  uint32_t length;
  uint64_t times;
};

using PairKey = uint64_t;  // left id << 32 | right id: the order that breaks ties
PairKey key_of(uint32_t left, uint32_t right) {
  return static_cast<uint64_t>(left) << 32 | right;
}

/// How often a pair comes, and the words it is in; a word may be named that no longer has it.
struct PairUse {
  uint64_t count = 0;
  std::vector<uint32_t> words;
};

/// A pair as the heap last saw it. Counts fall without the heap being told; that is noticed when it
/// comes to the top.
struct Candidate {
  uint64_t count;
  PairKey pair;
  bool operator<(const Candidate& other) const {
    return count != other.count ? count < other.count : pair > other.pair;
  }
};

struct PairHash {
  std::size_t operator()(PairKey key) const { return (key ^ key >> 29) * 0x9E3779B97F4A7C15u >> 13; }
};

class Trainer {
 public:
  Trainer(const PretokenCounter& counter, uint64_t min_frequency);
  /// Merges until there are `size` tokens or no pair is frequent enough.
  void run(std::size_t size, const ProgressSink& progress);
  Vocabulary& vocabulary() { return vocabulary_; }

 private:
  bool pop_best(Candidate& best);
  void apply(PairKey pair, uint32_t result);
  void merge_in_word(uint32_t index, PairKey pair, uint32_t result);
  void add_use(uint32_t left, uint32_t right, uint32_t word);
  void remove_use(uint32_t left, uint32_t right, uint64_t times);

  uint64_t min_frequency_;
  Vocabulary vocabulary_;
  std::vector<uint32_t> symbols_;
  std::vector<Word> words_;
  std::unordered_map<PairKey, PairUse, PairHash> pairs_;
  std::priority_queue<Candidate> heap_;
  std::vector<PairKey> grown_;  // pairs that came more often by the merge at hand
};

Trainer::Trainer(const PretokenCounter& counter, uint64_t min_frequency) : min_frequency_(min_frequency) {
  for (const char byte : bytes_in_alphabet_order()) {
    const auto id = static_cast<uint32_t>(vocabulary_.tokens.size());
    vocabulary_.byte_ids[static_cast<unsigned char>(byte)] = id;
    vocabulary_.tokens.emplace_back(1, byte);
  }
  for (const auto& [pretoken, times] : counter.sorted()) {
    const auto index = static_cast<uint32_t>(words_.size());
    words_.push_back({static_cast<uint32_t>(symbols_.size()), static_cast<uint32_t>(pretoken.size()), times});
    for (const char byte : pretoken) symbols_.push_back(vocabulary_.byte_ids[static_cast<unsigned char>(byte)]);
    const uint32_t* word = &symbols_[words_.back().begin];
    for (std::size_t i = 0; i + 1 < pretoken.size(); ++i) add_use(word[i], word[i + 1], index);
  }
  for (const auto& [pair, use] : pairs_) heap_.push({use.count, pair});
  grown_.clear();
}

void Trainer::add_use(uint32_t left, uint32_t right, uint32_t word) {
  PairUse& use = pairs_[key_of(left, right)];
  use.count += words_[word].times;
  if (use.words.empty() || use.words.back() != word) use.words.push_back(word);
  grown_.push_back(key_of(left, right));
}

void Trainer::remove_use(uint32_t left, uint32_t right, uint64_t times) {
  pairs_.find(key_of(left, right))->second.count -= times;
}

bool Trainer::pop_best(Candidate& best) {
  while (!heap_.empty()) {
    best = heap_.top();
    heap_.pop();
    const auto found = pairs_.find(best.pair);
    if (found == pairs_.end()) continue;
    if (found->second.count == best.count) return best.count >= min_frequency_;
    if (found->second.count < best.count && found->second.count >= min_frequency_)
      heap_.push({found->second.count, best.pair});
  }
  return false;
}

void Trainer::merge_in_word(uint32_t index, PairKey pair, uint32_t result) {
  const auto left = static_cast<uint32_t>(pair >> 32);
  const auto right = static_cast<uint32_t>(pair);
  Word& word = words_[index];
  uint32_t* const symbols = &symbols_[word.begin];
  uint32_t kept = 0;
  for (uint32_t i = 0; i < word.length; ++i) {
    if (i + 1 == word.length || symbols[i] != left || symbols[i + 1] != right) {
      symbols[kept++] = symbols[i];
      continue;
    }
    if (kept > 0) {
      remove_use(symbols[kept - 1], left, word.times);
      add_use(symbols[kept - 1], result, index);
    }
    if (i + 2 < word.length) {
      remove_use(right, symbols[i + 2], word.times);
      add_use(result, symbols[i + 2], index);
    }
    symbols[kept++] = result;
    ++i;
  }
  word.length = kept;
}

void Trainer::apply(PairKey pair, uint32_t result) {
  const std::vector<uint32_t> words = std::move(pairs_[pair].words);
  grown_.clear();
  for (const uint32_t index : words) merge_in_word(index, pair, result);
  pairs_.erase(pair);
  std::sort(grown_.begin(), grown_.end());
  grown_.erase(std::unique(grown_.begin(), grown_.end()), grown_.end());
  for (const PairKey key : grown_)
    if (const auto found = pairs_.find(key); found != pairs_.end() && found->second.count > 0)
      heap_.push({found->second.count, key});
}

void Trainer::run(std::size_t size, const ProgressSink& progress) {
  constexpr std::size_t kReportEvery = 256;
  const auto tell = [&](bool finished) {
    report(progress, {.task = "train vocabulary",
                      .done = static_cast<double>(vocabulary_.tokens.size()),
                      .total = static_cast<double>(size),
                      .unit = "tokens",
                      .detail = "",
                      .finished = finished});
  };
  Candidate best{};
  while (vocabulary_.tokens.size() < size && pop_best(best)) {
    if (stop_requested()) throw Stopped("stopped while training a vocabulary, nothing is saved");
    const auto left = static_cast<uint32_t>(best.pair >> 32);
    const auto right = static_cast<uint32_t>(best.pair);
    // Always a new token: inside bytes that become one token, all occurrences merge alike, so no other pair makes the
    // same bytes, and a merged pair never comes again.
    const auto result = static_cast<uint32_t>(vocabulary_.tokens.size());
    vocabulary_.tokens.push_back(vocabulary_.tokens[left] + vocabulary_.tokens[right]);
    vocabulary_.merges.push_back({left, right, result});
    apply(best.pair, result);
    if (vocabulary_.merges.size() % kReportEvery == 0) tell(false);
  }
  tell(true);
}

bool is_utf8(const std::string& text) {
  const CharacterTable& table = CharacterTable::instance();
  for (std::size_t i = 0; i < text.size();) {
    const Character character = table.decode(&text[i], text.data() + text.size());
    if (character.bytes == 1 && static_cast<unsigned char>(text[i]) >= 0x80) return false;
    i += character.bytes;
  }
  return true;
}

void check(const PretokenCounter& counter, const TrainBpeOptions& options) {
  FaultList faults;
  const std::size_t least = 256 + options.special_tokens.size();
  if (options.vocab_size < static_cast<int>(least))
    faults.add("vocab_size = {} must be at least {}: 256 bytes and {} special tokens", options.vocab_size, least,
               options.special_tokens.size());
  if (options.min_frequency < 1) faults.add("min_frequency = 0 must be at least 1");
  if (counter.size() == 0) faults.add("there is no text to learn from");
  for (auto token = options.special_tokens.begin(); token != options.special_tokens.end(); ++token) {
    std::string_view piece;
    const bool one_piece = !PretokenScanner(*token).next(piece) || piece.size() == token->size();
    if (one_piece) faults.add("special token \"{}\" could be learned from text, write it like <|name|>", *token);
    if (!is_utf8(*token)) faults.add("a special token is not UTF-8");
    if (std::find(options.special_tokens.begin(), token, *token) != token)
      faults.add("special token \"{}\" is given twice", *token);
  }
  faults.throw_if_any("[train_bpe] ");
}

}  // namespace

Tokenizer train_bpe(const PretokenCounter& counter, const TrainBpeOptions& options) {
  check(counter, options);
  Trainer trainer(counter, options.min_frequency);
  trainer.run(options.vocab_size - options.special_tokens.size(), options.progress);
  Vocabulary vocabulary = std::move(trainer.vocabulary());
  for (const std::string& text : options.special_tokens) {
    vocabulary.added.push_back({static_cast<uint32_t>(vocabulary.tokens.size()), text, true});
    vocabulary.tokens.push_back(text);
  }
  return Tokenizer(std::move(vocabulary));
}

}  // namespace skipattn::tokenizer
