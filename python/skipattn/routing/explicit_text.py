"""Prints a table as canonical JSON: ordinary heads left out, heads and layers with the same route in one entry."""
from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .table import Source, Table


@dataclass
class _Entry:
    """Layers, heads and the route they share."""

    layers: list[int]
    heads: list[int]
    key: Any
    value: Any


def explicit_text(table: Table) -> str:
    """The JSON text that reads back to an equal table, whatever it was made from."""
    result: dict[str, Any] = {"layers": table.shape.layers, "kv_heads": table.shape.kv_heads}
    if table.chain == "resolved":
        result["chain"] = "resolved"
    if any(table.windows):
        result["windows"] = table.windows[0] if len(set(table.windows)) == 1 else list(table.windows)
    routes = []
    for entry in _table_entries(table):
        item: dict[str, Any] = {"layer": _one_or_list(entry.layers)}
        if len(entry.heads) < table.shape.kv_heads:
            item["head"] = _one_or_list(entry.heads)
        routes.append({**item, "key": entry.key, "value": entry.value})
    result["routes"] = routes
    return json.dumps(result, separators=(",", ":"))


def _table_entries(table: Table) -> list[_Entry]:
    entries: list[_Entry] = []
    for layer in range(table.shape.layers):
        for entry in _layer_entries(table, layer):
            for earlier in entries:
                if (earlier.heads, earlier.key, earlier.value) == (entry.heads, entry.key, entry.value):
                    earlier.layers.append(layer)
                    break
            else:
                entries.append(entry)
    return entries


def _layer_entries(table: Table, layer: int) -> list[_Entry]:
    """The entries of one layer, in the order of their first head."""
    entries: list[_Entry] = []
    for head, route in enumerate(table.routes[layer]):
        key, value = _side(route.keys, layer, head), _side(route.values, layer, head)
        if key == "own" and value == "own":
            continue
        for entry in entries:
            if (entry.key, entry.value) == (key, value):
                entry.heads.append(head)
                break
        else:
            entries.append(_Entry([layer], [head], key, value))
    return entries


def _side(sources: Sequence[Source], layer: int, head: int) -> Any:
    if not sources:
        return "none"
    return _one_or_list([_source(source, layer, head) for source in sources])


def _source(source: Source, layer: int, head: int) -> Any:
    if source.head != head:
        return {"layer": source.layer, "head": source.head}
    return "own" if source.layer == layer else source.layer


def _one_or_list(items: list[Any]) -> Any:
    return items[0] if len(items) == 1 else items
