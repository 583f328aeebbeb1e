#include "skipattn/io/safetensors.h"

#include <gmock/gmock.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "skipattn/core/errors.h"
#include "skipattn/io/safetensors_writer.h"
#include "skipattn/io/test_folder.h"

namespace skipattn::io {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string file_of(const std::string& header, const std::string& data) {
  const uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + header + data;
}

std::vector<float> floats_of(const StoredTensor& tensor) {
  std::vector<float> values(tensor.bytes.size() / sizeof(float));
  std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

const std::vector<float> kWeight = {0, 1.5f, -2, 3, 4, 5e-8f};
const std::vector<uint8_t> kFlags = {1, 0, 1};
const std::vector<int64_t> kCount = {-7};

void write_sample(const std::filesystem::path& path) {
  SafetensorsWriter writer(path,
                           {{"flags", DType::kBool, {3}},
                            {"weight", DType::kF32, {2, 3}},
                            {"count", DType::kI64, {}},
                            {"none", DType::kF16, {0, 4}}},
                           {{"note", "é"}});
  // In another order than the file's, one of them in two pieces.
  const auto weight = std::as_bytes(std::span(kWeight));
  writer.write("weight", weight.first(5));
  writer.write("count", std::as_bytes(std::span(kCount)));
  writer.write("flags", std::as_bytes(std::span(kFlags)));
  writer.write("weight", weight.subspan(5));
  writer.commit();
}

TEST(Safetensors, RoundTripsEveryPart) {
  const TestFolder folder;
  write_sample(folder / "a.safetensors");
  const SafetensorsFile file(folder / "a.safetensors");
  EXPECT_EQ(file.tensors().size(), 4u);
  EXPECT_EQ(file.at("weight").dtype, DType::kF32);
  EXPECT_EQ(file.at("weight").shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(floats_of(file.at("weight")), kWeight);
  EXPECT_EQ(std::memcmp(file.at("count").bytes.data(), kCount.data(), 8), 0);
  EXPECT_EQ(std::memcmp(file.at("flags").bytes.data(), kFlags.data(), 3), 0);
  EXPECT_TRUE(file.at("none").bytes.empty());
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_EQ(file.metadata().at("note"), "é");
  for (const auto& [name, tensor] : file.tensors())
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.bytes.data()) % dtype_bytes(tensor.dtype), 0u) << name;
  EXPECT_EQ(file.find("absent"), nullptr);
  EXPECT_THAT(error_of<InputError>([&] { file.at("wieght"); }), HasSubstr("did you mean 'weight'"));
}

TEST(Safetensors, TheWriterHoldsItsCallerToTheDeclaration) {
  const TestFolder folder;
  const std::vector<TensorDeclaration> one = {{"a", DType::kF32, {2}}};
  SafetensorsWriter writer(folder / "a", one);
  EXPECT_THROW(writer.write("b", {}), std::logic_error);
  EXPECT_THROW(writer.write("a", std::as_bytes(std::span(kWeight))), std::logic_error);
  EXPECT_THROW(writer.commit(), std::logic_error);
  EXPECT_THROW(SafetensorsWriter(folder / "b", {one[0], one[0]}), std::logic_error);
}

struct Fault {
  std::string header;
  std::string data;
  std::string message;
};

TEST(Safetensors, EveryKindOfFaultIsOneSentence) {
  const std::string f32 = R"("dtype":"F32",)";
  const std::vector<Fault> faults = {
      {"[]", "", "not a JSON object"},
      {"{", "", "not valid JSON"},
      {R"({"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}})", "1234", "the type F33 is not known"},
      {R"({"a":{"shape":[1],"data_offsets":[0,4]}})", "1234", "has no \"dtype\""},
      {"{\"a\":{" + f32 + R"("shape":[2],"data_offsets":[0,4]}})", "1234", "takes 8 bytes, its data offsets hold 4"},
      {"{\"a\":{" + f32 + R"("shape":[-1],"data_offsets":[0,4]}})", "1234", "is not a list of sizes"},
      {"{\"a\":{" + f32 + R"("shape":[1],"data_offsets":[4,0]}})", "1234", "are not a begin and an end"},
      {"{\"a\":{" + f32 + R"("shape":[1],"data_offsets":[0]}})", "1234", "are not a begin and an end"},
      {"{\"a\":{" + f32 + R"("shape":[1],"data_offsets":[0,4]}})", "123", "is cut short"},
      {"{\"a\":{" + f32 + R"("shape":[1],"data_offsets":[0,4]}})", "12345", "accounts for 4"},
      {"{\"a\":{" + f32 + R"("shape":[1],"data_offsets":[4,8]}})", "12345678", "leaving a hole after"},
      {"{\"a\":{" + f32 + R"("shape":[1],"data_offsets":[0,4]},"b":{)" + f32 + R"("shape":[1],"data_offsets":[2,6]}})",
       "123456", "inside one that ends at byte 4"},
      {"{\"a\":{" + f32 + R"("shape":[4294967296,4294967296],"data_offsets":[0,0]}})", "", "is too large"},
      {"{\"a\":{" + f32 + R"("shape":[1],"data_offsets":[0,4]},"a":{)" + f32 + R"("shape":[1],"data_offsets":[4,8]}})",
       "12345678", "lists the tensor \"a\" twice"},
      {R"({"__metadata__":{"a":1}})", "", "metadata \"a\" is not a string"},
  };
  const TestFolder folder;
  for (const Fault& fault : faults) {
    const auto path = folder.write("wrong.safetensors", file_of(fault.header, fault.data));
    EXPECT_THAT(error_of<InputError>([&] { SafetensorsFile{path}; }),
                AllOf(HasSubstr(path.string()), HasSubstr(fault.message)))
        << fault.header;
  }
}

