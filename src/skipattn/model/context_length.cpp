#include "skipattn/model/context_length.h"

#include <ATen/ATen.h>

#include "skipattn/core/errors.h"

namespace skipattn::model {

namespace {

/// Learned positions [P, D] as [context, D].
at::Tensor resized(const at::Tensor& positions, int64_t context, Lengthening method) {
  const int64_t before = positions.size(0);
  if (context <= before) return positions.narrow(0, 0, context).clone();
  if (method == Lengthening::kCopy) return positions.index_select(0, at::arange(context, at::kLong).remainder(before));
  return at::upsample_linear1d(positions.t().unsqueeze(0), {context}, /*align_corners=*/true)[0].t().contiguous();
}

void check_method(const ModelConfig& config, Lengthening method) {
  const bool for_learned = method == Lengthening::kCopy || method == Lengthening::kInterpolate;
  if (!for_learned)
    throw InputError(
        "positions linear and base are for rotary embeddings, this {} has learned positions: copy or interpolate",
        config.family);
}

}  // namespace

Lengthening parse_lengthening(const std::string& text) {
  if (text == "copy") return Lengthening::kCopy;
  if (text == "interpolate") return Lengthening::kInterpolate;
  if (text == "linear") return Lengthening::kLinear;
  if (text == "base") return Lengthening::kBase;
  throw InputError("positions '{}': must be copy, interpolate, linear or base", text);
}

Decoder with_context(const Decoder& source, int64_t context, Lengthening method) {
  if (method == Lengthening::kFamily) method = Lengthening::kCopy;
  check_method(source.config(), method);
  ModelConfig config = source.config();
  config.positions = context;
  Decoder result(config);
  for (size_t i = 0; i < source.parameters().size(); ++i) {
    const bool is_positions = static_cast<int>(i) == source.table().position_embedding;
    const at::Tensor& value = source.parameters()[i];
    result.set_parameter(static_cast<int>(i), is_positions ? resized(value, context, method) : value);
  }
  return result;
}

}  // namespace skipattn::model
