"""Faults of single heads gathered into one line a layer: "layer 3 heads 0-7: key layer 5 is later than its reader…"."""
from __future__ import annotations

from .words import format_indices


class HeadFaults:
    """Collects faults by layer and head; heads of a layer with the same fault share a line."""

    def __init__(self) -> None:
        self._heads: dict[tuple[int, str], list[int]] = {}

    def add(self, layer: int, head: int, fault: str) -> None:
        """Heads of a layer in ascending order."""
        heads = self._heads.setdefault((layer, fault), [])
        if not heads or heads[-1] != head:
            heads.append(head)

    def lines(self) -> list[str]:
        """One line per layer and fault, by layer."""
        return [f"layer {layer} {'head' if len(heads) == 1 else 'heads'} {format_indices(heads)}: {fault}"
                for (layer, fault), heads in sorted(self._heads.items())]
