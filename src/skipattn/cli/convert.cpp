// skipattn convert: a Hugging Face folder to ours and back, with another routing if asked.
#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "skipattn/cli/command.h"
#include "skipattn/core/errors.h"
#include "skipattn/core/text.h"
#include "skipattn/io/atomic_file.h"
#include "skipattn/model/checkpoint.h"
#include "skipattn/routing/routing_argument.h"

namespace skipattn::cli {

namespace {

namespace fs = std::filesystem;

struct ConvertOptions : CommonOptions {
  std::string from;
  std::string to;
  std::string routing;
  std::string format = "skipattn";
};

void check_target(const ConvertOptions& options, const model::Decoder& decoder) {
  if (fs::exists(options.to)) throw InputError("[convert] --to '{}': exists already; name a new folder", options.to);
  if (options.format == "hf" && !decoder.routing().is_baseline())
    throw InputError(
        "[convert] --format hf: Transformers' GPT-2 has no skip heads, so only a baseline can be written for "
        "it, not {}; use --format skipattn",
        decoder.routing().text);
}

void run_convert(const ConvertOptions& options) {
  const fs::path from = model::resolve_model_folder(options.from);
  model::Decoder source = model::load_model(from);
  const std::string routing =
      options.routing.empty() ? source.routing().text : routing::read_routing_argument(options.routing);
  const model::Rerouted result = model::reroute(source, routing);
  check_target(options, result.decoder);
  io::AtomicDirectory folder(fs::absolute(options.to).lexically_normal());
  model::save_model(folder.path(), result.decoder, result.decoder.parameters());
  model::copy_tokenizer_files(from, folder.path());
  folder.commit();

  const nlohmann::ordered_json json = {{"parameters", result.decoder.table().elements()},
                                       {"routing", result.decoder.routing().text},
                                       {"dropped_tensors", result.dropped},
                                       {"kept_tensors", result.kept}};
  std::string text =
      fmt::format("{}: {} parameters, routing {}\n", options.to,
                  short_count(static_cast<double>(result.decoder.table().elements())), result.decoder.routing().text);
  text += fmt::format("kept {} tensors", result.kept.size());
  text += result.dropped.empty() ? ", dropped nothing\n" : ", dropped parts of them that no head reads now:\n";
  for (const std::string& name : result.dropped) text += "  " + name + "\n";
  print_result(options, json, text);
}

}  // namespace

void add_convert_command(CLI::App& app, Action& chosen) {
  const auto options = std::make_shared<ConvertOptions>();
  CLI::App* command =
      add_command(app, chosen, "convert", "Hugging Face to ours and back; give a model another routing",
                  "  skipattn convert --from gpt2/ --to gpt2-sla/ --routing 'sla(distance=9, heads=9)'\n"
                  "  skipattn convert --from runs/baseline --to exported/ --format hf",
                  *options, [options] { run_convert(*options); });
  command->add_option("--from", options->from, "model folder: ours, or a Hugging Face GPT-2")->required();
  command->add_option("--to", options->to, "folder to write; must not exist")->required();
  command->add_option("--routing", options->routing, "routing to give the model; default: its own");
  command->add_option("--format", options->format, "skipattn, or hf: what Transformers' own class opens")
      ->check(CLI::IsMember({"skipattn", "hf"}))
      ->capture_default_str();
}

}  // namespace skipattn::cli
