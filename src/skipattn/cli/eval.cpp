// skipattn eval: loss, perplexity, bits per byte, and loss by position in the context.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <numbers>
#include <optional>

#include "skipattn/cli/command.h"
#include "skipattn/cli/model_argument.h"
#include "skipattn/core/errors.h"
#include "skipattn/core/stop.h"
#include "skipattn/core/text.h"
#include "skipattn/inference/round_weights.h"
#include "skipattn/io/safetensors_writer.h"
#include "skipattn/training/evaluation.h"
#include "skipattn/training/machine.h"

namespace skipattn::cli {

namespace {

struct EvalOptions : CommonOptions {
  std::string model;
  std::vector<std::string> data;
  std::string routing;
  int64_t context = 0;
  int64_t stride = 0;
  int64_t max_tokens = 0;
  int64_t batch = 0;
  int64_t end_of_text = -1;
  bool document_mask = false;
  bool reset_positions = false;
  std::string dump_logits;
};

/// Writes the logits of every window, [windows, T, vocabulary] in fp32, as they come.
class LogitsDump {
 public:
  LogitsDump(const std::string& path, const model::Decoder& decoder, int64_t windows, int64_t context)
      : decoder_(decoder),
        writer_(path, {{"logits", io::DType::kF32, {windows, context, decoder.config().vocabulary}}}) {}

  void add(const at::Tensor& hidden) {
    for (int64_t row = 0; row < hidden.size(0); ++row) {
      const at::Tensor logits = decoder_.logits(hidden[row]).to(at::kCPU, at::kFloat).contiguous();
      writer_.write("logits",
                    {static_cast<const std::byte*>(logits.const_data_ptr()), static_cast<size_t>(logits.nbytes())});
    }
  }
  void commit() { writer_.commit(); }

 private:
  const model::Decoder& decoder_;
  io::SafetensorsWriter writer_;
};

nlohmann::ordered_json buckets_json(const std::vector<training::LossBucket>& buckets) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const training::LossBucket& bucket : buckets)
    if (bucket.loss.count > 0)
      list.push_back({{"from", bucket.from},
                      {"to", bucket.to},
                      {"loss", finite_or_null(bucket.loss.mean())},
                      {"tokens", bucket.loss.count}});
  return list;
}

data::Loader open_loader(const EvalOptions& options, const model::ModelConfig& config, int64_t context) {
  data::TokenFilesOptions files_options;
  if (options.end_of_text >= 0) files_options.end_of_text = options.end_of_text;
  const auto files = std::make_shared<const data::TokenFiles>(options.data, files_options);
  data::LoaderOptions loader;
  loader.context = context;
  loader.stride = options.stride;
  loader.vocab_size = config.vocabulary;
  loader.document_mask = options.document_mask;
  loader.reset_positions = options.reset_positions;
  loader.document_positions = files->documents_known();
  return data::Loader(files, loader);
}

std::string to_text(const EvalOptions& options, const training::Evaluation& result,
                    std::optional<double> bits_per_byte) {
  const double loss = result.total.mean();
  std::string text = fmt::format("loss {:.4f} nats per token, perplexity {:.3f}", loss, std::exp(loss));
  if (bits_per_byte) text += fmt::format(", {:.4f} bits per byte", *bits_per_byte);
  text += fmt::format("\n{} tokens of {}, {} tokens/s\n\n  position in the window      loss\n",
                      short_count(static_cast<double>(result.total.count)), join(options.data, ", "),
                      short_count(static_cast<double>(result.total.count) / result.seconds));
  for (const training::LossBucket& bucket : result.by_position)
    if (bucket.loss.count > 0)
      text += fmt::format("  {:>8} – {:<12}  {:>8.4f}\n", bucket.from, bucket.to - 1, bucket.loss.mean());
  return text;
}

