"""The attention of one patched layer: its cache, what it sees, the operator."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from ..attention import routed_attention
from .cache import RoutedCache
from .soft_cap import soft_capped_attention


@dataclass
class LayerCall:
    """What a layer is given beside the tensors that gradients flow through."""

    cache: RoutedCache | None               #: holds the live keys and values of earlier tokens
    rotation: tuple[Tensor, Tensor] | None  #: cosines and sines [B or 1, T, d]
    first_key: Tensor | None                #: int32 [B, T], counted from the first of all tokens
    dropout: float                          #: probability of dropping an attention weight in this call


def attend(attention: nn.Module, query: Tensor, keys: Tensor, values: Tensor, borrowed: Sequence[Tensor],
           call: LayerCall) -> tuple[Tensor, Tensor, Tensor]:
    """query [B, H, T, d]; keys and values [B, live heads, T, d] -> [B, T, H * d], and the layer's keys and values of all
    tokens so far, [B, live heads, S, d]."""
    if call.cache is not None:
        keys, values = call.cache.update(keys, values, attention.layer_idx)
    sources = attention.reads.tensors(keys, values, borrowed)
    first_key = call.first_key
    if call.cache is not None and sources:
        sources, first_key = _in_window(sources, first_key, attention.window, query.shape[2], call.cache.get_seq_length())
    settings = dict(scale=attention.scaling, first_key=first_key, dropout_p=call.dropout)
    soft_cap = getattr(attention, "attn_logit_softcapping", None)
    if soft_cap is None:
        attended = routed_attention(query, sources, attention.reads.routes, **settings)
    else:
        attended = soft_capped_attention(query, sources, attention.reads.routes, soft_cap, **settings)
    return attended.transpose(1, 2).flatten(2), keys, values


def _in_window(sources: list[Tensor], first_key: Tensor | None, window: int, length: int,
               total: int) -> tuple[list[Tensor], Tensor | None]:
    """The last keys of each source, as many as a window reaches: sources may hold different numbers of earlier ones."""
    reach = min(total, window - 1 + length) if window else total
    sources = [source[:, :, source.shape[2] - reach:] for source in sources]
    return sources, None if first_key is None else first_key - (total - reach)
