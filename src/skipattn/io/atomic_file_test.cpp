#include "skipattn/io/atomic_file.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "skipattn/core/errors.h"
#include "skipattn/io/test_folder.h"

namespace skipattn::io {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(AtomicFile, AppearsOnlyAtCommitAndReplacesTheOld) {
  const TestFolder folder;
  const auto path = folder.write("a.txt", "old");
  AtomicFileWriter writer(path);
  writer.write("new ");
  writer.write(std::string(3 << 20, 'x'));
  writer.write(" end");
  EXPECT_EQ(slurp(path), "old");
  EXPECT_EQ(writer.size(), 8u + (3 << 20));
  writer.commit();
  EXPECT_EQ(slurp(path), "new " + std::string(3 << 20, 'x') + " end");
  EXPECT_THAT(folder.names(), ElementsAre("a.txt"));
}

TEST(AtomicFile, WritesAtOffsetsBesideTheAppendedBytes) {
  const TestFolder folder;
  AtomicFileWriter writer(folder / "a");
  writer.write("head");
  const std::string late = "late", early = "soon";
  writer.write_at(8, std::as_bytes(std::span(late)));
  writer.write_at(4, std::as_bytes(std::span(early)));
  writer.commit();
  EXPECT_EQ(slurp(folder / "a"), "headsoonlate");
}

TEST(AtomicFile, WithoutCommitNothingStays) {
  const TestFolder folder;
  const auto path = folder.write("a.txt", "old");
  { AtomicFileWriter(path).write("new"); }
  EXPECT_EQ(slurp(path), "old");
  EXPECT_THAT(folder.names(), ElementsAre("a.txt"));
}

TEST(AtomicFile, RefusalsNameThePathAndTheReason) {
  EXPECT_THAT(error_of<RunError>([] { write_file_atomically("/proc/no-such-folder/a", "x"); }),
              testing::AllOf(HasSubstr("'/proc/no-such-folder/a'"), HasSubstr("No such file")));
}

TEST(AtomicFile, AFolderThatIsNotOursIsARunError) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  const TestFolder folder;
  std::filesystem::permissions(folder.path(), std::filesystem::perms::owner_read);
  EXPECT_THAT(error_of<RunError>([&] { write_file_atomically(folder / "a", "x"); }), HasSubstr("Permission denied"));
  std::filesystem::permissions(folder.path(), std::filesystem::perms::owner_all);
}

// A child whose files may not grow past 1 MiB stands in for a full disk: both refuse a write in the
// middle.
TEST(AtomicFile, AWriteThatFailsRemovesTheTemporaryAndKeepsTheOld) {
  const TestFolder folder;
  const auto path = folder.write("a.txt", "old");
  const std::string command = "ulimit -f 1024; exec " + std::filesystem::read_symlink("/proc/self/exe").string() +
                              " --gtest_also_run_disabled_tests --gtest_filter=AtomicFile.DISABLED_FillsTheDisk";
  ::setenv("SKIPATTN_TEST_PATH", path.c_str(), 1);
  EXPECT_EQ(std::system(("bash -c '" + command + "' >" + (folder / "log").string() + " 2>&1").c_str()), 0)
      << slurp(folder / "log");
  EXPECT_EQ(slurp(path), "old");
  EXPECT_THAT(folder.names(), ElementsAre("a.txt", "log"));
}

TEST(AtomicFile, DISABLED_FillsTheDisk) {
  ::signal(SIGXFSZ, SIG_IGN);
  const std::string path = std::getenv("SKIPATTN_TEST_PATH");
  AtomicFileWriter writer(path);
  const std::string message = error_of<RunError>([&] { writer.write(std::string(5 << 20, 'x')); });
  EXPECT_THAT(message, testing::AllOf(HasSubstr(path), HasSubstr("File too large")));
}

