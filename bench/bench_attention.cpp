// Attention on the CPU: ours, torch's fused one, and the rate of plain matrix products, in turn in one run.
//
//   bench_attention                                       12 heads of 64, causal, bf16, T = 1024 … 65536
//   bench_attention --lengths 4096 --borrowed 9 --json    9 heads read another layer's keys and values
//   SKIPATTN_ATTENTION=avx2 bench_attention               another level of our kernels
//
// First both are held against the definition in fp64 (relative error of o, dq, dk, dv in the Euclidean norm); ours must
// not be further off than 1.1 times torch's (fp32: 3 times).
// FLOPs: 2·2·H·T²·d, half when causal, 3.5 times with the backward pass.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>

#include "attention_problem.h"
#include "skipattn/analysis/gemm_rate.h"
#include "skipattn/analysis/spread.h"
#include "skipattn/attention/cpu/level.h"
#include "skipattn/core/parallel.h"
#include "skipattn/experiments/terminal_table.h"

namespace {

using namespace skipattn;
using experiments::Align;
using nlohmann::ordered_json;

/// What our error may be, times torch's. In fp32 torch's is a few units in the last place, which three times bounds.
double error_factor(at::ScalarType dtype) {
  return dtype == at::kBFloat16 ? 1.1 : 3.0;
}

constexpr double kBackwardFactor = 3.5;
/// The shortest time of one measurement: short passes are repeated until it has gone by.
constexpr double kShortestSeconds = 0.03;
/// Longer sequences than this get fewer rounds.
constexpr int64_t kFullRoundsUpTo = 8192;

struct Options {
  std::vector<int64_t> lengths = {1024, 2048, 4096, 8192, 16384, 32768, 65536};
  std::vector<int64_t> check_lengths = {1024, 331};
  bench::AttentionShape shape;
  std::string dtype = "bf16";
  bool full = false;     // not causal
  bool no_peer = false;  // torch's is not timed
  bool json = false;
  int64_t rounds = 7;
  int threads = 0;  // 0: all processors
};

/// Seconds of one call.
double time_of(const std::function<void()>& work) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point begin = Clock::now();
  double seconds = 0;
  int64_t calls = 0;
  do {
    work();
    ++calls;
    seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  } while (seconds < kShortestSeconds);
  return seconds / static_cast<double>(calls);
}

/// One way to do one pass and how fast it was in every round.
struct Contender {
  std::string pass, name;
  double flops = 0;
  std::function<void()> work;
  std::vector<double> rates;  // FLOP/s
};

std::vector<Contender> contenders(const bench::AttentionProblem& problem, bool no_peer) {
  const double forward = problem.shape().forward_flops(), both = kBackwardFactor * forward;
  std::vector<Contender> list = {
      {"forward", "ours", forward, [&] { problem.ours_forward(); }, {}},
      {"forward", "torch", forward, [&] { problem.torch_forward(); }, {}},
      {"forward+backward", "ours", both, [&] { problem.ours_both(); }, {}},
      {"forward+backward", "torch", both, [&] { problem.torch_both(); }, {}},
  };
  if (no_peer) std::erase_if(list, [](const Contender& one) { return one.name == "torch"; });
  return list;
}

ordered_json spread_json(const analysis::Spread& rates) {
  return {{"min", rates.min / 1e9}, {"median", rates.median / 1e9}, {"max", rates.max / 1e9}};
}

/// Rates of one length: both passes, both programs, and the products between them.
ordered_json measure(const bench::AttentionShape& shape, const Options& options) {
  const bench::AttentionProblem problem(shape);
  std::vector<Contender> list = contenders(problem, options.no_peer);
  analysis::GemmMeter gemm({{4096, 768, 3072}, {4096, 3072, 768}, {2048, 2048, 2048}}, shape.dtype);
  const int64_t rounds = std::clamp<int64_t>(options.rounds * kFullRoundsUpTo / shape.length,
                                             std::min<int64_t>(3, options.rounds), options.rounds);
  for (int64_t round = -1; round < rounds; ++round) {  // round -1 warms up
    for (Contender& one : list) {
      // The peer takes minutes for a long sequence, and its memory is fresh in every call anyway.
      if (round < 0 && shape.length > kFullRoundsUpTo && one.name != "ours") continue;
      const double rate = one.flops / time_of(one.work);
      if (round >= 0) one.rates.push_back(rate);
    }
    gemm.sample();
  }
  ordered_json result = {{"length", shape.length}, {"rounds", rounds}, {"gemm_gflops", gemm.peak() / 1e9}};
  for (const Contender& one : list) result[one.pass][one.name] = spread_json(analysis::spread_of(one.rates));
  for (const char* pass : {"forward", "forward+backward"}) {
    const double ours = result[pass]["ours"]["median"];
    result[pass]["share_of_gemm"] = ours * 1e9 / gemm.peak();
    if (!options.no_peer) result[pass]["ratio_to_torch"] = ours / result[pass]["torch"]["median"].get<double>();
  }
  return result;
}

/// Errors of both against fp64; sets `good` to false when ours is too far off.
ordered_json validate(bench::AttentionShape shape, int64_t length, bool& good) {
  shape.length = length;
  const bench::AttentionProblem problem(shape);
  const bench::AttentionResults exact = problem.exact(), ours = problem.ours(), torch = problem.torch();
  ordered_json result = {{"length", length}};
  for (size_t i = 0; i < exact.size(); ++i) {
    const double our_error = bench::relative_error(ours[i], exact[i]);
    const double their_error = bench::relative_error(torch[i], exact[i]);
    result[bench::kResultNames[i]] = {{"ours", our_error}, {"torch", their_error}};
    good = good && our_error <= error_factor(shape.dtype) * their_error;  // false for NaN too
  }
  return result;
}

