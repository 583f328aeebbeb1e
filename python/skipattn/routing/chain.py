"""What borrowing from a head that itself borrows means, worked out.

With distance 2, layer 4 reads layer 2 and that head of layer 2 reads layer 0. chain=own: layer 4 attends over what layer 2
projected for the head; chain=resolved: over what layer 0 projected.
"""
from __future__ import annotations

from dataclasses import replace

from .head_faults import HeadFaults
from .table import Route, Source, Table


def resolve_chain(table: Table) -> tuple[Table, list[str]]:
    """The table with its chain applied, and the faults that only following it shows.

    Every source of the result is a head whose own projection is read. Each source is followed to its root, keys and values
    separately; a root reads itself or attends to nothing; "own" in a joint list stays own.
    """
    if table.chain == "own":
        return table, []
    faults = HeadFaults()
    rows = []
    for layer, heads in enumerate(table.routes):
        rows.append([_resolve_route(table, Source(layer, head), faults) for head in range(len(heads))])
    return replace(table, routes=rows, chain="own"), faults.lines()


def find_chain_faults(table: Table) -> list[str]:
    """Faults that only following the chain shows; the table must be free of those that find_faults() looks for first."""
    return resolve_chain(table)[1]


def _resolve_route(table: Table, reader: Source, faults: HeadFaults) -> Route:
    sides: list[tuple[Source, ...]] = []
    for side, sources in enumerate(table.routes[reader.layer][reader.head]):
        roots = []
        for source in sources:
            root, fault = (source, "") if source == reader else _follow(table, side, source)
            if fault:
                faults.add(*reader, fault)
            roots.append(root)
        sides.append(tuple(roots))
    if len(set(zip(*sides))) < len(sides[0]):
        faults.add(*reader, "chain=resolved makes two of its sources the same")
    return Route(*sides)


def _follow(table: Table, side: int, source: Source) -> tuple[Source, str]:
    """The head that projects what `source` reads on this side (0 keys, 1 values), or why there is none."""
    at = source
    for _ in range(table.shape.layers * table.shape.kv_heads + 1):
        following = table.routes[at.layer][at.head][side]
        if not following or following == (at,):
            return at, ""
        if len(following) > 1:
            return at, (f"chain=resolved cannot follow layer {at.layer} head {at.head}, which reads {len(following)} "
                        "sources jointly")
        at = following[0]
    return source, f"chain=resolved goes round in a circle from layer {source.layer} head {source.head}"
