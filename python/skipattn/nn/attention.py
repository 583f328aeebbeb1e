"""Self-attention of one layer of a routed decoder."""
from __future__ import annotations

from torch import Tensor, nn

from ..attention import routed_attention
from .lending import reads_of
from .visibility import window_start


class RoutedSelfAttention(nn.Module):
    """Projects queries, and keys and values of the heads that somebody reads; attends as the routing says.

        plan = Routing.parse("sla(distance=2, heads=3)", layers=4, kv_heads=4).plan()
        lent = LentTensors(plan)
        output, keys, values = attention(x, *lent.borrowed_by(layer))
        lent.add(layer, keys, values)

    Args:
        plan: the whole model's plan, Routing.plan().
        layer: which of its layers this is.
        width: D, of the input and the output.
        heads: H, query heads; a multiple of the plan's KV heads.
        head_width: d; width / heads when None.
        bias: of both projections.
        dropout: probability of dropping an attention weight while training.
        rotate: called as rotate(x) on queries and keys [B, heads, T, d], for rotary positions; what is lent is rotated.

    Parameters: `projection`, whose rows are Q, then the live keys, then the live values, in order of heads; `output`.
    """

    def __init__(self, plan, layer: int, width: int, heads: int, *, head_width: int | None = None, bias: bool = True,
                 dropout: float = 0.0, rotate=None):
        super().__init__()
        if heads % plan.shape.kv_heads != 0:
            raise ValueError(f"heads must be a multiple of the routing's {plan.shape.kv_heads} KV heads, got {heads}")
        if head_width is None and width % heads != 0:
            raise ValueError(f"width must be a multiple of heads = {heads} unless head_width is given, got {width}")
        self.reads = reads_of(plan, layer)
        self.window = plan.layers[layer].window
        self.rows = [heads, len(plan.layers[layer].live_keys), len(plan.layers[layer].live_values)]
        self.head_width = head_width or width // heads
        self.dropout, self.rotate = dropout, rotate
        self.projection = nn.Linear(width, sum(self.rows) * self.head_width, bias=bias)
        self.output = nn.Linear(heads * self.head_width, width, bias=bias)

    def forward(self, x: Tensor, *borrowed: Tensor, first_key: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """x [B, T, D]; borrowed: LentTensors.borrowed_by(layer). Returns output [B, T, D] and this layer's live keys and
        values [B, heads, T, d] (no heads where none is live), for the layers above.

        first_key: int32 [B, T], the earliest key each query may see, where the routing's window is not all there is.
        """
        batch, length, _ = x.shape
        projected = self.projection(x).view(batch, length, -1, self.head_width).transpose(1, 2)
        query, keys, values = projected.split(self.rows, dim=1)
        if self.rotate is not None:
            query, keys = self.rotate(query), self.rotate(keys)
        attended = routed_attention(query, self.reads.tensors(keys, values, borrowed), self.reads.routes,
                                    first_key=self._first_key(x, first_key), dropout_p=self.dropout if self.training else 0.0)
        return self.output(attended.transpose(1, 2).flatten(2)), keys, values

    def _first_key(self, x: Tensor, given: Tensor | None) -> Tensor | None:
        if self.window == 0:
            return given
        start = window_start(x.shape[1], x.shape[1], self.window, x.device).expand(x.shape[0], -1)
        return start.contiguous() if given is None else start.maximum(given)

    def extra_repr(self) -> str:
        return f"layer={self.reads.layer}, rows={self.rows}, borrowed={list(self.reads.borrowed)}"
