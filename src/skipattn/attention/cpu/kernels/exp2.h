// 2^x and log2(x) lane by lane. 2^x is 2^floor(x) times a polynomial for the fraction, which lies in [0, 1). Minimax fits of the relative
// error: degree 3 is right to 7.5e-5, a twentieth of bf16's rounding of the weights that follows; degree 5 to 7.5e-8,
// about fp32's own. Every floating-point operation of a vector takes a slot that a product could have used.
#pragma once

namespace skipattn::attention::cpu {
namespace {

/// 2^x for x <= 127; 0 for minus infinity; NaN for NaN.
template <class A>
inline typename A::Vec exp2_lanes(typename A::Vec x) {
  const auto f = A::fraction(x);
  typename A::Vec p;
  if constexpr (A::kPair == 2) {
    p = A::fma(A::set(7.80245e-2f), f, A::set(2.26067e-1f));
    p = A::fma(p, f, A::set(6.95834e-1f));
    p = A::fma(p, f, A::set(9.99925e-1f));
  } else {
    p = A::fma(A::set(1.87758e-3f), f, A::set(8.98934e-3f));
    p = A::fma(p, f, A::set(5.582632e-2f));
    p = A::fma(p, f, A::set(2.4015362e-1f));
    p = A::fma(p, f, A::set(6.9315307e-1f));
    p = A::fma(p, f, A::set(9.9999993e-1f));
  }
  return A::scale_by_power(p, x);
}

/// log2(x) of a normal x > 0: the exponent, and the series of artanh for what is left in [1, 2).
template <class A>
inline typename A::Vec log2_lanes(typename A::Vec x) {
  using Vec = typename A::Vec;
  const Vec root = A::set(1.41421356f);
  const Vec m = A::mantissa(x);
  // m / sqrt(2) lies in [0.7, 1.42): s = (m - sqrt 2) / (m + sqrt 2) in +-0.172, log2(m) = 1/2 + 2 / ln 2 * artanh(s).
  const Vec s = A::div(A::sub(m, root), A::add(m, root)), s2 = A::mul(s, s);
  Vec p = A::fma(A::set(2.88539008f / 9), s2, A::set(2.88539008f / 7));
  p = A::fma(p, s2, A::set(2.88539008f / 5));
  p = A::fma(p, s2, A::set(2.88539008f / 3));
  p = A::fma(p, s2, A::set(2.88539008f));
  return A::add(A::exponent(x), A::fma(p, s, A::set(0.5f)));
}

}  // namespace
}  // namespace skipattn::attention::cpu
