// Token files for tests of this folder.
#pragma once

#include <cstdint>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

#include "skipattn/data/token_writer.h"
#include "skipattn/io/test_folder.h"

namespace skipattn::data {

/// first, first + 1, …: with token value = position every mis-slice shows.
inline std::vector<uint32_t> counting(uint32_t first, size_t count) {
  std::vector<uint32_t> ids(count);
  std::iota(ids.begin(), ids.end(), first);
  return ids;
}

/// A file with side-car: documents of these lengths, token value = position, no end-of-text token.
inline std::string write_documents(const io::TestFolder& folder, const std::string& name,
                                   const std::vector<size_t>& lengths, uint32_t first = 0, int64_t vocab_size = 50000) {
  TokenFileWriter writer(folder / name, {.vocab_size = vocab_size, .vocab_hash = 7, .end_of_text = std::nullopt});
  for (const size_t length : lengths) {
    writer.append(counting(first, length));
    writer.end_document(length * 3);
    first += static_cast<uint32_t>(length);
  }
  writer.commit();
  return (folder / name).string();
}

/// Ids alone, as nanoGPT writes them.
template <typename S>
std::string raw_bytes(const std::vector<S>& ids) {
  return {reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(S)};
}

/// A file of llm.c.
template <typename S>
std::string llmc_bytes(int32_t magic, int32_t version, const std::vector<S>& ids) {
  std::vector<int32_t> header(256);
  header[0] = magic;
  header[1] = version;
  header[2] = static_cast<int32_t>(ids.size());
  return raw_bytes(header) + raw_bytes(ids);
}

}  // namespace skipattn::data
