"""The named routings and the tables they stand for: baseline, sla, skipv1, cla, yoco.

    sla     Skip-Layer Attention, arXiv 2406.11274
    skipv1  SkipV1Former, arXiv 2510.16807
    cla     Cross-Layer Attention, arXiv 2405.12981
    yoco    You Only Cache Once, arXiv 2405.05254
"""
from __future__ import annotations

from collections.abc import Callable

from .call import ArgumentReader, Call, Limits, parse_whole
from .table import Route, Shape, Source, Table, baseline_table
from .words import counted, did_you_mean, trim


def named_table(call: Call, shape: Shape, faults: list[str]) -> Table:
    """The table of one named routing, its text in canonical form: every argument, resolved to whole numbers; chain and
    window only where they are not the default. Faults are added to `faults`; the result is then of no use."""
    if call.name not in _NAMED:
        faults.append(f"unknown routing '{call.name}'{did_you_mean(call.name, routing_names())}, known are "
                      f"{', '.join(routing_names())} and explicit tables in JSON")
        return baseline_table(shape)
    known, build = _NAMED[call.name]
    return build(ArgumentReader(call, known, faults), shape)


def routing_names() -> list[str]:
    """What people may write before the bracket."""
    return list(_NAMED)


def _read_head_list(text: str, shape: Shape, faults: list[str]) -> list[int]:
    """ "[0, 3, 7]" as ascending numbers; faults for anything else, for repeated heads and for heads the model lacks."""
    heads: list[int] = []
    for item in map(trim, text[1:-1].split(",")):
        head = parse_whole(item)
        if head is None or not 0 <= head < shape.kv_heads:
            faults.append(f"which={text} has '{item}', heads must be 0..{shape.kv_heads - 1}")
        elif head in heads:
            faults.append(f"which={text} has head {head} twice")
        else:
            heads.append(head)
    return sorted(heads)


def _listed_heads(arguments: ArgumentReader, which: str, shape: Shape, limits: Limits) -> tuple[list[int], str]:
    faults = arguments.faults
    before = len(faults)
    heads = _read_head_list(which, shape, faults)
    if arguments.has("heads") and len(faults) == before:
        count = arguments.amount("heads", "", limits)
        if len(faults) == before and count != len(heads):
            faults.append(f"heads={arguments.text('heads', '')} does not agree with which={which}, which lists "
                          f"{len(heads)}")
    return heads, f"[{','.join(map(str, heads))}]"


def _select_heads(arguments: ArgumentReader, shape: Shape, default_heads: str) -> tuple[list[int], str]:
    """The heads that borrow, ascending, and how the choice is written: a word with a count, or a list that implies it."""
    limits = Limits(1, shape.kv_heads, shape.kv_heads, counted(shape.kv_heads, "KV head"))
    which = arguments.text("which", "last")
    if which.startswith("[") and which.endswith("]"):
        return _listed_heads(arguments, which, shape, limits)
    count = arguments.amount("heads", default_heads, limits)
    words = {"last": list(range(shape.kv_heads - count, shape.kv_heads)), "first": list(range(count)),
             "every": [i * shape.kv_heads // count for i in range(count)]}
    if which not in words:
        arguments.faults.append(f"which={which} must be last, first, every or a list such as [0,3]"
                                f"{did_you_mean(which, list(words))}")
    return words.get(which, []), which


def _finish(table: Table, name: str, items: list[str], window: int) -> Table:
    """Sets the canonical text: `name(arguments)`, chain and window where they are not the default."""
    if table.chain == "resolved":
        items = [*items, "chain=resolved"]
    if window > 0:
        items = [*items, f"window={window}"]
    table.text = f"{name}({', '.join(items)})" if items else name
    return table


def _baseline(arguments: ArgumentReader, shape: Shape) -> Table:
    table = baseline_table(shape)
    window = arguments.count("window")
    table.windows = [window] * shape.layers
    return _finish(table, "baseline", [], window)


def _sla(arguments: ArgumentReader, shape: Shape) -> Table:
    table = baseline_table(shape)
    distance = arguments.amount("distance", "3/4",
                                Limits(1, shape.layers - 1, shape.layers, counted(shape.layers, "layer")))
    heads, which = _select_heads(arguments, shape, "3/4")
    keys = arguments.choice("keys", ("skip", "own"))
    values = arguments.choice("values", ("skip", "own"))
    window = arguments.count("window")
    table.chain = arguments.choice("chain", ("own", "resolved"))
    table.windows = [window] * shape.layers
    for layer in range(distance, shape.layers):
        for head in heads:
            own, skipped = (Source(layer, head),), (Source(layer - distance, head),)
            table.routes[layer][head] = Route(skipped if keys == "skip" else own, skipped if values == "skip" else own)
    return _finish(table, "sla", [f"distance={distance}", f"heads={len(heads)}", f"keys={keys}", f"values={values}",
                                  f"which={which}"], window)


def _skipv1(arguments: ArgumentReader, shape: Shape) -> Table:
    table = baseline_table(shape)
    if shape.layers < 2:
        arguments.faults.append("skipv1 needs a model of 2 layers or more")
    heads, which = _select_heads(arguments, shape, "1/2")
    window = arguments.count("window")
    table.chain = arguments.choice("chain", ("own", "resolved"))
    table.windows = [window] * shape.layers
    for layer in range(1, shape.layers):
        for head in heads:
            table.routes[layer][head] = Route((Source(layer, head),), (Source(0, head),))
    return _finish(table, "skipv1", [f"heads={len(heads)}", f"which={which}"], window)


def _borrow_all(table: Table, layer: int, source: int) -> None:
    """Every head of `layer` takes keys and values from the same head of `source`."""
    table.routes[layer] = [Route((Source(source, head),), (Source(source, head),))
                           for head in range(table.shape.kv_heads)]


def _cla(arguments: ArgumentReader, shape: Shape) -> Table:
    table = baseline_table(shape)
    group = arguments.amount("group", "2", Limits(1, shape.layers, shape.layers, counted(shape.layers, "layer")))
    window = arguments.count("window")
    table.windows = [window] * shape.layers
    for layer in range(shape.layers):
        _borrow_all(table, layer, layer // group * group)
    return _finish(table, "cla", [f"group={group}"], window)


def _yoco(arguments: ArgumentReader, shape: Shape) -> Table:
    table = baseline_table(shape)
    first_upper = arguments.amount("split", "1/2",
                                   Limits(1, shape.layers - 1, shape.layers, counted(shape.layers, "layer")))
    window = arguments.count("window")
    for layer in range(shape.layers):
        if layer < first_upper:
            table.windows[layer] = window
        else:
            _borrow_all(table, layer, first_upper - 1)
    return _finish(table, "yoco", [f"split={first_upper}"], window)


_NAMED: dict[str, tuple[tuple[str, ...], Callable[[ArgumentReader, Shape], Table]]] = {
    "baseline": (("window",), _baseline),
    "sla": (("distance", "heads", "keys", "values", "which", "chain", "window"), _sla),
    "skipv1": (("heads", "which", "chain", "window"), _skipv1),
    "cla": (("group", "window"), _cla),
    "yoco": (("split", "window"), _yoco),
}
