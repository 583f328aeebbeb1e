// Prompts of different lengths as one rectangle, padded on the left so that all of them end in the same column:
//
//   row 0   . . 5 6 7     first_key 2, positions 0 0 0 1 2      ('.' is padding)
//   row 1   1 2 3 4 5     first_key 0, positions 0 1 2 3 4
//
// A column is a slot of the KV cache. Padding takes slots but nobody sees it: first_key says where a row's prompt
// begins, and positions count from there, so a row gives what it would give alone.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "skipattn/core/errors.h"
#include "skipattn/model/decoder.h"

namespace skipattn::inference {

using TokenIds = std::vector<uint32_t>;

/// Adds what is wrong with prompts for a model: none given, one that is empty or longer than the model's positions, a token
/// outside its vocabulary.
void find_prompt_faults(const model::ModelConfig& config, const std::vector<TokenIds>& prompts, FaultList& faults);

class PaddedBatch {
 public:
  /// One or more prompts of one or more tokens each.
  PaddedBatch(const std::vector<TokenIds>& prompts, at::Device device);

  int64_t rows() const { return static_cast<int64_t>(padding_.size()); }
  /// Columns of the rectangle: tokens of the longest prompt.
  int64_t width() const { return width_; }
  /// Tokens of all prompts, padding not counted.
  int64_t tokens() const { return tokens_; }
  /// Columns that row `row` is padded by.
  int64_t padding(int64_t row) const { return padding_.at(row); }

  /// What the Decoder reads for the prompts' columns [begin, end).
  model::Input prompt_input(int64_t begin, int64_t end) const;
  /// What it reads for the next token of every row, `past` columns being in the cache.
  model::Input next_input(const TokenIds& next, int64_t past) const;

 private:
  void mask_padding(model::Input& input) const;

  at::Device device_;
  std::vector<int64_t> padding_;
  bool any_padding_ = false;
  int64_t width_ = 0;
  int64_t tokens_ = 0;
  at::Tensor columns_;     // int64 [B, width]
  at::Tensor padding_of_;  // int64 [B, 1]
};

}  // namespace skipattn::inference
