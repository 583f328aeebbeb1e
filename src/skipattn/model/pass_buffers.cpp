#include "skipattn/model/pass_buffers.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

#include "skipattn/attention/cpu/flash.h"
#include "skipattn/attention/cpu/level.h"
#include "skipattn/model/arena.h"
#include "skipattn/model/fused/layer_norm.h"
#include "skipattn/model/memory_plan.h"

namespace skipattn::model {

namespace {

/// Points in a step's time. A layer's forward and backward pass take kLayer points each, as training_pass_*.cpp order them.
class Clock {
 public:
  static constexpr int64_t kLayer = 32;
  enum Point : int64_t {
    kNorm1,
    kAttend,
    kProject,
    kNorm2,
    kUp,
    kActivate,
    kDown,  // forward, and again with recomputation
    kDownBackward,
    kActivateBackward,
    kDownWeight,
    kUpBackward,
    kNorm2Backward,
    kUpWeight,
    kProjectBackward,
    kAttendBackward,
    kQkvBackward,
    kNorm1Backward,
    kQkvWeight,
  };
  explicit Clock(int64_t layers) : layers_(layers) {}
  int64_t forward(int64_t layer, int64_t point) const { return (1 + layer) * kLayer + point; }
  int64_t output() const { return forward(layers_, 0); }  // the final norm
  int64_t loss() const { return output() + 1; }
  int64_t output_backward() const { return output() + 2; }
  int64_t backward(int64_t layer, int64_t point) const { return output() + (layers_ - layer) * kLayer + point; }
  int64_t end() const { return backward(0, kLayer); }

 private:
  int64_t layers_;
};

/// Tensors that wait for their place.
class Builder {
 public:
  void add(at::Tensor& target, std::vector<int64_t> sizes, at::ScalarType dtype, int64_t first, int64_t last) {
    const int64_t elements = std::accumulate(sizes.begin(), sizes.end(), int64_t{1}, std::multiplies<>());
    const int number = plan_.add(elements * static_cast<int64_t>(c10::elementSize(dtype)), first, last);
    waiting_.push_back({&target, std::move(sizes), dtype, number});
  }

  /// Places everything; the tensors keep the arena alive.
  at::Tensor build(at::Device device) {
    plan_.place();
    const at::Tensor arena = map_memory(plan_.total(), device);
    for (const Waiting& item : waiting_)
      *item.target = at::from_blob(
          static_cast<char*>(arena.data_ptr()) + plan_.offset(item.number), item.sizes, [arena](void*) {},
          at::TensorOptions(item.dtype).device(device));
    return arena;
  }

 private:
  struct Waiting {
    at::Tensor* target;
    std::vector<int64_t> sizes;
    at::ScalarType dtype;
    int number;
  };
  MemoryPlan plan_;
  std::vector<Waiting> waiting_;
};

/// Adds one model's buffers to a builder, with their lives.
class Planner {
 public:
  Planner(const ModelConfig& config, const std::vector<LayerLayout>& layouts, at::ScalarType dtype,
          const PassShape& shape, PassBuffers& buffers)
      : config_(config), layouts_(layouts), dtype_(dtype), shape_(shape), clock_(config.layers), to_(buffers) {}

  void add_all(Builder& builder) {
    builder_ = &builder;
    const int64_t layers = config_.layers;
    to_.residual.resize(layers + 1);
    for (auto* list : {&to_.forward, &to_.backward}) list->resize(layers);
    for (auto* list : {&to_.keys, &to_.values}) list->resize(layers);
    for (auto* list : {&to_.key_panels, &to_.value_panels}) list->resize(layers);
    for (auto* list : {&to_.normed, &to_.branch, &to_.activated, &to_.rerun_normed, &to_.rerun_branch,
                       &to_.hidden_gradient, &to_.normed2, &to_.normed2_gradient, &to_.attended_gradient,
                       &to_.qkv_gradient, &to_.normed1, &to_.normed1_gradient})
      list->resize(layers);
    for (int64_t l = 0; l < layers; ++l) {
      add_layer(l);
      add_layer_scratch(l);
      for (const bool is_value : {false, true}) {
        add_lent(l, is_value);
        add_panels(l, is_value);
      }
    }
    add_ends();
  }

 private:
  int64_t rows() const { return shape_.batch * shape_.length; }

  void add(at::Tensor& target, std::vector<int64_t> sizes, at::ScalarType dtype, int64_t first, int64_t last) {
    builder_->add(target, std::move(sizes), dtype, first, last);
  }
  void add_rows(at::Tensor& target, int64_t width, int64_t first, int64_t last) {
    add(target, {rows(), width}, dtype_, first, last);
  }

