#include "skipattn/io/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "skipattn/core/errors.h"
#include "skipattn/core/text.h"
#include "skipattn/io/json_file.h"

namespace skipattn::io {

namespace {

static_assert(std::endian::native == std::endian::little, "tensor bytes are used as they lie in the file");

constexpr uint64_t kHeaderLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the reference implementation's limit

struct Extent {
  uint64_t begin;
  uint64_t end;
  std::string name;
};

// JSON objects with a key twice would silently lose one of the tensors.
nlohmann::json parse_header(std::string_view text, const std::string& path) {
  std::set<std::string> names;
  const auto watch = [&](int depth, nlohmann::json::parse_event_t event, nlohmann::json& parsed) {
    if (event == nlohmann::json::parse_event_t::key && depth == 1 && !names.insert(parsed.get<std::string>()).second)
      throw InputError("'{}': its header lists the tensor \"{}\" twice", path, parsed.get<std::string>());
    return true;
  };
  try {
    return nlohmann::json::parse(text, watch);
  } catch (const nlohmann::json::exception&) {
    throw InputError("'{}' is not a safetensors file: its header is not valid JSON", path);
  }
}

const StoredTensor* find_in(const TensorMap& tensors, std::string_view name) {
  const auto found = tensors.find(name);
  return found == tensors.end() ? nullptr : &found->second;
}

const StoredTensor& find_or_throw(const TensorMap& tensors, std::string_view name, const std::filesystem::path& path) {
  if (const StoredTensor* tensor = find_in(tensors, name)) return *tensor;
  std::vector<std::string> names;
  for (const auto& [known, tensor] : tensors) names.push_back(known);
  throw InputError("'{}' holds no tensor \"{}\"{}", path.string(), name, did_you_mean(name, names));
}

// One entry of the header, without its bytes; its place in the data goes to `extent`.
StoredTensor read_entry(const nlohmann::json& entry, const std::string& where, Extent& extent) {
  const auto type_name = json_get<std::string>(entry, "dtype", where);
  const auto dtype = dtype_from_name(type_name);
  if (!dtype) throw InputError("'{}': the type {} is not known here", where, type_name);
  StoredTensor tensor{*dtype, {}, {}};
  const auto sizes = json_get<nlohmann::json>(entry, "shape", where);
  const auto offsets = json_get<nlohmann::json>(entry, "data_offsets", where);
  const auto whole = [](const nlohmann::json& value) {
    return value.is_number_unsigned() && value.get<uint64_t>() <= INT64_MAX;
  };
  if (!sizes.is_array() || !std::all_of(sizes.begin(), sizes.end(), whole))
    throw InputError("'{}': the shape {} is not a list of sizes", where, sizes.dump());
  if (!offsets.is_array() || offsets.size() != 2 || !std::all_of(offsets.begin(), offsets.end(), whole) ||
      offsets[0] > offsets[1])
    throw InputError("'{}': the data offsets {} are not a begin and an end", where, offsets.dump());
  tensor.shape = sizes.get<std::vector<int64_t>>();
  extent.begin = offsets[0].get<uint64_t>();
  extent.end = offsets[1].get<uint64_t>();
  const auto bytes = tensor_bytes(*dtype, tensor.shape);
  if (!bytes) throw InputError("'{}': the shape {} is too large", where, shape_text(tensor.shape));
  if (*bytes != extent.end - extent.begin)
    throw InputError("'{}': {} of shape {} takes {} bytes, its data offsets hold {}", where, type_name,
                     shape_text(tensor.shape), *bytes, extent.end - extent.begin);
  return tensor;
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : path_(path), file_(path) {
  const std::span<const std::byte> bytes = file_.bytes();
  if (bytes.size() < kHeaderLengthBytes)
    throw InputError("'{}' is not a safetensors file: it has only {} bytes", path.string(), bytes.size());
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof(length));
  if (length > kMaxHeaderBytes)
    throw InputError("'{}' is not a safetensors file: its header would take {} bytes", path.string(), length);
  if (length > bytes.size() - kHeaderLengthBytes)
    throw InputError("'{}' is cut short: its header takes {} bytes, the file has {} in all", path.string(), length,
                     bytes.size());
  read_header({reinterpret_cast<const char*>(bytes.data()) + kHeaderLengthBytes, length});
}

void SafetensorsFile::read_header(std::string_view text) {
  const std::string path = path_.string();
  const nlohmann::json header = parse_header(text, path);
  if (!header.is_object()) throw InputError("'{}' is not a safetensors file: its header is not a JSON object", path);
  const std::span<const std::byte> data = file_.bytes().subspan(kHeaderLengthBytes + text.size());
  std::vector<Extent> extents;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") {
      for (const auto& [key, value] : entry.items()) {
        if (!value.is_string()) throw InputError("'{}': its metadata \"{}\" is not a string", path, key);
        metadata_[key] = value.get<std::string>();
      }
      continue;
    }
    Extent extent{0, 0, name};
    StoredTensor tensor = read_entry(entry, fmt::format("{}', tensor '{}", path, name), extent);
    if (extent.end > data.size())
      throw InputError("'{}' is cut short: the tensor \"{}\" ends at byte {} of the data, {} are there", path, name,
                       extent.end, data.size());
    tensor.bytes = data.subspan(extent.begin, extent.end - extent.begin);
    tensors_.emplace(name, std::move(tensor));
    extents.push_back(std::move(extent));
  }
  std::sort(extents.begin(), extents.end(),
            [](const Extent& a, const Extent& b) { return std::tie(a.begin, a.end) < std::tie(b.begin, b.end); });
  uint64_t end = 0;
  for (const Extent& extent : extents) {
    if (extent.begin != end)
      throw InputError("'{}': the tensor \"{}\" begins at byte {} of the data, {} byte {}", path, extent.name,
                       extent.begin, extent.begin < end ? "inside one that ends at" : "leaving a hole after", end);
    end = extent.end;
  }
  if (end != data.size())
    throw InputError("'{}' has {} bytes of data, its header accounts for {}", path, data.size(), end);
}

