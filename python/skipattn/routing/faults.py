"""The faults of a table: what makes it no routing of its model. Gathered, so that a person sees all of them at once."""
from __future__ import annotations

from collections.abc import Sequence

from .chain import find_chain_faults
from .head_faults import HeadFaults
from .table import Route, Shape, Source, Table


def raise_faults(faults: Sequence[str], title: str) -> None:
    """ValueError with every fault on a line of its own, "[plan] title: fault"; returns when there is none."""
    if faults:
        raise ValueError("\n".join(f"[plan] {title + ': ' if title else ''}{fault}" for fault in faults))


def find_faults(table: Table) -> list[str]:
    """Sources out of range, later than their reader, lists that do not pair, …; empty when the table is sound."""
    faults = [f"the window of layer {layer} is {window}, must be 0 (all tokens) or more"
              for layer, window in enumerate(table.windows) if window < 0]
    heads = HeadFaults()
    for layer, routes in enumerate(table.routes):
        for head, route in enumerate(routes):
            _find_route_faults(route, Source(layer, head), table.shape, heads)
    faults += heads.lines()
    return faults or find_chain_faults(table)


def _find_route_faults(route: Route, reader: Source, shape: Shape, faults: HeadFaults) -> None:
    for side, sources in (("key", route.keys), ("value", route.values)):
        for source in sources:
            fault = _source_fault(source, side, reader.layer, shape)
            if fault:
                faults.add(*reader, fault)
    if len(route.keys) != len(route.values):
        faults.add(*reader, f"{len(route.keys)} key and {len(route.values)} value sources do not pair, as many of each "
                            "are needed")
        return
    if len(set(zip(route.keys, route.values))) < len(route.keys):
        faults.add(*reader, "the same pair of key and value source is listed twice")


def _source_fault(source: Source, side: str, reader: int, shape: Shape) -> str:
    """The first fault of one source, "" when it is sound."""
    if not 0 <= source.layer < shape.layers:
        return f"{side} layer {source.layer} is out of range, must be 0..{reader}"
    if source.layer > reader:
        return f"{side} layer {source.layer} is later than its reader, must be 0..{reader}"
    if not 0 <= source.head < shape.kv_heads:
        return f"{side} head {source.head} is out of range, must be 0..{shape.kv_heads - 1}"
    return ""
