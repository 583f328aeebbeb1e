#include "skipattn/data/token_files.h"

#include <glob.h>

#include <algorithm>
#include <stdexcept>

#include "skipattn/core/errors.h"
#include "skipattn/core/text.h"

namespace skipattn::data {

namespace {

namespace fs = std::filesystem;

std::vector<fs::path> glob_matches(const std::string& pattern) {
  glob_t found{};
  std::vector<fs::path> paths;
  if (::glob(pattern.c_str(), 0, nullptr, &found) == 0)
    for (size_t i = 0; i < found.gl_pathc; ++i) {
      const fs::path path = found.gl_pathv[i];
      if (path.extension() != ".json" && path.extension() != ".offsets") paths.push_back(path);
    }
  ::globfree(&found);
  return paths;
}

// The files of one pattern; none when nothing matches.
std::vector<fs::path> expand(const std::string& pattern) {
  if (fs::is_directory(pattern)) {
    std::vector<fs::path> paths;
    for (const auto& entry : fs::directory_iterator(pattern))
      if (entry.path().extension() == ".bin") paths.push_back(entry.path());
    std::sort(paths.begin(), paths.end());
    return paths;
  }
  if (fs::exists(pattern)) return {pattern};
  return glob_matches(pattern);
}

}  // namespace

TokenFiles::TokenFiles(const std::vector<std::string>& patterns, const TokenFilesOptions& options) {
  FaultList faults;
  if (patterns.empty()) faults.add("no token file is given");
  for (const std::string& pattern : patterns) {
    const auto paths = expand(pattern);
    if (paths.empty()) faults.add("there is no token file '{}'", pattern);
    for (const fs::path& path : paths) try {
        shards_.push_back(std::make_unique<TokenShard>(path));
        if (options.verify_checksums) shards_.back()->verify_checksum();
      } catch (const InputError& error) {
        faults.add_text(error.what());
      }
  }
  faults.throw_if_any("");
  description_ = fmt::format("'{}'", join(patterns, "', '"));
  if (shards_.size() > patterns.size()) description_ += fmt::format(" ({} files)", shards_.size());
  token_base_.push_back(0);
  for (const auto& shard : shards_) token_base_.push_back(token_base_.back() + shard->tokens());
  check_agreement(options);
}

void TokenFiles::check_agreement(const TokenFilesOptions& options) {
  FaultList faults;
  const TokenShard& first = *shards_.front();
  for (const auto& shard : shards_) {
    const std::string pair = fmt::format("'{}' and '{}'", first.path().string(), shard->path().string());
    if (shard->info().has_value() != first.info().has_value()) {
      faults.add("{} cannot be read together: only one of them has a side-car", pair);
    } else if (shard->token_bytes() != first.token_bytes()) {
      faults.add("{} cannot be read together: their ids take {} and {} bytes", pair, first.token_bytes(),
                 shard->token_bytes());
    } else if (shard->info() && (shard->info()->vocab_hash != first.info()->vocab_hash ||
                                 shard->info()->end_of_text != first.info()->end_of_text)) {
      faults.add("{} cannot be read together: they were made with different vocabularies", pair);
    }
  }
  end_of_text_ = options.end_of_text;
  if (first.info() && first.info()->end_of_text) {
    end_of_text_ = first.info()->end_of_text;
    if (options.end_of_text && *options.end_of_text != *end_of_text_)
      faults.add("end_of_text = {} does not fit '{}', which ends its documents in token {}", *options.end_of_text,
                 first.path().string(), *end_of_text_);
  }
  faults.throw_if_any("");
}

uint64_t TokenFiles::text_bytes() const {
  uint64_t bytes = 0;
  for (const auto& shard : shards_) bytes += shard->info() ? shard->info()->bytes : 0;
  return bytes;
}

int64_t TokenFiles::vocab_size() const {
  return has_side_cars() ? shards_.front()->info()->vocab_size : 0;
}

uint64_t TokenFiles::vocab_hash() const {
  return has_side_cars() ? shards_.front()->info()->vocab_hash : 0;
}

size_t TokenFiles::shard_of(uint64_t token) const {
  return static_cast<size_t>(std::upper_bound(token_base_.begin() + 1, token_base_.end() - 1, token) -
                             token_base_.begin() - 1);
}

std::string TokenFiles::describe_place(uint64_t token) const {
  const size_t shard = shard_of(token);
  return fmt::format("token {} of '{}'", token - token_base_[shard], shards_[shard]->path().string());
}

template <typename T>
void TokenFiles::copy_across(uint64_t begin, uint64_t count, T* out) const {
  if (begin > tokens() || count > tokens() - begin) throw std::out_of_range("TokenFiles::copy beyond the end");
  for (size_t shard = shard_of(begin); count > 0; ++shard) {
    const uint64_t here = std::min(count, token_base_[shard + 1] - begin);
    shards_[shard]->copy(begin - token_base_[shard], here, out);
    begin += here;
    out += here;
    count -= here;
  }
}

void TokenFiles::copy(uint64_t begin, uint64_t count, uint32_t* out) const {
  copy_across(begin, count, out);
}
void TokenFiles::copy(uint64_t begin, uint64_t count, int64_t* out) const {
  copy_across(begin, count, out);
}

void TokenFiles::index_documents() const {
  std::call_once(indexed_, [this] {
    document_base_ = {0};
    found_.resize(shards_.size());
    bool begins = true;  // whether a document begins with the file's first token
    for (size_t i = 0; i < shards_.size(); ++i) {
      const TokenShard& shard = *shards_[i];
      if (shard.info()) {
        starts_.push_back(shard.document_starts());
      } else {
        std::vector<uint64_t>& starts = found_[i];
        if (end_of_text_) starts = shard.places_after(*end_of_text_);
        // Where the token comes before each document (llm.c), the very first one belongs to what
        // follows it.
        if (i == 0 && !starts.empty() && starts.front() == 1) starts.erase(starts.begin());
        if (begins) starts.insert(starts.begin(), 0);
        begins = !starts.empty() && starts.back() == shard.tokens();
        if (begins) starts.pop_back();
        starts_.push_back(starts);
      }
      document_base_.push_back(document_base_.back() + starts_.back().size());
    }
  });
}

uint64_t TokenFiles::documents() const {
  index_documents();
  return document_base_.back();
}

uint64_t TokenFiles::document_start(uint64_t document) const {
  index_documents();
  if (document >= document_base_.back()) return tokens();
  const auto shard = static_cast<size_t>(std::upper_bound(document_base_.begin(), document_base_.end(), document) -
                                         document_base_.begin() - 1);
  return token_base_[shard] + starts_[shard][document - document_base_[shard]];
}

uint64_t TokenFiles::document_at(uint64_t token) const {
  index_documents();
  const size_t shard = shard_of(token);
  const auto& starts = starts_[shard];
  const auto later = std::upper_bound(starts.begin(), starts.end(), token - token_base_[shard]);
  return document_base_[shard] + static_cast<uint64_t>(later - starts.begin()) - 1;
}

}  // namespace skipattn::data
