#include "skipattn/inference/cpu/attend_cached.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "skipattn/inference/cpu/kernel_test_support.h"

namespace skipattn::inference::cpu {
namespace {

/// Blocks of random keys and values of one head, as stored and as they were rounded.
struct TestBlocks {
  struct Side {
    std::vector<char> stored;
    std::vector<float> scales, exact;
  };
  TestBlocks(Dtype type, int64_t width, int64_t count) : dtype(type), d(width), blocks(count) {
    for (Side* side : {&keys, &values}) {
      const int64_t rows = count * kBlockRows;
      side->stored.resize(static_cast<size_t>(rows * d * bytes_of(dtype) + kSlack));
      side->exact.resize(static_cast<size_t>(rows * d));
      for (int64_t row = 0; row < rows; ++row) {
        const std::vector<float> numbers = random_numbers(d, static_cast<uint64_t>(row) + (side == &keys ? 1 : 90000));
        char* at = side->stored.data() + row * d * bytes_of(dtype);
        side->scales.push_back(store_row(dtype, numbers.data(), d, at));
        load_row(dtype, at, side->scales.back(), d, side->exact.data() + row * d);
      }
    }
  }

  CachedRows rows(int64_t block, int begin, int end) const {
    CachedRows result;
    result.keys = keys.stored.data() + block * kBlockRows * d * bytes_of(dtype);
    result.values = values.stored.data() + block * kBlockRows * d * bytes_of(dtype);
    if (dtype == Dtype::kInt8) {
      result.key_scales = keys.scales.data() + block * kBlockRows;
      result.value_scales = values.scales.data() + block * kBlockRows;
    }
    result.begin = begin;
    result.end = end;
    return result;
  }

