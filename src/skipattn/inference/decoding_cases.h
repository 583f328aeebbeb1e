// The models that decoding is tested with: routings of every kind on a small decoder.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "skipattn/core/random.h"
#include "skipattn/inference/test_model.h"

namespace skipattn::inference {

struct DecodingCase {
  std::string name;
  std::string routing;
  TestShape shape = {};
};

inline void PrintTo(const DecodingCase& test, std::ostream* out) {
  *out << test.name;
}

/// Every head reads any layers up to its own and any heads of them, keys and values apart; some read nothing.
inline std::string random_table(int layers, int kv_heads, uint64_t seed) {
  Random random(seed);
  const auto source = [&](int layer) {
    return "{\"layer\": " + std::to_string(random.below(static_cast<uint64_t>(layer) + 1)) +
           ", \"head\": " + std::to_string(random.below(static_cast<uint64_t>(kv_heads))) + "}";
  };
  std::string routes;
  for (int layer = 1; layer < layers; ++layer) {
    for (int head = 0; head < kv_heads; ++head) {
      std::string key = source(layer), value = source(layer);
      if (random.below(8) == 0) key = value = "\"none\"";
      routes += (routes.empty() ? "" : ", ") + ("{\"layer\": " + std::to_string(layer)) +
                ", \"head\": " + std::to_string(head) + ", \"key\": " + key + ", \"value\": " + value + "}";
    }
  }
  return "{\"routes\": [" + routes + "]}";
}

inline const char* const kJoint =
    R"({"routes": [{"layer": "2-5", "head": [0, 2], "key": ["own", 0, 1], "value": ["own", 0, 1]},
                               {"layer": 5, "head": 3, "key": ["own", {"layer": 3, "head": 1}], "value": [2, 4]}]})";

inline std::vector<DecodingCase> decoding_cases() {
  return {
      {"Baseline", "baseline"},
      {"Sla", "sla"},
      {"SlaShort", "sla(distance=2, heads=3)"},
      {"SlaResolved", "sla(distance=2, heads=3, chain=resolved)"},
      {"ValuesOnly", "sla(distance=3, heads=3, keys=own)"},
      {"KeysOnly", "sla(distance=3, heads=3, values=own)"},
      {"SkipV1", "skipv1"},
      {"Cla", "cla(group=2)"},
      {"Yoco", "yoco(split=1/2)"},
      {"YocoWindow", "yoco(split=1/2, window=7)"},
      {"Joint", kJoint},
      {"Random1", random_table(6, 4, 1)},
      {"Random2", random_table(6, 4, 2)},
      {"GroupedQueries", "sla(distance=2, heads=1)", {.kv_heads = 2}},
      {"OneKvHead", "cla(group=3)", {.kv_heads = 1}},
      {"RandomGrouped", random_table(6, 2, 3), {.kv_heads = 2}},
      {"ModelWindow", "sla(distance=2, heads=2)", {.window = 5}},
      {"Llama", "sla(distance=2, heads=1)", {.kv_heads = 2, .family = "llama"}},
      {"LlamaYoco", "yoco(split=1/2)", {.window = 20, .family = "mistral"}},
      {"Qwen2", "skipv1(heads=1)", {.kv_heads = 1, .family = "qwen2"}},
      {"Qwen3", kJoint, {.family = "qwen3"}},
      {"Qwen3KeysOnly", "sla(distance=3, heads=1, values=own)", {.kv_heads = 2, .family = "qwen3"}},
      {"Windows", R"({"windows": [4, 0, 9, 0, 3, 0], "routes": [{"layer": "3-5", "head": 1, "key": 0, "value": 2}]})"}};
}

}  // namespace skipattn::inference
