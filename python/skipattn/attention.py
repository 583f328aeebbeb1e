"""routed_attention(): the operator as PyTorch users call it."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ._library import has_compiled_operator
from .autocast import cast_for_autocast, dtype_in_force
from .checks import Routes, check_kinds, check_problem, flatten_routes
from .dropout import routed_attention_dropout
from .reference import routed_attention_reference
from .runs import attend_by_runs


def routed_attention(query: Tensor, sources: Sequence[Tensor], routes: Routes, *, causal: bool = True,
                     scale: float | None = None, first_key: Tensor | None = None, dropout_p: float = 0.0,
                     return_logsumexp: bool = False) -> Tensor | tuple[Tensor, Tensor]:
    """Attention in which every KV head reads its own choice of key and value tensors. Nothing is copied.

    Args:
        query: [B, H, T, d], float32, bfloat16 or float64, any strides.
        sources: tensors [B, heads_i, S, d] of query's dtype and device, unit stride in d; each is somebody's keys or
            values, of any layer, and their numbers of heads may differ.
        routes: for every KV head the (key tensor, key head, value tensor, value head) it attends over, tensors as
            indices into `sources`. Several pairs are attended jointly under one softmax; an empty list gives zeros.
            H is a multiple of len(routes); query head h belongs to KV head h // (H // len(routes)).
        causal: query i stands at position S - T + i and sees the keys up to its own; else all of them.
        scale: of the scores, above 0; 1 / sqrt(d) when None.
        first_key: int32 [B, T], the earliest key each query may see: the start of its document, of a sliding window
            (position - width + 1), or the end of left padding. None is 0.
        dropout_p: probability of dropping a weight after the softmax, in [0, 1). Which are dropped is drawn from torch's
            generator: torch.manual_seed() repeats it, and so does torch.utils.checkpoint.
        return_logsumexp: return (output, logsumexp).

    Returns:
        output [B, H, T, d] in query's dtype, laid out in memory as [B, T, H, d] so that
        output.transpose(1, 2).flatten(2) is a view; and, if asked for, logsumexp [B, H, T] in float32 (float64 for
        float64), through which no gradient flows. Under torch.autocast inputs are cast as for a matrix product.

    Raises:
        TypeError, ValueError: one sentence that names the argument, its value and what would be right.
    """
    check_kinds(query, sources, first_key)
    flat, offsets = flatten_routes(routes)
    if not operator_serves(query, dropout_p):
        return _attend_in_plain_torch(query, sources, routes, causal, scale, first_key, dropout_p, return_logsumexp)
    if dropout_p > 0:
        result = _attend_with_dropout(query, sources, routes, causal, scale, first_key, dropout_p)
    else:
        result = torch.ops.skipattn.routed_attention(query, list(sources), flat, offsets, causal=causal, scale=scale,
                                                     first_key=first_key, dropout_p=dropout_p)
    return result if return_logsumexp else result[0]


def operator_serves(query: Tensor, dropout_p: float) -> bool:
    """Whether the compiled operator serves such a call; else torch's own operations do.

    On a CUDA device it knows no half precision, and its dropout, whose masks are the same on every device, is slow.
    """
    device = query.device.type
    if not has_compiled_operator() or device not in ("cpu", "cuda", "meta"):
        return False
    return device != "cuda" or (dropout_p == 0 and dtype_in_force(query) != torch.float16)


def _attend_with_dropout(query: Tensor, sources: Sequence[Tensor], routes: Routes, causal: bool, scale: float | None,
                         first_key: Tensor | None, dropout_p: float) -> tuple[Tensor, Tensor]:
    given = query.dtype
    query, sources = cast_for_autocast(query, sources)
    half = query.dtype == torch.float16 != given  # autocast's fp16, which the operator works in fp32
    if half:
        query, sources = query.float(), [source.float() for source in sources]
    check_problem(query, sources, routes, scale, first_key, dropout_p)
    seed = torch.randint(2**62, (), dtype=torch.int64)
    output, logsumexp = routed_attention_dropout(query, list(sources), seed, first_key, *flatten_routes(routes), causal, scale,
                                                 dropout_p)
    return output.half() if half else output, logsumexp


def _attend_in_plain_torch(query: Tensor, sources: Sequence[Tensor], routes: Routes, causal: bool, scale: float | None,
                           first_key: Tensor | None, dropout_p: float,
                           return_logsumexp: bool) -> Tensor | tuple[Tensor, Tensor]:
    query, sources = cast_for_autocast(query, sources)
    with torch.autocast(query.device.type, enabled=False):
        if return_logsumexp:
            seed = torch.randint(2**62, (), dtype=torch.int64) if dropout_p > 0 else 0
            return routed_attention_reference(query, sources, routes, causal=causal, scale=scale, first_key=first_key,
                                              dropout_p=dropout_p, dropout_seed=seed)
        check_problem(query, sources, routes, scale, first_key, dropout_p, half=True)
        return attend_by_runs(query, sources, routes, causal=causal, scale=scale, first_key=first_key,
                              dropout_p=dropout_p)
