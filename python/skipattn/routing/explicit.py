"""The explicit table: a JSON object that lists what is not ordinary, head by head, read and printed.

    {"layers": 4, "kv_heads": 4, "windows": [64, 0, 0, 0], "routes": [
      {"layer": "2-3", "head": [0, 1], "key": 0, "value": "own"},
      {"layer": 3, "head": 2, "key": ["own", 1], "value": ["own", {"layer": 1, "head": 3}]},
      {"layer": 3, "head": 3, "key": "none", "value": "none"}]}

docs/routing.md explains every key.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from .call import parse_whole
from .strict_json import dump
from .table import Route, Shape, Source, Table, baseline_table
from .words import did_you_mean, trim

_LARGEST = 512  # a text must not make us take memory for a giant table


class _SourceText(NamedTuple):
    """A source as written; what is not given is the reader's own."""

    layer: int | None = None
    head: int | None = None


def read_explicit_table(table: dict[str, Any], shape: Shape, faults: list[str]) -> Table:
    """Reads a parsed table for a model of `shape`; its text is not set. Faults that the result shows without its text are
    left to find_faults(). A table that says it is of another shape comes back in that shape, with a fault."""
    _report_unknown_keys(table, ("layers", "kv_heads", "chain", "windows", "routes"), "", faults)
    result = baseline_table(Shape(_read_size(table, "layers", shape.layers, "layers", faults),
                                  _read_size(table, "kv_heads", shape.kv_heads, "KV heads", faults)))
    chain = table.get("chain", "own")
    if chain == "resolved":
        result.chain = "resolved"
    elif chain != "own":
        faults.append(f'chain={dump(chain)} must be "own" or "resolved"')
    if "windows" in table:
        _read_windows(table["windows"], result, faults)
    routes = table.get("routes")
    if not isinstance(routes, list):
        faults.append("routes must be a list of objects with layer, head, key and value")
        return result
    seen: set[Source] = set()
    for i, entry in enumerate(routes):
        _read_entry(entry, f"routes[{i}]: ", seen, result, faults)
    return result


def _whole_number(value: Any) -> int | None:
    return parse_whole(str(value)) if isinstance(value, int) and not isinstance(value, bool) else None


def _report_unknown_keys(table: dict[str, Any], known: Sequence[str], where: str, faults: list[str]) -> None:
    for key in sorted(table):
        if key not in known:
            faults.append(f"{where}unknown key '{key}'{did_you_mean(key, known)}, known are {', '.join(known)}")


def _read_size(table: dict[str, Any], key: str, actual: int, noun: str, faults: list[str]) -> int:
    """The size the table gives itself, `actual` where it gives none or a senseless one; a fault unless they agree."""
    size = _whole_number(table[key]) if key in table else actual
    if size == actual:
        return actual
    faults.append(f"{key} is {dump(table[key])} but the model has {actual} {noun}")
    return size if size is not None and 1 <= size <= _LARGEST else actual


def _read_windows(value: Any, result: Table, faults: list[str]) -> None:
    windows = value if isinstance(value, list) else [value] * result.shape.layers
    if len(windows) != result.shape.layers:
        faults.append(f"windows has {len(windows)} entries, must be {result.shape.layers}, one a layer")
        return
    for layer, item in enumerate(windows):
        window = _whole_number(item)
        if window is None or window < 0:
            faults.append(f"windows={dump(value)} must be a whole number of tokens, 0 for all, or a list of them")
            return
        result.windows[layer] = window


def _read_entry(entry: Any, where: str, seen: set[Source], result: Table, faults: list[str]) -> None:
    """Reads one element of "routes"; `seen` holds the (layer, head) that earlier elements defined."""
    if not isinstance(entry, dict):
        faults.append(f"{where}{dump(entry)} must be an object with layer, head, key and value")
        return
    _report_unknown_keys(entry, ("layer", "head", "key", "value"), where, faults)
    if "layer" not in entry:
        faults.append(f"{where}layer is missing")
        return
    layers = _read_places(entry, "layer", result.shape.layers, where, faults)
    heads = _read_places(entry, "head", result.shape.kv_heads, where, faults)
    keys = _read_side(entry, "key", where, faults)
    values = _read_side(entry, "value", where, faults)
    if keys is None or values is None or not _sides_pair(keys, values, where, faults):
        return
    repeated = False
    for layer in layers:
        for head in heads:
            reader = Source(layer, head)
            repeated = repeated or reader in seen
            seen.add(reader)
            result.routes[layer][head] = Route(_place(keys, reader), _place(values, reader))
    if repeated:
        faults.append(f"{where}it defines a layer and head that is already defined")


def _read_places(entry: dict[str, Any], key: str, count: int, where: str, faults: list[str]) -> list[int]:
    """An index, a list of indices, "4-11" or "all"; faults for its form, for an empty one and for the range."""
    value = entry.get(key, "all")
    indices = _read_indices(value, count)
    if not indices:
        faults.append(f'{where}{key}={dump(value)} must be an index, a list of indices, a range such as "4-11" or "all"')
        return []
    for index in indices:
        if not 0 <= index < count:
            faults.append(f"{where}{key} {index} is out of range, must be 0..{count - 1}")
            return []
    return indices


def _read_indices(value: Any, count: int) -> list[int] | None:
    if isinstance(value, list):
        indices = [_whole_number(item) for item in value]
        return None if None in indices else indices
    if (index := _whole_number(value)) is not None:
        return [index]
    if not isinstance(value, str):
        return None
    if value == "all":
        return list(range(count))
    ends = [parse_whole(trim(end)) for end in value.split("-")]
    if len(ends) != 2 or None in ends or ends[0] > ends[1]:
        return None
    return list(range(ends[0], min(ends[1], max(count, ends[0])) + 1))  # one too many is enough to be out of range


def _read_side(entry: dict[str, Any], key: str, where: str, faults: list[str]) -> list[_SourceText] | None:
    """The key or the value side of one entry; empty for "none", None after a fault."""
    value = entry.get(key, "own")
    if value == "none":
        return []
    is_list = isinstance(value, list)
    sources, sound = [], True
    for item in value if is_list else [value]:
        source = _read_source(item)
        if source is not None:
            sources.append(source)
            continue
        sound = False
        faults.append(f'{where}{key}={dump(item)} must be "own", a layer, {{"layer": l, "head": h}}'
                      + ("" if is_list else ', a list of these, or "none"'))
    if is_list and not value:
        sound = False
        faults.append(f'{where}{key}=[] is empty, write "none" for both key and value to drop attention')
    return sources if sound else None


def _read_source(value: Any) -> _SourceText | None:
    """ "own", a layer, or {"layer": l, "head": h}."""
    if value == "own":
        return _SourceText()
    if (layer := _whole_number(value)) is not None:
        return _SourceText(layer)
    if not isinstance(value, dict) or not value or not set(value) <= {"layer", "head"}:
        return None
    places = {key: _whole_number(item) for key, item in value.items()}
    return None if None in places.values() else _SourceText(**places)


def _sides_pair(keys: list[_SourceText], values: list[_SourceText], where: str, faults: list[str]) -> bool:
    if len(keys) == len(values):
        return True
    if not keys or not values:
        faults.append(f"{where}only the {'value' if keys else 'key'} is \"none\", key and value must both be")
    else:
        faults.append(f"{where}{len(keys)} key and {len(values)} value sources do not pair, as many of each are needed")
    return False


def _place(texts: list[_SourceText], reader: Source) -> tuple[Source, ...]:
    return tuple(Source(reader.layer if text.layer is None else text.layer,
                        reader.head if text.head is None else text.head) for text in texts)
