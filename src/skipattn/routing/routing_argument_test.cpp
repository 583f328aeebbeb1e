#include "skipattn/routing/routing_argument.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "skipattn/core/errors.h"
#include "skipattn/routing/routing.h"

namespace skipattn::routing {
namespace {

constexpr Shape kSmall = {.layers = 4, .kv_heads = 4};
constexpr const char* kToml = R"(
layers = 4
windows = 32
[[routes]]
layer = "2-3"
head = [0, 1]
key = 0
value = ["own"]
[[routes]]
layer = 3
head = 2
key = ["own", 1]
value = ["own", {layer = 1, head = 3}]
)";
constexpr const char* kJson = R"({"layers": 4, "windows": 32, "routes": [
  {"layer": "2-3", "head": [0, 1], "key": 0, "value": ["own"]},
  {"layer": 3, "head": 2, "key": ["own", 1], "value": ["own", {"layer": 1, "head": 3}]}]})";

/// A file that is gone at the end of the test.
class TemporaryFile {
 public:
  TemporaryFile(const std::string& name, const std::string& content)
      : path_(std::filesystem::path(testing::TempDir()) / ("skipattn_routing_" + name)) {
    std::ofstream(path_, std::ios::binary) << content;
  }
  ~TemporaryFile() { std::filesystem::remove(path_); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  std::string argument() const { return "@" + path_.string(); }

 private:
  std::filesystem::path path_;
};

std::string refusal(const std::string& argument) {
  try {
    return "accepted: " + read_routing_argument(argument);
  } catch (const InputError& error) {
    return error.what();
  }
}

TEST(RoutingArgument, FilesOfBothKindsAndTextAreOneStructure) {
  const TemporaryFile toml("a.toml", kToml);
  const TemporaryFile json("a.json", kJson);
  const Routing expected = parse_routing(kJson, kSmall);
  EXPECT_EQ(parse_routing(read_routing_argument(toml.argument()), kSmall), expected);
  EXPECT_EQ(parse_routing(read_routing_argument(" " + json.argument()), kSmall), expected);
  EXPECT_EQ(parse_routing(read_routing_argument(kJson), kSmall), expected);
  EXPECT_EQ(read_routing_argument(" sla(heads=2) "), "sla(heads=2)");
}

TEST(RoutingArgument, ATomlTableMayNameARouting) {
  const std::string text = routing_text_from_toml("name = \"sla\"\ndistance = 2\nheads = 0.5", "x");
  EXPECT_EQ(parse_routing(text, kSmall), parse_routing("sla(distance=2, heads=2)", kSmall));
}

TEST(RoutingArgument, JsonValuesAreTextsOrTables) {
  EXPECT_EQ(routing_text(nlohmann::json("cla")), "cla");
  EXPECT_EQ(parse_routing(routing_text(nlohmann::json::parse(kJson)), kSmall), parse_routing(kJson, kSmall));
  EXPECT_THROW(routing_text(nlohmann::json(3)), InputError);
}

TEST(RoutingArgument, BadFilesAreRefusedInOneSentence) {
  EXPECT_THAT(refusal("@/nowhere/x.json"),
              testing::MatchesRegex("routing file '/nowhere/x.json' cannot be read: No such file.*"));
  EXPECT_THAT(refusal("@x.yaml"), testing::HasSubstr("must end in .toml or .json"));
  const TemporaryFile folder_like("b.json", "{\"routes\": [");
  EXPECT_THAT(refusal(folder_like.argument()), testing::HasSubstr("is not sound JSON"));
  const TemporaryFile toml("b.toml", "layers = 4\nroutes = [");
  EXPECT_THAT(refusal(toml.argument()), testing::HasSubstr("not sound TOML at line 2"));
  const TemporaryFile number("c.json", "3");
  EXPECT_THAT(refusal(number.argument()), testing::HasSubstr("a routing must be a text or a table"));
}

TEST(RoutingArgument, AKeyGivenTwiceInAFileIsStillSeen) {
  const TemporaryFile json("d.json", R"({"routes": [], "routes": []})");
  EXPECT_THROW(parse_routing(read_routing_argument(json.argument()), kSmall), InputError);
}

}  // namespace
}  // namespace skipattn::routing