  std::vector<int64_t> qkv_shape(const LayerLayout& layout) const {
    return {shape_.batch, shape_.length, (layout.heads + layout.live_keys + layout.live_values) * layout.head_width};
  }

  /// A layer's kept buffers; `at(point)` is a point of the pass that makes them, `until(point)` of the last that reads.
  template <typename At, typename Until>
  void add_layer_buffers(LayerBuffers& to, int64_t l, const At& at, const Until& until) {
    const LayerLayout& layout = layouts_[l];
    add(to.statistics1, {rows(), 2}, at::kFloat, at(Clock::kNorm1), until(Clock::kNorm1Backward));
    add(to.qkv, qkv_shape(layout), dtype_, at(Clock::kAttend), until(Clock::kAttendBackward));
    if (config_.query_key_norm)
      add_rows(to.unnormed, (layout.heads + layout.live_keys) * layout.head_width, at(Clock::kAttend),
               until(Clock::kQkvBackward));
    add(to.attended, {shape_.batch, shape_.length, layout.heads, layout.head_width}, dtype_, at(Clock::kAttend),
        until(Clock::kAttendBackward));
    add(to.logsumexp, {shape_.batch, layout.heads, shape_.length}, at::kFloat, at(Clock::kAttend),
        until(Clock::kAttendBackward));
    add(to.middle, {rows(), config_.width}, at::kFloat, at(Clock::kNorm2), until(Clock::kNorm2Backward));
    add(to.statistics2, {rows(), 2}, at::kFloat, at(Clock::kNorm2), until(Clock::kNorm2Backward));
    // SwiGLU's becomes its own gradient, GELU's the activation's output.
    const bool gated = layout.activation == Activation::kSwiGlu;
    add_rows(to.hidden, (gated ? 2 : 1) * config_.mlp_width, at(Clock::kUp),
             until(gated ? Clock::kUpWeight : Clock::kDownWeight));
  }

  void add_layer(int64_t l) {
    const auto forward = [&](int64_t point) { return clock_.forward(l, point); };
    const auto backward = [&](int64_t point) { return clock_.backward(l, point); };
    // The residual comes to be when the layer below is added to it; its middle is read for the last time then.
    const int64_t born = l == 0 ? 0 : clock_.forward(l, Clock::kNorm1);
    add(to_.residual[l], {rows(), config_.width}, at::kFloat, born, backward(Clock::kNorm1Backward));
    if (!shape_.recompute) {
      add_layer_buffers(to_.forward[l], l, forward, backward);
      return;
    }
    add_layer_buffers(to_.forward[l], l, forward, [&](int64_t) { return clock_.forward(l + 1, Clock::kNorm1); });
    add_layer_buffers(to_.backward[l], l, backward, backward);
    add_rows(to_.rerun_normed[l], config_.width, backward(Clock::kNorm1), backward(Clock::kUp));
    add_rows(to_.rerun_branch[l], config_.width, backward(Clock::kProject), backward(Clock::kNorm2));
  }

  void add_layer_scratch(int64_t l) {
    const LayerLayout& layout = layouts_[l];
    const int64_t width = config_.width;
    const auto forward = [&](int64_t point) { return clock_.forward(l, point); };
    const auto backward = [&](int64_t point) { return clock_.backward(l, point); };
    add_rows(to_.normed[l], width, forward(Clock::kNorm1), forward(Clock::kUp));
    add_rows(to_.branch[l], width, forward(Clock::kProject), clock_.forward(l + 1, Clock::kNorm1));
    add_rows(to_.activated[l], config_.mlp_width, forward(Clock::kActivate), forward(Clock::kDown));
    add_rows(to_.hidden_gradient[l], config_.mlp_width, backward(Clock::kDownBackward), backward(Clock::kUpWeight));
    add_rows(to_.normed2_gradient[l], width, backward(Clock::kUpBackward), backward(Clock::kNorm2Backward));
    add_rows(to_.normed2[l], width, backward(Clock::kNorm2Backward), backward(Clock::kUpWeight));
    add_rows(to_.attended_gradient[l], layout.heads * layout.head_width, backward(Clock::kProjectBackward),
             backward(Clock::kAttendBackward));
    add(to_.qkv_gradient[l], qkv_shape(layout), dtype_, backward(Clock::kAttendBackward), backward(Clock::kQkvWeight));
    add_rows(to_.normed1_gradient[l], width, backward(Clock::kQkvBackward), backward(Clock::kNorm1Backward));
    add_rows(to_.normed1[l], width, backward(Clock::kNorm1Backward), backward(Clock::kQkvWeight));
  }

