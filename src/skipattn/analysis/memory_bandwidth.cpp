#include "skipattn/analysis/memory_bandwidth.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <chrono>

#include "skipattn/analysis/spread.h"

namespace skipattn::analysis {

namespace {

constexpr double kScalar = 3;
constexpr int64_t kGrain = int64_t{1} << 16;

void triad(double* __restrict a, const double* __restrict b, const double* __restrict c, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) a[i] = b[i] + kScalar * c[i];
}

}  // namespace

TriadMeter::TriadMeter() : a_(at::zeros({kElements}, at::kDouble)), b_(at::ones_like(a_)), c_(at::ones_like(a_)) {}

void TriadMeter::sample() {
  auto* a = a_.mutable_data_ptr<double>();
  const auto* b = b_.const_data_ptr<double>();
  const auto* c = c_.const_data_ptr<double>();
  const auto begin = std::chrono::steady_clock::now();
  at::parallel_for(0, kElements, kGrain, [&](int64_t first, int64_t last) { triad(a, b, c, first, last); });
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  rates_.push_back(static_cast<double>(bytes()) / seconds);
}

double TriadMeter::bandwidth() const {
  return spread_of(rates_).median;
}

int64_t TriadMeter::bytes() const {
  return 3 * kElements * static_cast<int64_t>(sizeof(double));
}

}  // namespace skipattn::analysis
