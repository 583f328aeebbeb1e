#include "skipattn/data/hold_out.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "skipattn/io/test_folder.h"

namespace skipattn::data {
namespace {

/// The text of both sides, documents ended by '|'.
std::pair<std::string, std::string> split(const std::string& path, double fraction, uint64_t piece_bytes) {
  DocumentReaderOptions options;
  options.piece_bytes = piece_bytes;
  DocumentReader reader({path}, options);
  HoldOut hold_out({path}, 1, fraction);
  std::string train, val;
  for (DocumentPiece piece; reader.next(piece);)
    for (const PlacedPiece& placed : hold_out.place(std::move(piece))) {
      std::string& side = placed.held_out ? val : train;
      EXPECT_TRUE(!placed.piece.begins || side.empty() || side.back() == '|');
      side += placed.piece.text + (placed.piece.ends ? "|" : "");
    }
  return {train, val};
}

TEST(HoldOut, TheEndOfASingleTextBeginsAtALine) {
  const io::TestFolder folder;
  std::string text;
  for (int i = 0; i < 100; ++i) text += "line " + std::to_string(i + 100) + "\n";  // 9 bytes each
  const std::string path = folder.write("a.txt", text).string();
  // 10 % of 900 bytes begin at byte 810, inside line 90, or at the first line after it.
  for (const uint64_t piece_bytes : {7, 64, 300, 100000}) {
    const auto [train, val] = split(path, 0.1, piece_bytes);
    EXPECT_EQ(train, text.substr(0, train.size() - 1) + "|") << piece_bytes;
    EXPECT_EQ(train.substr(0, train.size() - 1) + val, text + "|");
    EXPECT_EQ(val.substr(0, 5), "line ");
    EXPECT_NEAR(static_cast<double>(val.size()), 90.0, 10.0);
  }
}

TEST(HoldOut, SeveralDocumentsAreNeverSplit) {
  const io::TestFolder folder;
  std::string lines;
  for (int i = 0; i < 200; ++i) lines += "{\"text\": \"document " + std::to_string(i) + "\\nof two lines\"}\n";
  const auto [train, val] = split(folder.write("a.jsonl", lines).string(), 0.25, 100000);
  EXPECT_EQ(std::ranges::count(train, '|') + std::ranges::count(val, '|'), 200);
  EXPECT_NEAR(static_cast<double>(std::ranges::count(val, '|')), 50.0, 20.0);
  EXPECT_TRUE(split(folder.write("b.jsonl", lines).string(), 0, 100000).second.empty());
}

}  // namespace
}  // namespace skipattn::data
