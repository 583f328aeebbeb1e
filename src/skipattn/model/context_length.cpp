#include "skipattn/model/context_length.h"

#include <ATen/ATen.h>

#include <cmath>

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

void lengthen_rotary(ModelConfig& config, double factor, Lengthening method) {
  const auto d = static_cast<double>(config.head_width);
  if (method == Lengthening::kBase) {
    if (d > 2) config.rotary.base *= std::pow(factor, d / (d - 2));  // a single pair turns by 1 whatever the base
    return;
  }
  if (config.rotary.scaling == "llama3")
    throw InputError(
        "positions linear: the model's rotary embedding is scaled by Llama 3's rule already, which cannot be combined "
        "with it; base can");
  config.rotary.scaling = "linear";
  config.rotary.factor *= factor;
}

/// kFamily resolved. InputError when the method is for the other kind of positions.
Lengthening checked_method(const ModelConfig& config, Lengthening method) {
  if (method == Lengthening::kFamily) return config.is_llama() ? Lengthening::kBase : Lengthening::kCopy;
  const bool for_learned = method == Lengthening::kCopy || method == Lengthening::kInterpolate;
  if (for_learned && config.is_llama())
    throw InputError(
        "positions copy and interpolate are for learned positions, this {} has rotary ones: linear or base",
        config.family);
  if (!for_learned && !config.is_llama())
    throw InputError(
        "positions linear and base are for rotary ones, this {} has learned positions: copy or interpolate",
        config.family);
  return method;
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
  method = checked_method(source.config(), method);
  ModelConfig config = source.config();
  const double factor = static_cast<double>(context) / static_cast<double>(config.positions);
  if (config.is_llama() && factor > 1) lengthen_rotary(config, factor, method);
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
