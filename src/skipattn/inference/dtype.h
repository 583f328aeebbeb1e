// What numbers a model's weights and its KV cache are kept in.
#pragma once

#include <cstdint>
#include <string>

namespace skipattn::inference {

enum class Dtype {
  kFp32,
  kBf16,
  kInt8,  ///< whole numbers -127 … 127 and one fp32 scale for each row (of a weight matrix, or of a cached head vector)
};

/// "fp32", "bf16" or "int8"; throws InputError naming all three, `what` before it.
Dtype parse_dtype(const std::string& what, const std::string& text);
const char* dtype_name(Dtype dtype);
/// Bytes of one number, scales not counted.
int64_t bytes_of(Dtype dtype);

}  // namespace skipattn::inference