TEST(Safetensors, CutAnywhereItIsRefused) {
  const TestFolder folder;
  write_sample(folder / "a");
  const std::string whole = slurp(folder / "a");
  for (size_t keep = 0; keep < whole.size(); ++keep) {
    const auto path = folder.write("cut", whole.substr(0, keep));
    EXPECT_THAT(error_of<InputError>([&] { SafetensorsFile{path}; }), HasSubstr(keep < 8 ? "has only" : "is cut short"))
        << keep;
  }
  std::string huge = whole;
  huge[7] = 127;
  EXPECT_THAT(error_of<InputError>([&] { SafetensorsFile{folder.write("huge", huge)}; }), HasSubstr("would take"));
}

TEST(SafetensorsDirectory, ReadsOneFileOrTheShardsOfAnIndex) {
  const TestFolder folder;
  EXPECT_THAT(error_of<InputError>([&] { SafetensorsDirectory{folder.path()}; }),
              HasSubstr("neither model.safetensors nor model.safetensors.index.json"));
  for (const char* name : {"a", "b"}) {
    SafetensorsWriter writer(folder / (std::string(name) + ".safetensors"), {{name, DType::kF32, {2, 3}}});
    writer.write(name, std::as_bytes(std::span(kWeight)));
    writer.commit();
  }
  folder.write("model.safetensors.index.json", R"({"weight_map":{"a":"a.safetensors","b":"b.safetensors"}})");
  const SafetensorsDirectory shards(folder.path());
  EXPECT_EQ(floats_of(shards.at("a")), kWeight);
  EXPECT_EQ(floats_of(shards.at("b")), kWeight);
  folder.write("model.safetensors.index.json", R"({"weight_map":{"c":"b.safetensors"}})");
  EXPECT_THAT(error_of<InputError>([&] { SafetensorsDirectory{folder.path()}; }), HasSubstr("holds no tensor \"c\""));
  folder.write("model.safetensors.index.json", R"({"weight_map":{"a":"../a.safetensors"}})");
  EXPECT_THAT(error_of<InputError>([&] { SafetensorsDirectory{folder.path()}; }), HasSubstr("not the name of a file"));
  write_sample(folder / "model.safetensors");
  EXPECT_EQ(SafetensorsDirectory(folder.path()).tensors().size(), 4u);
}

TEST(Safetensors, AgreesWithThePythonPackageBothWays) {
  if (!python_imports("safetensors.numpy")) GTEST_SKIP() << "SKIPATTN_PYTHON has no safetensors package";
  const TestFolder folder;
  write_sample(folder / "ours");
  std::string output;
  EXPECT_TRUE(run_python(folder, R"(
import numpy as np, os
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
here = os.path.dirname(__file__)
t = load_file(here + "/ours")
assert sorted(t) == ["count", "flags", "none", "weight"], sorted(t)
assert t["weight"].tolist() == np.float32([[0, 1.5, -2], [3, 4, 5e-8]]).tolist(), t["weight"]
assert t["count"].shape == () and t["count"] == -7 and t["flags"].tolist() == [True, False, True]
assert t["none"].shape == (0, 4) and t["none"].dtype == np.float16
assert safe_open(here + "/ours", "np").metadata() == {"format": "pt", "note": "é"}
save_file({"x": np.arange(6, dtype=np.float32).reshape(2, 3), "y": np.array([1, 2, 3], dtype=np.uint8),
           "z": np.ones((2, 2), dtype=np.int64)}, here + "/theirs", {"who": "python"})
)",
                         output))
      << output;
  const SafetensorsFile theirs(folder / "theirs");
  EXPECT_EQ(floats_of(theirs.at("x")), (std::vector<float>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(theirs.at("x").shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(theirs.at("y").dtype, DType::kU8);
  EXPECT_EQ(theirs.at("z").dtype, DType::kI64);
  EXPECT_EQ(theirs.metadata().at("who"), "python");
}

}  // namespace
}  // namespace skipattn::io
