"""Attention whose scores pass through cap · tanh(score / cap), as in Gemma 2: plain torch operations, with all scores in
memory, like Transformers' own. The operator has no such scores."""
from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ..reference import visible_keys


def soft_capped_attention(query: Tensor, sources: Sequence[Tensor], routes, cap: float, *, scale: float,
                          first_key: Tensor | None, dropout_p: float) -> Tensor:
    """query [B, H, T, d] and the operator's sources and routes -> [B, H, T, d]. Causal."""
    group = query.shape[1] // len(routes)
    keys = sources[0].shape[2] if sources else query.shape[2]
    hidden = ~visible_keys(query.shape[0], query.shape[2], keys, True, first_key, query.device)  # [B, 1, T, S]
    blind = hidden.all(dim=-1, keepdim=True)  # queries that see nothing get zeros
    wide = torch.promote_types(query.dtype, torch.float32)
    outputs = []
    for asked, pairs in zip(query.split(group, dim=1), routes, strict=True):
        if not pairs:
            outputs.append(torch.zeros_like(asked))
            continue
        scores = [asked @ sources[tensor][:, head:head + 1].mT * scale for tensor, head, _, _ in pairs]
        scores = [(cap * torch.tanh(score / cap)).masked_fill(hidden, -math.inf) for score in scores]
        joint = torch.cat(scores, dim=-1).to(wide).masked_fill(blind, 0.0)
        weights = F.dropout(torch.softmax(joint, dim=-1).masked_fill(blind, 0.0), dropout_p).to(query.dtype)
        values = torch.cat([sources[tensor][:, head:head + 1] for _, _, tensor, head in pairs], dim=2)
        outputs.append(weights @ values)
    return torch.cat(outputs, dim=1)