std::string rate_text(const ordered_json& spread) {
  return fmt::format("{:.0f} ({:.0f} … {:.0f})", spread["median"].get<double>(), spread["min"].get<double>(),
                     spread["max"].get<double>());
}

std::string to_text(const ordered_json& result, const Options& options) {
  experiments::TerminalTable errors(
      {{"T", Align::kRight}, "error of", {"ours", Align::kRight}, {"torch", Align::kRight}});
  for (const ordered_json& one : result["errors"])
    for (const char* name : bench::kResultNames)
      errors.add_row({one["length"].dump(), name, fmt::format("{:.2e}", one[name]["ours"].get<double>()),
                      fmt::format("{:.2e}", one[name]["torch"].get<double>())});
  experiments::TerminalTable rates({{"T", Align::kRight},
                                    "pass",
                                    {"ours, GFLOP/s", Align::kRight},
                                    {"torch", Align::kRight},
                                    {"ratio", Align::kRight},
                                    {"GEMM", Align::kRight},
                                    {"share of it", Align::kRight},
                                    {"rounds", Align::kRight}});
  for (const ordered_json& one : result["lengths"])
    for (const char* pass : {"forward", "forward+backward"}) {
      const ordered_json& rate = one[pass];
      rates.add_row({one["length"].dump(), pass, rate_text(rate["ours"]),
                     options.no_peer ? "–" : rate_text(rate["torch"]),
                     options.no_peer ? "–" : fmt::format("{:.2f}", rate["ratio_to_torch"].get<double>()),
                     fmt::format("{:.0f}", one["gemm_gflops"].get<double>()),
                     fmt::format("{:.3f}", rate["share_of_gemm"].get<double>()), one["rounds"].dump()});
    }
  return fmt::format("{} heads of {}, {} of them borrowed, batch {}, {}, {}, level {}, {} threads\n\n{}\n{}",
                     options.shape.heads, options.shape.head_width, options.shape.borrowed, options.shape.batch,
                     options.full ? "full" : "causal", options.dtype, result["level"].get<std::string>(),
                     options.threads, errors.text(), result["lengths"].empty() ? "" : rates.text());
}

int run(Options options) {
  options.threads = options.threads > 0 ? options.threads : available_processors();
  at::set_num_threads(options.threads);
  options.shape.dtype = options.dtype == "bf16" ? at::kBFloat16 : at::kFloat;
  options.shape.causal = !options.full;
  ordered_json result = {{"bench", "attention"},
                         {"level", attention::cpu::level_name(attention::cpu::choose_level())},
                         {"batch", options.shape.batch},
                         {"heads", options.shape.heads},
                         {"head_width", options.shape.head_width},
                         {"borrowed", options.shape.borrowed},
                         {"causal", options.shape.causal},
                         {"dtype", options.dtype},
                         {"threads", options.threads},
                         {"errors", ordered_json::array()},
                         {"lengths", ordered_json::array()}};
  bool good = true;
  for (const int64_t length : options.check_lengths) result["errors"].push_back(validate(options.shape, length, good));
  if (good)
    for (const int64_t length : options.lengths) {
      bench::AttentionShape shape = options.shape;
      shape.length = length;
      result["lengths"].push_back(measure(shape, options));
      std::cerr << "T = " << length << " measured\n";
    }
  std::cout << (options.json ? result.dump() + "\n" : to_text(result, options)) << std::flush;
  if (!good) std::cerr << "bench_attention: ours is too far from fp64, so nothing was timed\n";
  return good ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Attention: ours, torch's, and the rate of plain matrix products");
  Options options;
  app.add_option("--lengths", options.lengths, "tokens of a sequence")->delimiter(',');
  app.add_option("--check", options.check_lengths, "lengths at which errors are taken first")->delimiter(',');
  app.add_option("--heads", options.shape.heads, "heads")->check(CLI::PositiveNumber);
  app.add_option("--head-dim", options.shape.head_width, "width of a head")->check(CLI::PositiveNumber);
  app.add_option("--batch", options.shape.batch, "sequences")->check(CLI::PositiveNumber);
  app.add_option("--borrowed", options.shape.borrowed, "heads that read another layer's keys and values")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--dtype", options.dtype, "bf16 or fp32")->check(CLI::IsMember({"bf16", "fp32"}));
  app.add_option("--rounds", options.rounds, "rounds up to T = 8192; fewer beyond")->check(CLI::PositiveNumber);
  app.add_option("--threads", options.threads, "threads; 0: all processors")->check(CLI::NonNegativeNumber);
  app.add_flag("--full", options.full, "every query sees every key");
  app.add_flag("--no-peer", options.no_peer, "torch's is checked but not timed");
  app.add_flag("--json", options.json, "one JSON object instead of tables");
  CLI11_PARSE(app, argc, argv);
  try {
    if (options.shape.borrowed > options.shape.heads)
      throw std::invalid_argument(
          fmt::format("--borrowed {}: there are {} heads", options.shape.borrowed, options.shape.heads));
    return run(options);
  } catch (const std::exception& error) {
    std::cerr << "bench_attention: " << error.what() << '\n';
    return 2;
  }
}
