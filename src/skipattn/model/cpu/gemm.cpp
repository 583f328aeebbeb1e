#include "skipattn/model/cpu/gemm.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "skipattn/model/cpu/gemm_kernel.h"

namespace skipattn::model::cpu {

namespace {

constexpr int64_t kPackedB = 400 << 10;  // bytes of B packed at once, well inside a 1 MiB second-level cache
constexpr int64_t kLongestBlock = 1536;  // units of k in a block; between blocks sums rest in memory
constexpr int64_t kShortBlock = 128;     // the same where A is packed and must fit beside it
constexpr int64_t kBlockMultiple = 16;   // units
constexpr int64_t kPackedRows = 384;     // rows of A packed at once; a multiple of kTileRows
constexpr int64_t kTaskRows = 1024;      // rows of C that one task computes, at most …
constexpr int64_t kFewestRows = 96;      // … and at least, so that packing B is worth it

/// Memory that a thread keeps for its packed pieces.
class Buffer {
 public:
  template <typename T>
  T* get(int64_t count) {
    const size_t bytes = (count * sizeof(T) + 4095) / 4096 * 4096;
    if (bytes > size_) {
      memory_.reset(static_cast<char*>(std::aligned_alloc(4096, bytes)));
      if (memory_ == nullptr) throw std::bad_alloc();
      size_ = bytes;
    }
    return reinterpret_cast<T*>(memory_.get());
  }

 private:
  struct Free {
    void operator()(char* pointer) const { std::free(pointer); }
  };
  std::unique_ptr<char, Free> memory_;
  size_t size_ = 0;
};

struct ThreadBuffers {
  Buffer a, b, sums;
};
thread_local ThreadBuffers thread_buffers;

/// Asks for the second-level cache to bring the rows of a rectangle in memory, a little at a time.
class RowsAhead {
 public:
  RowsAhead() = default;
  RowsAhead(const char* from, int64_t stride, int64_t rows, int64_t row_bytes)
      : row_(from), stride_(stride), rows_(rows), row_bytes_(row_bytes) {}

  int64_t lines() const { return rows_ * ((row_bytes_ + 63) / 64); }
  void ask(int64_t lines) {
    for (; lines > 0 && rows_ > 0; --lines) {
      __builtin_prefetch(row_ + byte_, 0, 2);
      byte_ += 64;
      if (byte_ < row_bytes_) continue;
      byte_ = 0;
      row_ += stride_;
      --rows_;
    }
  }

