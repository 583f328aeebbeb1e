#include <gtest/gtest.h>

#include <set>

#include "skipattn/attention/cases_test.h"
#include "skipattn/attention/dropout_hash.h"
#include "skipattn/attention/reference.h"

namespace skipattn::attention::test {
namespace {

Problem make_problem(const Inputs& inputs) {
  return {inputs.query, inputs.sources, inputs.pairs, inputs.options};
}

TEST(DropoutHash, MixesLikeLowbias32) {
  EXPECT_EQ(mix_bits(0), 0u);
  std::set<uint32_t> seen;
  double flips = 0;
  for (uint32_t x = 1; x <= 4096; ++x) {
    seen.insert(mix_bits(x));
    for (int bit = 0; bit < 32; ++bit) flips += __builtin_popcount(mix_bits(x) ^ mix_bits(x ^ (1u << bit)));
  }
  EXPECT_EQ(seen.size(), 4096u);  // a bijection
  EXPECT_NEAR(flips / (4096 * 32), 16, 0.1);
}

TEST(DropoutHash, EveryPartOfThePlaceMatters) {
  const WeightRow row{.seed = 7, .batch = 1, .head = 2, .query = 3, .pair = 1};
  std::set<uint32_t> hashes = {hash_row(row)};
  for (int64_t WeightRow::*part :
       {&WeightRow::seed, &WeightRow::batch, &WeightRow::head, &WeightRow::query, &WeightRow::pair}) {
    WeightRow other = row;
    other.*part += 1;
    hashes.insert(hash_row(other));
  }
  WeightRow high_seed = row;
  high_seed.seed += int64_t{1} << 40;
  hashes.insert(hash_row(high_seed));
  EXPECT_EQ(hashes.size(), 7u);
}

TEST(Dropout, TensorArithmeticIsTheHash) {
  for (const int64_t seed : {int64_t{0}, int64_t{-1}, int64_t{123456789012345}}) {
    Inputs inputs = make_inputs(
        {.heads = 4, .kv_heads = 2, .queries = 9, .earlier_keys = 30, .dtype = at::kDouble, .dropout_p = 0.3});
    inputs.options.dropout_seed = seed;
    const at::Tensor factors = dropout_factors(make_problem(inputs), 1, 2);
    for (const auto& [b, g, i, j] : {std::array<int64_t, 4>{0, 0, 0, 0}, {1, 1, 8, 38}, {1, 0, 3, 20}, {0, 1, 5, 7}}) {
      const bool dropped =
          hash_weight(hash_row({seed, b, 2 + g, i, 2}), static_cast<uint32_t>(j)) < drop_threshold(0.3);
      EXPECT_EQ(factors[b][g][i][j].item<double>(), dropped ? 0.0 : 1 / 0.7);
    }
  }
}

TEST(Dropout, KeepsTheRightShareEverywhere) {
  for (const double p : {0.1, 0.5, 0.9}) {
    const Inputs inputs = make_inputs({.queries = 400, .dtype = at::kDouble, .dropout_p = p});
    const at::Tensor kept = dropout_factors(make_problem(inputs), 0, 0).gt(0).to(at::kDouble);  // 320000 weights
    EXPECT_NEAR(kept.mean().item<double>(), 1 - p, 0.005);
    const double spread = 5 * std::sqrt(p * (1 - p) / 800);  // 800 weights a row and a column
    EXPECT_LT((kept.mean({0, 1, 3}) - (1 - p)).abs().max().item<double>(), spread);
    EXPECT_LT((kept.mean({0, 1, 2}) - (1 - p)).abs().max().item<double>(), spread);
  }
}

TEST(Dropout, MeanOverSeedsIsTheUndroppedOutput) {
  const OneThread one_thread;
  Inputs inputs = make_inputs({.batch = 1, .queries = 20, .head_width = 8, .dtype = at::kDouble});
  const at::Tensor plain = routed_attention(inputs.query, inputs.sources, inputs.pairs, inputs.options).output;
  at::Tensor sum = at::zeros_like(plain);
  inputs.options.dropout_p = 0.2;
  constexpr int kSeeds = 2000;
  for (int seed = 0; seed < kSeeds; ++seed) {
    inputs.options.dropout_seed = seed;
    sum += routed_attention(inputs.query, inputs.sources, inputs.pairs, inputs.options).output;
  }
  EXPECT_LT(max_difference(sum / kSeeds, plain), 0.1);
  EXPECT_LT((sum / kSeeds - plain).mean().abs().item<double>(), 0.005);
}

TEST(Dropout, LogsumexpIsUndropped) {
  Inputs inputs = make_inputs({.dtype = at::kDouble, .routes = Routes::kJointTwo});
  const at::Tensor plain = routed_attention(inputs.query, inputs.sources, inputs.pairs, inputs.options).logsumexp;
  inputs.options.dropout_p = 0.5;
  const Result dropped = routed_attention(inputs.query, inputs.sources, inputs.pairs, inputs.options);
  EXPECT_LT(max_difference(dropped.logsumexp, plain), 1e-12);
}

}  // namespace
}  // namespace skipattn::attention::test
