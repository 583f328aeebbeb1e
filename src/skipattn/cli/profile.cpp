// skipattn profile: how fast a model trains, reads or decodes here, where the time goes, and how near that is to what the
// machine can do.
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "skipattn/cli/command.h"
#include "skipattn/cli/model_argument.h"
#include "skipattn/cli/profile_report.h"
#include "skipattn/core/errors.h"
#include "skipattn/core/stop.h"
#include "skipattn/training/machine.h"

namespace skipattn::cli {

namespace {

using analysis::Mode;

struct ProfileArguments : CommonOptions {
  std::string model = "gpt2";
  std::string routing;
  std::string mode = "train";
  int64_t context = 1024;
  int64_t batch = 1;
  int64_t micro_batch = 0;
  bool recompute = false;
  int64_t steps = 0;  // 0: by mode
  int64_t warmup = 2;
  std::string compare_routing;
  int64_t pairs = 20;
};

analysis::WorkloadOptions workload_options(const ProfileArguments& arguments) {
  analysis::WorkloadOptions options;
  options.mode = analysis::parse_mode(arguments.mode);
  options.batch = arguments.batch;
  options.context = arguments.context;
  options.micro_batch = arguments.micro_batch;
  options.recompute = arguments.recompute;
  options.seed = static_cast<uint64_t>(arguments.seed.value_or(1));
  options.cache = inference::parse_dtype("--cache-dtype", arguments.cache_dtype);
  if (options.mode == Mode::kTrain) {
    refuse_generation_options(arguments, "[profile] ");
    return options;
  }
  FaultList faults;
  if (options.recompute) faults.add("--recompute: belongs to --mode train");
  if (options.micro_batch > 0) faults.add("--micro-batch: belongs to --mode train");
  faults.throw_if_any("[profile] ");
  return options;
}

/// Training runs where it would; prompts and decoding on the CPU.
training::Machine machine_of(const ProfileArguments& arguments) {
  if (arguments.mode == "train") return training::use_machine(arguments.machine());
  if (arguments.device == "cuda")
    throw InputError("[profile] --device cuda --mode {}: a card is measured in --mode train alone; give --device cpu",
                     arguments.mode);
  training::MachineConfig config = inference_machine(arguments, "[profile] ");
  config.device = "cpu";
  return training::use_machine(config);
}

/// A preset gets as many positions as the context asks for; a folder has those it has.
model::Decoder make_decoder(const ProfileArguments& arguments, const std::string& routing) {
  if (is_model_folder(arguments.model)) return load_or_make_model(arguments.model, routing, arguments.seed.value_or(1));
  model::ModelConfig config = model_config(arguments.model, routing);
  config.positions = std::max(config.positions, arguments.context);
  model::Decoder decoder(config);
  decoder.initialize(static_cast<uint64_t>(arguments.seed.value_or(1)));
  return decoder;
}

/// Finds what is wrong with a routing, for a folder's weights too, before anything is timed.
void check_routing(const ProfileArguments& arguments, const std::string& routing) {
  if (is_model_folder(arguments.model))
    load_or_make_model(arguments.model, routing, 0);
  else
    model_config(arguments.model, routing);
}

/// Standard output of this program called again with these arguments.
std::string output_of_self(const std::vector<std::string>& arguments) {
  std::string command = shell_quoted(std::filesystem::read_symlink("/proc/self/exe").string());
  for (const std::string& argument : arguments) command += " " + shell_quoted(argument);
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  if (!pipe) throw RunError("'{}' cannot be started", command);
  std::string output;
  std::array<char, 4096> buffer{};
  for (size_t count = 0; (count = fread(buffer.data(), 1, buffer.size(), pipe.get())) > 0;)
    output.append(buffer.data(), count);
  return output;
}

/// Peak memory of the same steps under another routing, alone in a process of its own.
int64_t peak_memory_alone(const ProfileArguments& arguments, const std::string& routing) {
  std::vector<std::string> words = {"profile",       "--json",   "--quiet",        "--model",      arguments.model,
                                    "--routing",     routing,    "--mode",         arguments.mode, "--dtype",
                                    arguments.dtype, "--device", arguments.device, "--steps",      "1"};
  if (arguments.mode != "train") words.insert(words.end(), {"--cache-dtype", arguments.cache_dtype});
  const auto number = [&](const char* option, int64_t value) {
    words.insert(words.end(), {option, std::to_string(value)});
  };
  number("--context", arguments.context);
  number("--batch", arguments.batch);
  number("--warmup", arguments.warmup);
  number("--threads", arguments.threads);
  number("--seed", arguments.seed.value_or(1));
  if (arguments.micro_batch > 0) number("--micro-batch", arguments.micro_batch);
  if (arguments.recompute) words.emplace_back("--recompute");
  if (!arguments.weights.empty()) words.insert(words.end(), {"--weights", arguments.weights});
  const auto result = nlohmann::json::parse(output_of_self(words), nullptr, /*allow_exceptions=*/false);
  if (stop_requested()) throw Stopped("stopped by a signal; a profile in part is none");
  if (!result.is_object())
    throw RunError("[profile] --compare-routing {}: its steps failed in a process of their own", routing);
  return result.at("peak_memory_bytes").get<int64_t>();
}

/// Steps of both models in turn, in this process.
RoutingComparison compare_routings(const ProfileArguments& arguments, const training::Machine& machine,
                                   const ProfileReport& report, analysis::Workload& workload) {
  RoutingComparison comparison;
  comparison.peak_memory_bytes = report.profile.peak_memory_bytes;
  model::Decoder decoder = make_decoder(arguments, arguments.compare_routing);
  comparison.routing = decoder.routing().text;
  const auto other = analysis::make_workload(decoder, report.workload, machine);
  comparison.pairs = analysis::alternate(
      workload, *other, {.pairs = arguments.pairs, .warmup = arguments.warmup, .progress = report.options.progress});
  comparison.predicted_flops_ratio = workload.facts().flops.total() / other->facts().flops.total();
  return comparison;
}

void run_profile(const ProfileArguments& arguments) {
  ProfileReport report;
  report.workload = workload_options(arguments);
  const training::Machine machine = machine_of(arguments);
  report.workload.weights = weights_dtype(arguments, machine);
  report.model = arguments.model;
  report.machine = machine.description;
  report.options.steps = arguments.steps > 0 ? arguments.steps : report.workload.mode == Mode::kDecode ? 32 : 5;
  report.options.warmup = arguments.warmup;
  report.options.progress = progress_view(arguments);

  const bool compares = !arguments.compare_routing.empty();
  if (compares) check_routing(arguments, arguments.compare_routing);
  model::Decoder decoder = make_decoder(arguments, arguments.routing);
  report.routing = decoder.routing().text;
  const auto workload = analysis::make_workload(decoder, report.workload, machine);
  const int64_t compared_peak = compares ? peak_memory_alone(arguments, arguments.compare_routing) : 0;
  report.profile = analysis::measure(*workload, decoder, report.workload, report.options);
  if (!report.profile.facts.how.empty()) report.machine += ", " + report.profile.facts.how;
  if (compares) {
    report.comparison = compare_routings(arguments, machine, report, *workload);
    report.comparison->compared_peak_memory_bytes = compared_peak;
  }
  print_result(arguments, to_json(report), to_text(report));
}

}  // namespace

void add_profile_command(CLI::App& app, Action& chosen) {
  const auto arguments = std::make_shared<ProfileArguments>();
  CLI::App* command = add_command(
      app, chosen, "profile", "Speed, memory and time by operation, beside what the machine can do",
      "  skipattn profile --model gpt2 --context 1024 --batch 4 --mode train\n"
      "  skipattn profile --model gpt2 --routing sla --context 4096 --mode decode --json\n"
      "  skipattn profile --model gpt2 --routing sla --compare-routing baseline --context 4096 --mode train",
      *arguments, [arguments] { run_profile(*arguments); });
  command->add_option("--model", arguments->model, "a preset with random weights from --seed, or a model folder")
      ->capture_default_str();
  command->add_option("--routing", arguments->routing,
                      "routing text, or @file.toml / @file.json; default: the model's own");
  command->add_option("--mode", arguments->mode, "train, prefill or decode")
      ->check(CLI::IsMember({"train", "prefill", "decode"}))
      ->capture_default_str();
  command->add_option("--context", arguments->context, "tokens of a sequence; a preset gets as many positions")
      ->check(kOneOrMore)
      ->capture_default_str();
  command->add_option("--batch", arguments->batch, "sequences side by side")->check(kOneOrMore)->capture_default_str();
  command->add_option("--micro-batch", arguments->micro_batch, "sequences of one forward pass; default: --batch")
      ->check(kOneOrMore);
  command->add_flag("--recompute", arguments->recompute, "run layers again in the backward pass");
  command->add_option("--steps", arguments->steps, "timed steps; default: 5, or 32 when decoding")->check(kOneOrMore);
  command->add_option("--warmup", arguments->warmup, "steps before them")->check(kOneOrMore)->capture_default_str();
  command->add_option("--compare-routing", arguments->compare_routing,
                      "also time the steps of this routing, in turn with --routing's");
  command->add_option("--pairs", arguments->pairs, "steps of each that are compared")
      ->check(kOneOrMore)
      ->capture_default_str();
}

}  // namespace skipattn::cli
