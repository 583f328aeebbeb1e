#include "skipattn/io/tensor_info.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>

namespace skipattn::io {

namespace {

struct TypeRow {
  DType dtype;
  std::string_view name;
  size_t bytes;
};

constexpr std::array<TypeRow, 15> kTypes{{
    {DType::kBool, "BOOL", 1},
    {DType::kU8, "U8", 1},
    {DType::kI8, "I8", 1},
    {DType::kF8E4M3, "F8_E4M3", 1},
    {DType::kF8E5M2, "F8_E5M2", 1},
    {DType::kU16, "U16", 2},
    {DType::kI16, "I16", 2},
    {DType::kF16, "F16", 2},
    {DType::kBF16, "BF16", 2},
    {DType::kU32, "U32", 4},
    {DType::kI32, "I32", 4},
    {DType::kF32, "F32", 4},
    {DType::kU64, "U64", 8},
    {DType::kI64, "I64", 8},
    {DType::kF64, "F64", 8},
}};

}  // namespace

size_t dtype_bytes(DType dtype) {
  return kTypes.at(static_cast<size_t>(dtype)).bytes;
}

std::string_view dtype_name(DType dtype) {
  return kTypes.at(static_cast<size_t>(dtype)).name;
}

std::optional<DType> dtype_from_name(std::string_view name) {
  for (const TypeRow& row : kTypes)
    if (row.name == name) return row.dtype;
  return std::nullopt;
}

std::optional<uint64_t> tensor_bytes(DType dtype, const std::vector<int64_t>& shape) {
  int64_t bytes = static_cast<int64_t>(dtype_bytes(dtype));
  for (const int64_t size : shape)
    if (size < 0 || __builtin_mul_overflow(bytes, size, &bytes)) return std::nullopt;
  return static_cast<uint64_t>(bytes);
}

std::string shape_text(const std::vector<int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

}  // namespace skipattn::io
