// Another context length for a model that has weights already.
#pragma once

#include <string>

#include "skipattn/model/decoder.h"

namespace skipattn::model {

/// How a model gets positions for longer texts. The first two are for learned positions, the last two for rotary ones.
enum class Lengthening {
  kFamily,       ///< kCopy or kBase, as the model has positions
  kCopy,         ///< the learned positions again from the first one on (Beltagy et al. 2020, section 5)
  kInterpolate,  ///< the learned positions drawn out: N points on straight lines between them
  kLinear,       ///< rotary positions divided by the factor (Chen et al. 2023)
  kBase,         ///< a larger rotary base, base * factor^(d / (d - 2)): slow pairs are drawn out, fast ones stay
                 ///< ("NTK-aware"; Peng et al. 2023, section 3.1)
};

/// "copy", "interpolate", "linear" or "base"; throws InputError naming them.
Lengthening parse_lengthening(const std::string& text);

/// `source` with positions for `context` tokens; fewer than before: the first ones are kept as they are.
/// InputError when the method is not one for the model's kind of positions.
Decoder with_context(const Decoder& source, int64_t context, Lengthening method);

}  // namespace skipattn::model