 private:
  const char* row_ = nullptr;
  int64_t stride_ = 0, rows_ = 0, row_bytes_ = 0;
  int64_t byte_ = 0;  // within the row at hand
};

/// How a product is cut: along k into blocks, by its sizes alone, since that decides the order of the sums; along the
/// columns of C into groups of panels and along its rows into tasks.
struct Cut {
  int64_t per_unit;     // elements of k in a unit
  int64_t block_units;  // units of k in a block
  int64_t blocks;
  int64_t group_columns;
  int64_t groups;
  int64_t task_rows;
  int64_t row_tasks;
  int64_t threads;
};

int64_t divide_up(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

Cut make_cut(const GemmProblem& p) {
  Cut cut{};
  cut.per_unit = p.bf16 ? 2 : 1;
  const int64_t units = divide_up(p.k, cut.per_unit);
  // Few blocks, of equal length: sums seldom leave the registers then.
  const int64_t equal = divide_up(units, divide_up(units, kLongestBlock));
  cut.block_units = p.a.transposed ? kShortBlock : divide_up(equal, kBlockMultiple) * kBlockMultiple;
  cut.blocks = divide_up(units, cut.block_units);
  const int64_t panels = std::max<int64_t>(1, kPackedB / (cut.block_units * kPanelColumns * 4));
  const int64_t all_panels = divide_up(p.n, kPanelColumns);
  cut.groups = divide_up(all_panels, panels);
  // Long tasks, since each packs its part of B; as many as give all threads the same.
  cut.threads = at::get_num_threads();
  int64_t row_tasks =
      divide_up(divide_up(divide_up(p.m, kTaskRows) * cut.groups, cut.threads) * cut.threads, cut.groups);
  row_tasks = std::min(row_tasks, divide_up(p.m, kFewestRows));
  // Few rows: narrower groups do what more tasks of rows cannot.
  cut.groups = divide_up(divide_up(cut.groups * row_tasks, cut.threads) * cut.threads, row_tasks);
  cut.groups = std::min(cut.groups, all_panels);
  cut.group_columns = divide_up(all_panels, cut.groups) * kPanelColumns;
  cut.groups = divide_up(p.n, cut.group_columns);
  cut.task_rows = divide_up(divide_up(p.m, row_tasks), kTileRows) * kTileRows;
  cut.row_tasks = divide_up(p.m, cut.task_rows);
  return cut;
}

/// One task: rows [row_begin, row_end) of C, columns [column_begin, column_end).
class Task {
 public:
  Task(const GemmProblem& problem, const Cut& cut, const GemmKernel& kernel, int64_t number)
      : p_(problem), cut_(cut), kernel_(kernel), number_(number), element_(problem.bf16 ? 2 : 4) {
    row_begin_ = number / cut.groups * cut.task_rows;
    row_end_ = std::min(p_.m, row_begin_ + cut.task_rows);
    column_begin_ = number % cut.groups * cut.group_columns;
    column_end_ = std::min(p_.n, column_begin_ + cut.group_columns);
  }

  void run() {
    panels_ = divide_up(column_end_ - column_begin_, kPanelColumns);
    packed_b_ = thread_buffers.b.get<uint32_t>(panels_ * kPanelColumns * cut_.block_units);
    // Sums that rest between blocks lie in C itself where it is fp32.
    if (p_.c_bf16 && cut_.blocks > 1)
      resting_ = thread_buffers.sums.get<float>((row_end_ - row_begin_) * panels_ * kPanelColumns);
    for (int64_t block = 0; block < cut_.blocks; ++block) run_block(block);
  }

 private:
  const char* at(const GemmOperand& operand, int64_t row, int64_t column) const {
    const int64_t place = operand.transposed ? column * operand.stride + row : row * operand.stride + column;
    return static_cast<const char*>(operand.data) + place * element_;
  }

  int64_t first_k(int64_t block) const { return block * cut_.block_units * cut_.per_unit; }
  /// Elements along k of a block.
  int64_t k_of(int64_t block) const { return std::min(p_.k - first_k(block), cut_.block_units * cut_.per_unit); }

  /// What a task packs of B in a block.
  RowsAhead rows_of_b(int64_t block) const {
    const int64_t columns = column_end_ - column_begin_, k = k_of(block);
    const char* from = at(p_.b, first_k(block), column_begin_);
    return p_.b.transposed ? RowsAhead(from, p_.b.stride * element_, columns, k * element_)
                           : RowsAhead(from, p_.b.stride * element_, k, columns * element_);
  }
  /// What will most likely be packed next here.
  RowsAhead next_rows_of_b(int64_t block) const {
    if (block + 1 < cut_.blocks) return rows_of_b(block + 1);
    const int64_t next = number_ + cut_.threads;
    return next < cut_.groups * cut_.row_tasks ? Task(p_, cut_, kernel_, next).rows_of_b(0) : RowsAhead();
  }

  void run_block(int64_t block) {
    const int64_t k = first_k(block);
    k_left_ = k_of(block);
    units_ = divide_up(k_left_, cut_.per_unit);
    const auto pack = p_.b.transposed ? kernel_.pack_b_transposed : kernel_.pack_b;
    const bool cold = number_ < cut_.threads && block == 0;  // nobody has asked for these rows
    ahead_ = cold ? rows_of_b(block) : RowsAhead();
    const int64_t lines_per_panel = divide_up(ahead_.lines(), panels_);
    for (int64_t panel = 0; panel < panels_; ++panel) {
      ahead_.ask(panel == 0 ? 2 * lines_per_panel : lines_per_panel);
      const int64_t column = column_begin_ + panel * kPanelColumns;
      const int columns = static_cast<int>(std::min<int64_t>(kPanelColumns, p_.n - column));
      pack(at(p_.b, k, column), p_.b.stride * element_, k_left_, columns, packed_b_ + panel * kPanelColumns * units_,
           units_);
    }
    ahead_ = next_rows_of_b(block);
    lines_per_tile_ = divide_up(ahead_.lines(), divide_up(row_end_ - row_begin_, kTileRows) * panels_);
    const bool must_pack = p_.a.transposed || k_left_ % cut_.per_unit != 0;
    if (!must_pack) {
      multiply_rows(at(p_.a, row_begin_, k), p_.a.stride * element_, false, {block, row_begin_, row_end_});
      return;
    }
    for (int64_t row = row_begin_; row < row_end_; row += kPackedRows) {
      const int64_t end = std::min(row_end_, row + kPackedRows);
      uint32_t* packed = thread_buffers.a.get<uint32_t>(kPackedRows * cut_.block_units);
      p_.a.transposed ? pack_transposed(k, row, end, packed) : pack_rows(k, row, end, packed);
      multiply_rows(reinterpret_cast<const char*>(packed), 0, true, {block, row, end});
    }
  }

  void pack_transposed(int64_t k, int64_t row, int64_t end, uint32_t* packed) {
    float sums[kPackedRows / kTileRows * 16] = {};
    const bool wants_sums = p_.row_sums != nullptr && column_begin_ == 0;
    kernel_.pack_a_transposed(at(p_.a, row, k), p_.a.stride * element_, k_left_, end - row, packed, units_,
                              wants_sums ? sums : nullptr);
    if (!wants_sums) return;
    const bool set = k == 0 && !p_.add;
    for (int64_t i = 0; i < end - row; ++i)
      p_.row_sums[row + i] = (set ? 0.0f : p_.row_sums[row + i]) + sums[i / kTileRows * 16 + i % kTileRows];
  }

  /// A as it is, for the one case that cannot be read in place: half a unit at the end of a row.
  void pack_rows(int64_t k, int64_t row, int64_t end, uint32_t* packed) {
    for (int64_t i = row; i < end; ++i) {
      const char* from = at(p_.a, i, k);
      for (int64_t u = 0; u < units_; ++u) {
        uint32_t unit = 0;
        std::memcpy(&unit, from + 4 * u, std::min<int64_t>(4, k_left_ * element_ - 4 * u));
        packed[((i - row) / kTileRows * units_ + u) * kTileRows + (i - row) % kTileRows] = unit;
      }
    }
  }

  struct Rows {
    int64_t block, begin, end;
  };

  /// Strips of tile rows against packed panels. A packed A stays in the cache while panels come from further away; an A
  /// in place is read strip by strip, once.
  void multiply_rows(const char* a, int64_t a_row, bool packed, const Rows& rows) {
    const int64_t strips = divide_up(rows.end - rows.begin, kTileRows);
    const int64_t strip_bytes = kTileRows * (packed ? 4 * units_ : a_row);
    GemmTile tile{};
    tile.a_row = a_row;
    tile.packed = packed;
    tile.units = units_;
    const auto multiply = [&](int64_t strip, int64_t panel) {
      const int64_t row = rows.begin + strip * kTileRows;
      tile.a = a + strip * strip_bytes;
      tile.rows = static_cast<int>(std::min<int64_t>(kTileRows, rows.end - row));
      tile.b = packed_b_ + panel * kPanelColumns * units_;
      multiply_tile(tile, rows.block, row, column_begin_ + panel * kPanelColumns);
    };
    if (packed) {
      for (int64_t panel = 0; panel < panels_; ++panel)
        for (int64_t strip = 0; strip < strips; ++strip) multiply(strip, panel);
    } else {
      for (int64_t strip = 0; strip < strips; ++strip)
        for (int64_t panel = 0; panel < panels_; ++panel) multiply(strip, panel);
    }
  }

  void multiply_tile(GemmTile& tile, int64_t block, int64_t row, int64_t column) {
    const bool first = block == 0, last = block + 1 == cut_.blocks;
    tile.columns = static_cast<int>(std::min<int64_t>(kPanelColumns, p_.n - column));
    float* rest = nullptr;  // where this tile's sums rest between blocks
    int64_t rest_row = p_.c_stride;
    if (resting_ != nullptr) {
      rest_row = panels_ * kPanelColumns;
      rest = resting_ + (row - row_begin_) * rest_row + (column - column_begin_);
    } else if (!p_.c_bf16) {
      rest = static_cast<float*>(p_.c) + row * p_.c_stride + column;
    }
    tile.before = first && !p_.add ? nullptr : rest;
    tile.before_row = rest_row;
    tile.bias = last && p_.bias != nullptr ? static_cast<const char*>(p_.bias) + column * element_ : nullptr;
    const bool narrow = last && p_.c_bf16;
    tile.sums = narrow ? nullptr : rest;
    tile.c = narrow ? static_cast<char*>(p_.c) + 2 * (row * p_.c_stride + column) : nullptr;
    tile.c_row = narrow ? p_.c_stride : rest_row;
    ahead_.ask(lines_per_tile_);
    kernel_.tile(tile);
  }

  const GemmProblem& p_;
  const Cut& cut_;
  const GemmKernel& kernel_;
  const int64_t number_, element_;
  int64_t row_begin_, row_end_, column_begin_, column_end_;
  int64_t panels_ = 0, k_left_ = 0, units_ = 0;  // of the block at hand
  RowsAhead ahead_;                              // what will be packed next, asked for from tile to tile
  int64_t lines_per_tile_ = 0;
  uint32_t* packed_b_ = nullptr;
  float* resting_ = nullptr;
};

}  // namespace

bool has_gemm(bool bf16) {
  return (bf16 ? bf16_kernel() : fp32_kernel()) != nullptr;
}

void gemm(const GemmProblem& problem) {
  const GemmKernel& kernel = *(problem.bf16 ? bf16_kernel() : fp32_kernel());
  const Cut cut = make_cut(problem);
  std::atomic<int64_t> next{0};
  const int64_t tasks = cut.groups * cut.row_tasks;
  // Whoever is free takes the next task; what a task computes does not depend on who does.
  at::parallel_for(0, std::min(tasks, cut.threads), 1, [&](int64_t, int64_t) {
    for (int64_t task; (task = next.fetch_add(1)) < tasks;) Task(problem, cut, kernel, task).run();
  });
}

}  // namespace skipattn::model::cpu
