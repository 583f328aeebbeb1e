#include "skipattn/data/token_shard.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <bit>

#include "skipattn/core/errors.h"

namespace skipattn::data {

namespace {

static_assert(std::endian::native == std::endian::little, "ids are used as they lie in the file");

template <typename S>
void find_places(std::span<const S> tokens, int64_t wanted, std::vector<uint64_t>& places) {
  constexpr size_t kBlock = 256;  // looked through without branches, since hits are rare
  for (size_t begin = 0; begin < tokens.size(); begin += kBlock) {
    const auto block = tokens.subspan(begin, std::min(kBlock, tokens.size() - begin));
    bool found = false;
    for (const S token : block) found |= token == static_cast<S>(wanted);
    if (!found) continue;
    for (size_t i = 0; i < block.size(); ++i)
      if (block[i] == static_cast<S>(wanted)) places.push_back(begin + i + 1);
  }
}

}  // namespace

TokenShard::TokenShard(const std::filesystem::path& path)
    : path_(path), file_(path), info_(read_side_car(path)), data_(file_.bytes()) {
  if (data_.empty()) throw InputError("the token file '{}' is empty", path.string());
  if (info_) {
    token_bytes_ = info_->token_bytes;
  } else if (const auto header = read_llmc_header(data_, path)) {
    token_bytes_ = header->token_bytes;
    data_ = data_.subspan(LlmcHeader::kBytes);
    if (data_.empty()) throw InputError("the token file '{}' is empty", path.string());
  }
  if (data_.size() % static_cast<size_t>(token_bytes_) != 0)
    throw InputError("the token file '{}' takes {} bytes, which is not a whole number of {}-byte ids", path.string(),
                     data_.size(), token_bytes_);
  tokens_ = data_.size() / static_cast<size_t>(token_bytes_);
  if (info_) check_side_car();
}

void TokenShard::check_side_car() {
  const std::string path = path_.string();
  if (info_->tokens != tokens_)
    throw InputError("the token file '{}' holds {} tokens, its side-car says {}: tokenize again", path, tokens_,
                     info_->tokens);
  const auto offsets = path_.parent_path() / info_->offsets;
  offsets_ = io::MappedFile(offsets);
  const std::span<const uint64_t> starts = document_starts();
  if (offsets_.bytes().size() != info_->documents * sizeof(uint64_t) || starts.empty())
    throw InputError("'{}' takes {} bytes, {} documents need {}: tokenize again", offsets.string(),
                     offsets_.bytes().size(), info_->documents, info_->documents * sizeof(uint64_t));
  const bool ascending = std::adjacent_find(starts.begin(), starts.end(), std::greater_equal<>()) == starts.end();
  if (starts.front() != 0 || !ascending || starts.back() >= tokens_)
    throw InputError("'{}' is damaged: its document starts do not ascend from 0 to below {}", offsets.string(),
                     tokens_);
}

std::span<const uint64_t> TokenShard::document_starts() const {
  const auto bytes = offsets_.bytes();
  return {reinterpret_cast<const uint64_t*>(bytes.data()), bytes.size() / sizeof(uint64_t)};
}

std::vector<uint64_t> TokenShard::places_after(int64_t end_of_text) const {
  std::vector<uint64_t> places;
  if (token_bytes_ == 4) {
    find_places(wide(), end_of_text, places);
  } else if (end_of_text < kMaxNarrowVocabulary) {
    find_places(narrow(), end_of_text, places);
  }
  return places;
}

void TokenShard::verify_checksum() const {
  if (!info_) return;
  const uint64_t found = ::XXH3_64bits(data_.data(), data_.size());
  if (found != info_->checksum)
    throw InputError("the token file '{}' is damaged: its checksum is {:016x}, its side-car says {:016x}",
                     path_.string(), found, info_->checksum);
}

}  // namespace skipattn::data
