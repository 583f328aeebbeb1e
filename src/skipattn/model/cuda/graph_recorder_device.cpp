// Recording with torch's CUDA graphs, whose allocator keeps what is allocated during a recording for the graph alone.
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "skipattn/model/step_graph.h"

namespace skipattn::model::cuda {

namespace {

class CudaGraphRecorder : public GraphRecorder {
 public:
  void record(const std::function<void()>& work) override {
    graph_.reset();
    c10::cuda::device_synchronize();
    graph_ = std::make_unique<at::cuda::CUDAGraph>();
    // The default stream cannot be recorded.
    const c10::cuda::CUDAStreamGuard guard(c10::cuda::getStreamFromPool(/*isHighPriority=*/true));
    graph_->capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
    try {
      work();
    } catch (...) {
      end_broken_capture();
      throw;
    }
    graph_->capture_end();
  }

  void replay() override { graph_->replay(); }

 private:
  /// Whatever stopped the work is reported, not what ending says then.
  void end_broken_capture() {
    try {
      graph_->capture_end();
    } catch (const std::exception&) {
      cudaGetLastError();  // not the next call's error
    }
    graph_.reset();
  }

  std::unique_ptr<at::cuda::CUDAGraph> graph_;
};

}  // namespace

std::unique_ptr<GraphRecorder> make_graph_recorder() {
  return std::make_unique<CudaGraphRecorder>();
}

}  // namespace skipattn::model::cuda
