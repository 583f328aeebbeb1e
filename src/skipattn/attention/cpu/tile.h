// One dense piece of the work: some queries of a run of heads against one range of keys of one
// pair. Two ways to do it: torch's fused attention (flash_tile.cpp) and plain operations with
// dropout (dropout_tile.cpp). Results of several tiles over the same queries are merged by their
// logsumexps.
#pragma once

#include <ATen/ATen.h>

#include "skipattn/attention/cpu/visible_blocks.h"
#include "skipattn/attention/dropout_hash.h"

namespace skipattn::attention::cpu {

struct Tile {
  at::Tensor query;    ///< [b, n * G, rows, d]
  at::Tensor key;      ///< [b, n, keys, d]: n neighbouring KV heads
  at::Tensor value;    ///< [b, n, keys, d]
  int64_t group = 1;   ///< G, query heads of one KV head
  double scale = 1.0;  ///< of the scores
  Mask mask = Mask::kNone;
  at::Tensor bias;        ///< for Mask::kExplicit: [1, 1, rows, keys], 0 or -inf, fp64 for fp64 queries,
                          ///< else fp32
  double dropout_p = 0;   ///< [0, 1)
  WeightRow origin;       ///< the place of the tile's first batch element, query head and query; its pair
  int64_t first_key = 0;  ///< the index of the tile's first key
};

/// The softmax over the tile's keys alone.
struct TileResult {
  at::Tensor output;     ///< [b, n * G, rows, d]
  at::Tensor logsumexp;  ///< [b, n * G, rows], of the undropped softmax
};

/// The final output and logsumexp of the tile's queries (over all their keys), and the output's
/// gradient.
struct TileBackwardInput {
  at::Tensor grad_output;  ///< [b, n * G, rows, d]
  at::Tensor output;       ///< [b, n * G, rows, d]
  at::Tensor logsumexp;    ///< [b, n * G, rows]
};

/// What this tile contributes.
struct TileGradients {
  at::Tensor query;  ///< [b, n * G, rows, d]
  at::Tensor key;    ///< [b, n, keys, d], summed over the group
  at::Tensor value;  ///< [b, n, keys, d], summed over the group
};

TileResult flash_forward(const Tile& tile);
TileGradients flash_backward(const Tile& tile, const TileBackwardInput& input);

TileResult dropout_forward(const Tile& tile);
TileGradients dropout_backward(const Tile& tile, const TileBackwardInput& input);

}  // namespace skipattn::attention::cpu
