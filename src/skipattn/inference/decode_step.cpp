#include "skipattn/inference/decode_step.h"

#include <algorithm>

#include "skipattn/core/operation_timer.h"

namespace skipattn::inference {

namespace {

constexpr int64_t kTaskBytes = 96 << 10;  // of a matrix that a worker takes at once
constexpr int64_t kTaskRowMultiple = 16;  // rows of a task, so that results of two workers share no cache line
constexpr int kStepsAfter = 8;            // of the prefetcher, for who comes last and has not waited

int64_t rows_of_task(const cpu::MatrixView& matrix) {
  const int64_t rows = kTaskBytes / std::max<int64_t>(1, matrix.row_bytes());
  return std::max(kTaskRowMultiple, rows / kTaskRowMultiple * kTaskRowMultiple);
}

}  // namespace

DecodeStep::DecodeStep(const EngineWeights& weights, const CacheLayout& layout, WorkerPool& pool)
    : weights_(weights),
      layout_(layout),
      pool_(pool),
      heads_(weights.config().heads),
      d_(weights.config().head_width),
      width_(weights.config().width),
      attention_(weights, layout, pool.size()),
      scratch_(static_cast<size_t>(pool.size())) {
  for (const EngineLayer& layer : weights.layers) {
    add_operation(layer.qkv, layer.qkv.matrix.rows, d_);  // a task is a head
    operations_.push_back({.tasks = SharedTasks(pool.size())});
    add_operation(layer.output, layer.output.matrix.rows, rows_of_task(layer.output.matrix));
    add_operation(layer.up, weights.config().mlp_width, rows_of_task(layer.up.matrix));
    add_operation(layer.down, layer.down.matrix.rows, rows_of_task(layer.down.matrix));
  }
  add_operation(weights.head, weights.head.matrix.rows, rows_of_task(weights.head.matrix));
}

void DecodeStep::add_operation(const Linear& linear, int64_t rows, int64_t task_rows) {
  operations_.push_back({&linear, rows, task_rows, SharedTasks(pool_.size())});
}

void DecodeStep::reserve() {
  const auto rows = static_cast<int64_t>(rows_.size());
  const model::ModelConfig& config = weights_.config();
  attention_.prepare(rows_);
  const int64_t widest = std::max({width_, heads_ * d_, config.mlp_width});
  residual_.reserve(rows * width_);
  hidden_.reserve(rows * config.mlp_width);
  logits_.reserve(rows * config.vocabulary);
  int64_t most_task_rows = 0;
  for (const Operation& operation : operations_) most_task_rows = std::max(most_task_rows, operation.task_rows);
  for (Scratch& scratch : scratch_) {
    scratch.row.reserve(widest);
    scratch.ordered.reserve(rows * cpu::padded(widest));
    scratch.out.reserve(2 * rows * most_task_rows);
  }
}

void DecodeStep::share_tasks() {
  for (size_t i = 0; i < operations_.size(); ++i) {
    Operation& operation = operations_[i];
    operation.tasks.reset(operation.linear != nullptr ? operation.task_count()
                                                      : attention_.task_count(static_cast<int64_t>(i) / kKinds));
  }
}

void DecodeStep::run(const std::vector<StepRow>& rows, const StepStart& start) {
  rows_ = rows;
  reserve();
  share_tasks();
  pool_.run([&](int worker) { work(worker, start); });
}

void DecodeStep::work(int worker, const StepStart& start) {
  if (start.residual == nullptr) {
    embed(worker);
  } else if (worker == 0) {
    std::copy_n(start.residual, static_cast<int64_t>(rows_.size()) * width_, residual_.data());
  }
  for (int64_t l = start.layer; l < weights_.config().layers; ++l) {
    const int64_t first = l * kKinds;
    wait_for(first + kQkv, worker);
    project_qkv(l, worker);
    wait_for(first + kAttention, worker);
    attend(l, worker);
    wait_for(first + kOutput, worker);
    project_output(l, worker);
    wait_for(first + kUp, worker);
    expand(l, worker);
    wait_for(first + kDown, worker);
    contract(l, worker);
  }
  wait_for(weights_.config().layers * kKinds, worker);
  predict(worker);
}

void DecodeStep::wait_for(int64_t index, int worker) {
  const Operation& operation = operations_[static_cast<size_t>(index)];
  Prefetcher& next = scratch_[static_cast<size_t>(worker)].next;
  next.clear();
  const int64_t task = operation.tasks.next(worker);
  if (operation.linear == nullptr) {
    attention_.expect(index / kKinds, task, worker, next);
  } else if (task >= 0) {
    const cpu::MatrixView& matrix = operation.linear->matrix;
    const int64_t row = task * operation.task_rows;
    next.add(matrix.row(row), (operation.rows - row) * matrix.row_bytes());
  }
  pool_.barrier([&] { return next.step(); });
  for (int i = 0; i < kStepsAfter; ++i) next.step();
}

template <typename Task>
void DecodeStep::for_rows(Operation& operation, int worker, const Task& task) {
  for (int64_t index; (index = operation.tasks.take(worker)) >= 0;) {
    const int64_t first = index * operation.task_rows;
    task(first, std::min(operation.task_rows, operation.rows - first));
  }
}

void DecodeStep::embed(int worker) {
  const OperationTimer timer("embedding");
  for (size_t row = static_cast<size_t>(worker); row < rows_.size(); row += static_cast<size_t>(pool_.size())) {
    float* x = residual_.data() + static_cast<int64_t>(row) * width_;
    const cpu::MatrixView& table = weights_.token_embedding.matrix;
    const float scale = table.scales != nullptr ? table.scales[rows_[row].token] : 1.0f;
    cpu::load_row(table.dtype, table.row(rows_[row].token), scale, width_, x);
    if (weights_.position_embedding.defined())
      cpu::add_to_row(x, weights_.position_embedding.const_data_ptr<float>() + rows_[row].position * width_, width_);
  }
}

cpu::Vectors DecodeStep::ordered(const float* rows, int64_t width, int worker) {
  Scratch& scratch = scratch_[static_cast<size_t>(worker)];
  const int64_t stride = cpu::padded(width);
  const auto count = static_cast<int64_t>(rows_.size());
  for (int64_t row = 0; row < count; ++row)
    cpu::to_order(weights_.dtype(), rows + row * width, width, scratch.ordered.data() + row * stride);
  return {scratch.ordered.data(), stride, count};
}

cpu::Vectors DecodeStep::normed(const Norm& norm, int worker) {
  Scratch& scratch = scratch_[static_cast<size_t>(worker)];
  const int64_t stride = cpu::padded(width_);
  const auto count = static_cast<int64_t>(rows_.size());
  const cpu::NormRow parameters = norm.row();
  for (int64_t row = 0; row < count; ++row) {
    cpu::norm_row(parameters, residual_.data() + row * width_, width_, scratch.row.data());
    cpu::to_order(weights_.dtype(), scratch.row.data(), width_, scratch.ordered.data() + row * stride);
  }
  return {scratch.ordered.data(), stride, count};
}

void DecodeStep::project_qkv(int64_t layer, int worker) {
  const OperationTimer timer("weights");
  const EngineLayer& weights = weights_.layers[static_cast<size_t>(layer)];
  const cpu::Vectors input = normed(weights.norm1, worker);
  Scratch& scratch = scratch_[static_cast<size_t>(worker)];
  // A task is a head, which its worker also rotates and stores.
  for_rows(operation(layer, kQkv), worker, [&](int64_t first, int64_t rows) {
    cpu::dots(weights.qkv.matrix, first, rows, input, scratch.out.data(), rows);
    for (int64_t row = 0; row < input.count; ++row)
      finish_head(layer, first / rows, row, scratch.out.data() + row * rows, scratch);
  });
}

void DecodeStep::finish_head(int64_t layer, int64_t head, int64_t row, float* numbers, Scratch& scratch) {
  const EngineLayer& weights = weights_.layers[static_cast<size_t>(layer)];
  const model::LayerLayout& layout = weights_.layouts()[static_cast<size_t>(layer)];
  const StepRow& step = rows_[static_cast<size_t>(row)];
  const float* bias = weights.qkv.bias_data();
  if (bias != nullptr) cpu::add_to_row(numbers, bias + head * d_, d_);
  const int64_t key = head - heads_, value = key - layout.live_keys;
  if (value >= 0) return step.sequence->store(layout_.value_slot(layer, value), step.position, numbers);
  const Norm& norm = key < 0 ? weights.query_norm : weights.key_norm;
  if (norm.defined()) cpu::norm_row(norm.row(), numbers, d_, numbers);
  if (weights_.rotary_angles.defined())
    cpu::rotate_row(numbers, weights_.rotary_angles.const_data_ptr<float>() + step.position * d_, d_ / 2);
  if (key >= 0) return step.sequence->store(layout_.key_slot(layer, key), step.position, numbers);
  cpu::scale_row(numbers, static_cast<float>(layout.softmax_scale), d_);
  cpu::to_order(layout_.dtype(), numbers, d_, attention_.query(row, head));
}

void DecodeStep::attend(int64_t layer, int worker) {
  const OperationTimer timer("attention");
  attention_.run(layer, worker, operation(layer, kAttention).tasks);
}

cpu::Vectors DecodeStep::merged_heads(int64_t layer, int worker) {
  Scratch& scratch = scratch_[static_cast<size_t>(worker)];
  const int64_t inputs = heads_ * d_, stride = cpu::padded(inputs);
  const auto count = static_cast<int64_t>(rows_.size());
  for (int64_t row = 0; row < count; ++row) {
    attention_.merge(layer, row, scratch.row.data());
    cpu::to_order(weights_.dtype(), scratch.row.data(), inputs, scratch.ordered.data() + row * stride);
  }
  return {scratch.ordered.data(), stride, count};
}

void DecodeStep::add_to_residual(Operation& operation, const cpu::Vectors& input, int worker) {
  const Linear& linear = *operation.linear;
  float* out = scratch_[static_cast<size_t>(worker)].out.data();
  for_rows(operation, worker, [&](int64_t first, int64_t rows) {
    cpu::dots(linear.matrix, first, rows, input, out, rows);
    for (int64_t row = 0; row < input.count; ++row) {
      float* residual = residual_.data() + row * width_ + first;
      if (linear.bias_data() != nullptr) cpu::add_to_row(out + row * rows, linear.bias_data() + first, rows);
      cpu::add_to_row(residual, out + row * rows, rows);
    }
  });
}

void DecodeStep::project_output(int64_t layer, int worker) {
  const OperationTimer timer("weights");
  add_to_residual(operation(layer, kOutput), merged_heads(layer, worker), worker);
}

void DecodeStep::expand(int64_t layer, int worker) {
  const OperationTimer timer("weights");
  const EngineLayer& weights = weights_.layers[static_cast<size_t>(layer)];
  const cpu::Vectors input = normed(weights.norm2, worker);
  const int64_t hidden = weights_.config().mlp_width;
  const bool gated = weights_.activation == model::Activation::kSwiGlu;
  const float* bias = weights.up.bias_data();
  float* out = scratch_[static_cast<size_t>(worker)].out.data();
  for_rows(operation(layer, kUp), worker, [&](int64_t first, int64_t rows) {
    float* second = out + input.count * rows;
    cpu::dots(weights.up.matrix, first, rows, input, out, rows);
    if (gated) cpu::dots(weights.up.matrix, hidden + first, rows, input, second, rows);
    for (int64_t row = 0; row < input.count; ++row) {
      float* x = out + row * rows;
      if (bias != nullptr) cpu::add_to_row(x, bias + first, rows);
      if (gated) {
        if (bias != nullptr) cpu::add_to_row(second + row * rows, bias + hidden + first, rows);
        cpu::swiglu_row(x, second + row * rows, rows);
      } else {
        cpu::gelu_row(x, rows, weights_.activation == model::Activation::kGelu);
      }
      std::copy_n(x, rows, hidden_.data() + row * hidden + first);
    }
  });
}

void DecodeStep::contract(int64_t layer, int worker) {
  const OperationTimer timer("weights");
  add_to_residual(operation(layer, kDown), ordered(hidden_.data(), weights_.config().mlp_width, worker), worker);
}

void DecodeStep::predict(int worker) {
  const OperationTimer timer("vocabulary head");
  const cpu::MatrixView& head = weights_.head.matrix;
  const cpu::Vectors input = normed(weights_.final_norm, worker);
  for_rows(operations_.back(), worker, [&](int64_t first, int64_t rows) {
    cpu::dots(head, first, rows, input, logits_.data() + first, head.rows);
  });
}

}  // namespace skipattn::inference
