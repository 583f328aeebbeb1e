// Which implementation serves the CPU: the best the machine has, unless SKIPATTN_ATTENTION names
// one.
#pragma once

namespace skipattn::attention::cpu {

enum class Level {
  kReference,  ///< "reference": the definition, T x S scores in memory
  kTorch,      ///< "torch": torch's fused attention per group of heads
};

/// The level to use for this call. Throws c10::ValueError when SKIPATTN_ATTENTION is set to another
/// word.
Level choose_level();

}  // namespace skipattn::attention::cpu
