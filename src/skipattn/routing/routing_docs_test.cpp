// docs/routing.md is held to what it says. Its fenced blocks say how in the line that opens them:
//   ```text routings 12x12             each line parses for a model of 12 layers and 12 KV heads
//   ```text map 4x4 sla(heads=2)       the block is that routing's heat map
//   ```text fault 12x12 sla(heads=13)  the block is the error message
//   ```json table 4x4, ```toml table 4x4   the block is an explicit table; all of them are the same
//   one
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <optional>

#include "skipattn/core/errors.h"
#include "skipattn/core/text.h"
#include "skipattn/routing/render.h"
#include "skipattn/routing/routing.h"
#include "skipattn/routing/routing_argument.h"

namespace skipattn::routing {
namespace {

/// A fenced block: ```language check shape rest.
struct Block {
  std::string language;
  std::string check;
  Shape shape;
  std::string rest;
  std::string content;
};

std::string documentation_path() {
  const char* source = std::getenv("SKIPATTN_SOURCE_DIR");
  return std::string(source ? source : ".") + "/docs/routing.md";
}

/// Blocks whose opening line names a check; others are prose.
std::vector<Block> checked_blocks(std::istream& file) {
  std::vector<Block> blocks;
  std::optional<Block> open;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("```") && open) {
      if (!open->check.empty()) blocks.push_back(*open);
      open.reset();
    } else if (line.starts_with("```")) {
      char language[16] = "";
      char check[16] = "";
      int consumed = 0;
      Block block;
      if (std::sscanf(line.c_str(), "```%15s %15s %dx%d%n", language, check, &block.shape.layers, &block.shape.kv_heads,
                      &consumed) == 4) {
        block.language = language;
        block.check = check;
        block.rest = trim(line.substr(static_cast<size_t>(consumed)));
      }
      open = block;
    } else if (open) {
      open->content += line + '\n';
    }
  }
  return blocks;
}

std::string refusal(const std::string& text, const Shape& shape) {
  try {
    return "accepted: " + parse_routing(text, shape).text;
  } catch (const InputError& error) {
    return std::string(error.what()) + '\n';
  }
}

TEST(RoutingDocs, EveryCheckedBlockIsTrue) {
  std::ifstream file(documentation_path());
  ASSERT_TRUE(file) << documentation_path();
  int texts = 0;
  int maps = 0;
  int faults = 0;
  std::vector<Routing> tables;
  for (const Block& block : checked_blocks(file)) {
    SCOPED_TRACE(block.check + " " + block.rest + "\n" + block.content);
    if (block.check == "routings") {
      for (const std::string& line : split(trim(block.content), '\n')) {
        EXPECT_NO_THROW(parse_routing(line, block.shape)) << refusal(line, block.shape);
        ++texts;
      }
    } else if (block.check == "map") {
      EXPECT_EQ(render_heat_map(parse_routing(block.rest, block.shape), false), block.content);
      ++maps;
    } else if (block.check == "fault") {
      EXPECT_EQ(refusal(block.rest, block.shape), block.content);
      ++faults;
    } else if (block.check == "table") {
      const std::string text =
          block.language == "toml" ? routing_text_from_toml(block.content, "docs/routing.md") : block.content;
      tables.push_back(parse_routing(text, block.shape));
      EXPECT_EQ(tables.front(), tables.back());
    } else {
      ADD_FAILURE() << "unknown check";
    }
  }
  EXPECT_GE(texts, 10);
  EXPECT_GE(maps, 5);
  EXPECT_GE(faults, 2);
  EXPECT_GE(tables.size(), 2u);
}

}  // namespace
}  // namespace skipattn::routing
