// What a stored tensor is: element type, shape, bytes. The types are safetensors' own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace skipattn::io {

enum class DType { kBool, kU8, kI8, kF8E4M3, kF8E5M2, kU16, kI16, kF16, kBF16, kU32, kI32, kF32, kU64, kI64, kF64 };

/// Bytes of one element: 1, 2, 4 or 8.
size_t dtype_bytes(DType dtype);
/// The name in the file: "F32", "BF16", …
std::string_view dtype_name(DType dtype);
/// The type of that name, or nothing.
std::optional<DType> dtype_from_name(std::string_view name);

/// Bytes of a tensor, or nothing when a size is negative or the product does not fit 63 bits. No
/// sizes: one element.
std::optional<uint64_t> tensor_bytes(DType dtype, const std::vector<int64_t>& shape);

/// "[2, 3]".
std::string shape_text(const std::vector<int64_t>& shape);

}  // namespace skipattn::io
