"""Attention whose scores pass through cap · tanh(score / cap), as in Gemma 2: plain torch operations, with all scores in
memory, like Transformers' own. The operator has no such scores."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ..reference import attend_pairs, visible_keys


def soft_capped_attention(query: Tensor, sources: Sequence[Tensor], routes, cap: float, *, scale: float,
                          first_key: Tensor | None, dropout_p: float) -> Tensor:
    """query [B, H, T, d] and the operator's sources and routes -> [B, H, T, d]. Causal."""
    group = query.shape[1] // len(routes)
    keys = sources[0].shape[2] if sources else query.shape[2]
    visible = visible_keys(query.shape[0], query.shape[2], keys, True, first_key, query.device)
    outputs = []
    for asked, pairs in zip(query.split(group, dim=1), routes, strict=True):
        factors = None
        if dropout_p > 0:
            factors = [F.dropout(asked.new_ones(*asked.shape[:3], keys), dropout_p) for _ in pairs]
        outputs.append(attend_pairs(asked, sources, pairs, scale, visible, factors, soft_cap=cap)[0])
    return torch.cat(outputs, dim=1)
