"""Routing: parsed from text, printed as text, shown as a table or a heat map, compiled to a plan."""
from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from .call import Call, parse_call
from .explicit import read_explicit_table
from .explicit_text import explicit_text
from .faults import find_faults, raise_faults
from .heat_map import heat_map_html
from .named import named_table, routing_names
from .plan import Plan, make_plan
from .strict_json import dump, parse_strict_json
from .table import Route, Shape, Table, baseline_table
from .words import BLANK, trim


@dataclass(frozen=True, repr=False)
class Routing:
    """From which layer each KV head of each layer takes its keys and its values. Equal when their tables are equal.

        routing = Routing.parse("sla(distance=9, heads=9)", layers=12, kv_heads=12)
        str(routing)              # the canonical text, which checkpoints and the command line read too
        routing.plan()            # live heads, what each layer reads
    """

    layers: int
    kv_heads: int
    routes: tuple[tuple[Route, ...], ...]  #: [L][Hkv], as written: before `chain` is applied
    windows: tuple[int, ...]               #: [L], tokens a query of that layer may look back, itself included; 0 = all
    chain: str                             #: "own" or "resolved": what borrowing from a borrowing head means
    text: str = field(compare=False)       #: canonical text

    @classmethod
    def parse(cls, text: str | dict[str, Any], *, layers: int, kv_heads: int) -> Routing:
        """Reads a routing for a model of that many layers and KV heads per layer.

        text: a named routing, "sla(distance=9, heads=9)", or an explicit table as JSON text or as a dict
        (docs/routing.md has the grammar). Raises ValueError that lists every fault, each on a line of its own.
        """
        if isinstance(text, dict):
            text = json.dumps(text, ensure_ascii=False)
        if not isinstance(text, str):
            raise TypeError(f"a routing must be a text or a table, not {type(text).__name__}")
        text = trim(text)
        faults: list[str] = []
        table = _parse_text(text, Shape(layers, kv_heads), faults)
        raise_faults(faults, _title(text))
        return cls(layers, kv_heads, tuple(map(tuple, table.routes)), tuple(table.windows), table.chain, table.text)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Routing.parse({self.text!r}, layers={self.layers}, kv_heads={self.kv_heads})"

    def plan(self) -> Plan:
        """What the routing compiles to, its chain applied (Plan)."""
        return self._plan

    @property
    def table(self) -> list[list[dict[str, Any]]]:
        """[L][Hkv] of {"key": …, "value": …}: what every head really reads. A layer index (that layer's same head),
        "2.h5" (layer 2, head 5), a list of these (joint sources) or "none"."""
        return self._plan.routes

    def is_baseline(self) -> bool:
        """True when every head reads its own layer and head and no layer has a window."""
        plain = baseline_table(Shape(self.layers, self.kv_heads))
        return self.routes == tuple(map(tuple, plain.routes)) and not any(self.windows)

    def explicit(self) -> str:
        """The table as JSON text that parses back to an equal routing, whatever it was made from."""
        return explicit_text(self._table())

    def _table(self) -> Table:
        return Table(Shape(self.layers, self.kv_heads), [list(row) for row in self.routes], list(self.windows),
                     self.chain, self.text)

    @cached_property
    def _plan(self) -> Plan:
        return make_plan(self._table())

    def _repr_html_(self) -> str:
        return heat_map_html(self.text, self._table(), self._plan)


def _parse_text(text: str, shape: Shape, faults: list[str]) -> Table:
    if shape.layers < 1:
        faults.append(f"layers={shape.layers} must be 1 or more")
    if shape.kv_heads < 1:
        faults.append(f"kv_heads={shape.kv_heads} must be 1 or more")
    if not text:
        faults.append(f"the routing is empty, write one of {', '.join(routing_names())}")
    if faults:
        return Table(shape, [], [])
    if text.startswith("{"):
        return _parse_object(text, shape, faults)
    return named_table(parse_call(text, faults), shape, faults)


def _parse_object(text: str, shape: Shape, faults: list[str]) -> Table:
    value = parse_strict_json(text, faults)
    if faults:
        return Table(shape, [], [])
    if "name" in value:
        call = _call_from_object(value, faults)
        return Table(shape, [], []) if faults else named_table(call, shape, faults)
    table = read_explicit_table(value, shape, faults)
    faults += find_faults(table)
    if not faults:
        table.text = explicit_text(table)
    return table


def _call_from_object(value: dict[str, Any], faults: list[str]) -> Call:
    """{"name": "sla", "distance": 9}: a named routing written as an object."""
    call = Call()
    for key, item in sorted(value.items()):
        if key != "name":
            call.arguments.append((key, item if isinstance(item, str) else dump(item)))
        elif isinstance(item, str):
            call.name = item
        else:
            faults.append(f"name={dump(item)} must be the name of a routing")
    return call


def _title(text: str) -> str:
    """The text on one line and short enough to stand before a fault; no half character is left by the cut."""
    written = text.encode("utf-8", "surrogateescape")
    if len(written) > 48:
        cut = written[:48].rstrip(bytes(range(0x80, 0xC0)))
        text = (cut[:-1] if cut[-1:] >= b"\xc0" else cut).decode() + "..."
    return "".join(c if c >= " " else " " for c in text)
