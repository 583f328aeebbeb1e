#include "skipattn/inference/dtype.h"

#include "skipattn/core/errors.h"

namespace skipattn::inference {

Dtype parse_dtype(const std::string& what, const std::string& text) {
  for (const Dtype dtype : {Dtype::kFp32, Dtype::kBf16, Dtype::kInt8})
    if (text == dtype_name(dtype)) return dtype;
  throw InputError("{} '{}': must be fp32, bf16 or int8", what, text);
}

const char* dtype_name(Dtype dtype) {
  switch (dtype) {
    case Dtype::kFp32:
      return "fp32";
    case Dtype::kBf16:
      return "bf16";
    case Dtype::kInt8:
      return "int8";
  }
  return "";
}

int64_t bytes_of(Dtype dtype) {
  return dtype == Dtype::kFp32 ? 4 : dtype == Dtype::kBf16 ? 2 : 1;
}

}  // namespace skipattn::inference
