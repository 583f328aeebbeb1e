"""What Llama, Mistral, Qwen and Gemma share: rotary positions, and projections of their own for queries, keys and values."""
from __future__ import annotations

import torch
from torch import Tensor, nn

from .attend import LayerCall, attend


def layers_of(decoder: nn.Module) -> nn.ModuleList:
    return decoder.layers


def attention_of(layer: nn.Module) -> nn.Module:
    return layer.self_attn


def projections_of(attention: nn.Module) -> dict[str, nn.Module]:
    """The projections that patching changes, by name."""
    return {"k_proj": attention.k_proj, "v_proj": attention.v_proj}


def dropout_of(attention: nn.Module) -> float:
    return attention.attention_dropout


def begin(decoder: nn.Module, x: Tensor, position_ids: Tensor, token_type_ids: Tensor | None) -> Tensor:
    """The input of the first layer, from the embedded tokens."""
    return x


def rotations(decoder: nn.Module, x: Tensor, position_ids: Tensor) -> list[tuple[Tensor, Tensor]]:
    """For every layer the cosines and sines [B or 1, T, d] of its rotary positions."""
    kinds = getattr(decoder.rotary_emb, "layer_types", None)
    if kinds is None:
        return [decoder.rotary_emb(x, position_ids)] * len(decoder.layers)
    made = {kind: decoder.rotary_emb(x, position_ids, kind) for kind in kinds}  # Gemma 3: windowed layers turn faster
    return [made[kind] for kind in decoder.config.layer_types]


def end(decoder: nn.Module, x: Tensor) -> Tensor:
    return decoder.norm(x)


def layer_forward(self, hidden_states: Tensor, *borrowed: Tensor, call: LayerCall) -> tuple[Tensor, Tensor, Tensor]:
    attended, keys, values = self.self_attn(self.input_layernorm(hidden_states), *borrowed, call=call)
    if hasattr(self, "pre_feedforward_layernorm"):  # Gemma 2 and 3 also norm what a branch gives
        hidden_states = hidden_states + self.post_attention_layernorm(attended)
        branch = self.mlp(self.pre_feedforward_layernorm(hidden_states))
        return hidden_states + self.post_feedforward_layernorm(branch), keys, values
    hidden_states = hidden_states + attended
    return hidden_states + self.mlp(self.post_attention_layernorm(hidden_states)), keys, values


def attention_forward(self, hidden_states: Tensor, *borrowed: Tensor, call: LayerCall) -> tuple[Tensor, Tensor, Tensor]:
    query = _heads(self.q_proj(hidden_states), self.head_dim)
    dtype = query.dtype  # norms and rotary factors may be wider, under autocast
    keys = query[:, :, :0] if self.k_proj is None else _heads(self.k_proj(hidden_states), self.head_dim)
    values = query[:, :, :0] if self.v_proj is None else _heads(self.v_proj(hidden_states), self.head_dim)
    if getattr(self, "q_norm", None) is not None:
        query = self.q_norm(query)
    if getattr(self, "k_norm", None) is not None:
        keys = self.k_norm(keys)
    query, keys = (_rotated(x, *call.rotation).to(dtype).transpose(1, 2) for x in (query, keys))
    attended, keys, values = attend(self, query, keys, values.transpose(1, 2), borrowed, call)
    return self.o_proj(attended), keys, values


def _heads(x: Tensor, width: int) -> Tensor:
    return x.view(*x.shape[:2], -1, width)  # [B, T, heads, d]


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x [B, T, heads, d] turned; the halves of a head are the pairs."""
    low, high = x.chunk(2, dim=-1)
    return x * cos[:, :, None] + torch.cat([-high, low], dim=-1) * sin[:, :, None]


def head_parts(attention: nn.Module, head: int, is_value: bool) -> list[Tensor]:
    """Views of the weight and bias of one head of an unpatched projection."""
    projection = attention.v_proj if is_value else attention.k_proj
    parameters = [projection.weight] + ([] if projection.bias is None else [projection.bias])
    return [parameter.narrow(0, head * attention.head_dim, attention.head_dim) for parameter in parameters]


def keep_heads(attention: nn.Module, keys: list[int], values: list[int]) -> None:
    """Drops the projections of all other key and value heads; one without any is gone."""
    for name, kept in (("k_proj", keys), ("v_proj", values)):
        if not kept:
            setattr(attention, name, None)
            continue
        projection, width = getattr(attention, name), attention.head_dim
        rows = torch.tensor([head * width + i for head in kept for i in range(width)], device=projection.weight.device)
        for parameter in ("weight", "bias"):
            old = getattr(projection, parameter)
            if old is not None:
                chosen = nn.Parameter(old.detach().index_select(0, rows), requires_grad=old.requires_grad)
                setattr(projection, parameter, chosen)
        projection.out_features = len(rows)
    if not keys and getattr(attention, "k_norm", None) is not None:
        attention.k_norm = None
