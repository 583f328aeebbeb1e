// What 8-bit weights do to a model, for measuring its loss: the decoder's own matrices, rounded as the engine rounds them.
#pragma once

#include "skipattn/model/decoder.h"

namespace skipattn::inference {

/// Rounds every matrix that Dtype::kInt8 keeps in 8 bits (all but learned positions) to 255 levels a row.
void round_to_int8(model::Decoder& decoder);

}  // namespace skipattn::inference
