// The attention kernels of one instruction set, as a table of functions over plain memory. Each instruction set is one
// translation unit (level_*.cpp) built with its own compiler flags; nothing in here may be called where the processor
// lacks it. Drivers (flash_forward.cpp, flash_backward.cpp) cut the work into calls.
//
// Words. Every product reads its operands as 32-bit words: one fp32 number, or a pair of neighbouring bf16 numbers of
// the dimension that is summed over (pair = 2). A product takes words of one operand one by one (broadcast) and a vector
// of words of the other, lane by lane. Three panels hold an operand in the order the products read it, zero-padded:
//   rows   [n][row_words]        a row's numbers in order: summed over the head width
//   pairs  [n / pair][lane_words] rows 2i and 2i + 1 interleaved: summed over rows; with pair = 1 the same as rows
//   lanes  [row_words][64]       64 rows side by side, transposed: summed over the head width, lanes are rows
#pragma once

#include <cstdint>

namespace skipattn::attention::cpu {

inline constexpr int kQueryBlock = 64;  ///< queries a kernel call handles; also the lanes of a `lanes` panel
inline constexpr int kKeyBlock = 256;   ///< keys of one backward chunk; forward takes smaller bites
inline constexpr float kLog2E = 1.44269504f;

enum class Element { kFloat, kBFloat16 };

/// Rows of one head of a tensor: row i begins at data + i * stride (elements); numbers of a row are dense.
struct RowsView {
  const void* data = nullptr;
  int64_t stride = 0;  ///< elements
};

struct MutableRowsView {
  void* data = nullptr;
  int64_t stride = 0;  ///< elements
};

/// Sizes of panels for one head width.
struct Geometry {
  int width = 0;       ///< d, elements of a row
  int row_words = 0;   ///< words of a row of a `rows` panel; rows of a `lanes` panel
  int lane_words = 0;  ///< words of a row of a `pairs` panel, a multiple of 16
  int pair = 1;        ///< elements a word holds: 2 for bf16 products, else 1
};

/// What dropout does to the weights of one (batch element, query head).
struct Dropout {
  uint32_t threshold = 0;  ///< weights whose hash is below are dropped; 0: none
  float keep_scale = 1;    ///< 1 / (1 - p)
};

/// One pair of sources as the kernels see it.
struct KeyValuePanels {
  const uint32_t* key_rows = nullptr;     ///< [S][row_words]
  const uint32_t* key_pairs = nullptr;    ///< [S / pair][lane_words]; backward only
  const uint32_t* value_rows = nullptr;   ///< [S][row_words]; backward only
  const uint32_t* value_pairs = nullptr;  ///< [S / pair][lane_words]; forward only
};

/// Which keys 64 queries see: query i sees keys first[i] .. last[i] (none when last < first); last never falls from one
/// query to the next. Padding after the last query sees none: first is the largest number.
struct VisibleKeys {
  alignas(64) int32_t first[kQueryBlock];
  alignas(64) int32_t last[kQueryBlock];
  int32_t begin = 0;       ///< no query sees an earlier key
  int32_t end = 0;         ///< nor one from here on
  int32_t full_begin = 0;  ///< every query (padded ones apart) sees all keys in [full_begin, full_end)
  int32_t full_end = 0;
};

struct ForwardBlock {
  Geometry geometry;
  const uint32_t* query_lanes = nullptr;  ///< [row_words][64]
  const KeyValuePanels* pairs = nullptr;  ///< [pair_count], one softmax over all
  int pair_count = 0;
  const VisibleKeys* visible = nullptr;
  float scale = 1;  ///< of the scores, > 0
  Dropout dropout;
  const uint32_t* row_hashes = nullptr;  ///< [pair_count][64], with dropout
  int queries = 0;                       ///< rows written, 1..64
  MutableRowsView output;                ///< query 0 of the block
  Element output_type = Element::kFloat;
  float* logsumexp = nullptr;  ///< [queries]
  float* scratch = nullptr;    ///< forward_scratch_floats(), 64-byte aligned
};

/// One block of queries as the backward pass reads it.
struct QueryPanels {
  const uint32_t* query_lanes = nullptr;
  const uint32_t* query_pairs = nullptr;
  const uint32_t* grad_lanes = nullptr;  ///< of grad_output
  const uint32_t* grad_pairs = nullptr;
  const float* logsumexp2 = nullptr;  ///< [64] in base 2; +inf where a query sees nothing or is padding
  const float* delta = nullptr;       ///< [64] sum over d of grad_output * output
};

/// Blocks of queries that one call of grad_keys() takes: sums of gradients are read and written half as often.
inline constexpr int kTileSlots = 2;

/// One block of queries against some keys of a chunk.
struct BackwardTile {
  Geometry geometry;
  KeyValuePanels panels;  ///< of the tile's first key on
  int first_key = 0;      ///< even
  int keys = 0;           ///< 1..kKeyBlock
  int slot = 0;           ///< part of the scratch that keeps its weights, 0..kTileSlots - 1
  QueryPanels queries;
  const VisibleKeys* visible = nullptr;
  float scale = 1;
  Dropout dropout;
  const uint32_t* row_hashes = nullptr;  ///< [64], with dropout
  const float* grad_query = nullptr;     ///< what grad_query() will add to, for prefetching only; may be null
  float* scratch = nullptr;              ///< backward_scratch_floats()
};

/// Sums for a chunk's keys, not yet times scale: [kKeyBlock][lane_words].
struct KeyGradients {
  int first_key = 0;
  float* key = nullptr;
  float* value = nullptr;
};

/// Rows to write from fp32 sums: total = sums * scale (+ what `sum` holds when `add`), to `sum` and (or) rounded to out.
struct GradientRows {
  const float* sums = nullptr;  ///< [rows][lane_words]
  int rows = 0;
  float scale = 1;
  MutableRowsView sum = {};  ///< fp32; null: none
  bool add = false;          ///< `sum` holds earlier contributions
  MutableRowsView out = {};  ///< null: none
  Element out_type = Element::kFloat;
};

struct KernelTable {
  const char* name = "";
  int pair = 1;  ///< elements a word holds

