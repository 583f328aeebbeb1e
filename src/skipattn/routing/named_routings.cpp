#include "skipattn/routing/named_routings.h"

#include <algorithm>

#include "skipattn/core/text.h"

namespace skipattn::routing {

namespace {

std::string counted(int count, const char* noun) {
  return fmt::format("a model of {} {}{}", count, noun, count == 1 ? "" : "s");
}

/// The heads that borrow, ascending, and how the choice is written.
struct Selection {
  std::vector<int> heads;
  std::string which;
};

/// "[0, 3, 7]" as ascending numbers; faults for anything else, for repeated heads and for heads the
/// model lacks.
std::vector<int> read_head_list(const std::string& text, const Shape& shape, FaultList& faults) {
  std::vector<int> heads;
  for (const std::string& item : split(text.substr(1, text.size() - 2), ',')) {
    const std::optional<int> head = parse_whole(trim(item));
    if (!head || *head < 0 || *head >= shape.kv_heads) {
      faults.add("which={} has '{}', heads must be 0..{}", text, trim(item), shape.kv_heads - 1);
    } else if (std::find(heads.begin(), heads.end(), *head) != heads.end()) {
      faults.add("which={} has head {} twice", text, *head);
    } else {
      heads.push_back(*head);
    }
  }
  std::sort(heads.begin(), heads.end());
  return heads;
}

Selection listed_heads(ArgumentReader& arguments, const std::string& which, const Shape& shape, const Limits& limits) {
  const size_t faults_before = arguments.faults().faults().size();
  Selection selection;
  selection.heads = read_head_list(which, shape, arguments.faults());
  selection.which = fmt::format("[{}]", fmt::join(selection.heads, ","));
  if (!arguments.has("heads") || arguments.faults().faults().size() > faults_before) return selection;
  const int heads = arguments.amount("heads", "", limits);
  if (arguments.faults().faults().size() == faults_before && heads != static_cast<int>(selection.heads.size()))
    arguments.faults().add("heads={} does not agree with which={}, which lists {}", arguments.text("heads", ""), which,
                           selection.heads.size());
  return selection;
}

/// Reads `heads` and `which`: a word with a count, or a list that implies the count.
Selection select_heads(ArgumentReader& arguments, const Shape& shape, const std::string& default_heads) {
  const Limits limits{1, shape.kv_heads, shape.kv_heads, counted(shape.kv_heads, "KV head")};
  const std::string which = arguments.text("which", "last");
  if (which.starts_with('[') && which.ends_with(']')) return listed_heads(arguments, which, shape, limits);
  Selection selection;
  selection.which = which;
  const int heads = arguments.amount("heads", default_heads, limits);
  for (int i = 0; i < heads; ++i) {
    if (which == "first")
      selection.heads.push_back(i);
    else if (which == "every")
      selection.heads.push_back(i * shape.kv_heads / heads);
    else
      selection.heads.push_back(shape.kv_heads - heads + i);
  }
  const std::vector<std::string> words = {"last", "first", "every"};
  if (std::find(words.begin(), words.end(), which) == words.end())
    arguments.faults().add("which={} must be last, first, every or a list such as [0,3]{}", which,
                           did_you_mean(which, words));
  return selection;
}

Chain read_chain(ArgumentReader& arguments) {
  return arguments.choice("chain", {"own", "resolved"}) == "own" ? Chain::kOwn : Chain::kResolved;
}

/// `name(arguments)` followed by chain and window where they are not the default.
std::string canonical_text(const std::string& name, std::vector<std::string> items, Chain chain, int window) {
  if (chain == Chain::kResolved) items.push_back("chain=resolved");
  if (window > 0) items.push_back(fmt::format("window={}", window));
  return items.empty() ? name : fmt::format("{}({})", name, join(items, ", "));
}

Routing build_baseline(ArgumentReader& arguments, const Shape& shape) {
  Routing routing = baseline_routing(shape);
  const int window = arguments.count("window");
  std::fill(routing.windows.begin(), routing.windows.end(), window);
  routing.text = canonical_text("baseline", {}, routing.chain, window);
  return routing;
}

Routing build_sla(ArgumentReader& arguments, const Shape& shape) {
  Routing routing = baseline_routing(shape);
  const int distance =
      arguments.amount("distance", "3/4", {1, shape.layers - 1, shape.layers, counted(shape.layers, "layer")});
  const Selection selection = select_heads(arguments, shape, "3/4");
  const std::string keys = arguments.choice("keys", {"skip", "own"});
  const std::string values = arguments.choice("values", {"skip", "own"});
  const int window = arguments.count("window");
  routing.chain = read_chain(arguments);
  std::fill(routing.windows.begin(), routing.windows.end(), window);
  for (int layer = distance; layer < shape.layers; ++layer) {
    for (const int head : selection.heads) {
      Route& route = routing.routes[layer][head];
      if (keys == "skip") route.keys = {{layer - distance, head}};
      if (values == "skip") route.values = {{layer - distance, head}};
    }
  }
  routing.text = canonical_text("sla",
                                {fmt::format("distance={}", distance), fmt::format("heads={}", selection.heads.size()),
                                 "keys=" + keys, "values=" + values, "which=" + selection.which},
                                routing.chain, window);
  return routing;
}

Routing build_skipv1(ArgumentReader& arguments, const Shape& shape) {
  Routing routing = baseline_routing(shape);
  if (shape.layers < 2) arguments.faults().add("skipv1 needs a model of 2 layers or more");
  const Selection selection = select_heads(arguments, shape, "1/2");
  const int window = arguments.count("window");
  routing.chain = read_chain(arguments);
  std::fill(routing.windows.begin(), routing.windows.end(), window);
  for (int layer = 1; layer < shape.layers; ++layer)
    for (const int head : selection.heads) routing.routes[layer][head].values = {{0, head}};
  routing.text = canonical_text("skipv1", {fmt::format("heads={}", selection.heads.size()), "which=" + selection.which},
                                routing.chain, window);
  return routing;
}

/// Every head of `layer` takes keys and values from the same head of `source`.
void borrow_all(Routing& routing, int layer, int source) {
  for (int head = 0; head < routing.shape.kv_heads; ++head)
    routing.routes[layer][head] = {.keys = {{source, head}}, .values = {{source, head}}};
}

Routing build_cla(ArgumentReader& arguments, const Shape& shape) {
  Routing routing = baseline_routing(shape);
  const Limits limits{1, shape.layers, shape.layers, counted(shape.layers, "layer")};
  const int group = arguments.amount("group", "2", limits);
  const int window = arguments.count("window");
  std::fill(routing.windows.begin(), routing.windows.end(), window);
  for (int layer = 0; layer < shape.layers; ++layer) borrow_all(routing, layer, layer / group * group);
  routing.text = canonical_text("cla", {fmt::format("group={}", group)}, routing.chain, window);
  return routing;
}

Routing build_yoco(ArgumentReader& arguments, const Shape& shape) {
  Routing routing = baseline_routing(shape);
  const Limits limits{1, shape.layers - 1, shape.layers, counted(shape.layers, "layer")};
  const int first_upper = arguments.amount("split", "1/2", limits);
  const int window = arguments.count("window");
  for (int layer = 0; layer < shape.layers; ++layer) {
    if (layer < first_upper)
      routing.windows[layer] = window;
    else
      borrow_all(routing, layer, first_upper - 1);
  }
  routing.text = canonical_text("yoco", {fmt::format("split={}", first_upper)}, routing.chain, window);
  return routing;
}

struct NamedRouting {
  std::string name;
  std::vector<std::string> arguments;
  Routing (*build)(ArgumentReader& arguments, const Shape& shape);
};

const std::vector<NamedRouting>& named_routings() {
  static const std::vector<NamedRouting> table = {
      {"baseline", {"window"}, build_baseline},
      {"sla", {"distance", "heads", "keys", "values", "which", "chain", "window"}, build_sla},
      {"skipv1", {"heads", "which", "chain", "window"}, build_skipv1},
      {"cla", {"group", "window"}, build_cla},
      {"yoco", {"split", "window"}, build_yoco},
  };
  return table;
}

}  // namespace

std::vector<std::string> routing_names() {
  std::vector<std::string> names;
  for (const NamedRouting& named : named_routings()) names.push_back(named.name);
  return names;
}

Routing named_routing(const Call& call, const Shape& shape, FaultList& faults) {
  for (const NamedRouting& named : named_routings()) {
    if (named.name != call.name) continue;
    ArgumentReader arguments(call, named.arguments, faults);
    return named.build(arguments, shape);
  }
  faults.add("unknown routing '{}'{}, known are {} and explicit tables in JSON", call.name,
             did_you_mean(call.name, routing_names()), join(routing_names(), ", "));
  return {};
}

}  // namespace skipattn::routing