TEST(AtomicDirectory, ReplacesAFullFolderInOneStep) {
  const TestFolder folder;
  folder.write("step/old.txt", "old");
  for (const std::string content : {"first", "second"}) {
    AtomicDirectory directory(folder / "step");
    std::filesystem::create_directories(directory.path() / "deep");
    write_file_atomically(directory.path() / "deep" / "a", content);
    directory.commit();
    EXPECT_EQ(slurp(folder / "step" / "deep" / "a"), content);
    EXPECT_FALSE(std::filesystem::exists(folder / "step/old.txt"));
    EXPECT_THAT(folder.names(), ElementsAre("step"));
  }
}

// Readers find one whole folder at every instant of many replacements.
TEST(AtomicDirectory, ThereIsNoInstantWithoutTheFolder) {
  const TestFolder folder;
  folder.write("step/a", "0");
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (int i = 0; i < 200; ++i) {
      AtomicDirectory directory(folder / "step");
      std::ofstream(directory.path() / "a") << i;
      directory.commit();
    }
    done = true;
  });
  int missing = 0;
  while (!done) missing += ::access((folder / "step").c_str(), F_OK) == 0 ? 0 : 1;
  writer.join();
  EXPECT_EQ(missing, 0);
  EXPECT_THAT(folder.names(), ElementsAre("step"));
}

TEST(AtomicDirectory, WithoutCommitTheOldStays) {
  const TestFolder folder;
  folder.write("step/old.txt", "old");
  {
    const AtomicDirectory directory(folder / "step/");
    write_file_atomically(directory.path() / "a", "new");
  }
  EXPECT_EQ(slurp(folder / "step" / "old.txt"), "old");
  EXPECT_THAT(folder.names(), ElementsAre("step"));
}

TEST(StaleTemporaries, ThoseOfTheDeadGoThoseOfTheLivingStay) {
  const TestFolder folder;
  folder.write("kept.txt", "x");
  folder.write(".hidden", "x");
  const pid_t child = ::fork();
  if (child == 0) {  // dies with a file and a folder half written
    AtomicFileWriter file(folder / "a");
    AtomicDirectory directory(folder / "b");
    write_file_atomically(directory.path() / "x", "x");
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(folder.names().size(), 4u);
  AtomicFileWriter living_file(folder / "c");
  AtomicDirectory living_directory(folder / "d");
  EXPECT_EQ(remove_stale_temporaries(folder.path()), 2);
  EXPECT_EQ(folder.names().size(), 4u);
  living_file.write("c");
  living_file.commit();
  living_directory.commit();
  EXPECT_THAT(folder.names(), ElementsAre(".hidden", "c", "d", "kept.txt"));
  EXPECT_EQ(remove_stale_temporaries(folder / "absent"), 0);
}

TEST(StaleTemporaries, ASwapCutShortIsUndone) {
  const TestFolder folder;
  folder.write(".step.0123abcd.skipattn-old/a", "old");
  folder.write(".done.0123abcd.skipattn-old/a", "old");
  folder.write("done/a", "new");
  EXPECT_EQ(remove_stale_temporaries(folder.path()), 2);
  EXPECT_THAT(folder.names(), ElementsAre("done", "step"));
  EXPECT_EQ(slurp(folder / "step" / "a"), "old");
  EXPECT_EQ(slurp(folder / "done" / "a"), "new");
}

// Readers in the middle of many replacements, and a writer killed at random: always one whole
// version.
TEST(AtomicFile, AKillLeavesAWholeVersion) {
  const TestFolder folder;
  write_file_atomically(folder / "a", std::string(100000, '0'));
  for (int round = 0; round < 10; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (char c = 'a';; c = c == 'z' ? 'a' : static_cast<char>(c + 1))
        write_file_atomically(folder / "a", std::string(100000, c));
    }
    ::usleep(3000 + 1700 * round);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    const std::string content = slurp(folder / "a");
    ASSERT_EQ(content.size(), 100000u);
    EXPECT_EQ(content.find_first_not_of(content[0]), std::string::npos);
  }
  remove_stale_temporaries(folder.path());
  EXPECT_THAT(folder.names(), ElementsAre("a"));
}

}  // namespace
}  // namespace skipattn::io