  /// Packs `count` rows into a panel; `rows` beyond count are not written, `pairs` and `lanes` are padded with zeros
  /// (lanes: count <= 64).
  void (*pack_rows)(const Geometry&, RowsView, Element, int count, uint32_t* panel) = nullptr;
  void (*pack_pairs)(const Geometry&, RowsView, Element, int count, uint32_t* panel) = nullptr;
  void (*pack_lanes)(const Geometry&, RowsView, Element, int count, uint32_t* panel) = nullptr;

  int64_t (*forward_scratch_floats)(const Geometry&) = nullptr;
  void (*forward)(const ForwardBlock&) = nullptr;

  int64_t (*backward_scratch_floats)(const Geometry&) = nullptr;
  /// Weights and gradients of scores of one tile, into its slot of the scratch, for the two functions below.
  void (*weigh)(const BackwardTile&) = nullptr;
  /// Adds the parts of 1..kTileSlots tiles of one chunk.
  void (*grad_keys)(const BackwardTile* tiles, int count, const KeyGradients&) = nullptr;
  /// grad_query [width][64] = or += the tile's part (not yet times scale).
  void (*grad_query)(const BackwardTile&, bool add, float* grad_query) = nullptr;
  /// Row sums of a * b: delta[count].
  void (*row_dots)(int width, RowsView a, RowsView b, Element, int count, float* delta) = nullptr;

  /// Writes sums [width][64] * scale, transposed, as `rows` rows.
  void (*write_lanes)(const Geometry&, const float* sums, float scale, int rows, MutableRowsView, Element) = nullptr;
  void (*write_rows)(const Geometry&, const GradientRows&) = nullptr;
};

/// Null where this build does not have the level. Call only where the processor does.
const KernelTable* avx512_bf16_kernels();  ///< bf16 products; for bf16 tensors
const KernelTable* avx512_kernels();       ///< fp32 products
const KernelTable* avx2_kernels();         ///< fp32 products

}  // namespace skipattn::attention::cpu
