"""A complete GPT-2 whose heads read where a routing says: the example of skipattn.nn, in a page."""
from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..cross_entropy import linear_cross_entropy
from ..routing import Routing
from .attention import RoutedSelfAttention
from .lending import LentTensors


class Block(nn.Module):
    def __init__(self, plan, layer: int, width: int, heads: int, dropout: float):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = RoutedSelfAttention(plan, layer, width, heads, dropout=dropout)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor, *borrowed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        attended, keys, values = self.attention(self.norm1(x), *borrowed)
        x = x + attended
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh")), keys, values


class GPT(nn.Module):
    """model = GPT("sla(distance=9, heads=9)"); loss = model(tokens, targets); logits = model(tokens)

    Args:
        routing: text of a routing (docs/routing.md), "baseline" for a plain GPT-2.
        layers, heads, width, vocabulary, positions: sizes; the defaults are GPT-2's of 124 million parameters.
        dropout: of attention weights.
    """

    def __init__(self, routing: str = "baseline", *, layers: int = 12, heads: int = 12, width: int = 768,
                 vocabulary: int = 50257, positions: int = 1024, dropout: float = 0.0):
        super().__init__()
        self.plan = Routing.parse(routing, layers=layers, kv_heads=heads).plan()
        self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(positions, width)
        self.blocks = nn.ModuleList(Block(self.plan, layer, width, heads, dropout) for layer in range(layers))
        self.norm = nn.LayerNorm(width)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:  # projections back into the residual stream begin smaller, as in GPT-2
                into_stream = name.endswith(("attention.output.weight", "down.weight"))
                nn.init.normal_(weight, std=0.02 / (2 * layers) ** 0.5 if into_stream else 0.02)

    def forward(self, tokens: Tensor, targets: Tensor | None = None) -> Tensor:
        """tokens int64 [B, T]. Logits [B, T, vocabulary]; with targets int64 [B, T] (-100 does not count) the mean loss,
        for which the logits never exist as a whole."""
        x = self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1], device=tokens.device))
        lent = LentTensors(self.plan)
        for layer, block in enumerate(self.blocks):
            x, keys, values = block(x, *lent.borrowed_by(layer))
            lent.add(layer, keys, values)
        x = self.norm(x)
        return F.linear(x, self.tokens.weight) if targets is None else linear_cross_entropy(x, self.tokens.weight, targets)
