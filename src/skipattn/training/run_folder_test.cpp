#include "skipattn/training/run_folder.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "skipattn/core/errors.h"
#include "skipattn/io/test_folder.h"

namespace skipattn::training {
namespace {

namespace fs = std::filesystem;

void save(const RunFolder& folder, int64_t step, int64_t keep_last = 2) {
  folder.save(step, keep_last, [&](const fs::path& place) {
    std::ofstream(place / "config.json") << step;
    write_trainer_state(place, {.step = step, .tokens = 10 * step, .settings = "a = 1\n"});
  });
}

TEST(RunFolder, TheNewestCheckpointShowsThroughTheFolder) {
  const io::TestFolder base;
  const RunFolder folder(base / "run");
  EXPECT_FALSE(folder.latest());
  for (const int64_t step : {9, 10, 100}) save(folder, step);
  EXPECT_EQ(folder.latest(), base / "run" / "checkpoint-100");
  EXPECT_EQ(io::slurp(base / "run" / "config.json"), "100");
  EXPECT_FALSE(fs::exists(base / "run" / "trainer.json"));
  EXPECT_FALSE(fs::exists(base / "run" / "checkpoint-9"));
  EXPECT_TRUE(fs::exists(base / "run" / "checkpoint-10"));
  const TrainerState state = read_trainer_state(*folder.latest());
  EXPECT_EQ(state.step, 100);
  EXPECT_EQ(state.tokens, 1000);
  EXPECT_EQ(state.settings, "a = 1\n");
}

TEST(RunFolder, AFailedSaveLeavesTheLastGoodOne) {
  const io::TestFolder base;
  const RunFolder folder(base / "run");
  save(folder, 1);
  EXPECT_THROW(folder.save(2, 1, [](const fs::path&) { throw std::runtime_error("disk"); }), std::runtime_error);
  EXPECT_EQ(io::slurp(base / "run" / "config.json"), "1");
  EXPECT_EQ(folder.latest(), base / "run" / "checkpoint-1");
}

TEST(RunFolder, LeftoversOfAKillAreClearedAndOtherNamesLeftAlone) {
  const io::TestFolder base;
  fs::create_directories(base / "run" / ".deleting-4");
  fs::create_directories(base / "run" / "checkpoint-best");
  const RunFolder folder(base / "run");
  EXPECT_FALSE(fs::exists(base / "run" / ".deleting-4"));
  EXPECT_FALSE(folder.latest());
  save(folder, 3, 1);
  EXPECT_TRUE(fs::exists(base / "run" / "checkpoint-best"));
}

TEST(RunFolder, ASaveKilledBeforeItsLinksIsFinishedByTheNextOpening) {
  const io::TestFolder base;
  save(RunFolder(base / "run"), 1);
  save(RunFolder(base / "run"), 2);
  fs::remove(base / "run" / "latest");
  fs::create_symlink("checkpoint-1", base / "run" / "latest");
  fs::remove(base / "run" / "config.json");
  fs::create_symlink("checkpoint-1", base / "run" / ".latest.link");
  const RunFolder folder(base / "run");
  EXPECT_EQ(io::slurp(base / "run" / "config.json"), "2");
  EXPECT_FALSE(fs::is_symlink(base / "run" / ".latest.link"));
}

TEST(RunFolder, WhatIsOverNeedsNoMoments) {
  const io::TestFolder base;
  const RunFolder folder(base / "run");
  for (const int64_t step : {1, 2}) {
    save(folder, step);
    std::ofstream(base / "run" / fmt::format("checkpoint-{}", step) / "trainer.safetensors") << "moments";
  }
  folder.remove_moments();
  for (const int64_t step : {1, 2}) {
    EXPECT_FALSE(fs::exists(base / "run" / fmt::format("checkpoint-{}", step) / "trainer.safetensors"));
    EXPECT_TRUE(fs::exists(base / "run" / fmt::format("checkpoint-{}", step) / "trainer.json"));
  }
  EXPECT_EQ(io::slurp(base / "run" / "config.json"), "2");
}

TEST(RunFolder, AFolderThatCannotBeMadeIsNamed) {
  const io::TestFolder base;
  base.write("file", "");
  EXPECT_NE(io::error_of<RunError>([&] { RunFolder folder(base / "file" / "run"); }).find("file"), std::string::npos);
}

}  // namespace
}  // namespace skipattn::training
