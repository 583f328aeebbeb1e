// Memory for what is read from end to end again and again: huge pages where it is large, zeros at first.
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

}  // namespace skipattn::inference
