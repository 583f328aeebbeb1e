#include "skipattn/inference/memory.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

#include "skipattn/core/errors.h"
#include "skipattn/inference/cpu/elements.h"

namespace skipattn::inference {

namespace {

constexpr int64_t kHugePage = int64_t{2} << 20;

}  // namespace

LargeMemory::LargeMemory(int64_t bytes) : bytes_(bytes) {
  const int64_t alignment = bytes >= kHugePage ? kHugePage : 64;
  const auto rounded = static_cast<size_t>((bytes + alignment - 1) / alignment * alignment);
  data_.reset(static_cast<char*>(std::aligned_alloc(static_cast<size_t>(alignment), rounded)));
  if (data_ == nullptr) throw RunError("{} bytes of memory for weights or the KV cache cannot be had", bytes);
  if (alignment == kHugePage) madvise(data_.get(), rounded, MADV_HUGEPAGE);
  std::memset(data_.get(), 0, rounded);
}

void Numbers::reserve(int64_t count) {
  const int64_t bytes = count * static_cast<int64_t>(sizeof(float)) + cpu::kSlack;
  if (bytes > memory_.bytes()) memory_ = LargeMemory(bytes);
}

void LargeMemory::Free::operator()(char* memory) const {
  std::free(memory);
}

}  // namespace skipattn::inference
