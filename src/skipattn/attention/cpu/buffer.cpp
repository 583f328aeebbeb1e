#include "skipattn/attention/cpu/buffer.h"

#include <ATen/ATen.h>
#include <sys/mman.h>

#include <bit>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

namespace skipattn::attention::cpu {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kKept = size_t{1} << 30;  // free bytes the pool holds at most

/// Sizes are rounded up to a sixteenth of their power of two, so that similar calls share buffers.
size_t rounded(size_t bytes) {
  const size_t step = std::bit_floor(bytes < 4096 ? 4096 : bytes) / 16;
  return bytes == 0 ? step : (bytes + step - 1) / step * step;
}

class Pool {
 public:
  void* take(size_t bytes) {
    {
      const std::lock_guard lock(mutex_);
      const auto found = free_.find(bytes);
      if (found != free_.end() && !found->second.empty()) {
        void* data = found->second.back();
        found->second.pop_back();
        kept_ -= bytes;
        return data;
      }
    }
    const size_t alignment = bytes >= kHugePage ? kHugePage : 64;
    void* data = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    if (data == nullptr) throw std::bad_alloc();
    if (bytes >= kHugePage) madvise(data, bytes, MADV_HUGEPAGE);
    return data;
  }

  void give_back(void* data, size_t bytes) {
    {
      const std::lock_guard lock(mutex_);
      if (kept_ + bytes <= kKept) {
        free_[bytes].push_back(data);
        kept_ += bytes;
        return;
      }
    }
    std::free(data);
  }

  void release() {
    const std::lock_guard lock(mutex_);
    for (auto& [bytes, list] : free_)
      for (void* data : list) std::free(data);
    free_.clear();
    kept_ = 0;
  }

 private:
  std::mutex mutex_;
  std::map<size_t, std::vector<void*>> free_;
  size_t kept_ = 0;
};

Pool& pool() {
  static auto* instance = new Pool;  // outlives static objects that hold buffers
  return *instance;
}

}  // namespace

Buffer::Buffer(size_t bytes) : bytes_(rounded(bytes)) {
  data_ = pool().take(bytes_);
}

Buffer Buffer::at(void* memory) {
  Buffer buffer;
  buffer.data_ = memory;
  return buffer;
}

Buffer::~Buffer() {
  if (bytes_ != 0) pool().give_back(data_, bytes_);
}

Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

void Buffer::release_unused() {
  pool().release();
}

at::Tensor pooled_heads_inner(at::IntArrayRef sizes, const at::TensorOptions& options) {
  const int64_t batch = sizes[0], heads = sizes[1], length = sizes[2], width = sizes[3];
  const auto bytes = static_cast<size_t>(batch * heads * length * width) * options.dtype().itemsize();
  const auto buffer = std::make_shared<Buffer>(bytes);
  return at::from_blob(
             buffer->floats(), {batch, length, heads, width}, [buffer](void*) {}, options)
      .transpose(1, 2);
}

}  // namespace skipattn::attention::cpu