  Dtype dtype;
  int64_t d, blocks;
  Side keys, values;
};

struct Stretch {
  int64_t block;
  int begin, end;
};

/// Softmax attention of one query in double precision.
std::vector<double> expected(const TestBlocks& blocks, const std::vector<Stretch>& stretches,
                             const std::vector<float>& query) {
  std::vector<double> weights, output(static_cast<size_t>(blocks.d), 0.0);
  double largest = -INFINITY, total = 0;
  const auto each = [&](const auto& visit) {
    for (const Stretch& stretch : stretches)
      for (int row = stretch.begin; row < stretch.end; ++row) visit((stretch.block * kBlockRows + row) * blocks.d);
  };
  each([&](int64_t at) {
    double score = 0;
    for (int64_t k = 0; k < blocks.d; ++k)
      score += static_cast<double>(query[static_cast<size_t>(k)]) *
               static_cast<double>(blocks.keys.exact[static_cast<size_t>(at + k)]);
    weights.push_back(score);
    largest = std::max(largest, score);
  });
  for (double& weight : weights) total += weight = std::exp(weight - largest);
  size_t i = 0;
  each([&](int64_t at) {
    for (int64_t k = 0; k < blocks.d; ++k)
      output[static_cast<size_t>(k)] +=
          weights[i] / total * static_cast<double>(blocks.values.exact[static_cast<size_t>(at + k)]);
    ++i;
  });
  return output;
}

/// The same through the kernel, the stretches cut into `parts` calls that are merged.
std::vector<std::vector<float>> attended(const TestBlocks& blocks, const std::vector<Stretch>& stretches,
                                         const std::vector<std::vector<float>>& queries, size_t parts) {
  const auto count = static_cast<int64_t>(queries.size());
  const int64_t stride = padded(blocks.d);
  AlignedFloats query(count * stride, 0.0f), weighted(static_cast<int64_t>(parts) * count * stride, 5.0f);
  std::vector<float> largest(parts * queries.size()), sum(parts * queries.size());
  for (int64_t q = 0; q < count; ++q)
    to_order(blocks.dtype, queries[static_cast<size_t>(q)].data(), blocks.d, query.data() + q * stride);
  for (size_t part = 0; part < parts; ++part) {
    AttendCall call;
    call.dtype = blocks.dtype;
    call.head_width = blocks.d;
    call.queries = count;
    call.query = query.data();
    const size_t place = part * queries.size();
    call.result = {largest.data() + place, sum.data() + place, weighted.data() + static_cast<int64_t>(place) * stride};
    begin_attended(call);
    for (size_t i = part; i < stretches.size(); i += parts) {
      const auto rows = [&](size_t n) { return blocks.rows(stretches[n].block, stretches[n].begin, stretches[n].end); };
      call.rows = rows(i);
      call.next = i + parts < stretches.size() ? rows(i + parts) : CachedRows();
      attend_cached(call);
    }
  }
  std::vector<std::vector<float>> outputs;
  for (int64_t q = 0; q < count; ++q) {
    MergeCall merge;
    merge.dtype = blocks.dtype;
    merge.head_width = blocks.d;
    merge.count = static_cast<int64_t>(parts);
    merge.largest = largest.data() + q;
    merge.sum = sum.data() + q;
    merge.stride = count;
    merge.weighted = weighted.data() + q * stride;
    merge.weighted_stride = count * stride;
    outputs.emplace_back(static_cast<size_t>(blocks.d), 9.0f);
    merge_parts(merge, outputs.back().data());
  }
  return outputs;
}

TEST(AttendCached, IsSoftmaxAttentionInDoublePrecision) {
  const std::vector<std::vector<Stretch>> cuts = {{{0, 0, 1}},
                                                  {{1, 63, 64}},
                                                  {{0, 0, 64}, {1, 0, 17}},
                                                  {{0, 5, 64}, {1, 0, 64}, {2, 0, 33}},
                                                  {{2, 20, 30}, {0, 0, 64}, {2, 20, 30}, {1, 31, 47}}};
  for (const Dtype dtype : {Dtype::kFp32, Dtype::kBf16, Dtype::kInt8}) {
    for (const int64_t d : {8, 32, 64, 80, 96, 128}) {
      const TestBlocks blocks(dtype, d, 3);
      for (const size_t count : {1, 2, 4, 7}) {
        std::vector<std::vector<float>> queries;
        for (size_t q = 0; q < count; ++q) queries.push_back(random_numbers(d, 500 + q));
        for (size_t cut = 0; cut < cuts.size(); ++cut) {
          for (const size_t parts : {1, 2, 3}) {
            const auto outputs = attended(blocks, cuts[cut], queries, parts);
            for (size_t q = 0; q < count; ++q) {
              const std::vector<double> truth = expected(blocks, cuts[cut], queries[q]);
              for (size_t k = 0; k < truth.size(); ++k)
                ASSERT_NEAR(outputs[q][k], truth[k], 2e-5)
                    << dtype_name(dtype) << " d " << d << " query " << q << " cut " << cut << " parts " << parts;
            }
          }
        }
      }
    }
  }
}

TEST(AttendCached, LargeScoresNeitherOverflowNorVanish) {
  const TestBlocks blocks(Dtype::kFp32, 64, 2);
  std::vector<float> query = random_numbers(64, 1);
  for (float& number : query) number *= 300;
  const std::vector<Stretch> all = {{0, 0, 64}, {1, 0, 64}};
  const std::vector<double> truth = expected(blocks, all, query);
  const auto output = attended(blocks, all, {query}, 2)[0];
  for (size_t k = 0; k < truth.size(); ++k) EXPECT_NEAR(output[k], truth[k], 1e-4);
}

TEST(AttendCached, WithoutKeysTheOutputIsZero) {
  const TestBlocks blocks(Dtype::kBf16, 64, 1);
  EXPECT_EQ(attended(blocks, {}, {random_numbers(64, 1)}, 2)[0], std::vector<float>(64, 0.0f));
}

}  // namespace
}  // namespace skipattn::inference::cpu
