// Recording with torch's CUDA graphs, whose allocator keeps what is allocated during a recording for the graph alone.
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "skipattn/model/step_graph.h"

namespace skipattn::model::cuda {

namespace {

class CudaGraphRecorder : public GraphRecorder {
 public:
  void record(const std::function<void()>& work) override {
    forget();
    c10::cuda::device_synchronize();
    graph_ = std::make_unique<at::cuda::CUDAGraph>();
    // The default stream cannot be recorded.
    const c10::cuda::CUDAStreamGuard stream(c10::cuda::getStreamFromPool(/*isHighPriority=*/true));
    const c10::MempoolId_t pool = at::cuda::graph_pool_handle();
    try {
      graph_->capture_begin(pool, cudaStreamCaptureModeThreadLocal);
      work();
      graph_->capture_end();
    } catch (...) {
      end_broken_capture(pool);
      throw;
    }
  }

  void replay() override { graph_->replay(); }
  void forget() override { graph_.reset(); }

 private:
  /// Whatever stopped the work is reported, not what ending says then.
  void end_broken_capture(const c10::MempoolId_t& pool) {
    try {
      graph_->capture_end();
    } catch (const std::exception&) {
      cudaGetLastError();  // not the next call's error
      give_back(pool);
    }
    forget();
  }

  /// An ending that throws leaves the allocator with its pool, and the graph without the right to release it.
  static void give_back(const c10::MempoolId_t& pool) {
    const c10::DeviceIndex device = c10::cuda::current_device();
    try {
      c10::cuda::CUDACachingAllocator::endAllocateToPool(device, pool);
      c10::cuda::CUDACachingAllocator::releasePool(device, pool);
    } catch (const std::exception&) {  // it has let go of the pool already
    }
  }

  std::unique_ptr<at::cuda::CUDAGraph> graph_;
};

}  // namespace

std::unique_ptr<GraphRecorder> make_graph_recorder() {
  return std::make_unique<CudaGraphRecorder>();
}

}  // namespace skipattn::model::cuda
