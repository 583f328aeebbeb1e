#include "skipattn/inference/cpu/dots.h"

#include <gtest/gtest.h>

#include <vector>

#include "skipattn/core/random.h"
#include "skipattn/inference/cpu/kernel_test_support.h"

namespace skipattn::inference::cpu {
namespace {

constexpr Dtype kDtypes[] = {Dtype::kFp32, Dtype::kBf16, Dtype::kInt8};

TEST(Elements, OrderedRowsComeBack) {
  for (const Dtype dtype : kDtypes) {
    for (const int64_t count : {1, 8, 31, 32, 33, 64, 80}) {
      const std::vector<float> numbers = random_numbers(count, 3);
      AlignedFloats ordered(padded(count), 7.0f);
      to_order(dtype, numbers.data(), count, ordered.data());
      std::vector<float> back(static_cast<size_t>(count));
      from_order(dtype, ordered.data(), count, back.data());
      EXPECT_EQ(back, numbers) << dtype_name(dtype) << count;
      double sum = 0;
      for (int64_t i = 0; i < padded(count); ++i) sum += ordered.data()[i];
      for (const float number : numbers) sum -= number;
      EXPECT_NEAR(sum, 0, 1e-5);  // zeros in the padding
    }
  }
}

TEST(Elements, StoredRowsAreRoundedNumbers) {
  for (const int64_t count : {1, 8, 33, 64}) {
    const std::vector<float> numbers = random_numbers(count, 4);
    for (const auto& [dtype, tolerance] :
         {std::pair(Dtype::kFp32, 0.0f), std::pair(Dtype::kBf16, 1.0f / 256), std::pair(Dtype::kInt8, 1.0f / 254)}) {
      std::vector<char> stored(static_cast<size_t>(count * 4));
      std::vector<float> back(static_cast<size_t>(count));
      const float scale = store_row(dtype, numbers.data(), count, stored.data());
      load_row(dtype, stored.data(), scale, count, back.data());
      float largest = 0;
      for (const float number : numbers) largest = std::max(largest, std::fabs(number));
      for (size_t i = 0; i < back.size(); ++i)
        EXPECT_LE(std::fabs(back[i] - numbers[i]), largest * tolerance * 1.001f) << dtype_name(dtype);
    }
  }
  std::vector<int8_t> zeros(8, 1);
  EXPECT_EQ(store_row(Dtype::kInt8, std::vector<float>(8, 0.0f).data(), 8, zeros.data()), 0.0f);
  EXPECT_EQ(zeros, std::vector<int8_t>(8, 0));
}

/// A matrix of random numbers and the same numbers as they were rounded.
struct TestMatrix {
  TestMatrix(Dtype dtype, int64_t rows, int64_t columns)
      : bytes(static_cast<size_t>(rows * columns * bytes_of(dtype) + kSlack)),
        exact(static_cast<size_t>(rows * columns)) {
    view = {dtype, bytes.data(), nullptr, rows, columns};
    for (int64_t row = 0; row < rows; ++row) {
      const std::vector<float> numbers = random_numbers(columns, static_cast<uint64_t>(row) + 5);
      char* at = bytes.data() + row * view.row_bytes();
      scales.push_back(store_row(dtype, numbers.data(), columns, at));
      load_row(dtype, at, scales.back(), columns, exact.data() + row * columns);
    }
    if (dtype == Dtype::kInt8) view.scales = scales.data();
  }
  std::vector<char> bytes;
  std::vector<float> scales, exact;
  MatrixView view;
};

TEST(Dots, AreTheProductsInDoublePrecision) {
  for (const Dtype dtype : kDtypes) {
    for (const int64_t columns : {8, 31, 32, 80, 768}) {
      const TestMatrix matrix(dtype, 21, columns);
      for (const int64_t count : {1, 2, 3, 5, 8, 9, 19}) {
        const int64_t stride = padded(columns);
        AlignedFloats vectors(stride * count, 0.0f);
        std::vector<std::vector<float>> plain;
        for (int64_t v = 0; v < count; ++v) {
          plain.push_back(random_numbers(columns, 100 + static_cast<uint64_t>(v)));
          to_order(dtype, plain.back().data(), columns, vectors.data() + v * stride);
        }
        std::vector<float> out(static_cast<size_t>(count * 17), -1.0f);
        dots(matrix.view, 3, 15, {vectors.data(), stride, count}, out.data(), 17);
        for (int64_t v = 0; v < count; ++v)
          for (int64_t r = 0; r < 17; ++r) {
            double expected = 0, size = 0;
            for (int64_t k = 0; k < columns && r < 15; ++k) {
              const double term = static_cast<double>(matrix.exact[static_cast<size_t>((3 + r) * columns + k)]) *
                                  static_cast<double>(plain[static_cast<size_t>(v)][static_cast<size_t>(k)]);
              expected += term;
              size += std::fabs(term);
            }
            EXPECT_NEAR(out[static_cast<size_t>(v * 17 + r)], r < 15 ? expected : -1.0, 1e-6 * size)
                << dtype_name(dtype) << " " << columns << " columns, vector " << v << " of " << count;
          }
      }
    }
  }
}

TEST(Dots, AVectorsResultIsTheSameBesideOthers) {
  for (const Dtype dtype : kDtypes) {
    const TestMatrix matrix(dtype, 64, 100);
    AlignedFloats vectors(padded(100) * 12, 0.0f);
    for (int64_t v = 0; v < 12; ++v)
      to_order(dtype, random_numbers(100, 30 + static_cast<uint64_t>(v)).data(), 100, vectors.data() + v * padded(100));
    std::vector<float> together(12 * 64), alone(64);
    dots(matrix.view, 0, 64, {vectors.data(), padded(100), 12}, together.data(), 64);
    for (int64_t v = 0; v < 12; ++v) {
      dots(matrix.view, 0, 64, {vectors.data() + v * padded(100), padded(100), 1}, alone.data(), 64);
      EXPECT_EQ(std::vector<float>(together.begin() + v * 64, together.begin() + (v + 1) * 64), alone) << v;
    }
  }
}

}  // namespace
}  // namespace skipattn::inference::cpu
