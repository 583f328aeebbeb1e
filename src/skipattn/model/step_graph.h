// A step that does the same work at the same addresses every time, recorded once and then run as a whole: on a card as a
// CUDA graph, which starts in one call what would be thousands of kernels' launches.
#pragma once

#include <c10/core/Device.h>

#include <functional>
#include <memory>
#include <string>

namespace skipattn::model {

/// Records what a function gives the device to do.
class GraphRecorder {
 public:
  virtual ~GraphRecorder() = default;
  /// Records `work` without doing it, after forget(). Throws when something in it cannot be recorded.
  virtual void record(const std::function<void()>& work) = 0;
  /// Does what was recorded.
  virtual void replay() = 0;
  /// Gives back what a recording holds.
  virtual void forget() = 0;
};

/// Null where nothing can be recorded: on the CPU, and where the environment has SKIPATTN_CUDA_GRAPH=0.
std::unique_ptr<GraphRecorder> make_graph_recorder(c10::Device device);

class StepGraph {
 public:
  /// Steps that run plainly first: attention chooses its kernels then, and libraries make their workspaces.
  static constexpr int kWarmUpSteps = 3;

  /// Without a recorder steps always run plainly.
  explicit StepGraph(std::unique_ptr<GraphRecorder> recorder) : recorder_(std::move(recorder)) {}

  /// Runs a step: plainly at first, from the recording later. A step that cannot be recorded runs plainly for good; steps
  /// whose operations are being timed (core/operation_timer.h) run plainly too.
  void run(const std::function<void()>& step);
  /// The addresses or the work have changed: begin anew.
  void forget();

  bool replays() const { return recorded_; }
  /// Why a step could not be recorded; empty otherwise.
  const std::string& failure() const { return failure_; }

 private:
  std::unique_ptr<GraphRecorder> recorder_;
  int plain_steps_ = 0;
  bool recorded_ = false;
  std::string failure_;
};

}  // namespace skipattn::model

namespace skipattn::model::cuda {
/// Null in a build without CUDA.
std::unique_ptr<GraphRecorder> make_graph_recorder();
}  // namespace skipattn::model::cuda
