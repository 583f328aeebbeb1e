// skipattn convert: a Hugging Face folder to ours and back, with another routing or another context if asked.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>

#include "skipattn/cli/command.h"
#include "skipattn/cli/sample_loss.h"
#include "skipattn/core/errors.h"
#include "skipattn/core/text.h"
#include "skipattn/io/atomic_file.h"
#include "skipattn/model/context_length.h"
#include "skipattn/model/hugging_face_export.h"
#include "skipattn/model/reroute.h"
#include "skipattn/routing/routing_argument.h"
#include "skipattn/tokenizer/tokenizer.h"

namespace skipattn::cli {

namespace {

namespace fs = std::filesystem;

struct ConvertOptions : CommonOptions {
  std::string from;
  std::string to;
  std::string routing;
  std::string lend;
  int64_t context = 0;
  std::string positions;
  std::string format = "skipattn";
  uint64_t max_shard_size = 5'000'000'000;
  std::vector<std::string> data;
  int64_t data_context = 0;
  int64_t max_tokens = 0;
};

/// Losses around the conversion, nats per token.
struct Losses {
  int64_t context = 0;
  double before = 0;
  double after = 0;
  std::optional<double> after_at_context;  ///< over windows of the new, longer context
};

void check_options(const ConvertOptions& options) {
  FaultList faults;
  if (fs::exists(options.to)) faults.add("--to '{}': exists already; name a new folder", options.to);
  if (!options.lend.empty() && options.routing.empty())
    faults.add("--lend {}: belongs to --routing, which is not given", options.lend);
  if (!options.positions.empty() && options.context == 0)
    faults.add("--positions {}: belongs to --context, which is not given", options.positions);
  if (options.data.empty() && (options.data_context > 0 || options.max_tokens > 0))
    faults.add("--data-context and --max-tokens: belong to --data, which is not given");
  if (options.weights == "int8") faults.add("--weights int8: folders hold fp32 or bf16; choose one of these");
  faults.throw_if_any("[convert] ");
}

/// Every id of the tokenizer beside the model must have a row in its embedding.
void check_tokenizer(const fs::path& folder, const model::Decoder& decoder) {
  if (!fs::exists(folder / "tokenizer.json") && !fs::exists(folder / "vocab.json")) return;
  const int64_t tokens = tokenizer::Tokenizer::load(folder).vocab_size();
  if (tokens > decoder.config().vocabulary)
    throw InputError(
        "[convert] '{}': its tokenizer has {} tokens, its model a vocabulary of {}; it must have no more than the "
        "model",
        folder.string(), tokens, decoder.config().vocabulary);
}

Losses measure(const ConvertOptions& options, const model::Decoder& source, const model::Decoder& target) {
  training::MachineConfig config = options.machine();
  const training::Machine machine = training::use_machine(config);
  const int64_t shared = std::min(source.config().positions, target.config().positions);
  if (options.data_context > shared)
    throw InputError("[convert] --data-context {}: the models have positions for {} tokens", options.data_context,
                     shared);
  LossSample sample{options.data, options.data_context > 0 ? options.data_context : std::min<int64_t>(shared, 1024),
                    options.max_tokens > 0 ? options.max_tokens : 65536, progress_view(options)};
  Losses losses{sample.context, sample_loss(source, sample, machine), sample_loss(target, sample, machine), {}};
  if (target.config().positions > source.config().positions) {
    sample.context = target.config().positions;
    losses.after_at_context = sample_loss(target, sample, machine);
  }
  return losses;
}

void write_folder(const ConvertOptions& options, const fs::path& from, const model::Decoder& decoder) {
  const model::SaveOptions saving{options.weights == "bf16" ? at::kBFloat16 : at::kFloat, options.max_shard_size};
  io::AtomicDirectory folder(fs::absolute(options.to).lexically_normal());
  if (options.format == "hf")
    model::save_for_transformers(folder.path(), decoder, decoder.parameters(), saving);
  else
    model::save_model(folder.path(), decoder, decoder.parameters(), saving);
  model::copy_tokenizer_files(from, folder.path());
  folder.commit();
}

std::string to_text(const ConvertOptions& options, const model::Rerouted& result, const std::optional<Losses>& losses) {
  const model::Decoder& decoder = result.decoder;
  std::string text = fmt::format("{}: {} parameters, routing {}\n", options.to,
                                 short_count(static_cast<double>(decoder.table().elements())), decoder.routing().text);
  text += fmt::format("kept {} tensors", result.kept.size());
  text += result.dropped.empty() ? ", dropped nothing\n" : ", dropped parts of them that no head reads now:\n";
  for (const std::string& name : result.dropped) text += "  " + name + "\n";
  if (options.context > 0) text += fmt::format("positions for {} tokens\n", decoder.config().positions);
  if (losses) {
    text += fmt::format("loss {:.4f} before, {:.4f} after, in nats per token over windows of {} tokens\n",
                        losses->before, losses->after, losses->context);
    if (losses->after_at_context)
      text += fmt::format("loss {:.4f} after, over windows of {} tokens\n", *losses->after_at_context,
                          decoder.config().positions);
  }
  if (options.format == "hf" && !decoder.routing().is_baseline())
    text += "open it in Transformers with trust_remote_code=True\n";
  return text;
}

nlohmann::ordered_json to_json(const model::Rerouted& result, const std::optional<Losses>& losses) {
  nlohmann::ordered_json json = {{"parameters", result.decoder.table().elements()},
                                 {"routing", result.decoder.routing().text},
                                 {"positions", result.decoder.config().positions},
                                 {"dropped_tensors", result.dropped},
                                 {"kept_tensors", result.kept}};
  if (!losses) return json;
  json["loss_before"] = finite_or_null(losses->before);
  json["loss_after"] = finite_or_null(losses->after);
  json["loss_context"] = losses->context;
  if (losses->after_at_context) json["loss_after_at_positions"] = finite_or_null(*losses->after_at_context);
  return json;
}

void run_convert(const ConvertOptions& options) {
  check_options(options);
  const fs::path from = model::resolve_model_folder(options.from);
  const model::Decoder source = model::load_model(from);
  check_tokenizer(from, source);
  const std::string routing =
      options.routing.empty() ? source.routing().text : routing::read_routing_argument(options.routing);
  model::Rerouted result =
      model::reroute(source, routing, options.lend.empty() ? model::Lend::kOwn : model::parse_lend(options.lend));
  if (options.context > 0)
    result.decoder = model::with_context(
        result.decoder, options.context,
        options.positions.empty() ? model::Lengthening::kFamily : model::parse_lengthening(options.positions));
  std::optional<Losses> losses;
  if (!options.data.empty()) losses = measure(options, source, result.decoder);
  write_folder(options, from, result.decoder);
  print_result(options, to_json(result, losses), to_text(options, result, losses));
}

}  // namespace

void add_convert_command(CLI::App& app, Action& chosen) {
  const auto options = std::make_shared<ConvertOptions>();
  CLI::App* command =
      add_command(app, chosen, "convert", "Hugging Face to ours and back; another routing, a longer context",
                  "  skipattn convert --from gpt2/ --to gpt2-sla/ --routing 'sla(distance=9, heads=9)' --data val.bin\n"
                  "  skipattn convert --from gpt2/ --to gpt2-4k/ --context 4096 --positions interpolate\n"
                  "  skipattn convert --from runs/sla --to exported/ --format hf",
                  *options, [options] { run_convert(*options); });
  command->add_option("--from", options->from, "model folder: ours, or a Hugging Face one")->required();
  command->add_option("--to", options->to, "folder to write; must not exist")->required();
  command->add_option("--routing", options->routing, "routing to give the model; default: its own");
  command
      ->add_option("--lend", options->lend,
                   "what heads that others read now project with: own weights, or the mean of theirs and those dropped")
      ->check(CLI::IsMember({"own", "mean"}));
  command->add_option("--context", options->context, "tokens the model gets positions for")->check(kOneOrMore);
  command
      ->add_option("--positions", options->positions,
                   "how: copy or interpolate (learned positions), linear or base (rotary ones)")
      ->check(CLI::IsMember({"copy", "interpolate", "linear", "base"}));
  command
      ->add_option("--format", options->format,
                   "skipattn; or hf: what Transformers opens, with a modelling file when the routing is no baseline")
      ->check(CLI::IsMember({"skipattn", "hf"}))
      ->capture_default_str();
  command->add_option("--max-shard-size", options->max_shard_size, "split weights into files of this size (500MB, 5GB)")
      ->transform(CLI::AsSizeValue(true))
      ->default_str("5GB");
  command->add_option("--data", options->data, "token file: print the loss on it before and after");
  command
      ->add_option("--data-context", options->data_context, "tokens of a window of it; default: 1024 or the positions")
      ->check(kOneOrMore);
  command->add_option("--max-tokens", options->max_tokens, "read about this many of its tokens; default 65536")
      ->check(kOneOrMore);
}

}  // namespace skipattn::cli
