"""How keys and values travel from the layer that projects them to the layers that read them.

They travel as arguments and results of layers, never by the side: so a layer can be run again by torch.utils.checkpoint,
on another device or under torch.compile, and gradients reach the lender.

    lent = LentTensors(plan)
    for index, layer in enumerate(layers):
        x, keys, values = layer(x, *lent.borrowed_by(index))
        lent.add(index, keys, values)
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

KEYS, VALUES = "keys", "values"


@dataclass(frozen=True)
class Reads:
    """What the attention of one layer reads, in the operator's terms."""

    sources: tuple[tuple[int, str], ...]     #: (layer, "keys" or "values") of every tensor that is read
    borrowed: tuple[tuple[int, str], ...]    #: those of other layers, in the same order
    layer: int                               #: the reader
    routes: tuple[tuple[tuple[int, int, int, int], ...], ...]  #: per KV head, pairs of places in `sources` and heads there

    def tensors(self, keys: Tensor, values: Tensor, borrowed: Sequence[Tensor]) -> list[Tensor]:
        """The operator's `sources`: this layer's own live keys and values, and what it borrows, [B, heads, S, d] each."""
        others = dict(zip(self.borrowed, borrowed, strict=True))
        own = {(self.layer, KEYS): keys, (self.layer, VALUES): values}
        return [own[source] if source in own else others[source] for source in self.sources]


def reads_of(plan, layer: int) -> Reads:
    """What layer `layer` reads under a plan (Routing.plan())."""
    sources: dict[tuple[int, str], int] = {}
    routes = []
    for pairs in plan.layers[layer].heads:
        routes.append(tuple((sources.setdefault((pair.key_layer, KEYS), len(sources)), pair.key_slot,
                             sources.setdefault((pair.value_layer, VALUES), len(sources)), pair.value_slot)
                            for pair in pairs))
    return Reads(tuple(sources), tuple(source for source in sources if source[0] != layer), layer, tuple(routes))


class LentTensors:
    """The live keys and values of the layers that one forward pass has been through, until their last reader."""

    def __init__(self, plan):
        self._reads = [reads_of(plan, layer) for layer in range(len(plan.layers))]
        self._last_reader = {source: reads.layer for reads in self._reads for source in reads.borrowed}
        self._tensors: dict[tuple[int, str], Tensor] = {}

    def borrowed_by(self, layer: int) -> list[Tensor]:
        """What layer `layer` reads of other layers, [B, heads, S, d] each; what it is the last to read is let go."""
        borrowed = [self._tensors[source] for source in self._reads[layer].borrowed]
        self._tensors = {source: tensor for source, tensor in self._tensors.items() if self._last_reader[source] > layer}
        return borrowed

    def add(self, layer: int, keys: Tensor, values: Tensor) -> None:
        """Takes what layer `layer` projected; kept only if a later layer reads it."""
        for kind, tensor in ((KEYS, keys), (VALUES, values)):
            if self._last_reader.get((layer, kind), layer) > layer:
                self._tensors[layer, kind] = tensor
