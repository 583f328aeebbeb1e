#include "skipattn/model/step_graph.h"

#include <exception>

#include "skipattn/attention/cuda/device_clock.h"
#include "skipattn/core/environment.h"
#include "skipattn/core/operation_timer.h"

namespace skipattn::model {

std::unique_ptr<GraphRecorder> make_graph_recorder(c10::Device device) {
  return environment_says("SKIPATTN_CUDA_GRAPH", "1", "0") && device.is_cuda() ? cuda::make_graph_recorder() : nullptr;
}

void StepGraph::run(const std::function<void()>& step) {
  if (operation_timers_enabled()) return step();
  if (!recorder_ || plain_steps_ < kWarmUpSteps) {
    ++plain_steps_;
    return step();
  }
  if (!recorded_) {
    try {
      const attention::cuda::NoMeasuring as_measured_before;
      recorder_->record(step);
      recorded_ = true;
    } catch (const std::exception& error) {
      failure_ = error.what();
      recorder_.reset();
      return step();
    }
  }
  recorder_->replay();
}

void StepGraph::forget() {
  plain_steps_ = 0;
  recorded_ = false;
  if (recorder_) recorder_->forget();
}

}  // namespace skipattn::model
