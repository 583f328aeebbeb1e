// How long work tells its watcher where it is. Modules report through this interface; cli/ decides how it looks.
#pragma once

#include <functional>
#include <string>

namespace skipattn {

/// One line about where a task stands.
struct ProgressReport {
  std::string task;       ///< what is being done: "train sla seed 1", "tokenize"
  double done = 0;        ///< units finished so far
  double total = 0;       ///< units in all; 0 when unknown
  std::string unit;       ///< "steps", "bytes", "tokens"
  std::string detail;     ///< free text: "loss 3.214 · 512 tokens/s"
  bool finished = false;  ///< the last report of this task
};

/// Receives reports; may be empty (nobody watches). Called from one thread at a time.
using ProgressSink = std::function<void(const ProgressReport&)>;

/// Reports if somebody watches.
inline void report(const ProgressSink& sink, const ProgressReport& progress) {
  if (sink) sink(progress);
}

}  // namespace skipattn
