"""The definition of routed attention in plain torch operations, with the whole [T, S] score matrix in memory.

Differentiable by torch's own autograd, any number of times; slow. It gives what the compiled operator gives, the weights
that dropout drops included. docs/attention.md has the meaning in formulas, src/skipattn/attention/reference.cpp the same in
C++.
"""
from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .checks import Pair, Routes, check_kinds, check_problem, flatten_routes

_MASK32 = 0xFFFFFFFF
_START = 0x9E3779B9


def routed_attention_reference(query: Tensor, sources: Sequence[Tensor], routes: Routes, *, causal: bool = True,
                               scale: float | None = None, first_key: Tensor | None = None, dropout_p: float = 0.0,
                               dropout_seed: int | Tensor = 0) -> tuple[Tensor, Tensor]:
    """routed_attention() by its definition; the arguments are the same, but the seed of dropout is given.

    Returns output [B, H, T, d] in query's dtype, laid out in memory as [B, T, H, d], and logsumexp [B, H, T] of the
    scaled visible scores in float32 (float64 for float64), -inf where a query sees no key.
    """
    check_kinds(query, sources, first_key)
    flatten_routes(routes)
    check_problem(query, sources, routes, scale, first_key, dropout_p)
    keys = sources[0].size(2) if sources else query.size(2)
    visible = visible_keys(query.size(0), query.size(2), keys, causal, first_key, query.device)
    scale = 1.0 / math.sqrt(query.size(3)) if scale is None else scale
    outputs, logsumexps = [], []
    group = query.size(1) // len(routes)
    for kv_head, pairs in enumerate(routes):
        queries = query.narrow(1, kv_head * group, group)
        factors = None
        if dropout_p > 0 and len(pairs) > 0:
            factors = [dropout_factors(queries, keys, dropout_seed, dropout_p, kv_head * group, i)
                       for i in range(len(pairs))]
        output, logsumexp = attend_pairs(queries, sources, pairs, scale, visible, factors)
        outputs.append(output)
        logsumexps.append(logsumexp)
    output = torch.cat(outputs, 1)
    return output.transpose(1, 2).contiguous().transpose(1, 2), torch.cat(logsumexps, 1)


def attend_pairs(queries: Tensor, sources: Sequence[Tensor], pairs: Sequence[Pair], scale: float, visible: Tensor,
                 factors: list[Tensor] | None) -> tuple[Tensor, Tensor]:
    """The query heads [B, G, T, d] of one KV head: output [B, G, T, d] and logsumexp [B, G, T]."""
    accumulate = torch.float64 if queries.dtype == torch.float64 else torch.float32
    if len(pairs) == 0 or visible.size(-1) == 0:
        return torch.zeros_like(queries), queries.new_full(queries.shape[:3], -math.inf, dtype=accumulate)
    scores = []
    for key_tensor, key_head, _, _ in pairs:
        score = torch.matmul(queries, sources[key_tensor].narrow(1, key_head, 1).transpose(2, 3)) * scale
        scores.append(score.masked_fill(~visible, -math.inf))
    joint = torch.cat(scores, -1)                                # [B, G, T, pairs * S]
    sees_nothing = ~visible.any(-1, keepdim=True)                # [B, 1, T, 1]
    weights = torch.softmax(joint.masked_fill(sees_nothing, 0.0), -1).masked_fill(sees_nothing, 0.0)
    output = torch.zeros_like(queries)
    for i, part in enumerate(weights.split(visible.size(-1), -1)):
        _, _, value_tensor, value_head = pairs[i]
        if factors is not None:
            part = part * factors[i]
        output = output + torch.matmul(part, sources[value_tensor].narrow(1, value_head, 1))
    return output, torch.logsumexp(joint.detach().to(accumulate), -1)


def visible_keys(batch: int, queries: int, keys: int, causal: bool, first_key: Tensor | None,
                 device: torch.device) -> Tensor:
    """Which keys each query sees by position: bool [B, 1, T, S]. Query i stands at position S - T + i."""
    key = torch.arange(keys, device=device).view(1, 1, 1, keys)
    visible = torch.ones(batch, 1, queries, keys, dtype=torch.bool, device=device)
    if causal:
        visible = visible & (key <= torch.arange(keys - queries, keys, device=device).view(1, 1, queries, 1))
    if first_key is not None:
        visible = visible & (key >= first_key.view(batch, 1, queries, 1))
    return visible


def dropout_factors(queries: Tensor, keys: int, seed: int | Tensor, dropout_p: float, first_head: int,
                    pair: int) -> Tensor:
    """What dropout multiplies the weights by, 0 or 1 / (1 - p): [B, G, T, S] for query heads first_head and on.

    A pure function of the seed and the weight's place (docs/attention.md, "Which weights dropout drops").
    """
    def places(count: int, dimension: int, first: int = 0) -> Tensor:
        shape = [1, 1, 1, 1]
        shape[dimension] = count
        return torch.arange(first, first + count, device=queries.device).view(shape)

    seed = torch.as_tensor(seed, dtype=torch.int64, device=queries.device).view(1, 1, 1, 1)
    row = _mix((seed & _MASK32) ^ _START)
    row = _mix(row ^ ((seed >> 32) & _MASK32))
    row = _mix(row ^ places(queries.size(0), 0))
    row = _mix(row ^ places(queries.size(1), 1, first_head))
    row = _mix(row ^ places(queries.size(2), 2))
    row = _mix(row ^ pair)
    bits = _mix(row ^ _multiply(places(keys, 3), _START))
    return (bits >= int(dropout_p * 2.0**32)).to(queries.dtype) / (1.0 - dropout_p)


def _multiply(x: Tensor, factor: int) -> Tensor:
    """x * factor modulo 2^32 for x in [0, 2^32) held in int64, without overflow."""
    high = ((x * (factor >> 16)) & 0xFFFF) << 16
    return (x * (factor & 0xFFFF) + high) & _MASK32


def _mix(x: Tensor) -> Tensor:
    x = _multiply(x ^ (x >> 16), 0x7FEB352D)
    x = _multiply(x ^ (x >> 15), 0x846CA68B)
    return x ^ (x >> 16)
