#include "skipattn/model/arena.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <sys/mman.h>

#include <numeric>

#include "skipattn/core/errors.h"

namespace skipattn::model {

namespace {

at::Tensor map_cpu_memory(int64_t bytes) {
  constexpr size_t kHugePage = size_t{2} << 20;
  const size_t size = (static_cast<size_t>(bytes) + kHugePage - 1) / kHugePage * kHugePage + kHugePage;
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw RunError("no memory: {:.2f} GiB wanted", static_cast<double>(size) / (1 << 30));
  const auto address = reinterpret_cast<uintptr_t>(memory);
  const uintptr_t aligned = (address + kHugePage - 1) / kHugePage * kHugePage;
#ifdef MADV_HUGEPAGE
  madvise(reinterpret_cast<void*>(aligned), size - (aligned - address), MADV_HUGEPAGE);  // a hint: may fail
#endif
  return at::from_blob(
      reinterpret_cast<void*>(aligned), {bytes}, [memory, size](void*) { munmap(memory, size); },
      at::TensorOptions(at::kByte));
}

}  // namespace

at::Tensor map_memory(int64_t bytes, at::Device device) {
  if (device.is_cpu()) return map_cpu_memory(bytes);
  try {
    return at::zeros({bytes}, at::TensorOptions(at::kByte).device(device));
  } catch (const c10::OutOfMemoryError&) {
    throw RunError("no memory on {}: {:.2f} GiB wanted", device.str(), static_cast<double>(bytes) / (1 << 30));
  }
}

std::vector<at::Tensor> zeros_together(const std::vector<std::vector<int64_t>>& shapes, at::ScalarType dtype,
                                       at::Device device) {
  std::vector<int64_t> offsets;
  int64_t total = 0;
  for (const auto& shape : shapes) {
    offsets.push_back(total);
    const int64_t elements = std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
    total += (elements * static_cast<int64_t>(c10::elementSize(dtype)) + 63) / 64 * 64;
  }
  const at::Tensor memory = map_memory(total, device);
  std::vector<at::Tensor> tensors;
  for (size_t i = 0; i < shapes.size(); ++i)
    tensors.push_back(at::from_blob(
        static_cast<char*>(memory.data_ptr()) + offsets[i], shapes[i], [memory](void*) {},
        at::TensorOptions(dtype).device(device)));
  return tensors;
}

}  // namespace skipattn::model
