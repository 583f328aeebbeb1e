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
    graph_.reset();
    c10::cuda::device_synchronize();
    graph_ = std::make_unique<at::cuda::CUDAGraph>();
    // The default stream cannot be recorded.
    const c10::cuda::CUDAStreamGuard guard(c10::cuda::getStreamFromPool(/*isHighPriority=*/true));
    const c10::MempoolId_t pool = at::cuda::graph_pool_handle();
    graph_->capture_begin(pool, cudaStreamCaptureModeThreadLocal);
    try {
      work();
    } catch (...) {
      end_broken_capture(pool);
      throw;
    }
    graph_->capture_end();
  }

  void replay() override { graph_->replay(); }

 private:
  /// Whatever stopped the work is reported, not what ending says then.
  void end_broken_capture(const c10::MempoolId_t& pool) {
    try {
      graph_->capture_end();
    } catch (const std::exception&) {
      cudaGetLastError();  // not the next call's error
      stop_allocating_for(pool);
    }
    graph_.reset();
  }

  /// An ending that throws leaves the allocator with its pool.
  static void stop_allocating_for(const c10::MempoolId_t& pool) {
    try {
      c10::cuda::CUDACachingAllocator::endAllocateToPool(c10::cuda::current_device(), pool);
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
