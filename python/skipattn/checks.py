"""Everything a caller of routed_attention can get wrong, each as one sentence.

The compiled operator makes the same checks in the same words (src/skipattn/attention/problem.cpp); these serve the paths
through plain torch operations.
"""
from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

#: One (key tensor, key head, value tensor, value head); tensors are indices into `sources`.
Pair = tuple[int, int, int, int]
#: Per KV head, the pairs that it attends over.
Routes = Sequence[Sequence[Pair]]

_DTYPES = {torch.float32: "Float", torch.bfloat16: "BFloat16", torch.float64: "Double", torch.float16: "Half",
           torch.int32: "Int", torch.int64: "Long"}

_ROUTE = "routed_attention: routes[{}] must be a list of (key tensor, key head, value tensor, value head)"


def _fail(message: str) -> None:
    raise ValueError("routed_attention: " + message)


def _name(dtype: torch.dtype) -> str:
    return _DTYPES.get(dtype, str(dtype).removeprefix("torch."))


def check_kinds(query: Tensor, sources: Sequence[Tensor], first_key: Tensor | None) -> None:
    """The arguments that must be tensors are."""
    if not isinstance(query, Tensor):
        raise TypeError(f"routed_attention: query must be a tensor [B, H, T, d], got {type(query).__name__}")
    if not isinstance(sources, (list, tuple)):
        raise TypeError("routed_attention: sources must be a list of tensors [B, heads, S, d], got "
                        f"{type(sources).__name__}")
    for index, source in enumerate(sources):
        if not isinstance(source, Tensor):
            raise TypeError(f"routed_attention: sources[{index}] must be a tensor [B, heads, S, d], got "
                            f"{type(source).__name__}")
    if first_key is not None and not isinstance(first_key, Tensor):
        raise TypeError(f"routed_attention: first_key must be an int32 tensor [B, T], got {type(first_key).__name__}")


def flatten_routes(routes: Routes) -> tuple[list[int], list[int]]:
    """Four numbers a pair, and where each KV head's pairs begin and end: the operator's own form."""
    if len(routes) == 0:
        _fail("routes must have a list of pairs for each KV head, got none")
    flat: list[int] = []
    offsets = [0]
    for head, pairs in enumerate(routes):
        if not isinstance(pairs, (list, tuple)):
            raise TypeError(_ROUTE.format(head) + f", got {pairs!r}")
        for pair in pairs:
            if not isinstance(pair, (list, tuple)) or len(pair) != 4 or not all(isinstance(n, int) for n in pair):
                raise TypeError(_ROUTE.format(head) + f", whole numbers, got {pair!r} in it")
            flat.extend(pair)
        offsets.append(len(flat) // 4)
    return flat, offsets


def check_problem(query: Tensor, sources: Sequence[Tensor], routes: Routes, scale: float | None,
                  first_key: Tensor | None, dropout_p: float, half: bool = False) -> None:
    """Shapes, dtypes, devices, indices and ranges; raises ValueError. `half`: float16 will do too."""
    _check_query(query, half)
    for index in range(len(sources)):
        _check_source(query, sources, index)
    _check_routes(query, sources, routes)
    if not 0.0 <= dropout_p < 1.0:
        _fail(f"dropout_p must be in [0, 1), got {dropout_p:g}")
    if scale is not None and not (math.isfinite(scale) and scale > 0):
        _fail(f"scale must be positive and finite, got {scale:g}")
    if first_key is not None:
        _check_first_key(query, first_key)


def _check_query(query: Tensor, half: bool) -> None:
    if query.dim() != 4:
        _fail(f"query must be [B, H, T, d], got {list(query.shape)}")
    if query.size(1) == 0 or query.size(3) == 0:
        _fail("query must have at least one head and a head width of at least 1, got [B, H, T, d] = "
              f"{list(query.shape)}")
    if query.dtype not in (torch.float32, torch.bfloat16, torch.float64) and not (half and query.dtype == torch.float16):
        _fail(f"query must be float32, bfloat16 or float64, got {_name(query.dtype)}")


def _check_source(query: Tensor, sources: Sequence[Tensor], index: int) -> None:
    source, where = sources[index], f"sources[{index}] must "
    if source.dim() != 4:
        _fail(where + f"be [B, heads, S, d], got {list(source.shape)}")
    if source.size(0) != query.size(0) or source.size(3) != query.size(3):
        _fail(where + f"have query's batch {query.size(0)} and head width {query.size(3)}, got [B, heads, S, d] = "
              f"{list(source.shape)}")
    if source.size(2) != sources[0].size(2):
        _fail(where + f"hold as many keys as sources[0], S = {sources[0].size(2)}, got S = {source.size(2)}")
    if source.dtype != query.dtype:
        _fail(where + f"have query's dtype {_name(query.dtype)}, got {_name(source.dtype)}")
    if source.device != query.device:
        _fail(where + f"be on query's device {query.device}, got {source.device}")
    if source.size(3) != 1 and source.numel() != 0 and source.stride(3) != 1:
        _fail(where + f"have unit stride in its last dimension, got strides {list(source.stride())}")


def _check_routes(query: Tensor, sources: Sequence[Tensor], routes: Routes) -> None:
    if query.size(1) % len(routes) != 0:
        _fail("query heads must be a multiple of the KV heads (lists of pairs), got "
              f"{query.size(1)} query heads and {len(routes)} KV heads")
    for kv_head, pairs in enumerate(routes):
        for key_tensor, key_head, value_tensor, value_head in pairs:
            _check_side(sources, kv_head, "keys", key_tensor, key_head)
            _check_side(sources, kv_head, "values", value_tensor, value_head)


def _check_side(sources: Sequence[Tensor], kv_head: int, side: str, tensor: int, head: int) -> None:
    reads = f"KV head {kv_head} reads its {side} from "
    if not 0 <= tensor < len(sources):
        _fail(reads + f"sources[{tensor}], but there are {len(sources)} sources")
    heads = sources[tensor].size(1)
    if not 0 <= head < heads:
        _fail(reads + f"head {head} of sources[{tensor}], which has {heads} heads")


def _check_first_key(query: Tensor, first_key: Tensor) -> None:
    if first_key.dim() != 2 or first_key.size(0) != query.size(0) or first_key.size(1) != query.size(2):
        _fail(f"first_key must be [B, T] = [{query.size(0)}, {query.size(2)}], got {list(first_key.shape)}")
    if first_key.dtype != torch.int32:
        _fail(f"first_key must be int32, got {_name(first_key.dtype)}")
    if first_key.device != query.device:
        _fail(f"first_key must be on query's device {query.device}, got {first_key.device}")