  /// Layer l's keys or values, where layers above read them.
  void add_lent(int64_t l, bool is_value) {
    LentBuffers& to = (is_value ? to_.values : to_.keys)[l];
    int64_t lowest = -1;
    for (int64_t reader = l + 1; reader < config_.layers; ++reader) {
      for (const LayerLayout::SourceTensor& source : layouts_[reader].sources) {
        if (source.layer != l || source.is_value != is_value) continue;
        to.last_reader = reader;
        if (lowest < 0) lowest = reader;
      }
    }
    if (lowest < 0) return;
    const int64_t heads = is_value ? layouts_[l].live_values : layouts_[l].live_keys;
    const std::vector<int64_t> sizes = {shape_.batch, shape_.length, heads, layouts_[l].head_width};
    add(to.gradient, sizes, at::kFloat, clock_.backward(to.last_reader, Clock::kAttendBackward),
        clock_.backward(l, Clock::kAttendBackward));
    if (shape_.recompute)
      add(to.kept, sizes, dtype_, clock_.forward(l, Clock::kAttend), clock_.backward(lowest, Clock::kAttendBackward));
  }

  /// Layer l's keys or values as the CPU's attention packs them. Activations lie in their place before and after.
  void add_panels(int64_t l, bool is_value) {
    const LayerLayout& layout = layouts_[l];
    const int64_t heads = is_value ? layout.live_values : layout.live_keys;
    const auto* kernels = shape_.device.is_cpu() ? attention::cpu::choose_kernels(attention::cpu::choose_level(),
                                                                                  dtype_, layout.head_width)
                                                 : nullptr;
    if (kernels == nullptr || heads == 0) return;
    const auto bytes = attention::cpu::panel_bytes(*kernels, {shape_.batch, heads, shape_.length, layout.head_width});
    PanelBuffers& to = (is_value ? to_.value_panels : to_.key_panels)[l];
    const int64_t last = std::max(l, (is_value ? to_.values : to_.keys)[l].last_reader);
    add(to.forward, {is_value ? bytes.pairs : bytes.rows}, at::kByte, clock_.forward(l, Clock::kAttend),
        clock_.forward(last, Clock::kAttend));
    const int64_t first = clock_.backward(last, shape_.recompute ? Clock::kAttend : Clock::kAttendBackward);
    const int64_t end = clock_.backward(l, Clock::kAttendBackward);
    add(to.backward_rows, {bytes.rows}, at::kByte, first, end);
    if (!is_value || shape_.recompute) add(to.backward_pairs, {bytes.pairs}, at::kByte, first, end);
  }

  void add_ends() {
    const int64_t width = config_.width;
    add(to_.residual[config_.layers], {rows(), width}, at::kFloat, clock_.output(), clock_.output_backward());
    add(to_.final_statistics, {rows(), 2}, at::kFloat, clock_.output(), clock_.output_backward());
    add_rows(to_.output, width, clock_.output(), clock_.loss());
    add_rows(to_.output_gradient, width, clock_.loss(), clock_.output_backward());
    add(to_.loss_scratch, {shape_.loss_bytes}, at::kByte, clock_.loss(), clock_.loss());
    add(to_.gradient, {rows(), width}, at::kFloat, clock_.output_backward(), clock_.end());
    add_rows(to_.rounded, width, clock_.output_backward(), clock_.end());
    const int64_t widest = std::max(width, layouts_[0].head_width);
    add(to_.norm_sums, {fused::norm_scratch(widest)}, at::kFloat, clock_.output_backward(), clock_.end());
  }

  const ModelConfig& config_;
  const std::vector<LayerLayout>& layouts_;
  at::ScalarType dtype_;
  const PassShape& shape_;
  Clock clock_;
  PassBuffers& to_;
  Builder* builder_ = nullptr;
};

}  // namespace

PassBuffers make_pass_buffers(const ModelConfig& config, const std::vector<LayerLayout>& layouts, at::ScalarType dtype,
                              const PassShape& shape) {
  PassBuffers buffers;
  Builder builder;
  Planner(config, layouts, dtype, shape, buffers).add_all(builder);
  buffers.arena = builder.build(shape.device);
  if (!shape.recompute) buffers.backward = buffers.forward;
  return buffers;
}

}  // namespace skipattn::model
