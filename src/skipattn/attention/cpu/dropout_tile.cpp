// A tile in plain operations with dropout: torch's fused kernel has none on the CPU. Scores of the
// tile are in memory, so the caller keeps tiles small; the dropped weights are hashed again in the
// backward pass instead of being stored.
#include <ATen/Parallel.h>

#include <limits>

#include "skipattn/attention/cpu/tile.h"

namespace skipattn::attention::cpu {
namespace {

/// The tile in the accumulating dtype, with the query heads of a KV head folded into its rows (one
/// matrix product for all of them, no copy of the keys per query head).
struct FoldedTile {
  explicit FoldedTile(const Tile& source)
      : tile(source), dtype(source.query.scalar_type() == at::kDouble ? at::kDouble : at::kFloat) {}

  /// [b, n * G, rows, x] -> [b, n, G * rows, x]
  at::Tensor fold(const at::Tensor& tensor) const {
    return tensor.to(dtype).reshape({tensor.size(0), tile.key.size(1), tile.group * tensor.size(2), -1});
  }
  /// The way back.
  at::Tensor unfold(const at::Tensor& tensor) const {
    return tensor.reshape({tensor.size(0), tile.query.size(1), tile.query.size(2), tensor.size(3)});
  }

  /// Masked scores [b, n * G, rows, keys].
  at::Tensor scores() const {
    at::Tensor scores = unfold(at::matmul(fold(tile.query), tile.key.to(dtype).transpose(2, 3))).mul_(tile.scale);
    if (tile.mask == Mask::kExplicit) scores.add_(tile.bias);
    if (tile.mask == Mask::kCausal) {
      const int64_t size = scores.size(3);
      const at::Tensor hidden = at::ones({size, size}, scores.options().dtype(at::kBool)).triu(1);
      scores.masked_fill_(hidden, -std::numeric_limits<double>::infinity());
    }
    return scores;
  }

  /// Multiplies `weights` [b, n * G, rows, keys] in place by what dropout leaves: 0 or 1 / (1 - p).
  void drop(at::Tensor& weights) const {
    if (dtype == at::kDouble) {
      drop_typed(weights, weights.data_ptr<double>());
    } else {
      drop_typed(weights, weights.data_ptr<float>());
    }
  }

  const Tile& tile;
  at::ScalarType dtype;

 private:
  template <typename T>
  void drop_typed(const at::Tensor& weights, T* data) const {
    const int64_t heads = weights.size(1), rows = weights.size(2), keys = weights.size(3);
    const uint32_t threshold = drop_threshold(tile.dropout_p);
    const T factor = static_cast<T>(1.0 / (1.0 - tile.dropout_p));
    at::parallel_for(0, weights.size(0) * heads * rows, 16, [&](int64_t begin, int64_t end) {
      for (int64_t index = begin; index < end; ++index) {
        WeightRow place = tile.origin;
        place.batch += index / (heads * rows);
        place.head += index / rows % heads;
        place.query += index % rows;
        const uint32_t row_hash = hash_row(place);
        const auto first_key = static_cast<uint32_t>(tile.first_key);
        T* row = data + index * keys;
        for (uint32_t key = 0; key < static_cast<uint32_t>(keys); ++key) {
          row[key] = hash_weight(row_hash, first_key + key) < threshold ? T(0) : row[key] * factor;
        }
      }
    });
  }
};

}  // namespace

TileResult dropout_forward(const Tile& tile) {
  const FoldedTile folded(tile);
  at::Tensor scores = folded.scores();
  const at::Tensor logsumexp = at::logsumexp(scores, -1);
  at::Tensor weights = scores.sub_(logsumexp.unsqueeze(-1)).exp_().contiguous();
  folded.drop(weights);
  return {folded.unfold(at::matmul(folded.fold(weights), tile.value.to(folded.dtype))), logsumexp};
}

TileGradients dropout_backward(const Tile& tile, const TileBackwardInput& input) {
  const FoldedTile folded(tile);
  const at::Tensor probabilities = folded.scores().sub_(input.logsumexp.unsqueeze(-1)).exp_();
  const at::Tensor grad_output = folded.fold(input.grad_output);
  at::Tensor weights = probabilities.clone(at::MemoryFormat::Contiguous);
  folded.drop(weights);
  const at::Tensor grad_value = at::matmul(folded.fold(weights).transpose(2, 3), grad_output);

  at::Tensor grad_weights =
      folded.unfold(at::matmul(grad_output, tile.value.to(folded.dtype).transpose(2, 3))).contiguous();
  folded.drop(grad_weights);
  const at::Tensor row_sums =
      (input.grad_output.to(folded.dtype) * input.output.to(folded.dtype)).sum(-1, /*keepdim=*/true);
  const at::Tensor grad_scores = folded.fold(grad_weights.sub_(row_sums).mul_(probabilities).mul_(tile.scale));
  return {folded.unfold(at::matmul(grad_scores, tile.key.to(folded.dtype))),
          at::matmul(grad_scores.transpose(2, 3), folded.fold(tile.query)), grad_value};
}

}  // namespace skipattn::attention::cpu
