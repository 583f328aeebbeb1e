"""Routed attention through torch's own fused attention, for devices without a kernel of ours and without the library.

Neighbouring KV heads that read neighbouring heads of the same tensors are one run, and a run is one call: the baseline is
one run, Skip-Layer Attention two. Heads with several pairs go through the definition.
"""
from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from .checks import Pair, Routes
from .reference import attend_pairs, visible_keys


def attend_by_runs(query: Tensor, sources: Sequence[Tensor], routes: Routes, *, causal: bool, scale: float | None,
                   first_key: Tensor | None, dropout_p: float) -> Tensor:
    """The output [B, H, T, d] of arguments that check_problem() has passed, laid out as [B, T, H, d].

    Dropout is torch's own: what is dropped follows from torch's generator, but is not what the compiled operator drops.
    """
    group = query.size(1) // len(routes)
    keys = sources[0].size(2) if sources else query.size(2)
    # Whether torch's own causal mask, or none, is the right one.
    plain = keys > 0 and first_key is None and (not causal or query.size(2) in (1, keys))
    visible = None
    if not plain or any(len(pairs) > 1 for pairs in routes):
        visible = visible_keys(query.size(0), query.size(2), keys, causal, first_key, query.device)
    # A row of a mask without a key would be NaN: such queries see everything, and their output is made zero.
    blind = None if plain else ~visible.any(-1, keepdim=True)
    # Plain bools for torch.compile, also where sizes are symbols.
    torch_masks = True if plain and causal and query.size(2) == keys else False  # noqa: SIM210
    grouped = True if group > 1 else False  # noqa: SIM210
    outputs = []
    for first, count in head_runs(routes):
        queries = query.narrow(1, first * group, count * group)
        pairs = routes[first]
        if len(pairs) != 1 or keys == 0:
            outputs.append(_attend_plainly(queries, sources, pairs, scale, visible, dropout_p))
            continue
        key_tensor, key_head, value_tensor, value_head = pairs[0]
        output = scaled_dot_product_attention(
            queries, sources[key_tensor].narrow(1, key_head, count), sources[value_tensor].narrow(1, value_head, count),
            attn_mask=None if plain else visible | blind, dropout_p=dropout_p,
            is_causal=torch_masks, scale=scale, enable_gqa=grouped)
        outputs.append(output if plain else output.masked_fill(blind, 0.0))
    return torch.cat([output.transpose(1, 2) for output in outputs], 2).transpose(1, 2)


def head_runs(routes: Routes) -> list[tuple[int, int]]:
    """(first KV head, number of heads) of each run; a head without pairs or with several is one by itself."""
    runs: list[tuple[int, int]] = []
    for head, pairs in enumerate(routes):
        if head > 0 and len(pairs) == 1 and len(routes[head - 1]) == 1 and _follows(routes[head - 1][0], pairs[0]):
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((head, 1))
    return runs


def _follows(before: Pair, pair: Pair) -> bool:
    return tuple(pair) == (before[0], before[1] + 1, before[2], before[3] + 1)


def _attend_plainly(queries: Tensor, sources: Sequence[Tensor], pairs: Sequence[Pair], scale: float | None,
                    visible: Tensor | None, dropout_p: float) -> Tensor:
    if len(pairs) == 0 or visible is None:
        return torch.zeros_like(queries)
    factors = None
    if dropout_p > 0:
        shape = (*queries.shape[:3], visible.size(-1))
        factors = [torch.nn.functional.dropout(queries.new_ones(shape), dropout_p) for _ in pairs]
    scale = 1.0 / math.sqrt(queries.size(3)) if scale is None else scale
    return attend_pairs(queries, sources, pairs, scale, visible, factors)[0]
