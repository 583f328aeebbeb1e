// The folder of one training run:
//   run.toml            every setting, as resolved
//   metrics.jsonl       metrics_log.h, and TensorBoard's event file
//   checkpoint-N/       a Hugging Face-shaped model folder, plus trainer.safetensors and trainer.json
//   latest -> checkpoint-N; config.json, model.safetensors, … -> latest/…
// so that the folder itself opens as the newest model. A checkpoint is written under a temporary name, synced, renamed,
// and only then named by `latest`: a kill at any instant leaves the last good one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>

namespace skipattn::training {

/// What trainer.json holds.
struct TrainerState {
  int64_t step = 0;           ///< updates attempted
  int64_t tokens = 0;         ///< trained on
  int64_t skipped_steps = 0;  ///< updates left out because something was not finite
  std::string settings;       ///< the run's settings as TOML, compared when the run goes on
};

class RunFolder {
 public:
  /// Makes the folder where it is absent, removes what a killed process left and finishes a save it had all but done.
  /// RunError when it cannot be written.
  explicit RunFolder(std::filesystem::path path);

  const std::filesystem::path& path() const { return path_; }
  /// The newest complete checkpoint; empty when there is none.
  std::optional<std::filesystem::path> latest() const;
  /// Writes checkpoint-<step> through `fill(temporary folder)`, makes it the latest, and deletes all but `keep_last`.
  void save(int64_t step, int64_t keep_last, const std::function<void(const std::filesystem::path&)>& fill) const;
  /// For a run that is over: takes trainer.safetensors, two thirds of a checkpoint, from all of them.
  void remove_moments() const;

 private:
  void link(const std::filesystem::path& name, const std::filesystem::path& target) const;
  void link_newest(const std::filesystem::path& checkpoint) const;
  void remove_old(int64_t keep_last) const;

  std::filesystem::path path_;
};

void write_trainer_state(const std::filesystem::path& folder, const TrainerState& state);
/// InputError when absent or damaged.
TrainerState read_trainer_state(const std::filesystem::path& folder);

}  // namespace skipattn::training
