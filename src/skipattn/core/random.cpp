#include "skipattn/core/random.h"

#include <cmath>
#include <numbers>

namespace skipattn {

namespace {

uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

}  // namespace

uint64_t derive_seed(uint64_t seed, std::string_view name) {
  uint64_t hash = mix(seed + 0x9e3779b97f4a7c15ULL);
  for (const char c : name) hash = mix((hash ^ static_cast<unsigned char>(c)) + 0x9e3779b97f4a7c15ULL);
  return hash;
}

uint64_t Random::next() {
  state_ += 0x9e3779b97f4a7c15ULL;
  return mix(state_);
}

uint64_t Random::below(uint64_t bound) {
  // Numbers under `threshold` would make the low remainders likelier; draw again.
  const uint64_t threshold = (0 - bound) % bound;
  for (;;) {
    const uint64_t draw = next();
    if (draw >= threshold) return draw % bound;
  }
}

double Random::uniform() {
  return static_cast<double>(next() >> 11) * 0x1.0p-53;
}

double Random::normal() {
  if (has_spare_) {
    has_spare_ = false;
    return spare_;
  }
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
  const double angle = 2.0 * std::numbers::pi * uniform();
  spare_ = radius * std::sin(angle);
  has_spare_ = true;
  return radius * std::cos(angle);
}

}  // namespace skipattn
