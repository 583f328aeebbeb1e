"""Routed attention with dropout as an operator whose seed is a tensor.

The compiled operator takes the seed as a number. A number drawn from torch's generator would break the graph of
torch.compile; a tensor does not. torch.utils.checkpoint restores the generator, so the same weights are dropped again.
"""
from __future__ import annotations

from typing import Any, Optional

import torch
from torch import Tensor


@torch.library.custom_op("skipattn::routed_attention_dropout", mutates_args=())
def routed_attention_dropout(query: Tensor, sources: list[Tensor], dropout_seed: Tensor, first_key: Optional[Tensor],
                             routes: list[int], route_offsets: list[int], causal: bool, scale: Optional[float],
                             dropout_p: float) -> tuple[Tensor, Tensor]:
    """skipattn::routed_attention with dropout_seed int64 [] instead of a number: output and logsumexp."""
    return torch.ops.skipattn.routed_attention(query, sources, routes, route_offsets, causal=causal, scale=scale,
                                               first_key=first_key, dropout_p=dropout_p,
                                               dropout_seed=int(dropout_seed))


@routed_attention_dropout.register_fake
def _(query, sources, dropout_seed, first_key, routes, route_offsets, causal, scale, dropout_p):
    return torch.ops.skipattn.routed_attention(query, sources, routes, route_offsets, causal=causal, scale=scale,
                                               first_key=first_key, dropout_p=dropout_p)


@torch.library.custom_op("skipattn::routed_attention_dropout_backward", mutates_args=())
def _backward(grad_output: Tensor, query: Tensor, sources: list[Tensor], output: Tensor, logsumexp: Tensor,
              dropout_seed: Tensor, first_key: Optional[Tensor], routes: list[int], route_offsets: list[int],
              causal: bool, scale: Optional[float], dropout_p: float) -> list[Tensor]:
    """The gradients of the query and of every source."""
    grad_query, grad_sources = torch.ops.skipattn.routed_attention_backward(
        grad_output, query, sources, output, logsumexp, routes, route_offsets, causal=causal, scale=scale,
        first_key=first_key, dropout_p=dropout_p, dropout_seed=int(dropout_seed))
    return [grad_query, *grad_sources]


@_backward.register_fake
def _(grad_output, query, sources, output, logsumexp, dropout_seed, first_key, routes, route_offsets, causal, scale,
      dropout_p):
    grad_query, grad_sources = torch.ops.skipattn.routed_attention_backward(
        grad_output, query, sources, output, logsumexp, routes, route_offsets, causal=causal, scale=scale,
        first_key=first_key, dropout_p=dropout_p)
    return [grad_query, *grad_sources]


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    query, sources, dropout_seed, first_key, *ctx.settings = inputs
    ctx.has_first_key = first_key is not None
    ctx.save_for_backward(query, *output, dropout_seed, *([first_key] if ctx.has_first_key else []), *sources)


def _differentiate(ctx: Any, grad_output: Tensor, grad_logsumexp: Tensor) -> tuple[Any, ...]:
    query, output, logsumexp, seed, *rest = ctx.saved_tensors
    first_key = rest.pop(0) if ctx.has_first_key else None
    grad_query, *grad_sources = _backward(grad_output, query, rest, output, logsumexp, seed, first_key, *ctx.settings)
    return grad_query, grad_sources, None, None, None, None, None, None, None


routed_attention_dropout.register_autograd(_differentiate, setup_context=_save)
