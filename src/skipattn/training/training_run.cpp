#include "skipattn/training/training_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "skipattn/core/errors.h"
#include "skipattn/core/stop.h"
#include "skipattn/core/text.h"
#include "skipattn/io/atomic_file.h"
#include "skipattn/model/checkpoint.h"
#include "skipattn/model/reroute.h"
#include "skipattn/training/batch_prefetcher.h"
#include "skipattn/training/diverged.h"
#include "skipattn/training/metrics_log.h"
#include "skipattn/training/peak_memory.h"
#include "skipattn/training/run_data.h"
#include "skipattn/training/run_folder.h"
#include "skipattn/training/trainer.h"

namespace skipattn::training {

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr int kMostSkippedInARow = 10;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<int64_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

/// The state of one run while it goes.
class Session {
 public:
  explicit Session(const TrainingRun& run)
      : run_(run),
        config_(checked_config(run)),
        data_(open_data(config_)),
        machine_(use_machine(config_.run)),
        folder_(run.out) {
    checkpoint_ = run.resume ? folder_.latest() : std::nullopt;
    settings_ = to_toml(config_, /*comments=*/false);
    decoder_ = std::make_unique<model::Decoder>(starting_model());
    trainer_ = std::make_unique<Trainer>(*decoder_, config_.training, machine_);
    if (checkpoint_) load_moments();
    // On the CPU reading ahead would take a processor from the step.
    if (machine_.device.is_cuda()) prefetcher_.emplace(*data_.train, config_.training.steps);
    io::write_file_atomically(folder_.path() / "run.toml", to_toml(config_, /*comments=*/true));
    log_ = std::make_unique<MetricsLog>(folder_.path(), state_.step);
  }

  TrainingResult train() {
    int skipped_in_a_row = 0;
    while (state_.step < config_.training.steps) {
      const MetricsRow row = one_step();
      skipped_in_a_row = row.skipped ? skipped_in_a_row + 1 : 0;
      if (skipped_in_a_row == kMostSkippedInARow) diverged();
      const bool last = state_.step == config_.training.steps;
      const bool stop = stop_requested() && !last;
      if (last || stop || is_due(config_.training.save_every)) save();
      if (stop)
        throw Stopped(fmt::format("stopped after step {} of {}; saved in '{}', --resume goes on from there",
                                  state_.step, config_.training.steps, folder_.path().string()));
    }
    return result();
  }

 private:
  /// The settings with everything derived; nothing is written before they are known to be sound.
  static RunConfig checked_config(const TrainingRun& run) {
    if (!run.resume && fs::exists(run.out / "metrics.jsonl"))
      throw InputError("'{}' holds a run already; use --resume to go on with it, or another folder", run.out.string());
    RunConfig config = run.config;
    if (run.init) take_model_of(*run.init, config);
    finish_run_config(config);
    return config;
  }

  /// A finished run of a comparison has none, and needs none unless it is to go on.
  void load_moments() {
    const fs::path file = *checkpoint_ / "trainer.safetensors";
    if (state_.step >= config_.training.steps) return;
    if (!fs::exists(file))
      throw InputError(
          "'{}' holds no optimizer state, which comparisons delete when a run ends; it cannot be resumed, but "
          "--init takes its weights into another folder",
          checkpoint_->string());
    trainer_->load_moments(file);
  }

  /// A checkpoint's model, the one to start from, or random weights.
  model::Decoder starting_model() {
    if (checkpoint_) {
      state_ = read_trainer_state(*checkpoint_);
      check_same_settings(state_.settings, config_);
      return model::load_model(*checkpoint_);
    }
    if (run_.init) return model::reroute(model::load_model(*run_.init), config_.model.routing).decoder;
    model::Decoder decoder(config_.model);
    decoder.initialize(static_cast<uint64_t>(config_.training.seed));
    return decoder;
  }

  bool is_due(int64_t every) const { return every > 0 && state_.step % every == 0; }

