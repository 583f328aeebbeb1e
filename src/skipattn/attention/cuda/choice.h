// Which implementation serves a call: the fastest of those that support it, found by measuring each once for a shape and
// kept for the process. Only shapes that are trained on are measured, from their first backward pass on: prompts come in any
// length, and each costs cuDNN a new plan. SKIPATTN_CUDA_ATTENTION=flash|cudnn|efficient takes one wherever it can;
// =reference takes none.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "skipattn/attention/cuda/fused_call.h"

namespace skipattn::attention::cuda {

/// What measures; tests bring their own.
class Clock {
 public:
  virtual ~Clock() = default;
  /// False while nothing may be measured (a CUDA graph is being captured).
  virtual bool is_ready() const = 0;
  virtual double milliseconds(const std::function<void()>& work) = 0;
};

class Choice {
 public:
  /// candidates: those before are taken where nothing is measured. Both must outlive the choice.
  Choice(std::vector<const FusedAttention*> candidates, Clock& clock);

  /// Null: none supports the call. The passes choose separately. May run all that support it, on the call's own tensors.
  const FusedAttention* for_forward(const FusedCall& call);
  const FusedAttention* for_backward(const FusedCall& call, const BackwardInput& input);

  /// What was chosen by measuring, and who could not be measured and why: "forward cudnn, backward flash; efficient: …".
  /// Empty: nothing was measured.
  std::string summary() const;

 private:
  enum class Pass : int64_t { kForward, kBackward };
  using Key = std::array<int64_t, 9>;  // what is measured once
  using Run = std::function<at::Tensor(const FusedAttention&)>;

  static Key key_of(Pass pass, const FusedCall& call);
  const FusedAttention* choose(Pass pass, const FusedCall& call, const Run& run);
  const FusedAttention* measure(const std::vector<const FusedAttention*>& able, const Run& run);
  std::string names_of(Pass pass) const;

  std::vector<const FusedAttention*> candidates_;
  Clock& clock_;
  mutable std::mutex mutex_;
  std::map<Key, const FusedAttention*> found_;
  std::map<std::string, std::string> failures_;  // of implementations: the last error's first line
};

/// Whether SKIPATTN_CUDA_ATTENTION asks for the reference. Throws c10::ValueError when it holds an unknown word.
bool reference_is_forced();

/// The framework's implementations measured by the device's own clock, for the process.
Choice& device_choice();

}  // namespace skipattn::attention::cuda
