// Memory for what is read from end to end again and again: huge pages where it is large, zeros at first. And working memory.
#pragma once

#include <cstdint>
#include <memory>

namespace skipattn::inference {

class LargeMemory {
 public:
  LargeMemory() = default;
  /// Throws RunError when there is no memory.
  explicit LargeMemory(int64_t bytes);

  char* data() const { return data_.get(); }
  int64_t bytes() const { return bytes_; }

 private:
  struct Free {
    void operator()(char* memory) const;
  };
  std::unique_ptr<char, Free> data_;
  int64_t bytes_ = 0;
};

/// fp32 numbers that are kept from step to step.
class Numbers {
 public:
  /// Room for `count` and cpu::kSlack bytes; what is there is lost when it grows.
  void reserve(int64_t count);
  float* data() const { return reinterpret_cast<float*>(memory_.data()); }

 private:
  LargeMemory memory_;
};

}  // namespace skipattn::inference
