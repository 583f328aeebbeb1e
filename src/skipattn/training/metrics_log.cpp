#include "skipattn/training/metrics_log.h"

#include <chrono>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "skipattn/core/errors.h"
#include "skipattn/io/atomic_file.h"
#include "skipattn/io/json_file.h"

namespace skipattn::training {

namespace {

namespace fs = std::filesystem;

nlohmann::json number_or_null(double value) {
  return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json();
}

std::string to_line(const MetricsRow& row) {
  nlohmann::ordered_json json = {
      {"step", row.step},
      {"tokens", row.tokens},
      {"loss", number_or_null(row.loss)},
      {"lr", row.lr},
      {"grad_norm", number_or_null(row.grad_norm)},
      {"step_ms", row.step_ms},
      {"time", row.time},
  };
  if (row.skipped) json["skipped"] = true;
  if (row.val_loss) json["val_loss"] = number_or_null(*row.val_loss);
  return json.dump() + "\n";
}

MetricsRow from_json(const nlohmann::json& json, const std::string& source) {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  MetricsRow row;
  row.step = io::json_get<int64_t>(json, "step", source);
  row.tokens = io::json_get<int64_t>(json, "tokens", source);
  row.loss = io::json_get_or<double>(json, "loss", source, kNaN);
  row.lr = io::json_get_or<double>(json, "lr", source, 0);
  row.grad_norm = io::json_get_or<double>(json, "grad_norm", source, kNaN);
  row.step_ms = io::json_get_or<double>(json, "step_ms", source, 0);
  row.time = io::json_get_or<double>(json, "time", source, 0);
  row.skipped = io::json_get_or<bool>(json, "skipped", source, false);
  if (json.contains("val_loss")) row.val_loss = io::json_get_or<double>(json, "val_loss", source, kNaN);
  return row;
}

std::vector<io::ScalarEvent> events_of(const MetricsRow& row) {
  std::vector<io::ScalarEvent> events = {
      {row.step, row.time, "loss/train", row.loss},
      {row.step, row.time, "optimizer/learning_rate", row.lr},
      {row.step, row.time, "optimizer/grad_norm", row.grad_norm},
      {row.step, row.time, "speed/step_ms", row.step_ms},
  };
  if (row.val_loss) events.push_back({row.step, row.time, "loss/val", *row.val_loss});
  return events;
}

bool is_event_file(const fs::path& path) {
  return path.filename().string().starts_with("events.out.tfevents.");
}

}  // namespace

std::vector<MetricsRow> read_metrics(const fs::path& file) {
  std::vector<MetricsRow> rows;
  std::ifstream input(file);
  int64_t number = 0;
  for (std::string line; std::getline(input, line);) {
    ++number;
    if (input.eof()) break;  // no newline at its end: a kill cut it short
    const std::string source = fmt::format("{} line {}", file.string(), number);
    rows.push_back(from_json(io::parse_json(line, source), source));
  }
  return rows;
}

MetricsLog::MetricsLog(const fs::path& folder, int64_t last_step) : path_(folder / "metrics.jsonl") {
  if (last_step > 0 && fs::exists(path_)) rows_ = read_metrics(path_);
  std::erase_if(rows_, [&](const MetricsRow& row) { return row.step > last_step; });
  std::string text;
  std::vector<io::ScalarEvent> events;
  for (const MetricsRow& row : rows_) {
    text += to_line(row);
    for (const io::ScalarEvent& event : events_of(row)) events.push_back(event);
  }
  io::write_file_atomically(path_, text);
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    if (is_event_file(entry.path())) fs::remove(entry.path());
  const double now = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  const fs::path event_file = folder / io::event_file_name(now);
  io::write_event_file(event_file, now, events);
  events_ = std::make_unique<io::EventFileAppender>(event_file);
  file_.open(path_, std::ios::app | std::ios::binary);
}

void MetricsLog::add(const MetricsRow& row) {
  rows_.push_back(row);
  file_ << to_line(row) << std::flush;
  if (!file_) throw RunError("'{}': cannot be written; is the disk full?", path_.string());
  append_events(row);
}

void MetricsLog::append_events(const MetricsRow& row) {
  for (const io::ScalarEvent& event : events_of(row)) events_->append(event);
}

}  // namespace skipattn::training
