#include "skipattn/training/run_folder.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "skipattn/core/errors.h"
#include "skipattn/io/atomic_file.h"
#include "skipattn/io/json_file.h"

namespace skipattn::training {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kCheckpoint = "checkpoint-";
constexpr std::string_view kDoomed = ".deleting-";

/// N of "checkpoint-N"; -1 for any other name.
int64_t checkpoint_step(const fs::path& path) {
  const std::string name = path.filename().string();
  if (!name.starts_with(kCheckpoint)) return -1;
  int64_t step = -1;
  const char* end = name.data() + name.size();
  const auto parsed = std::from_chars(name.data() + kCheckpoint.size(), end, step);
  return parsed.ec == std::errc() && parsed.ptr == end ? step : -1;
}

std::vector<int64_t> checkpoint_steps(const fs::path& folder) {
  std::vector<int64_t> steps;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    if (entry.is_directory() && !entry.is_symlink())
      if (const int64_t step = checkpoint_step(entry.path()); step >= 0) steps.push_back(step);
  std::ranges::sort(steps);
  return steps;
}

fs::path checkpoint_name(int64_t step) {
  return fmt::format("{}{}", kCheckpoint, step);
}

}  // namespace

RunFolder::RunFolder(fs::path path) : path_(std::move(path)) {
  std::error_code error;
  fs::create_directories(path_, error);
  if (error) throw RunError("'{}': cannot be made: {}", path_.string(), error.message());
  io::remove_stale_temporaries(path_);
  for (const fs::directory_entry& entry : fs::directory_iterator(path_))
    if (entry.path().filename().string().starts_with(kDoomed)) fs::remove_all(entry.path(), error);
  // A kill may have come after the last checkpoint was there and before its links were.
  if (const auto newest = latest()) link_newest(newest->filename());
}

std::optional<fs::path> RunFolder::latest() const {
  const std::vector<int64_t> steps = checkpoint_steps(path_);
  if (steps.empty()) return std::nullopt;
  return path_ / checkpoint_name(steps.back());
}

void RunFolder::save(int64_t step, int64_t keep_last, const std::function<void(const fs::path&)>& fill) const {
  io::AtomicDirectory folder(path_ / checkpoint_name(step));
  fill(folder.path());
  folder.commit();
  link_newest(checkpoint_name(step));
  remove_old(keep_last);
}

void RunFolder::link(const fs::path& name, const fs::path& target) const {
  std::error_code error;
  if (fs::read_symlink(path_ / name, error) == target && !error) return;
  const fs::path temporary = path_ / fmt::format(".{}.link", name.string());
  fs::remove(temporary, error);
  fs::create_symlink(target, temporary, error);
  if (!error) fs::rename(temporary, path_ / name, error);
  if (error) throw RunError("'{}': cannot be linked: {}", (path_ / name).string(), error.message());
}

void RunFolder::link_newest(const fs::path& checkpoint) const {
  link("latest", checkpoint);
  for (const fs::directory_entry& entry : fs::directory_iterator(path_ / "latest")) {
    const fs::path name = entry.path().filename();
    if (!name.string().starts_with("trainer.")) link(name, fs::path("latest") / name);
  }
}

void RunFolder::remove_old(int64_t keep_last) const {
  const std::vector<int64_t> steps = checkpoint_steps(path_);
  for (size_t i = 0; i + static_cast<size_t>(keep_last) < steps.size(); ++i) {
    // Renamed first, so that no half-deleted folder ever looks like a checkpoint.
    const fs::path doomed = path_ / fmt::format("{}{}", kDoomed, steps[i]);
    std::error_code error;
    fs::rename(path_ / checkpoint_name(steps[i]), doomed, error);
    fs::remove_all(doomed, error);
  }
}

void RunFolder::remove_moments() const {
  std::error_code error;
  for (const int64_t step : checkpoint_steps(path_))
    fs::remove(path_ / checkpoint_name(step) / "trainer.safetensors", error);
}

void write_trainer_state(const fs::path& folder, const TrainerState& state) {
  io::write_json_file(folder / "trainer.json", {{"step", state.step},
                                                {"tokens", state.tokens},
                                                {"skipped_steps", state.skipped_steps},
                                                {"settings", state.settings}});
}

TrainerState read_trainer_state(const fs::path& folder) {
  const std::string source = (folder / "trainer.json").string();
  const nlohmann::json json = io::read_json_file(source);
  TrainerState state;
  state.step = io::json_get<int64_t>(json, "step", source);
  state.tokens = io::json_get<int64_t>(json, "tokens", source);
  state.skipped_steps = io::json_get_or<int64_t>(json, "skipped_steps", source, 0);
  state.settings = io::json_get_or<std::string>(json, "settings", source, "");
  return state;
}

}  // namespace skipattn::training
