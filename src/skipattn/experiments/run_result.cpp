#include "skipattn/experiments/run_result.h"

#include <cmath>

#include "skipattn/io/json_file.h"
#include "skipattn/training/metrics_log.h"

namespace skipattn::experiments {

namespace {

namespace fs = std::filesystem;

std::vector<PositionLoss> to_position_losses(const std::vector<training::LossBucket>& buckets) {
  std::vector<PositionLoss> losses;
  for (const training::LossBucket& bucket : buckets)
    if (bucket.loss.count > 0) losses.push_back({bucket.from, bucket.to, bucket.loss.mean()});
  return losses;
}

nlohmann::json number_or_null(double value) {
  return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json();
}

nlohmann::json to_json(const std::vector<PositionLoss>& losses) {
  nlohmann::json list = nlohmann::json::array();
  for (const PositionLoss& item : losses)
    list.push_back({{"from", item.from}, {"to", item.to}, {"loss", number_or_null(item.loss)}});
  return list;
}

double number_or_nan(const nlohmann::json& value) {
  return value.is_number() ? value.get<double>() : std::numeric_limits<double>::quiet_NaN();
}

std::vector<PositionLoss> from_json(const nlohmann::json& json, const std::string& key, const std::string& source) {
  std::vector<PositionLoss> losses;
  for (const nlohmann::json& item : io::json_get<nlohmann::json>(json, key, source))
    losses.push_back({io::json_get<int64_t>(item, "from", source), io::json_get<int64_t>(item, "to", source),
                      number_or_nan(item.value("loss", nlohmann::json()))});
  return losses;
}

void add_curves(const fs::path& folder, SeedRun& run) {
  const fs::path file = folder / "metrics.jsonl";
  if (!fs::exists(file)) return;
  for (const training::MetricsRow& row : training::read_metrics(file)) {
    const auto tokens = static_cast<double>(row.tokens);
    run.training.push_back({row.step, tokens, row.loss});
    if (row.val_loss) run.validation.push_back({row.step, tokens, *row.val_loss});
  }
}

}  // namespace

RunResult to_run_result(const training::TrainingResult& result, uint64_t seed, const std::string& settings) {
  RunResult kept;
  kept.run.seed = seed;
  if (result.final) {
    kept.run.val_loss = result.final->total.mean();
    kept.run.by_window_position = to_position_losses(result.final->by_position);
    kept.run.by_document_position = to_position_losses(result.final->by_document_position);
  }
  kept.settings = settings;
  kept.tokens_per_second = result.tokens_per_second;
  kept.peak_memory_bytes = static_cast<double>(result.peak_memory_bytes);
  kept.parameters = static_cast<double>(result.parameters);
  kept.machine = result.machine;
  return kept;
}

void write_run_result(const fs::path& folder, const RunResult& result) {
  io::write_json_file(folder / "result.json", {{"seed", result.run.seed},
                                               {"val_loss", number_or_null(result.run.val_loss)},
                                               {"problem", result.run.problem},
                                               {"loss_by_position", to_json(result.run.by_window_position)},
                                               {"loss_by_document_position", to_json(result.run.by_document_position)},
                                               {"tokens_per_second", result.tokens_per_second},
                                               {"peak_memory_bytes", result.peak_memory_bytes},
                                               {"parameters", result.parameters},
                                               {"machine", result.machine},
                                               {"settings", result.settings}});
}

std::optional<RunResult> read_run_result(const fs::path& folder) {
  const fs::path file = folder / "result.json";
  if (!fs::exists(file)) return std::nullopt;
  const nlohmann::json json = io::read_json_file(file);
  const std::string source = file.string();
  RunResult result;
  result.run.seed = io::json_get<uint64_t>(json, "seed", source);
  result.run.val_loss = number_or_nan(json.value("val_loss", nlohmann::json()));
  result.run.problem = io::json_get_or<std::string>(json, "problem", source, "");
  result.run.by_window_position = from_json(json, "loss_by_position", source);
  result.run.by_document_position = from_json(json, "loss_by_document_position", source);
  result.tokens_per_second = io::json_get<double>(json, "tokens_per_second", source);
  result.peak_memory_bytes = io::json_get<double>(json, "peak_memory_bytes", source);
  result.parameters = io::json_get<double>(json, "parameters", source);
  result.machine = io::json_get_or<std::string>(json, "machine", source, "");
  result.settings = io::json_get_or<std::string>(json, "settings", source, "");
  add_curves(folder, result.run);
  return result;
}

}  // namespace skipattn::experiments
