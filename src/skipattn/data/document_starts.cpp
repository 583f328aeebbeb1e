#include "skipattn/data/document_starts.h"

namespace skipattn::data {

std::vector<int32_t> document_starts(const Batch& batch, int64_t row, int64_t count) {
  std::vector<int32_t> starts;
  for (int64_t token = 0; token < count * batch.context; ++token) {
    const int64_t in_row = token % batch.context;
    if (batch.first_key[row * batch.context + token] == in_row) starts.push_back(static_cast<int32_t>(token));
  }
  return starts;
}

}  // namespace skipattn::data
