// skipattn plan: a routing as a table and a heat map, with what it costs and saves.
#include <memory>

#include "skipattn/cli/command.h"
#include "skipattn/cli/model_argument.h"
#include "skipattn/routing/costs.h"
#include "skipattn/routing/plan.h"
#include "skipattn/routing/render.h"
#include "skipattn/routing/routes_json.h"

namespace skipattn::cli {

namespace {

struct PlanOptions : CommonOptions {
  std::string model = "gpt2";
  std::string routing;
  int64_t context = 0;
};

void run_plan(const PlanOptions& options) {
  const model::ModelConfig config = model_config(options.model, options.routing);
  const routing::Routing routing = routing::parse_routing(config.routing, config.routing_shape());
  const routing::Plan plan = routing::make_plan(routing);
  const int64_t context = options.context > 0 ? options.context : config.positions;
  const routing::Costs costs = routing::count_costs(plan, config.dimensions(), context, options.cache_dtype);
  const nlohmann::ordered_json json = {
      {"model", options.model},
      {"routing", routing.text},
      {"layers", config.layers},
      {"heads", config.heads},
      {"kv_heads", config.kv_heads},
      {"head_width", config.head_width},
      {"context", context},
      {"cache_dtype", options.cache_dtype},
      {"parameters", costs.parameters},
      {"parameters_baseline", costs.parameters_baseline},
      {"live_key_heads", plan.live_key_heads()},
      {"live_value_heads", plan.live_value_heads()},
      {"kv_cache_bytes_per_token", costs.kv_cache_bytes_per_token},
      {"kv_cache_bytes_per_token_baseline", costs.kv_cache_bytes_per_token_baseline},
      {"kv_cache_saved", costs.kv_cache_saved},
      {"flops_per_token_forward", costs.flops_per_token_forward},
      {"flops_per_token_forward_baseline", costs.flops_per_token_forward_baseline},
      {"routes", routing::routes_json(routing)},
  };
  const routing::PlanSummary summary{options.model, routing, config.dimensions(), context, options.cache_dtype};
  print_result(options, json,
               routing::render_plan_table(summary) + "\n" + routing::render_heat_map(routing, wants_color()));
}

}  // namespace

void add_plan_command(CLI::App& app, Action& chosen) {
  const auto options = std::make_shared<PlanOptions>();
  CLI::App* command =
      add_command(app, chosen, "plan", "Print a routing: where every head reads, what it costs and saves",
                  "  skipattn plan --model gpt2 --routing 'sla(distance=9, heads=9)'\n"
                  "  skipattn plan --model runs/sla --json\n"
                  "  skipattn plan --model gpt2-medium --routing @table.toml --context 16384",
                  *options, [options] { run_plan(*options); });
  command->add_option("--model", options->model, "a preset (gpt2, gpt2-medium, …) or a model folder")
      ->capture_default_str();
  command->add_option("--routing", options->routing,
                      "routing text, or @file.toml / @file.json; default: the model's own");
  command
      ->add_option("--context", options->context, "tokens that FLOPs are averaged over; default: the model's positions")
      ->check(kOneOrMore);
}

}  // namespace skipattn::cli
