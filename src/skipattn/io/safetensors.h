// Reading safetensors files: eight bytes of header length, a JSON header, then the tensors' bytes
// (github.com/huggingface/safetensors, "Format"). The file is memory-mapped and its header is
// checked completely before anything is handed out, so a wrong file fails when it is opened and
// never later.
//
//   const SafetensorsFile file("model.safetensors");
//   const StoredTensor& weight = file.at("transformer.wte.weight");   // dtype, shape, bytes
//
//   const SafetensorsDirectory model("gpt2/");    // model.safetensors, or the shards of an index
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "skipattn/io/mapped_file.h"
#include "skipattn/io/tensor_info.h"

namespace skipattn::io {

/// One tensor of an open file. `bytes` are row-major, little-endian, valid while the file object
/// lives, and aligned to the element only when the file's writer took care of that: copy before
/// reading elements.
struct StoredTensor {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;
};

using TensorMap = std::map<std::string, StoredTensor, std::less<>>;

class SafetensorsFile {
 public:
  /// Throws InputError, one sentence with the path and the fault, when the file is absent, cut
  /// short or not sound.
  explicit SafetensorsFile(const std::filesystem::path& path);

  const TensorMap& tensors() const { return tensors_; }
  /// The free strings of the header ("__metadata__").
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// The tensor, or null.
  const StoredTensor* find(std::string_view name) const;
  /// The tensor; throws InputError naming the path and a near name when there is none.
  const StoredTensor& at(std::string_view name) const;

 private:
  void read_header(std::string_view text);

  std::filesystem::path path_;
  MappedFile file_;
  TensorMap tensors_;
  std::map<std::string, std::string> metadata_;
};

/// All tensors of a model folder: those of `STEM.safetensors`, or, when that is absent, those that
/// `STEM.safetensors.index.json` assigns to shards.
class SafetensorsDirectory {
 public:
  /// Throws InputError when neither is there, or an index names a file or a tensor that is not.
  explicit SafetensorsDirectory(const std::filesystem::path& folder, std::string_view stem = "model");

  const TensorMap& tensors() const { return tensors_; }
  const StoredTensor* find(std::string_view name) const;
  const StoredTensor& at(std::string_view name) const;

 private:
  void open_shards(const std::filesystem::path& index);

  std::filesystem::path folder_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  TensorMap tensors_;
};

}  // namespace skipattn::io
