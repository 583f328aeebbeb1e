// skipattn serve: an HTTP server with OpenAI's completions form, for one model.
#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <iostream>
#include <memory>

#include "skipattn/cli/command.h"
#include "skipattn/cli/model_argument.h"
#include "skipattn/core/errors.h"
#include "skipattn/core/stop.h"
#include "skipattn/inference/engine.h"
#include "skipattn/serving/server.h"
#include "skipattn/training/machine.h"

namespace skipattn::cli {

namespace {

namespace fs = std::filesystem;

struct ServeArguments : CommonOptions, ModelOptions {
  std::string name;
  serving::ServerOptions server;
  serving::SchedulerOptions scheduler;
  serving::ServiceOptions service;
  double grace_seconds = 10;
};

training::Machine serving_machine(const ServeArguments& arguments) {
  if (arguments.device == "cuda") throw InputError("[serve] --device cuda: this server runs on the CPU; leave it out");
  training::MachineConfig config = inference_machine(arguments, "[serve] ");
  config.device = "cpu";
  return training::use_machine(config);
}

/// What clients call the model: --name, a preset's name, or its folder's.
std::string model_name(const ServeArguments& arguments) {
  if (!arguments.name.empty()) return arguments.name;
  if (!is_model_folder(arguments.model)) return arguments.model;
  const fs::path folder = fs::absolute(arguments.model).lexically_normal();
  return (folder.has_filename() ? folder : folder.parent_path()).filename().string();
}

serving::ServedModel served_model(const ServeArguments& arguments, const model::ModelConfig& config) {
  serving::ServedModel served;
  served.name = model_name(arguments);
  served.tokenizer = find_tokenizer(arguments.model, arguments.tokenizer);
  served.vocabulary = config.vocabulary;
  served.positions = config.positions;
  served.end_of_text = config.end_of_text;
  if (served.tokenizer) {
    served.vocabulary = std::min<int64_t>(config.vocabulary, served.tokenizer->vocab_size());
    if (served.end_of_text < 0) served.end_of_text = served.tokenizer->end_of_text().value_or(-1);
  }
  served.created =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  return served;
}

std::unique_ptr<inference::Engine> make_engine(const ServeArguments& arguments, const training::Machine& machine) {
  model::Decoder decoder = load_or_make_model(arguments.model, arguments.routing, arguments.seed.value_or(1));
  decoder.convert_to(machine.dtype);
  inference::EngineOptions options;
  options.weights = weights_dtype(arguments, machine);
  options.cache = inference::parse_dtype("--cache-dtype", arguments.cache_dtype);
  options.threads = machine.threads;
  options.skip_unread_layers = false;  // echo with logprobs rates every token of a prompt
  return std::make_unique<inference::Engine>(decoder, options);
}

void announce(const ServeArguments& arguments, const serving::ServedModel& model, const std::string& machine,
              int port) {
  const std::string host = arguments.server.host.find(':') == std::string::npos
                               ? arguments.server.host
                               : fmt::format("[{}]", arguments.server.host);
  const std::string url = fmt::format("http://{}:{}/v1", host, port);
  if (arguments.json)
    print_result(arguments, {{"url", url}, {"port", port}, {"model", model.name}, {"machine", machine}}, "");
  if (!arguments.quiet)
    std::cerr << fmt::format("serving {} at {}; {}; end with Ctrl-C", model.name, url, machine) << std::endl;
}

void run_serve(const ServeArguments& arguments) {
  const training::Machine machine = serving_machine(arguments);
  const std::unique_ptr<inference::Engine> engine = make_engine(arguments, machine);
  const serving::ServedModel model = served_model(arguments, engine->config());

  serving::SchedulerOptions scheduling = arguments.scheduler;
  scheduling.vocabulary = model.vocabulary;
  scheduling.end_of_text = model.end_of_text;
  serving::Scheduler scheduler(*engine, scheduling);
  serving::ServiceOptions answering = arguments.service;
  answering.seed = static_cast<uint64_t>(arguments.seed.value_or(1));
  serving::Service service(model, scheduler, answering);
  const auto log = [quiet = arguments.quiet](const std::string& line) {
    if (!quiet) std::cerr << line + '\n';
  };
  serving::Server server(service, arguments.server, log);

  announce(arguments, model, machine.description, server.port());
  server.start();
  scheduler.run(stop_requested, std::chrono::duration<double>(arguments.grace_seconds));
  server.stop();
  if (!arguments.quiet) std::cerr << "stopped" << std::endl;
}

void add_limits(CLI::App& command, ServeArguments& arguments) {
  const CLI::Range positive(1e-3, 1e6);
  command.add_option("--slots", arguments.scheduler.slots, "texts made at the same time")
      ->check(kOneOrMore)
      ->capture_default_str();
  command.add_option("--waiting", arguments.scheduler.waiting, "requests that may wait for a slot; more get 503")
      ->check(kOneOrMore)
      ->capture_default_str();
  command.add_option("--connections", arguments.server.connections, "clients at the same time; more get 503")
      ->check(kOneOrMore)
      ->capture_default_str();
  command.add_option("--max-body", arguments.server.body_bytes, "bytes of a request; longer ones get 413")
      ->check(kOneOrMore)
      ->capture_default_str();
  command.add_option("--read-seconds", arguments.server.read_seconds, "for a request to arrive, and to idle")
      ->check(positive)
      ->capture_default_str();
  command.add_option("--answer-seconds", arguments.service.answer_seconds, "for an answer, waiting included; then 503")
      ->check(positive)
      ->capture_default_str();
  command.add_option("--grace-seconds", arguments.grace_seconds, "for open requests after Ctrl-C or SIGTERM")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
}

}  // namespace

void add_serve_command(CLI::App& app, Action& chosen) {
  const auto arguments = std::make_shared<ServeArguments>();
  CLI::App* command = add_command(app, chosen, "serve", "Serve a model over HTTP, in OpenAI's completions form",
                                  "  skipattn serve --model runs/sla\n"
                                  "  skipattn serve --model gpt2/ --port 8000 --slots 32 --weights int8\n"
                                  "  curl http://127.0.0.1:8080/v1/completions -d '{\"prompt\": \"Once\"}'",
                                  *arguments, [arguments] { run_serve(*arguments); });
  add_model_options(*command, *arguments);
  command->add_option("--name", arguments->name, "what clients call the model; default: its folder's name");
  command->add_option("--host", arguments->server.host, "address to listen on; others than the default are open to all")
      ->capture_default_str();
  command->add_option("--port", arguments->server.port, "0: any free one")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  add_limits(*command, *arguments);
}

}  // namespace skipattn::cli
