// Writing safetensors files as a stream: all tensors are declared first, then their bytes come in
// any order and in any pieces, straight to the disk. The file appears under its name only at
// commit() (see atomic_file.h).
//
//   SafetensorsWriter writer("model.safetensors", {{"w", DType::kF32, {2, 3}}});
//   writer.write("w", std::as_bytes(std::span(values)));
//   writer.commit();
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "skipattn/io/atomic_file.h"
#include "skipattn/io/tensor_info.h"

namespace skipattn::io {

/// A tensor to be written.
struct TensorDeclaration {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
};

class SafetensorsWriter {
 public:
  /// Lays the file out: wide elements first, then by name, the data starting at a multiple of eight
  /// bytes, so that every tensor is aligned to its element. `metadata` goes into the header;
  /// "format" = "pt", which Transformers asks for, is added when not given. Throws RunError as
  /// AtomicFileWriter does, std::logic_error for a name declared twice.
  SafetensorsWriter(const std::filesystem::path& path, std::vector<TensorDeclaration> tensors,
                    std::map<std::string, std::string> metadata = {});

  /// Appends bytes to a declared tensor. std::logic_error when it is not declared or would grow
  /// beyond its size.
  void write(std::string_view name, std::span<const std::byte> bytes);

  /// Ends the file. std::logic_error when a tensor has not got all its bytes.
  void commit();

 private:
  struct Region {
    uint64_t next = 0;  // where its next byte goes, from the start of the file
    uint64_t end = 0;
  };

  AtomicFileWriter file_;
  std::map<std::string, Region, std::less<>> regions_;
};

}  // namespace skipattn::io
