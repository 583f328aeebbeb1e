// Recording with torch's CUDA graphs, whose allocator keeps what is allocated during a recording for the graph alone.
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "skipattn/model/step_graph.h"

namespace skipattn::model::cuda {

namespace {

/// One recording on a stream of its own; the default stream cannot be recorded.
class Capture {
 public:
  explicit Capture(at::cuda::CUDAGraph& graph) : graph_(graph) {
    try {
      graph_.capture_begin(pool_, cudaStreamCaptureModeThreadLocal);
    } catch (const std::exception&) {
      give_back_pool();
      throw;
    }
  }
  /// Broken off: whatever stopped the work is reported, not what ending says then.
  ~Capture() {
    if (ended_) return;
    try {
      graph_.capture_end();
    } catch (const std::exception&) {
      give_back_pool();
    }
  }
  void end() {
    ended_ = true;
    try {
      graph_.capture_end();
    } catch (const std::exception&) {
      give_back_pool();
      throw;
    }
  }

 private:
  /// An ending that throws leaves the allocator with its pool, and the graph without the right to release it.
  void give_back_pool() const {
    cudaGetLastError();  // not the next call's error
    const c10::DeviceIndex device = c10::cuda::current_device();
    try {
      c10::cuda::CUDACachingAllocator::endAllocateToPool(device, pool_);
      c10::cuda::CUDACachingAllocator::releasePool(device, pool_);
    } catch (const std::exception&) {  // it has let go of the pool already
    }
  }

  at::cuda::CUDAGraph& graph_;
  const c10::cuda::CUDAStreamGuard stream_{c10::cuda::getStreamFromPool(/*isHighPriority=*/true)};
  const c10::MempoolId_t pool_ = at::cuda::graph_pool_handle();
  bool ended_ = false;
};

class CudaGraphRecorder : public GraphRecorder {
 public:
  void record(const std::function<void()>& work) override {
    forget();
    c10::cuda::device_synchronize();
    graph_ = std::make_unique<at::cuda::CUDAGraph>();
    try {
      Capture capture(*graph_);
      work();
      capture.end();
    } catch (const std::exception&) {
      forget();
      throw;
    }
  }

  void replay() override { graph_->replay(); }
  void forget() override { graph_.reset(); }

 private:
  std::unique_ptr<at::cuda::CUDAGraph> graph_;
};

}  // namespace

std::unique_ptr<GraphRecorder> make_graph_recorder() {
  return std::make_unique<CudaGraphRecorder>();
}

}  // namespace skipattn::model::cuda
