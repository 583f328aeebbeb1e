// Aligned scratch memory that outlives the call which used it: fresh pages cost more than the work done in them (first
// touch runs at 3 GB/s here, memory at 40), so buffers go back to a pool and are used again.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>

namespace skipattn::attention::cpu {

/// A lease of memory, 64-byte aligned, contents undefined. Movable; returns to the pool when destroyed.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t bytes);
  /// Memory that is not the pool's: used, never given back.
  static Buffer at(void* memory);
  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;

  bool empty() const { return data_ == nullptr; }
  float* floats() const { return static_cast<float*>(data_); }
  uint32_t* words() const { return static_cast<uint32_t*>(data_); }

  /// Gives the pool's free memory back to the system.
  static void release_unused();

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;  // 0: not the pool's
};

/// A new tensor in the pool's memory, contents undefined, laid out as empty_heads_inner() (problem.h) does.
at::Tensor pooled_heads_inner(at::IntArrayRef sizes, const at::TensorOptions& options);

}  // namespace skipattn::attention::cpu
