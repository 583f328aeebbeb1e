"""What a routing costs and saves in a model of given dimensions: parameters, KV cache and FLOPs.

docs/routing.md, "What is counted", has the definitions; the numbers are those of `skipattn plan --json`.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .plan import Plan


@dataclass
class Dimensions:
    """The sizes of a model that its costs depend on; the defaults are GPT-2's form."""

    heads: int                    #: H, query heads of a layer
    head_width: int               #: d
    width: int                    #: of the residual stream
    mlp_width: int                #: inside the feed-forward block
    vocabulary: int
    positions: int = 0            #: learned position embeddings; 0 with rotary positions
    tied_head: bool = True        #: the vocabulary head is the token embedding
    mlp_gated: bool = False       #: three matrices instead of two (SwiGLU)
    attention_bias: bool = True   #: of queries, keys and values
    output_bias: bool = True      #: of attention's output projection
    mlp_bias: bool = True
    norm_bias: bool = True        #: LayerNorm has one, RMSNorm has not
    query_key_norm: bool = False  #: one gain of head_width each for queries and keys (Qwen3)
    windows: tuple[int, ...] = () #: the model's own windows, one a layer; empty: none


@dataclass
class Costs:
    """Counts of one routing and of the baseline of the same shape."""

    parameters: int
    parameters_baseline: int
    kv_cache_bytes_per_token: float
    kv_cache_bytes_per_token_baseline: float
    kv_cache_saved: float                     #: fraction of the baseline's bytes
    flops_per_token_forward: float            #: mean over a context of `context` tokens
    flops_per_token_forward_baseline: float


def cache_bytes_per_element(dtype: str, head_width: int) -> float:
    """Bytes that one cached number takes; int8 counts the fp32 scale of its head vector."""
    known = {"fp32": 4, "bf16": 2, "fp16": 2, "int8": 1 + 4.0 / head_width}
    if dtype not in known:
        raise ValueError(f"cache dtype '{dtype}' must be fp32, bf16, fp16 or int8")
    return known[dtype]


def count_costs(plan: Plan, baseline: Plan, size: Dimensions, context: int, cache_dtype: str) -> Costs:
    """Raises ValueError, all faults at once, when the dimensions do not fit the plan or are not positive."""
    _check(plan, size, context)
    bytes_per_head = size.head_width * cache_bytes_per_element(cache_dtype, size.head_width)
    cache, cache_baseline = plan.cache_slots * bytes_per_head, baseline.cache_slots * bytes_per_head
    return Costs(_parameters(plan, size), _parameters(baseline, size), cache, cache_baseline, 1 - cache / cache_baseline,
                 _forward_flops(plan, size, context), _forward_flops(baseline, size, context))


def _check(plan: Plan, size: Dimensions, context: int) -> None:
    faults = []
    if size.heads < 1 or size.heads % plan.shape.kv_heads != 0:
        faults.append(f"heads={size.heads} must be a multiple of kv_heads={plan.shape.kv_heads}")
    positive = {"context": context, "head_width": size.head_width, "mlp_width": size.mlp_width,
                "vocabulary": size.vocabulary, "width": size.width}
    faults += [f"{name}={value} must be 1 or more" for name, value in positive.items() if value < 1]
    if size.windows and len(size.windows) != plan.shape.layers:
        faults.append(f"windows must be one for each of the {plan.shape.layers} layers, got {len(size.windows)}")
    if size.positions < 0:
        faults.append(f"positions={size.positions} must be 0 or more")
    if faults:
        raise ValueError("\n".join(f"[costs] {fault}" for fault in faults))


def _matrix_weights(plan: Plan, size: Dimensions) -> int:
    """Weights of the matrix products of the layers and of the vocabulary head."""
    query_and_output = 2 * size.width * size.heads * size.head_width
    mlp = (3 if size.mlp_gated else 2) * size.width * size.mlp_width
    keys_and_values = size.width * size.head_width * plan.cache_slots
    return plan.shape.layers * (query_and_output + mlp) + keys_and_values + size.vocabulary * size.width


def _parameters(plan: Plan, size: Dimensions) -> int:
    layers, bias = plan.shape.layers, 0
    if size.attention_bias:
        bias += size.head_width * (layers * size.heads + plan.cache_slots)
    if size.output_bias:
        bias += layers * size.width
    if size.mlp_bias:
        bias += layers * ((2 if size.mlp_gated else 1) * size.mlp_width + size.width)
    norms = (2 * layers + 1) * size.width * (2 if size.norm_bias else 1)
    if size.query_key_norm:
        norms += (layers + sum(bool(layer.live_keys) for layer in plan.layers)) * size.head_width
    embedding = 0 if size.tied_head else size.vocabulary * size.width
    return _matrix_weights(plan, size) + bias + norms + embedding + size.positions * size.width


def _forward_flops(plan: Plan, size: Dimensions, context: int) -> float:
    """2 FLOPs a weight, and 4 * d * keys for every query head and every pair it attends over."""
    pairs_times_keys = 0.0
    for index, layer in enumerate(plan.layers):
        own = size.windows[index] if size.windows else 0
        window = min(layer.window, own) if layer.window and own else layer.window or own
        pairs_times_keys += sum(map(len, layer.heads)) * _mean_keys(context, window)
    attention = 4.0 * size.head_width * (size.heads // plan.shape.kv_heads) * pairs_times_keys
    return 2.0 * _matrix_weights(plan, size) + attention


def _mean_keys(context: int, window: int) -> float:
    """Keys a query sees, mean over the positions 0..context-1; window 0 = all."""
    w = min(window, context) if window else context
    return (w * (w + 1) / 2 + (context - w) * w) / context
