#include "skipattn/model/checkpoint.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <set>

#include "skipattn/core/errors.h"
#include "skipattn/io/json_file.h"
#include "skipattn/io/safetensors.h"
#include "skipattn/io/test_folder.h"
#include "skipattn/model/hugging_face.h"
#include "skipattn/model/reroute.h"
#include "skipattn/model/tensor_file.h"
#include "skipattn/model/test_models.h"

namespace skipattn::model {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using testing::largest_difference;
using testing::random_tokens;
using testing::small_config;

/// A folder that is gone at the end of the test.
class Checkpoint : public ::testing::Test {
 protected:
  Checkpoint() {
    std::string pattern = (fs::temp_directory_path() / "skipattn-checkpoint-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  ~Checkpoint() override { fs::remove_all(folder_); }

  static Decoder random_model(const std::string& routing) { return random_model(small_config(routing)); }
  static Decoder random_model(const ModelConfig& config) {
    Decoder decoder(config);
    decoder.initialize(3);
    return decoder;
  }
  fs::path save(const Decoder& decoder, const char* name = "model") const {
    const fs::path path = folder_ / name;
    fs::create_directories(path);
    save_model(path, decoder, decoder.parameters());
    return path;
  }

  fs::path folder_;
};

TEST_F(Checkpoint, WhatIsSavedIsLoadedBitForBit) {
  for (const std::string& routing : testing::routings_of_every_kind()) {
    const Decoder decoder = random_model(routing);
    const Decoder loaded = load_model(save(decoder));
    EXPECT_EQ(loaded.routing(), decoder.routing());
    for (size_t i = 0; i < decoder.parameters().size(); ++i)
      EXPECT_TRUE(at::equal(decoder.parameters()[i], loaded.parameters()[i])) << decoder.table().specs[i].name;
  }
}

TEST_F(Checkpoint, FilesHoldGpt2sNamesAndLayout) {
  const fs::path path = save(random_model("sla(distance=2, heads=3)"));
  const io::SafetensorsFile file(path / "model.safetensors");
  EXPECT_EQ(file.at("transformer.h.0.attn.c_attn.weight").shape, (std::vector<int64_t>{32, 96}));
  // Q of four heads, one live K head, one live V head, 8 wide each.
  EXPECT_EQ(file.at("transformer.h.3.attn.c_attn.weight").shape, (std::vector<int64_t>{32, 48}));
  EXPECT_EQ(file.at("transformer.h.3.attn.c_attn.bias").shape, (std::vector<int64_t>{48}));
  EXPECT_EQ(file.find("lm_head.weight"), nullptr);
  const auto config = io::read_json_file(path / "config.json");
  EXPECT_EQ(config["kv_routing"], "sla(distance=2, heads=3, keys=skip, values=skip, which=last)");
  EXPECT_EQ(config["model_type"], "skipattn_gpt2");
  EXPECT_EQ(io::read_json_file(save(random_model("baseline"), "plain") / "config.json")["model_type"], "gpt2");
}

TEST_F(Checkpoint, WeightsBeyondTheShardSizeAreSplitAndReadBack) {
  const Decoder decoder = random_model("sla(distance=2, heads=3)");
  constexpr uint64_t kMaxBytes = 20'000;  // the MLP's matrices take 16 KiB each
  const fs::path path = folder_ / "shards";
  fs::create_directories(path);
  save_model(path, decoder, decoder.parameters(), {.max_shard_bytes = kMaxBytes});
  EXPECT_FALSE(fs::exists(path / "model.safetensors"));
  const auto index = io::read_json_file(path / "model.safetensors.index.json");
  int64_t bytes = 0;
  std::set<std::string> files;
  for (const at::Tensor& value : decoder.parameters()) bytes += static_cast<int64_t>(value.nbytes());
  for (const auto& [name, file] : index["weight_map"].items()) files.insert(file.get<std::string>());
  EXPECT_EQ(index["metadata"]["total_size"], bytes);
  EXPECT_EQ(index["weight_map"].size(), decoder.table().specs.size());
  ASSERT_GT(files.size(), 3u);
  EXPECT_EQ(*files.begin(), fmt::format("model-00001-of-{:05}.safetensors", files.size()));
  for (const std::string& file : files) EXPECT_LT(fs::file_size(path / file), kMaxBytes + 4096) << file;

  const Decoder loaded = load_model(path);
  for (size_t i = 0; i < decoder.parameters().size(); ++i)
    EXPECT_TRUE(at::equal(decoder.parameters()[i], loaded.parameters()[i])) << decoder.table().specs[i].name;
  fs::remove(path / *files.rbegin());
  EXPECT_THAT(io::error_of<InputError>([&] { load_model(path); }), HasSubstr(*files.rbegin()));
}

TEST_F(Checkpoint, ALlamaIsSavedInPartsAndLoadedBitForBit) {
  for (const char* routing : {"baseline", "sla(distance=2, heads=3)", "cla(group=2)"}) {
    const Decoder decoder = random_model(testing::small_llama(routing));
    const fs::path path = save(decoder);
    const Decoder loaded = load_model(path);
    EXPECT_EQ(loaded.config().routing, decoder.config().routing);
    for (size_t i = 0; i < decoder.parameters().size(); ++i)
      EXPECT_TRUE(at::equal(decoder.parameters()[i], loaded.parameters()[i])) << decoder.table().specs[i].name;
  }
  const io::SafetensorsFile file(folder_ / "model" / "model.safetensors");  // cla: layer 3 reads layer 2
  EXPECT_EQ(file.at("model.layers.3.self_attn.q_proj.weight").shape, (std::vector<int64_t>{48, 32}));
  EXPECT_EQ(file.at("model.layers.2.self_attn.k_proj.weight").shape, (std::vector<int64_t>{24, 32}));
  EXPECT_EQ(file.at("model.layers.3.mlp.up_proj.bias").shape, (std::vector<int64_t>{40}));
  const LayerIndex index = Decoder(testing::small_llama("cla(group=2)")).table().layers[2];
  const auto expect_rows = [&](const char* name, int parameter, int64_t begin, int64_t rows) {
    const std::string full = std::string("model.layers.2.") + name;
    const at::Tensor whole = load_model(folder_ / "model").parameters()[parameter];
    EXPECT_TRUE(at::equal(to_tensor(file.at(full), full), whole.narrow(0, begin, rows))) << name;
  };
  expect_rows("self_attn.q_proj.weight", index.qkv_weight, 0, 48);
  expect_rows("self_attn.k_proj.weight", index.qkv_weight, 48, 24);
  expect_rows("self_attn.v_proj.weight", index.qkv_weight, 72, 24);
  expect_rows("mlp.gate_proj.weight", index.up_weight, 0, 40);
  expect_rows("mlp.up_proj.weight", index.up_weight, 40, 40);
  for (const char* dead : {"k_proj.weight", "k_proj.bias", "v_proj.weight", "v_proj.bias", "k_norm.weight"})
    EXPECT_EQ(file.find(std::string("model.layers.3.self_attn.") + dead), nullptr) << dead;
}

TEST_F(Checkpoint, EveryConfigIsReadAsItWasWritten) {
  std::vector<ModelConfig> configs = {small_config("cla(group=2)"), testing::small_llama("baseline")};
  for (const char* family : {"llama", "mistral", "qwen2", "qwen3"}) {
    for (const int64_t windowed : {0, 2, 4}) {
      ModelConfig config = small_config("baseline");
      config.family = family;
      config.bias = false;
      config.activation = "silu";
      config.rotary.base = 321;
      config.window = windowed > 0 ? 9 : 0;
      if (windowed == 2) config.windowed_layers = {1, 3};
      config.resolve();
      configs.push_back(config);
    }
  }
  for (ModelConfig config : configs) {
    config.routing = Decoder(config).config().routing;
    const fs::path path = save(random_model(config));
    EXPECT_EQ(read_config_json(path), config) << io::read_json_file(path / "config.json");
  }
}

TEST_F(Checkpoint, ReroutingKeepsWhatIsLiveAndListsTheRest) {
  const Decoder baseline = random_model("baseline");
  const Rerouted result = reroute(baseline, "sla(distance=2, heads=3)");
  Decoder drawn(small_config("sla(distance=2, heads=3)"));
  drawn.initialize(3);  // the same seed: the same live weights
  for (size_t i = 0; i < drawn.parameters().size(); ++i)
    EXPECT_TRUE(at::equal(result.decoder.parameters()[i], drawn.parameters()[i])) << drawn.table().specs[i].name;
  ASSERT_EQ(result.dropped.size(), 4u);
  EXPECT_EQ(result.dropped[0], "transformer.h.2.attn.c_attn.weight: key heads 1-3, value heads 1-3");
  EXPECT_EQ(result.kept.size(), baseline.table().specs.size());
  EXPECT_THAT(io::error_of<InputError>([&] { reroute(result.decoder, "baseline"); }),
              HasSubstr("reads keys of layer 2, heads 1-3, which the model has no weights for"));
}

TEST_F(Checkpoint, EveryFaultOfAFolderIsNamed) {
  const fs::path path = save(random_model("baseline"));
  auto config = io::read_json_file(path / "config.json");
  EXPECT_THAT(io::error_of<InputError>([&] { load_model(folder_ / "nowhere"); }), HasSubstr("no such folder"));
  EXPECT_THAT(io::error_of<InputError>([&] { load_model(folder_); }), HasSubstr("has no config.json"));

  auto changed = config;
  changed["n_layer"] = 5;
  io::write_json_file(path / "config.json", changed);
  EXPECT_THAT(io::error_of<InputError>([&] { load_model(path); }),
              HasSubstr("'transformer.h.4.attn.c_attn.weight' is missing"));
  changed["n_layer"] = 3;
  io::write_json_file(path / "config.json", changed);
  EXPECT_THAT(io::error_of<InputError>([&] { load_model(path); }),
              HasSubstr("'transformer.h.3.attn.c_attn.weight' does not belong to this model"));
  changed = config;
  changed["vocab_size"] = 62;
  io::write_json_file(path / "config.json", changed);
  EXPECT_THAT(io::error_of<InputError>([&] { load_model(path); }),
              HasSubstr("has shape [61, 32], the config says [62, 32]"));
  changed = config;
  changed["model_type"] = "bert";
  io::write_json_file(path / "config.json", changed);
  EXPECT_THAT(io::error_of<InputError>([&] { load_model(path); }),
              HasSubstr("model_type 'bert' is not supported; supported are gpt2"));

  io::write_json_file(path / "config.json", config);
  fs::resize_file(path / "model.safetensors", fs::file_size(path / "model.safetensors") - 1);
  EXPECT_THAT(io::error_of<InputError>([&] { load_model(path); }), HasSubstr("model.safetensors"));
  std::ofstream(path / "config.json") << "{\"n_layer\": ";
  EXPECT_THAT(io::error_of<InputError>([&] { load_model(path); }), HasSubstr("config.json"));
}

}  // namespace
}  // namespace skipattn::model
