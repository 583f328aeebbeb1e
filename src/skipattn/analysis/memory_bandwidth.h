// The memory bandwidth that STREAM's triad (McCalpin 1995) reaches: a[i] = b[i] + s * c[i] over arrays far larger than
// the caches, on torch's threads. Counted are the bytes the loop names, 24 for each element.
//
//   TriadMeter meter;
//   meter.sample();
//   meter.bandwidth()   // bytes a second
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace skipattn::analysis {

class TriadMeter {
 public:
  /// Elements of each of the three arrays of doubles: 128 MiB.
  static constexpr int64_t kElements = int64_t{1} << 24;

  /// Takes the arrays and touches them all.
  TriadMeter();

  void sample();
  /// Bytes a second, median over the samples.
  double bandwidth() const;
  /// Bytes of memory that it holds.
  int64_t bytes() const;

 private:
  at::Tensor a_, b_, c_;  // fp64 [kElements]
  std::vector<double> rates_;
};

}  // namespace skipattn::analysis
