// RunConfig: everything one training run depends on, as one TOML file says it. Every key has a default, a meaning and a
// place in one table (visit_fields), from which parsing, overriding, printing and "did you mean" all follow.
#pragma once

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "skipattn/model/config.h"
#include "skipattn/training/schedule.h"

namespace skipattn::training {

struct DataConfig {
  std::vector<std::string> train;  ///< token files, globs allowed; relative to the config file
  std::vector<std::string> val;    ///< the same, held out
  int64_t context = 1024;          ///< T, tokens per sequence
  std::string order = "shuffled";  ///< "shuffled" (by seed, anew every epoch) or "sequential"
  std::string packing = "stream";  ///< "stream": windows over everything; "documents": every window inside one document
  bool document_mask = false;      ///< attention stays inside a document
  bool reset_positions = false;    ///< positions count from the document's start in the window
  int64_t min_document_tokens = 0;  ///< shorter documents are left out
  int64_t end_of_text = -1;         ///< token id that ends a document in files without a side-car; -1: none
  std::string tokenizer;            ///< folder whose tokenizer goes into the checkpoints; "": beside the data if there
};

struct TrainingConfig {
  int64_t steps = 1000;             ///< optimizer updates
  int64_t tokens = 0;               ///< instead of steps: train on this many tokens; 0: use steps
  int64_t batch_size = 8;           ///< sequences per update
  int64_t micro_batch_size = 0;     ///< sequences per forward pass; 0: batch_size
  double learning_rate = 6e-4;      ///< at its peak
  double min_learning_rate = -1;    ///< at the end; -1: a tenth of the peak
  int64_t warmup_steps = 100;       ///< steps of linear warm-up; cut to a tenth of all steps when they are fewer
  std::string schedule = "cosine";  ///< "cosine", "constant" or "wsd"
  double decay_fraction = 0.2;      ///< "wsd": share of the steps that decay
  double weight_decay = 0.1;        ///< decoupled, on matrices only
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1e-8;         ///< AdamW's
  double grad_clip = 1.0;        ///< largest global gradient norm; 0: no clipping
  double dropout = 0.0;          ///< [0, 1)
  bool recompute = false;        ///< run layers again in the backward pass instead of keeping activations
  int64_t eval_every = 250;      ///< steps between validations; 0: only at the end
  int64_t eval_tokens = 131072;  ///< tokens of one validation, rounded down to windows; 0: all
  int64_t save_every = 250;      ///< steps between checkpoints; 0: only at the end
  int64_t keep_last = 1;         ///< checkpoints kept
  int64_t seed = 1;              ///< of initial weights, data order and dropout
};

struct MachineConfig {
  std::string device = "auto";  ///< "cpu", "cuda" or "auto"
  std::string dtype = "auto";   ///< "fp32", "bf16" or "auto" (what is native and fast here)
  int64_t threads = 0;          ///< 0: all processors
};

struct RunConfig {
  model::ModelConfig model;
  DataConfig data;
  TrainingConfig training;
  MachineConfig run;
  std::set<std::string> given;  ///< "section.key" of what a file or a command line set
};

/// Calls visit(section, key, field, meaning) for every key of every section.
template <typename Config, typename Visit>
void visit_fields(Config& c, Visit&& visit) {
  visit("model", "name", c.model.name, "preset the sizes below start from");
  visit("model", "family", c.model.family, "gpt2, llama, mistral, qwen2 or qwen3");
  visit("model", "layers", c.model.layers, "number of layers");
  visit("model", "heads", c.model.heads, "query heads");
  visit("model", "kv_heads", c.model.kv_heads, "key/value heads; 0: as many as heads");
  visit("model", "width", c.model.width, "width of the residual stream");
  visit("model", "head_width", c.model.head_width, "width of a head; 0: width / heads");
  visit("model", "mlp_width", c.model.mlp_width, "hidden width of the MLP; 0: 4 * width, Llama: 8/3 * width");
  visit("model", "vocabulary", c.model.vocabulary, "number of tokens; 0: the data's");
  visit("model", "positions", c.model.positions, "longest context; 0: data.context");
  visit("model", "tied_head", c.model.tied_head, "the vocabulary head is the token embedding");
  visit("model", "bias", c.model.bias, "gpt2: biases in linear layers and norms");
  visit("model", "qkv_bias", c.model.qkv_bias, "Llama: biases of Q, K and V; qwen2 has them");
  visit("model", "output_bias", c.model.output_bias, "Llama: bias of the attention's output projection");
  visit("model", "mlp_bias", c.model.mlp_bias, "Llama: biases in the MLP");
  visit("model", "query_key_norm", c.model.query_key_norm, "Llama: RMSNorm of Q and K heads; qwen3 has it");
  visit("model", "activation", c.model.activation, "gelu_new (tanh form) or gelu (exact); Llama: silu");
  visit("model", "norm_epsilon", c.model.norm_epsilon, "added to the variance in norms");
  visit("model", "rotary_base", c.model.rotary.base, "Llama: base of the rotary frequencies");
  visit("model", "rotary_scaling", c.model.rotary.scaling, "Llama: none, linear or llama3");
  visit("model", "rotary_factor", c.model.rotary.factor, "Llama: how many times longer contexts become");
  visit("model", "rotary_low_frequency", c.model.rotary.low_frequency, "llama3 scaling: slower pairs are slowed");
  visit("model", "rotary_high_frequency", c.model.rotary.high_frequency, "llama3 scaling: faster pairs are left alone");
  visit("model", "rotary_original_positions", c.model.rotary.original_positions, "llama3 scaling: context before it");
  visit("model", "window", c.model.window, "sliding window, tokens; 0: none");
  visit("model", "windowed_layers", c.model.windowed_layers, "layers that have the window; []: all of them");
  visit("model", "initializer_range", c.model.initializer_range, "deviation of the initial weights");
  visit("model", "routing", c.model.routing, "routing text, or a table [model.routing]");
  visit("data", "train", c.data.train, "token files to train on, globs allowed");
  visit("data", "val", c.data.val, "token files to validate on");
  visit("data", "context", c.data.context, "tokens per sequence");
  visit("data", "order", c.data.order, "shuffled or sequential");
  visit("data", "packing", c.data.packing, "stream, or documents: every window inside one document");
  visit("data", "document_mask", c.data.document_mask, "attention stays inside a document");
  visit("data", "reset_positions", c.data.reset_positions, "positions count from the document's start");
  visit("data", "min_document_tokens", c.data.min_document_tokens, "shorter documents are left out");
  visit("data", "end_of_text", c.data.end_of_text, "token id that ends a document; -1: as the side-car says");
  visit("data", "tokenizer", c.data.tokenizer, "folder of the tokenizer to put into checkpoints");
  visit("training", "steps", c.training.steps, "optimizer updates");
  visit("training", "tokens", c.training.tokens, "train on this many tokens instead of steps; 0: use steps");
  visit("training", "batch_size", c.training.batch_size, "sequences per update");
  visit("training", "micro_batch_size", c.training.micro_batch_size, "sequences per forward pass; 0: batch_size");
  visit("training", "learning_rate", c.training.learning_rate, "peak learning rate");
  visit("training", "min_learning_rate", c.training.min_learning_rate, "final learning rate; -1: a tenth of the peak");
  visit("training", "warmup_steps", c.training.warmup_steps, "steps of linear warm-up");
  visit("training", "schedule", c.training.schedule, "cosine, constant or wsd");
  visit("training", "decay_fraction", c.training.decay_fraction, "wsd: share of the steps that decay");
  visit("training", "weight_decay", c.training.weight_decay, "decoupled weight decay, on matrices only");
  visit("training", "beta1", c.training.beta1, "AdamW's first moment");
  visit("training", "beta2", c.training.beta2, "AdamW's second moment");
  visit("training", "epsilon", c.training.epsilon, "AdamW's epsilon");
  visit("training", "grad_clip", c.training.grad_clip, "largest gradient norm; 0: no clipping");
  visit("training", "dropout", c.training.dropout, "probability of dropping");
  visit("training", "recompute", c.training.recompute, "trade time for memory in the backward pass");
  visit("training", "eval_every", c.training.eval_every, "steps between validations; 0: only at the end");
  visit("training", "eval_tokens", c.training.eval_tokens, "tokens of one validation; 0: all");
  visit("training", "save_every", c.training.save_every, "steps between checkpoints; 0: only at the end");
  visit("training", "keep_last", c.training.keep_last, "checkpoints kept");
  visit("training", "seed", c.training.seed, "of initial weights, data order and dropout");
  visit("run", "device", c.run.device, "cpu, cuda or auto");
  visit("run", "dtype", c.run.dtype, "fp32, bf16 or auto");
  visit("run", "threads", c.run.threads, "threads; 0: all processors");
}

/// Reads a TOML file; unknown sections and keys and values of the wrong type are reported all at once (InputError).
/// Sections in `extra_sections` ("compare", "variants", "sweep") belong to other commands and are passed over.
RunConfig read_run_config(const std::filesystem::path& file, const std::vector<std::string>& extra_sections = {});

/// The same from TOML text; `source` names it in errors. Paths stay as they are.
RunConfig parse_run_config(std::string_view toml, const std::string& source,
                           const std::vector<std::string>& extra_sections = {});

/// Sets "section.key" from text as the command line gives it ("training.steps=10" in two parts). A model.name override
/// takes that preset's sizes. InputError names the nearest known key or the expected type.
void set_field(RunConfig& config, std::string_view key, std::string_view value);

/// "KEY=VALUE" split and set.
void apply_override(RunConfig& config, std::string_view assignment);

/// All keys with their values as TOML that read_run_config reads back; `comments` adds each key's meaning.
std::string to_toml(const RunConfig& config, bool comments);

/// The learning rates that the settings mean: a negative minimum is a tenth of the peak, and warm-up is at most a tenth of
/// all steps.
Schedule learning_rate_schedule(const TrainingConfig& training);

/// Derived values (micro_batch_size, steps from tokens, positions, …) filled in, then every fault reported at
/// once (InputError). Does not touch files.
void finish_run_config(RunConfig& config);

}  // namespace skipattn::training
