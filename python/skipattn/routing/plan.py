"""Plan: what a routing compiles to. Models, caches and the tables that people read all ask this and nothing else."""
from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .chain import resolve_chain
from .costs import Costs, Dimensions, count_costs
from .faults import raise_faults
from .table import Route, Shape, Source, Table, baseline_table


class SlotPair(NamedTuple):
    """One (key, value) pair that a KV head attends over, as positions among the live heads of the source layers: keys are
    live_keys[key_layer][key_slot], values are live_values[value_layer][value_slot]."""

    key_layer: int
    key_slot: int
    value_layer: int
    value_slot: int


@dataclass
class Group:
    """A run of neighbouring KV heads that read the same (key layer, value layer) pairs."""

    first_head: int
    head_count: int
    sources: list[tuple[int, int]]  #: in the order of the route; empty: no attention


@dataclass
class LayerPlan:
    """One layer of the plan."""

    live_keys: list[int]    #: KV heads whose keys this layer projects, ascending
    live_values: list[int]  #: KV heads whose values this layer projects, ascending
    window: int             #: tokens a query looks back, itself included; 0 = all
    last_key_reader: int    #: last layer that reads this layer's keys; -1 when none are live
    last_value_reader: int  #: the same for its values
    key_reach: int          #: farthest any reader looks back at these keys; 0 = all tokens (or none live)
    value_reach: int        #: the same for its values
    first_key_slot: int     #: live key heads of all earlier layers: where this layer's keys begin
    first_value_slot: int   #: the same for its values
    heads: list[list[SlotPair]] = field(default_factory=list)  #: [Hkv][pairs]
    groups: list[Group] = field(default_factory=list)          #: cover the heads in order


@dataclass
class Plan:
    """The whole model's plan."""

    shape: Shape
    layers: list[LayerPlan]          #: [L]
    routes: list[list[dict[str, Any]]]  #: what every head really reads, as `skipattn plan --json` prints it

    @property
    def live_key_heads(self) -> int:
        """Over all layers; the baseline has L * Hkv."""
        return sum(len(layer.live_keys) for layer in self.layers)

    @property
    def live_value_heads(self) -> int:
        return sum(len(layer.live_values) for layer in self.layers)

    @property
    def cache_slots(self) -> int:
        """Head vectors that a KV cache holds for each token: live keys and live values together."""
        return self.live_key_heads + self.live_value_heads

    @property
    def kv_cache_saved(self) -> float:
        """The fraction of the baseline's cache that is not needed."""
        return 1 - self.cache_slots / (2 * self.shape.layers * self.shape.kv_heads)

    def costs(self, dimensions: Dimensions, *, context: int = 1024, cache_dtype: str = "bf16") -> Costs:
        """Parameters, KV cache and FLOPs of a model of these dimensions, beside the baseline's."""
        baseline = make_plan(baseline_table(self.shape))
        return count_costs(self, baseline, dimensions, context, cache_dtype)


class _Side:
    """Which heads are read, and by whom last, of one side (keys or values)."""

    def __init__(self, shape: Shape) -> None:
        self.live = [[False] * shape.kv_heads for _ in range(shape.layers)]
        self.last_reader = [-1] * shape.layers
        self.reach = [-1] * shape.layers  # -1: nobody yet, 0: all tokens

    def read(self, sources: Sequence[Source], reader: int, window: int) -> None:
        for layer, head in sources:
            self.live[layer][head] = True
            self.last_reader[layer] = reader
            self.reach[layer] = 0 if window == 0 or self.reach[layer] == 0 else max(self.reach[layer], window)

    def live_heads(self, layer: int) -> list[int]:
        return [head for head, live in enumerate(self.live[layer]) if live]


def make_plan(table: Table) -> Plan:
    """Compiles a sound table, chain applied; raises ValueError where following the chain shows a fault."""
    resolved, faults = resolve_chain(table)
    raise_faults(faults, table.text)
    shape = table.shape
    keys, values = _Side(shape), _Side(shape)
    for reader, routes in enumerate(resolved.routes):
        for route in routes:
            keys.read(route.keys, reader, resolved.windows[reader])
            values.read(route.values, reader, resolved.windows[reader])
    layers: list[LayerPlan] = []
    first_key_slot = first_value_slot = 0
    for layer in range(shape.layers):
        layers.append(LayerPlan(keys.live_heads(layer), values.live_heads(layer), resolved.windows[layer],
                                keys.last_reader[layer], values.last_reader[layer], max(keys.reach[layer], 0),
                                max(values.reach[layer], 0), first_key_slot, first_value_slot))
        first_key_slot += len(layers[-1].live_keys)
        first_value_slot += len(layers[-1].live_values)
    for layer, item in enumerate(layers):
        item.heads = [_slot_pairs(route, layers) for route in resolved.routes[layer]]
        item.groups = _group_heads(item.heads)
    return Plan(shape, layers, _routes_json(resolved))


def _slot_pairs(route: Route, layers: Sequence[LayerPlan]) -> list[SlotPair]:
    return [SlotPair(key.layer, bisect_left(layers[key.layer].live_keys, key.head),
                     value.layer, bisect_left(layers[value.layer].live_values, value.head))
            for key, value in zip(route.keys, route.values)]


def _group_heads(heads: Sequence[Sequence[SlotPair]]) -> list[Group]:
    groups: list[Group] = []
    for head, pairs in enumerate(heads):
        sources = [(pair.key_layer, pair.value_layer) for pair in pairs]
        if groups and groups[-1].sources == sources:
            groups[-1].head_count += 1
        else:
            groups.append(Group(head, 1, sources))
    return groups


def _routes_json(resolved: Table) -> list[list[dict[str, Any]]]:
    def side(sources: Sequence[Source], head: int) -> Any:
        items = [source.layer if source.head == head else f"{source.layer}.h{source.head}" for source in sources]
        return items[0] if len(items) == 1 else items or "none"

    return [[{"key": side(route.keys, head), "value": side(route.values, head)} for head, route in enumerate(routes)]
            for routes in resolved.routes]