const StoredTensor* SafetensorsFile::find(std::string_view name) const {
  return find_in(tensors_, name);
}

const StoredTensor& SafetensorsFile::at(std::string_view name) const {
  return find_or_throw(tensors_, name, path_);
}

SafetensorsDirectory::SafetensorsDirectory(const std::filesystem::path& folder, std::string_view stem)
    : folder_(folder) {
  if (!std::filesystem::is_directory(folder)) throw InputError("there is no folder '{}'", folder.string());
  const auto single = folder / fmt::format("{}.safetensors", stem);
  const auto index = folder / fmt::format("{}.safetensors.index.json", stem);
  if (std::filesystem::exists(single)) {
    files_.push_back(std::make_unique<SafetensorsFile>(single));
    tensors_ = files_.back()->tensors();
  } else if (std::filesystem::exists(index)) {
    open_shards(index);
  } else {
    throw InputError("'{}' holds neither {} nor {}", folder.string(), single.filename().string(),
                     index.filename().string());
  }
}

void SafetensorsDirectory::open_shards(const std::filesystem::path& index) {
  const std::string where = index.string();
  const auto assignment = json_get<nlohmann::json>(read_json_file(index), "weight_map", where);
  if (!assignment.is_object()) throw InputError("'{}': \"weight_map\" must be an object", where);
  std::map<std::string, const SafetensorsFile*> shards;
  for (const auto& [name, shard] : assignment.items()) {
    if (!shard.is_string())
      throw InputError("'{}': the file of \"{}\" must be a string, it is {}", where, name, shard.dump());
    const auto file_name = shard.get<std::string>();
    if (file_name.empty() || file_name == ".." || file_name.find('/') != std::string::npos)
      throw InputError("'{}': \"{}\" is not the name of a file beside it", where, file_name);
    const SafetensorsFile*& file = shards[file_name];
    if (file == nullptr) {
      files_.push_back(std::make_unique<SafetensorsFile>(folder_ / file_name));
      file = files_.back().get();
    }
    tensors_.emplace(name, file->at(name));
  }
}

const StoredTensor* SafetensorsDirectory::find(std::string_view name) const {
  return find_in(tensors_, name);
}

const StoredTensor& SafetensorsDirectory::at(std::string_view name) const {
  return find_or_throw(tensors_, name, folder_);
}

}  // namespace skipattn::io
