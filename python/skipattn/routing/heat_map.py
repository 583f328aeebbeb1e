"""A routing for a notebook: two panels, keys and values; a row for each layer, a column for each KV head, in each cell how
many layers back the head reads."""
from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from .chain import resolve_chain
from .table import Source, Table

if TYPE_CHECKING:
    from .plan import Plan

#: Backgrounds from near (dark blue) to far (yellow), and the text that is readable on them.
_RAMP = [("#000087", "#fff"), ("#005faf", "#fff"), ("#0087af", "#fff"), ("#00af87", "#000"), ("#5faf5f", "#000"),
         ("#87d75f", "#000"), ("#d7d75f", "#000"), ("#ffff00", "#000")]
_OWN, _NONE = ("#303030", "#bcbcbc"), ("#870000", "#fff")


class _Cell(NamedTuple):
    mark: str
    distance: int  #: layers back, the farthest source; -1: no attention
    reads: str     #: in words


def heat_map_html(text: str, table: Table, plan: Plan) -> str:
    """HTML of its own: no script, no style sheet, nothing fetched."""
    resolved = resolve_chain(table)[0]
    panels = [[[_cell(route[side], layer, head) for head, route in enumerate(routes)]
               for layer, routes in enumerate(resolved.routes)] for side in (0, 1)]
    farthest = max(cell.distance for panel in panels for row in panel for cell in row)
    heads = "".join(f"<th>{head}</th>" for head in range(table.shape.kv_heads))
    span = f"colspan='{table.shape.kv_heads}'"
    rows = [f"<tr><th></th><th {span}>keys</th><th></th><th {span}>values</th><th>live&nbsp;K</th><th>V</th><th></th></tr>",
            f"<tr><th>layer</th>{heads}<th></th>{heads}<th></th><th></th><th></th></tr>"]
    for index, layer in enumerate(plan.layers):
        keys, values = ("".join(_cell_html(cell, farthest) for cell in panel[index]) for panel in panels)
        window = f"window {layer.window}" if layer.window else ""
        rows.append(f"<tr><th>{index}</th>{keys}<td></td>{values}<td>{len(layer.live_keys)}</td>"
                    f"<td>{len(layer.live_values)}</td><td>{window}</td></tr>")
    saved = f"{plan.live_key_heads} key and {plan.live_value_heads} value heads live, KV cache {plan.kv_cache_saved:.2%} smaller"
    return (f"<div><code>{escape(text)}</code><br><small>{saved}</small>"
            f"<table style='border-collapse:collapse;text-align:center;font-size:smaller'>{''.join(rows)}</table></div>")


def _cell(sources: Sequence[Source], layer: int, head: int) -> _Cell:
    if not sources:
        return _Cell("x", -1, "no attention")
    distance = layer - min(source.layer for source in sources)
    reads = ", ".join(f"layer {source.layer} head {source.head}" for source in sources)
    if len(sources) > 1:
        return _Cell(f"+{len(sources)}", distance, reads)
    if sources[0].head != head:
        return _Cell(f"{distance}'", distance, reads)
    return _Cell("." if distance == 0 else str(distance), distance, reads)


def _cell_html(cell: _Cell, farthest: int) -> str:
    background, color = _color(cell.distance, farthest)
    return (f"<td title='{cell.reads}' style='background:{background};color:{color};border:1px solid #888'>"
            f"{escape(cell.mark)}</td>")


def _color(distance: int, farthest: int) -> tuple[str, str]:
    if distance <= 0:
        return _NONE if distance < 0 else _OWN
    if farthest <= 1:
        return _RAMP[-1]
    return _RAMP[(distance - 1) * (len(_RAMP) - 1) // (farthest - 1)]