void run_eval(const EvalOptions& options) {
  const training::Machine machine = training::use_machine(inference_machine(options, "[eval] "));
  model::Decoder decoder = load_or_make_model(options.model, options.routing, options.seed.value_or(1));
  if (options.weights == "int8") inference::round_to_int8(decoder);
  const int64_t context = options.context > 0 ? options.context : decoder.config().positions;
  if (context > decoder.config().positions)
    throw InputError("[eval] --context {}: the model has positions for {} tokens", context, decoder.config().positions);
  if (options.stride > context)
    throw InputError("[eval] --stride {}: must not exceed --context {}", options.stride, context);
  const data::Loader loader = open_loader(options, decoder.config(), context);
  decoder.convert_to(machine.dtype);
  decoder.move_to(machine.device);

  training::EvaluationOptions evaluation;
  evaluation.windows = loader.windows();
  if (options.max_tokens > 0)
    evaluation.windows =
        std::clamp<int64_t>(options.max_tokens / (options.stride > 0 ? options.stride : context), 1, loader.windows());
  evaluation.micro_batch = options.batch > 0 ? options.batch : std::clamp<int64_t>(4096 / context, 1, 16);
  evaluation.progress = progress_view(options);
  if (options.stride > 0)  // later windows only add what the one before has not seen
    evaluation.first_scored = [&](int64_t window) { return window == 0 ? 0 : context - options.stride; };
  std::optional<LogitsDump> dump;
  if (!options.dump_logits.empty()) {
    dump.emplace(options.dump_logits, decoder, evaluation.windows, context);
    evaluation.on_hidden = [&](int64_t, const at::Tensor& hidden) { dump->add(hidden); };
  }
  const training::Evaluation result = training::evaluate(decoder, loader, evaluation, machine.device);
  if (dump) dump->commit();

  std::optional<double> bits_per_byte;
  if (loader.corpus().text_bytes() > 0)
    bits_per_byte = result.total.mean() / std::numbers::ln2 * static_cast<double>(loader.corpus().tokens()) /
                    static_cast<double>(loader.corpus().text_bytes());
  const nlohmann::ordered_json json = {
      {"loss", finite_or_null(result.total.mean())},
      {"perplexity", finite_or_null(std::exp(result.total.mean()))},
      {"bits_per_byte", bits_per_byte ? finite_or_null(*bits_per_byte) : nlohmann::ordered_json()},
      {"tokens", result.total.count},
      {"windows", evaluation.windows},
      {"context", context},
      {"loss_by_position", buckets_json(result.by_position)},
      {"loss_by_document_position", buckets_json(result.by_document_position)},
      {"tokens_per_second", static_cast<double>(result.total.count) / result.seconds},
      {"routing", decoder.routing().text},
      {"machine", machine.description},
  };
  print_result(options, json, to_text(options, result, bits_per_byte));
}

}  // namespace

void add_eval_command(CLI::App& app, Action& chosen) {
  const auto options = std::make_shared<EvalOptions>();
  CLI::App* command =
      add_command(app, chosen, "eval", "Loss, perplexity, bits per byte, and loss by position",
                  "  skipattn eval --model runs/sla --data data/val.bin --context 1024\n"
                  "  skipattn eval --model gpt2/ --data data/val.bin --context 1024 --stride 512 --json",
                  *options, [options] { run_eval(*options); });
  command->add_option("--model", options->model, "model folder, or a preset with random weights")->required();
  command->add_option("--data", options->data, "token file; a glob or several are read as one")->required();
  command->add_option("--routing", options->routing, "give the model this routing first; default: its own");
  command->add_option("--context", options->context, "tokens of a window; default: the model's positions")
      ->check(kOneOrMore);
  command
      ->add_option("--stride", options->stride,
                   "tokens from one window's start to the next's; default: --context, no overlap")
      ->check(kOneOrMore);
  command->add_option("--max-tokens", options->max_tokens, "stop after about this many tokens")->check(kOneOrMore);
  command->add_option("--batch", options->batch, "windows per forward pass; default: about 4096 tokens")
      ->check(kOneOrMore);
  command->add_option("--end-of-text", options->end_of_text,
                      "token id that ends a document, for files without a side-car");
  command->add_flag("--document-mask", options->document_mask, "attention stays inside a document");
  command->add_flag("--reset-positions", options->reset_positions, "positions count from the document's start");
  command->add_option("--dump-logits", options->dump_logits, "also write all logits, fp32 [windows, T, vocabulary]");
}

}  // namespace skipattn::cli
