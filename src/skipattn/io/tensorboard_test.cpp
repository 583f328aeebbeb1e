#include "skipattn/io/tensorboard.h"

#include <gmock/gmock.h>

#include "skipattn/core/errors.h"
#include "skipattn/io/test_folder.h"

namespace skipattn::io {
namespace {

const std::vector<ScalarEvent> kEvents = {
    {.step = 1, .wall_time = 100.5, .tag = "loss/train", .value = 3.25},
    {.step = 300, .wall_time = 101.5, .tag = "loss/train", .value = -0.5},
    {.step = 5'000'000'000, .wall_time = 102, .tag = "lr", .value = 1e-4},
};

TEST(TensorBoard, ChecksumMatchesThePublishedValues) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);            // the check value of the CRC catalogue
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);  // RFC 3720, B.4
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
}

TEST(TensorBoard, AppendingGivesTheSameFileAsWritingAtOnce) {
  const TestFolder folder;
  write_event_file(folder / "whole", 100, kEvents);
  {
    EventFileAppender first(folder / "grown", 100);
    first.append(kEvents[0]);
  }
  EventFileAppender second(folder / "grown", 999);
  second.append(kEvents[1]);
  second.append(kEvents[2]);
  EXPECT_EQ(slurp(folder / "grown"), slurp(folder / "whole"));
}

TEST(TensorBoard, AnUnfinishedRecordIsCutOffBeforeAppending) {
  const TestFolder folder;
  write_event_file(folder / "whole", 100, kEvents);
  const std::string whole = slurp(folder / "whole");
  write_event_file(folder / "two", 100, std::span(kEvents).first(2));
  const size_t two = slurp(folder / "two").size();
  for (size_t keep = two; keep < whole.size(); ++keep) {
    const auto path = folder.write("cut", whole.substr(0, keep));
    EventFileAppender(path).append(kEvents[2]);
    EXPECT_EQ(slurp(path), whole) << keep;
  }
}

TEST(TensorBoard, OtherFilesAreLeftAlone) {
  const TestFolder folder;
  const auto path = folder.write("notes.txt", "these are somebody's notes, not events");
  EXPECT_THROW(EventFileAppender{path}, InputError);
  EXPECT_EQ(slurp(path), "these are somebody's notes, not events");
  EXPECT_THROW(EventFileAppender{"/proc/none/a"}, RunError);
}

TEST(TensorBoard, TensorBoardReadsItBack) {
  if (!python_imports("tensorboard.backend.event_processing.event_file_loader"))
    GTEST_SKIP() << "SKIPATTN_PYTHON has no tensorboard package";
  const TestFolder folder;
  write_event_file(folder / event_file_name(100), 100, kEvents);
  std::string output;
  EXPECT_TRUE(run_python(folder, R"(
import os
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(os.path.dirname(__file__))
events.Reload()
loss = [(e.step, e.wall_time, e.value) for e in events.Scalars("loss/train")]
assert loss == [(1, 100.5, 3.25), (300, 101.5, -0.5)], loss
lr = events.Scalars("lr")
assert lr[0].step == 5000000000 and abs(lr[0].value - 1e-4) < 1e-9, lr
)",
                         output))
      << output;
}

}  // namespace
}  // namespace skipattn::io
