#include "skipattn/inference/padded_batch.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace skipattn::inference {

namespace {

at::Tensor to_tensor(const std::vector<int64_t>& numbers, at::IntArrayRef shape, at::Device device) {
  return at::tensor(numbers, at::kLong).view(shape).to(device);
}

}  // namespace

void find_prompt_faults(const model::ModelConfig& config, const std::vector<TokenIds>& prompts, FaultList& faults) {
  if (prompts.empty()) faults.add("no prompt: at least one is needed");
  for (size_t row = 0; row < prompts.size(); ++row) {
    const TokenIds& prompt = prompts[row];
    if (prompt.empty()) faults.add("prompt {}: it has no tokens; at least one is needed to start from", row);
    if (static_cast<int64_t>(prompt.size()) > config.positions)
      faults.add("prompt {}: {} tokens, the model has positions for {}", row, prompt.size(), config.positions);
    const auto outside =
        std::find_if(prompt.begin(), prompt.end(), [&](uint32_t token) { return token >= config.vocabulary; });
    if (outside != prompt.end())
      faults.add("prompt {}: token {} is outside the model's vocabulary of {}", row, *outside, config.vocabulary);
  }
}

PaddedBatch::PaddedBatch(const std::vector<TokenIds>& prompts, at::Device device) : device_(device) {
  TORCH_INTERNAL_ASSERT(!prompts.empty(), "no prompts");
  for (const TokenIds& prompt : prompts) {
    TORCH_INTERNAL_ASSERT(!prompt.empty(), "a prompt without tokens");
    width_ = std::max(width_, static_cast<int64_t>(prompt.size()));
    tokens_ += static_cast<int64_t>(prompt.size());
  }
  std::vector<int64_t> cells;
  for (const TokenIds& prompt : prompts) {
    padding_.push_back(width_ - static_cast<int64_t>(prompt.size()));
    cells.insert(cells.end(), static_cast<size_t>(padding_.back()), 0);  // any token will do
    cells.insert(cells.end(), prompt.begin(), prompt.end());
  }
  any_padding_ = tokens_ < rows() * width_;
  columns_ = to_tensor(cells, {rows(), width_}, device_);
  padding_of_ = to_tensor(padding_, {rows(), 1}, device_);
}

void PaddedBatch::mask_padding(model::Input& input) const {
  if (!any_padding_) return;  // attention without a first key is the faster one
  const int64_t length = input.tokens.size(1);
  input.first_key = padding_of_.to(at::kInt).expand({rows(), length}).contiguous();
  const at::Tensor columns = at::arange(input.past, input.past + length, padding_of_.options());
  input.positions = (columns.unsqueeze(0) - padding_of_).clamp_min_(0);
}

model::Input PaddedBatch::prompt_input(int64_t begin, int64_t end) const {
  model::Input input;
  input.tokens = columns_.narrow(1, begin, end - begin);
  input.past = begin;
  mask_padding(input);
  return input;
}

model::Input PaddedBatch::next_input(const TokenIds& next, int64_t past) const {
  model::Input input;
  input.tokens = to_tensor({next.begin(), next.end()}, {rows(), 1}, device_);
  input.past = past;
  mask_padding(input);
  return input;
}

}  // namespace skipattn::inference
