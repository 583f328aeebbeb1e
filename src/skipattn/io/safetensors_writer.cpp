#include "skipattn/io/safetensors_writer.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <tuple>

namespace skipattn::io {

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& path, std::vector<TensorDeclaration> tensors,
                                     std::map<std::string, std::string> metadata)
    : file_(path) {
  std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) {
    return std::make_tuple(-static_cast<int>(dtype_bytes(a.dtype)), std::string_view(a.name)) <
           std::make_tuple(-static_cast<int>(dtype_bytes(b.dtype)), std::string_view(b.name));
  });
  metadata.emplace("format", "pt");
  nlohmann::ordered_json header;
  header["__metadata__"] = metadata;
  uint64_t offset = 0;
  for (const TensorDeclaration& tensor : tensors) {
    const auto bytes = tensor_bytes(tensor.dtype, tensor.shape);
    if (!bytes || regions_.contains(tensor.name))
      throw std::logic_error("SafetensorsWriter: wrong declaration of " + tensor.name);
    header[tensor.name] = {
        {"dtype", dtype_name(tensor.dtype)}, {"shape", tensor.shape}, {"data_offsets", {offset, offset + *bytes}}};
    regions_[tensor.name] = {offset, offset + *bytes};
    offset += *bytes;
  }
  std::string text = header.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t length = text.size();
  char prefix[sizeof(length)];
  std::memcpy(prefix, &length, sizeof(length));
  file_.write(std::string_view(prefix, sizeof(prefix)));
  file_.write(text);
  for (auto& [name, region] : regions_) {
    region.next += file_.size();
    region.end += file_.size();
  }
}

void SafetensorsWriter::write(std::string_view name, std::span<const std::byte> bytes) {
  const auto found = regions_.find(name);
  if (found == regions_.end() || bytes.size() > found->second.end - found->second.next)
    throw std::logic_error("SafetensorsWriter: unknown tensor or too many bytes for " + std::string(name));
  file_.write_at(found->second.next, bytes);
  found->second.next += bytes.size();
}

void SafetensorsWriter::commit() {
  for (const auto& [name, region] : regions_)
    if (region.next != region.end) throw std::logic_error("SafetensorsWriter: bytes are missing of " + name);
  file_.commit();
}

}  // namespace skipattn::io
