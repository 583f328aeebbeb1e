// run_layer() without kept activations: an autograd function whose backward pass runs the layer again.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/custom_class.h>

#include "skipattn/model/layer.h"

namespace skipattn::model {

namespace {

/// Everything but tensors that the second run needs, and which of the flat tensor list is what.
struct LayerRun : torch::CustomClassHolder {
  LayerLayout layout;
  LayerCall call;
  std::vector<bool> weight_defined;                // in the order of LayerWeights::list()
  std::vector<std::pair<int64_t, bool>> borrowed;  // (lower layer, is_value)
  size_t layers = 0;                               // size of `lower`

  /// tensors: residual, defined weights, borrowed keys and values.
  LayerResult run(const std::vector<at::Tensor>& tensors) const {
    size_t next = 0;
    const at::Tensor& residual = tensors.at(next++);
    std::vector<at::Tensor> weights;
    for (const bool defined : weight_defined) weights.push_back(defined ? tensors.at(next++) : at::Tensor());
    std::vector<KeyValues> lower(layers);
    for (const auto& [layer, is_value] : borrowed)
      (is_value ? lower[layer].values : lower[layer].keys) = tensors.at(next++);
    return run_layer(layout, LayerWeights::from_list(weights), residual, lower, call);
  }
};

std::vector<at::Tensor> defined_outputs(const LayerResult& result) {
  std::vector<at::Tensor> outputs = {result.residual};
  if (result.key_values.keys.defined()) outputs.push_back(result.key_values.keys);
  if (result.key_values.values.defined()) outputs.push_back(result.key_values.values);
  return outputs;
}

class RecomputedLayer : public torch::autograd::Function<RecomputedLayer> {
 public:
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* context,
                                                const c10::intrusive_ptr<LayerRun>& run, at::TensorList tensors) {
    context->saved_data["run"] = c10::IValue::make_capsule(run);
    context->save_for_backward(tensors.vec());
    return defined_outputs(run->run(tensors.vec()));
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list output_grads) {
    const auto run = c10::static_intrusive_pointer_cast<LayerRun>(context->saved_data["run"].toCapsule());
    const torch::autograd::variable_list saved = context->get_saved_variables();
    std::vector<at::Tensor> inputs, wanted;
    for (const at::Tensor& tensor : saved) {
      inputs.push_back(tensor.detach().set_requires_grad(tensor.requires_grad()));
      if (tensor.requires_grad()) wanted.push_back(inputs.back());
    }
    std::vector<at::Tensor> outputs, grads;
    {
      const c10::AutoGradMode enable(true);
      const std::vector<at::Tensor> all = defined_outputs(run->run(inputs));
      for (size_t i = 0; i < all.size(); ++i) {
        if (!output_grads[i].defined() || !all[i].requires_grad()) continue;
        outputs.push_back(all[i]);
        grads.push_back(output_grads[i]);
      }
    }
    const auto found = torch::autograd::grad(outputs, wanted, grads, /*retain_graph=*/false, /*create_graph=*/false,
                                             /*allow_unused=*/true);
    torch::autograd::variable_list result = {at::Tensor()};  // the run itself has no gradient
    size_t next = 0;
    for (const at::Tensor& tensor : saved) result.push_back(tensor.requires_grad() ? found[next++] : at::Tensor());
    return result;
  }
};

}  // namespace

LayerResult run_layer_recomputed(const LayerLayout& layout, const LayerWeights& weights, const at::Tensor& residual,
                                 const std::vector<KeyValues>& lower, const LayerCall& call) {
  const auto run = c10::make_intrusive<LayerRun>();
  run->layout = layout;
  run->call = call;
  run->layers = lower.size();
  std::vector<at::Tensor> tensors = {residual};
  for (const at::Tensor& weight : weights.list()) {
    run->weight_defined.push_back(weight.defined());
    if (weight.defined()) tensors.push_back(weight);
  }
  for (const LayerLayout::SourceTensor& source : layout.sources) {
    if (source.layer == layout.layer) continue;
    run->borrowed.emplace_back(source.layer, source.is_value);
    tensors.push_back(source.is_value ? lower.at(source.layer).values : lower.at(source.layer).keys);
  }
  const auto outputs = RecomputedLayer::apply(run, at::TensorList(tensors));
  LayerResult result{outputs[0], {}};
  size_t next = 1;
  if (layout.live_keys > 0) result.key_values.keys = outputs.at(next++);
  if (layout.live_values > 0) result.key_values.values = outputs.at(next++);
  return result;
}

}  // namespace skipattn::model
