"""The rows of a routing: where one KV head of one layer reads."""
from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Shape(NamedTuple):
    """The part of a model that a routing depends on."""

    layers: int    #: L, 1 or more
    kv_heads: int  #: Hkv of every layer, 1 or more


class Source(NamedTuple):
    """One place keys or values can come from: what `layer` projected for its KV head `head`."""

    layer: int
    head: int


class Route(NamedTuple):
    """Where one KV head reads: keys[i] pairs with values[i] under one softmax; both empty, and it attends to nothing."""

    keys: tuple[Source, ...]
    values: tuple[Source, ...]


@dataclass
class Table:
    """A routing while it is built or checked; Routing is the finished form."""

    shape: Shape
    routes: list[list[Route]]  #: [L][Hkv]
    windows: list[int]         #: [L], tokens a query looks back, itself included; 0 = all
    chain: str = "own"         #: "own" or "resolved" (chain.py)
    text: str = "baseline"     #: canonical text


def baseline_table(shape: Shape) -> Table:
    """Every head reads its own layer."""
    routes = [[Route((Source(layer, head),), (Source(layer, head),)) for head in range(shape.kv_heads)]
              for layer in range(shape.layers)]
    return Table(shape, routes, [0] * shape.layers)