  MetricsRow one_step() {
    const auto start = Clock::now();
    const data::Batch batch = prefetcher_ ? prefetcher_->get(state_.step) : data_.train->get(state_.step);
    const StepOutcome outcome = trainer_->step(batch, state_.step + 1);
    ++state_.step;
    state_.tokens += config_.training.batch_size * config_.data.context;
    if (outcome.skipped) ++state_.skipped_steps;
    MetricsRow row;
    row.step = state_.step;
    row.tokens = state_.tokens;
    row.loss = outcome.loss;
    row.lr = outcome.learning_rate;
    row.grad_norm = outcome.grad_norm;
    row.skipped = outcome.skipped;
    row.step_ms = seconds_since(start) * 1e3;
    step_seconds_.push_back(row.step_ms / 1e3);
    const bool last = state_.step == config_.training.steps;
    if (data_.val && (last || is_due(config_.training.eval_every))) {
      evaluation_ = validate();
      row.val_loss = evaluation_->total.mean();
    }
    row.time = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
    log_->add(row);
    report_step(row);
    return row;
  }

  Evaluation validate() const {
    EvaluationOptions options;
    options.windows = data_.val_windows;
    options.micro_batch = config_.training.micro_batch_size;
    return evaluate(*decoder_, *data_.val, options, machine_.device);
  }

  void report_step(const MetricsRow& row) const {
    const double rate = static_cast<double>(config_.training.batch_size * config_.data.context) / (row.step_ms / 1e3);
    std::string detail = fmt::format("loss {:.4f} · {} tokens/s", row.loss, short_count(rate));
    if (evaluation_) detail += fmt::format(" · val {:.4f}", evaluation_->total.mean());
    if (state_.skipped_steps > 0) detail += fmt::format(" · {} skipped", state_.skipped_steps);
    report(run_.progress, {.task = run_.task,
                           .done = static_cast<double>(state_.step),
                           .total = static_cast<double>(config_.training.steps),
                           .unit = "steps",
                           .detail = detail,
                           .finished = state_.step == config_.training.steps});
  }

  void save() {
    state_.settings = settings_;
    folder_.save(state_.step, config_.training.keep_last, [&](const fs::path& place) {
      model::save_model(place, *decoder_, trainer_->masters());
      if (!data_.tokenizer.empty()) model::copy_tokenizer_files(data_.tokenizer, place);
      trainer_->save_moments(place / "trainer.safetensors");
      write_trainer_state(place, state_);
    });
  }

  [[noreturn]] void diverged() const {
    const auto latest = folder_.latest();
    throw Diverged(
        fmt::format("[train] step {}: the loss or its gradient was not finite ten steps in a row; {}; try a lower "
                    "training.learning_rate or fp32",
                    state_.step,
                    latest ? fmt::format("the last good checkpoint is '{}'", latest->string())
                           : std::string("there was no checkpoint yet")),
        settings_);
  }

  TrainingResult result() {
    TrainingResult result;
    result.steps = state_.step;
    result.tokens = state_.tokens;
    const auto& rows = log_->rows();
    const size_t count = std::min<size_t>(20, rows.size());
    for (size_t i = rows.size() - count; i < rows.size(); ++i)
      result.train_loss += rows[i].loss / static_cast<double>(count);
    // A run that was finished already is only looked at again.
    if (!evaluation_ && data_.val) evaluation_ = validate();
    result.final = evaluation_;
    if (step_seconds_.size() > 1) step_seconds_.erase(step_seconds_.begin());
    const double seconds = median(step_seconds_);
    if (seconds > 0)
      result.tokens_per_second = static_cast<double>(config_.training.batch_size * config_.data.context) / seconds;
    result.peak_memory_bytes = peak_memory_bytes(machine_.device);
    result.skipped_steps = state_.skipped_steps;
    result.parameters = decoder_->table().elements();
    result.machine = machine_.description;
    if (const std::string how = trainer_->description(); !how.empty()) result.machine += ", " + how;
    result.settings = settings_;
    return result;
  }

  const TrainingRun& run_;
  RunConfig config_;
  RunData data_;
  Machine machine_;
  RunFolder folder_;
  std::string settings_;
  std::optional<fs::path> checkpoint_;
  TrainerState state_;
  std::unique_ptr<model::Decoder> decoder_;
  std::unique_ptr<Trainer> trainer_;
  std::optional<BatchPrefetcher> prefetcher_;
  std::unique_ptr<MetricsLog> log_;
  std::optional<Evaluation> evaluation_;
  std::vector<double> step_seconds_;
};

}  // namespace

TrainingResult run_training(const TrainingRun& run) {
  return Session(run).train();
}

}  // namespace skipattn::training
