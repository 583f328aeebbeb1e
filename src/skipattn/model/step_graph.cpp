#include "skipattn/model/step_graph.h"

#include <cstdlib>
#include <exception>
#include <string_view>

#include "skipattn/attention/cuda/device_clock.h"
#include "skipattn/core/errors.h"
#include "skipattn/core/operation_timer.h"

namespace skipattn::model {

namespace {

bool wants_graph() {
  const char* wanted = std::getenv("SKIPATTN_CUDA_GRAPH");
  if (wanted == nullptr || *wanted == '\0' || std::string_view(wanted) == "1") return true;
  if (std::string_view(wanted) == "0") return false;
  throw InputError("SKIPATTN_CUDA_GRAPH must be '0' or '1', got '{}'", wanted);
}

}  // namespace

std::unique_ptr<GraphRecorder> make_graph_recorder(c10::Device device) {
  return wants_graph() && device.is_cuda() ? cuda::make_graph_recorder() : nullptr;
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
}

}  // namespace skipattn::model
