// 2^x lane by lane: 2^floor(x) times a polynomial for the fraction, which lies in [0, 1). Minimax fits of the relative
// error: degree 4 is right to 2.6e-6, far below the rounding of bf16 weights; degree 5 to 7.5e-8, fp32's own.
#pragma once

namespace skipattn::attention::cpu {
namespace {

/// 2^x; 0 for minus infinity; NaN for NaN.
template <class A>
inline typename A::Vec exp2_lanes(typename A::Vec x) {
  const auto f = A::fraction(x);
  typename A::Vec p;
  if constexpr (A::kPair == 2) {
    p = A::fma(A::set(1.353417e-2f), f, A::set(5.201146e-2f));
    p = A::fma(p, f, A::set(2.4144276e-1f));
    p = A::fma(p, f, A::set(6.9300383e-1f));
    p = A::fma(p, f, A::set(1.00000259f));
  } else {
    p = A::fma(A::set(1.87758e-3f), f, A::set(8.98934e-3f));
    p = A::fma(p, f, A::set(5.582632e-2f));
    p = A::fma(p, f, A::set(2.4015362e-1f));
    p = A::fma(p, f, A::set(6.9315307e-1f));
    p = A::fma(p, f, A::set(9.9999993e-1f));
  }
  return A::scale_by_power(p, x);
}

}  // namespace
}  // namespace skipattn::attention::cpu
